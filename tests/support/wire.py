"""HTTP/1.1 messages as the tests read them: strict, blocking, written apart from the gateway's own parser.

Both ends use it: the raw client for answers, the scripted upstream for requests. A message that this module
does not accept is an error of the gateway, never something to be lenient about.
"""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass, field

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/(1\.[01])")
STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
VISIBLE = rb"[\x21-\x7e\x80-\xff]"
FIELD = re.compile(
    rb"(" + TOKEN + rb"):[ \t]*((?:" + VISIBLE + rb"(?:[\t\x20-\x7e\x80-\xff]*" + VISIBLE + rb")?)?)[ \t]*"
)
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[\t\x20-\x7e\x80-\xff]*)?")

READ = 65536


class WireError(Exception):
    """The peer sent something that is not a well-formed message."""


class Cut(Exception):
    """The peer closed (or reset) before the message was complete. `got` is what had come."""

    def __init__(self, got: bytes, reset: bool = False) -> None:
        super().__init__(f"cut{' by a reset' if reset else ''} after {len(got)} bytes: {got[-200:]!r}")
        self.got = got
        self.reset = reset


class TimedOut(Exception):
    """Nothing came in time. `got` is what had come."""

    def __init__(self, got: bytes) -> None:
        super().__init__(f"timed out after {len(got)} bytes: {got[-200:]!r}")
        self.got = got


Fields = list[tuple[bytes, bytes]]


@dataclass
class Message:
    """What both directions have in common."""

    line: bytes
    fields: Fields
    raw_head: bytes
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    framing: str = "none"  # none | length | chunked | close
    chunks: list[bytes] = field(default_factory=list)
    complete: bool = False

    def get(self, name: str) -> str | None:
        """The one value of a field; None without it; an error when it is repeated."""
        values = self.all(name)
        if len(values) > 1:
            raise WireError(f"{name} is repeated: {values}")
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in self.fields if key.lower() == wanted]

    def names(self) -> list[str]:
        return [key.decode("latin-1") for key, _ in self.fields]


@dataclass
class Request(Message):
    method: bytes = b""
    target: bytes = b""
    version: bytes = b""


@dataclass
class Response(Message):
    status: int = 0
    reason_phrase: bytes = b""
    version: bytes = b""
    interim: list[Response] = field(default_factory=list)


class Stream:
    """A blocking socket with a read buffer and one deadline per call."""

    def __init__(self, sock: socket.socket, timeout: float = 5.0) -> None:
        self.sock = sock
        self.timeout = timeout
        self.buffer = bytearray()
        self.received = 0  # all bytes that ever came
        self.ended = False

    def fill(self, timeout: float | None = None) -> bool:
        """Read once. False at the end of the stream; raises TimedOut, or Cut on a reset."""
        if self.ended:
            return False
        self.sock.settimeout(self.timeout if timeout is None else timeout)
        try:
            data = self.sock.recv(READ)
        except (TimeoutError, BlockingIOError):
            raise TimedOut(bytes(self.buffer)) from None
        except OSError:
            self.ended = True
            raise Cut(bytes(self.buffer), reset=True) from None
        if not data:
            self.ended = True
            return False
        self.received += len(data)
        self.buffer += data
        return True

    def take(self, count: int) -> bytes:
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def until(self, end: bytes, limit: int = 1 << 20) -> bytes:
        searched = 0
        while True:
            at = self.buffer.find(end, searched)
            if at >= 0:
                return self.take(at + len(end))
            searched = max(0, len(self.buffer) - len(end) + 1)
            if len(self.buffer) > limit:
                raise WireError(f"no {end!r} within {limit} bytes")
            if not self.fill():
                raise Cut(bytes(self.buffer))

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self.fill():
                raise Cut(bytes(self.buffer))
        return self.take(count)

    def some(self) -> bytes:
        """What is there, at least one byte; b"" at the end."""
        if not self.buffer and not self.fill():
            return b""
        return self.take(len(self.buffer))

    def to_end(self) -> bytes:
        """All until the peer closes in order; a reset raises Cut."""
        while self.fill():
            pass
        return self.take(len(self.buffer))

    def closed(self, timeout: float | None = None) -> bool:
        """Whether the peer has closed (or closes within the time) without sending more."""
        if self.buffer:
            return False
        try:
            return not self.fill(timeout)
        except TimedOut:
            return False
        except Cut:
            return True

    def silent(self, seconds: float) -> bool:
        """Whether nothing comes for that long: neither bytes nor a close."""
        if self.buffer:
            return False
        try:
            self.fill(seconds)
        except TimedOut:
            return True
        except Cut:
            return False
        return False


