"""How a name becomes addresses: through the name servers, whose answers have a TTL, or as the machine itself does it.

Names in the hosts file (and `localhost`) are the machine's business. So is every name that the name servers do not
know: nsswitch.conf may name other sources. Neither way gives a TTL.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiodns
from aiodns import error as ares

HOSTS: Final = Path("/etc/hosts")
_LOOPBACK: Final = "localhost"


@dataclass(frozen=True, slots=True)
class Found:
    """The addresses of a name, and for how many seconds they hold; None: nobody has said."""

    addresses: tuple[str, ...]
    ttl: float | None = None


class HostsFile:
    """The names in it, read again when it changes."""

    __slots__ = ("_names", "_path", "_stamp")

    def __init__(self, path: Path = HOSTS) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._names: frozenset[str] = frozenset()

    def __contains__(self, host: str) -> bool:
        try:
            status = self._path.stat()
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
            if stamp != self._stamp:
                self._names = _names_in(self._path.read_text("utf-8", "replace"))
                self._stamp = stamp
        except OSError:
            self._stamp, self._names = None, frozenset()
        return host in self._names


def _names_in(text: str) -> frozenset[str]:
    """hosts(5): an address and its names, then perhaps a comment."""
    return frozenset(
        name.lower() for line in text.splitlines() for name in line.partition("#")[0].split()[1:]
    )


class SystemNames:
    """Made on the event loop that uses it; the name servers are those of resolv.conf, which c-ares watches."""

    def __init__(
        self,
        hosts: HostsFile,
        *,
        servers: Sequence[str] | None = None,
        timeout: float | None = None,
        tries: int | None = None,
        reaches: Callable[[str], bool] | None = None,
    ) -> None:
        self._hosts = hosts
        # Lookups "b": the name servers alone, whatever nsswitch.conf says; c-ares reads a hosts file in its own way (it
        # invents ::1 for localhost, and does not say that there was no TTL).
        self._resolver = aiodns.DNSResolver(servers, timeout=timeout, tries=tries, lookups="b")
        self._reaches = reaches or routed

    async def resolve(self, host: str) -> Found:
        """Raises OSError or UnicodeError, as getaddrinfo does."""
        name = host.rstrip(".").lower()
        if name == _LOOPBACK or name.endswith("." + _LOOPBACK) or name in self._hosts:
            return Found(await by_machine(name))
        try:
            answer = await self._resolver.getaddrinfo(host, type=socket.SOCK_STREAM)
        except ares.DNSError as error:
            if error.args and error.args[0] == ares.ARES_ETIMEOUT:
                # The machine would ask the same servers, and wait for longer.
                raise socket.gaierror(socket.EAI_AGAIN, "the name servers do not answer") from None
            return Found(await by_machine(host))
        found = [
            node.addr[0].decode() if isinstance(node.addr[0], bytes) else str(node.addr[0])
            for node in answer.nodes
        ]
        if not found:
            return Found(await by_machine(host))
        ttls = [node.ttl for node in answer.nodes] + [alias.ttl for alias in answer.cnames]
        return Found(self._of_our_families(found), float(min(ttls)))

    async def close(self) -> None:
        await self._resolver.close()

    def _of_our_families(self, found: list[str]) -> tuple[str, ...]:
        """Without the family that this machine has no way to, unless nothing is left: what AI_ADDRCONFIG is for."""
        families = [[each for each in found if ":" in each], [each for each in found if ":" not in each]]
        usable = [family for family in families if any(self._reaches(each) for each in family)]
        return tuple(each for family in (usable or families) for each in family)


def routed(address: str) -> bool:
    """Whether the kernel has a route there. Connecting a datagram socket sends nothing: 10 us."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((address, 9))
    except OSError:
        return False
    return True


async def by_machine(host: str) -> tuple[str, ...]:
    """getaddrinfo in the loop's own threads; of the families that this machine has addresses of."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return tuple(str(sockaddr[0]) for _, _, _, _, sockaddr in found)
