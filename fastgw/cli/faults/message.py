"""HTTP/1.1 as far as a faulty service speaks it: requests of correct clients, read whole; short answers."""

from __future__ import annotations

import http
import re
from typing import Final

MAX_HEAD: Final = 64 * 1024
# Of a body, as much is kept: orders are short, and of the others only the size matters.
KEPT: Final = 64 * 1024

FIELD: Final = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|user-agent|x-test-id):[ \t]*([^\r]*)", re.IGNORECASE
)
_PHRASES: Final = {int(status): status.phrase for status in http.HTTPStatus}


class BadMessage(Exception):
    """No request that a correct client sends."""


class Request:
    __slots__ = (
        "agent",
        "body",
        "chunked",
        "cut_answer",
        "last",
        "left",
        "method",
        "path",
        "size",
        "test_id",
    )

    def __init__(self, head: bytes) -> None:
        line, _, _ = head.partition(b"\r\n")
        parts = line.split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            raise BadMessage("no HTTP/1 request line")
        self.method = parts[0].decode("latin-1")
        self.path = parts[1].decode("latin-1")
        self.agent = self.test_id = b""
        self.chunked = self.cut_answer = False
        self.last = parts[2] == b"HTTP/1.0"
        self.left = self.size = 0
        self.body = b""
        for name, value in FIELD.findall(head):
            match name.lower():
                case b"content-length":
                    if not value.strip().isdigit():
                        raise BadMessage("Content-Length is no number")
                    self.left = int(value)
                case b"transfer-encoding":
                    self.chunked = value.strip().lower() == b"chunked"
                case b"connection":
                    self.last = self.last or value.strip().lower() == b"close"
                case b"user-agent":
                    self.agent = value
                case _:
                    self.test_id = value.strip()


class RequestReader:
    """Feed it bytes; `head()` and then `body()` until each has what it waits for. The owner sets `request` to None when
    it is done with one."""

    __slots__ = ("_buffer", "_in_trailers", "request")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._in_trailers = False
        self.request: Request | None = None

    @property
    def pending(self) -> bool:
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def head(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise BadMessage("the head does not end")
            return None
        self.request = Request(bytes(self._buffer[: end + 2]))
        self._in_trailers = False
        del self._buffer[: end + 4]
        return self.request

    def body(self) -> bool:
        """Whether the body of the request is there to its end."""
        request = self.request
        assert request is not None
        if not request.chunked:
            self._take(request)
            return request.left == 0
        while True:
            if request.left:
                self._take(request)
                if request.left:
                    return False
            line = self._line()
            if line is None:
                return False
            if self._in_trailers:
                if not line:
                    return True
            elif line:  # the empty one ends a chunk
                try:
                    request.left = int(line.split(b";")[0], 16)
                except ValueError:
                    raise BadMessage("a chunk size is no number") from None
                self._in_trailers = request.left == 0

    def _take(self, request: Request) -> None:
        piece = bytes(self._buffer[: request.left])
        del self._buffer[: len(piece)]
        request.left -= len(piece)
        request.size += len(piece)
        if len(request.body) < KEPT:
            request.body += piece

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise BadMessage("a line does not end")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line


def render(status: int, body: bytes, extra: bytes = b"", *, head_only: bool = False) -> tuple[bytes, bytes]:
    """Head and body of an answer; statuses without a body are not asked for here."""
    phrase = _PHRASES.get(status, "Unknown")
    head = b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n" % (
        status,
        phrase.encode(),
        extra,
        len(body),
    )
    return head, b"" if head_only else body
