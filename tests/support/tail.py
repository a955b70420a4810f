"""Somebody who looks on: reads GET /api/tail in a thread, and keeps what was shown."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

from tests.support.wire import wait_for

Event = tuple[str, dict[str, Any]]


class Tail:
    def __init__(self, admin_port: int, query: str = "", token: str = "") -> None:
        self.events: list[Event] = []
        self.ended = threading.Event()
        self._sock = socket.create_connection(("127.0.0.1", admin_port), timeout=10)
        lines = [f"GET /api/tail{query} HTTP/1.0", "Host: localhost"]
        lines += [f"Authorization: Bearer {token}"] if token else []
        self._sock.sendall("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
        self._stream = self._sock.makefile("rb")
        self.status = int(self._stream.readline().split()[1])
        while self._stream.readline() not in (b"\r\n", b""):
            pass
        self._sock.settimeout(None)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the gateway was faster
        self._thread.join(5)
        self._stream.close()
        self._sock.close()

    def _read(self) -> None:
        kind, data = "", ""
        try:
            for raw in self._stream:
                line = raw.decode().rstrip("\r\n")
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    data += line.removeprefix("data: ")
                elif not line and data:
                    self.events.append((kind, json.loads(data)))
                    kind, data = "", ""
        except OSError:
            pass  # a reset is an end too
        finally:
            self.ended.set()

    def exchanges(self) -> list[dict[str, Any]]:
        return [data for kind, data in self.events if kind == "exchange"]

    def of(self, request_id: str, timeout: float = 5.0) -> dict[str, Any]:
        """The exchange with this id, once it is shown."""

        def found() -> list[dict[str, Any]]:
            return [one for one in self.exchanges() if one["request_id"] == request_id]

        (one,) = wait_for(found, timeout, f"{request_id} in the live tail")
        return dict(one)
