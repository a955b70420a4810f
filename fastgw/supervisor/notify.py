"""The service manager's socket (systemd's sd_notify protocol): one datagram of KEY=value lines.

Without NOTIFY_SOCKET nothing is sent, and a failure to send never concerns the gateway.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

READY = "READY=1"
STOPPING = "STOPPING=1"


def reloading(now: float) -> str:
    """systemd wants the moment at which the reload began (Type=notify-reload)."""
    return f"RELOADING=1\nMONOTONIC_USEC={int(now * 1_000_000)}"


class Notifier:
    __slots__ = ("_address",)

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        if address.startswith("@"):
            address = "\0" + address[1:]  # the abstract namespace
        self._address = address

    def send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(text.encode(), self._address)
        except OSError:
            pass