def parse_fields(block: bytes) -> Fields:
    """The lines of a header or trailer section, each ended by CRLF."""
    fields: Fields = []
    for line in block.split(b"\r\n")[:-1]:
        matched = FIELD.fullmatch(line)
        if matched is None:
            raise WireError(f"not a field line: {line!r}")
        fields.append((matched[1], matched[2]))
    return fields


def values_of(fields: Fields, name: bytes) -> list[bytes]:
    return [value for key, value in fields if key.lower() == name]


def grouped(fields: Fields) -> dict[bytes, Fields]:
    """By lower-case name: the order within a name has a meaning, the order of names has none."""
    groups: dict[bytes, Fields] = {}
    for name, value in fields:
        groups.setdefault(name.lower(), []).append((name, value))
    return groups


def as_fields(lines: list[str]) -> Fields:
    """Fields from lines such as "Name: value"."""
    parts = (line.partition(":") for line in lines)
    return [(name.encode("latin-1"), value.lstrip(" ").encode("latin-1")) for name, _, value in parts]


def body_framing(fields: Fields) -> tuple[str, int]:
    """How the fields say the body is framed: (none | length | chunked, length)."""
    lengths = values_of(fields, b"content-length")
    codings = values_of(fields, b"transfer-encoding")
    if lengths and codings:
        raise WireError("both Content-Length and Transfer-Encoding")
    if codings:
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise WireError(f"Transfer-Encoding {codings}")
        return "chunked", 0
    if lengths:
        if len(lengths) != 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
            raise WireError(f"Content-Length {lengths}")
        return "length", int(lengths[0])
    return "none", 0


def read_chunk(stream: Stream) -> bytes:
    """The data of one chunk; b"" for the last one (its trailers are still to be read)."""
    line = stream.until(b"\r\n", 16384)[:-2]
    matched = CHUNK_SIZE.fullmatch(line)
    if matched is None:
        raise WireError(f"not a chunk size: {line!r}")
    size = int(matched[1], 16)
    if not size:
        return b""
    data = stream.exactly(size)
    if stream.exactly(2) != b"\r\n":
        raise WireError("no CRLF after the data of a chunk")
    return data


def read_trailers(stream: Stream) -> Fields:
    block = b""
    while True:
        line = stream.until(b"\r\n", 65536)
        if line == b"\r\n":
            return parse_fields(block)
        block += line


def read_body(stream: Stream, message: Message, length: int) -> None:
    """Fill in body, chunks and trailers according to `message.framing`."""
    if message.framing == "length":
        message.body = stream.exactly(length)
    elif message.framing == "chunked":
        while chunk := read_chunk(stream):
            message.chunks.append(chunk)
        message.body = b"".join(message.chunks)
        message.trailers = read_trailers(stream)
    elif message.framing == "close":
        message.body = stream.to_end()
    message.complete = True


def read_request_head(stream: Stream) -> tuple[Request, int]:
    raw = stream.until(b"\r\n\r\n")
    line, _, block = raw[:-2].partition(b"\r\n")
    matched = REQUEST_LINE.fullmatch(line)
    if matched is None:
        raise WireError(f"not a request line: {line!r}")
    fields = parse_fields(block)
    if len(values_of(fields, b"host")) != 1:
        raise WireError(f"{len(values_of(fields, b'host'))} Host fields")
    framing, length = body_framing(fields)
    request = Request(
        line, fields, raw, framing=framing, method=matched[1], target=matched[2], version=matched[3]
    )
    return request, length


def read_response_head(stream: Stream) -> Response:
    raw = stream.until(b"\r\n\r\n")
    line, _, block = raw[:-2].partition(b"\r\n")
    matched = STATUS_LINE.fullmatch(line)
    if matched is None:
        raise WireError(f"not a status line: {line!r}")
    return Response(
        line, parse_fields(block), raw, status=int(matched[2]), reason_phrase=matched[3], version=matched[1]
    )


def response_framing(response: Response, method: bytes) -> int:
    """Set `response.framing` as RFC 9112 section 6.3 says; returns the length."""
    framing, length = body_framing(response.fields)
    if method == b"HEAD" or response.status in {204, 304} or response.status < 200:
        response.framing = "none"
        return 0
    response.framing = framing if framing != "none" else "close"
    return length


def read_response_start(stream: Stream, method: bytes = b"GET") -> tuple[Response, int]:
    """The final head, with the interim answers before it, and the length of the body to come."""
    interim: list[Response] = []
    while True:
        response = read_response_head(stream)
        if response.status >= 200 or response.status == 101:
            response.interim = interim
            return response, response_framing(response, method)
        interim.append(response)


def read_response(stream: Stream, method: bytes = b"GET") -> Response:
    response, length = read_response_start(stream, method)
    read_body(stream, response, length)
    return response


def wait_for(check, timeout: float = 5.0, what: str = "the condition", every: float = 0.004):
    """Poll for what cannot be awaited (a file, a process table): returns the first true value."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout} s")
        time.sleep(every)
