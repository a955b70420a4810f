"""A block of field lines -> a dict of names and values. The checks on raw bytes, then httptools for the split.

Used for request heads, response heads and trailers alike. What lives here: the block. What may not: what a field means.
"""

from __future__ import annotations

import httptools

from fastgw.errors import HttpError, Reason
from fastgw.http1 import rules

# llhttp has one grammar for fields. As an answer 204 it never expects a body, so one parser object serves every block
# (a new parser costs 0.3 us, and a request with a length would leave it waiting for the body).
_PREAMBLE = b"HTTP/1.1 204 -\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"
_KEEP_ALIVE_INSIDE = b"\r\n" + _KEEP_ALIVE


class _Sink:
    """What httptools calls. `on_header` is the dict's own method: no Python frame per field (1.2 us for six fields)."""

    __slots__ = ("on_header",)

    def __init__(self, target: dict[bytes, bytes]) -> None:
        self.on_header = target.__setitem__


class FieldParser:
    """One per worker. `parse` takes the field lines of a block, each with its CRLF, without the empty line."""

    __slots__ = ("_names", "_parser")

    def __init__(self) -> None:
        self._names: dict[bytes, bytes] = {}
        self._renew()

    def _renew(self) -> None:
        self._names = {}
        self._parser = httptools.HttpResponseParser(_Sink(self._names))

    def parse(self, block: bytes) -> dict[bytes, bytes]:
        """Lower-case names to values, repeated names joined by `, ` (RFC 9110 5.3) in their order.

        Raises HttpError: BAD_FRAMING for line ends, BAD_REQUEST for names and values, HEADER_TOO_LARGE for the count.
        """
        if not rules.BLOCK.fullmatch(block):
            raise _why(block)
        if b"\t" in block or b" \r\n" in block:
            return _counted(block)  # llhttp leaves white space that RFC 9110 5.5 does not count as the value's
        lines = block.count(b"\n")
        if lines > rules.MAX_FIELDS:
            raise HttpError(Reason.HEADER_TOO_LARGE, f"more than {rules.MAX_FIELDS} header fields")
        names = self._names
        names.clear()
        try:
            self._parser.feed_data(b"".join((_PREAMBLE, block, b"\r\n")))
        except httptools.HttpParserError:
            # llhttp is stateful, also about fields we treat ourselves (`Connection: close` ends it for good).
            # What the pattern above admits we can split without it.
            self._renew()
            return _split(block)
        fields = {name.lower(): value for name, value in names.items()}
        if len(fields) != lines:
            return _split(block)
        # What makes llhttp think of more than fields would be remembered by it; a new parser costs 0.3 us.
        if (
            b"upgrade" in fields
            or b"transfer-encoding" in fields
            or fields.get(b"connection", b"keep-alive") != b"keep-alive"
        ):
            self._renew()
        return fields


def _counted(block: bytes) -> dict[bytes, bytes]:
    if block.count(b"\n") > rules.MAX_FIELDS:
        raise HttpError(Reason.HEADER_TOO_LARGE, f"more than {rules.MAX_FIELDS} header fields")
    return _split(block)


def _split(block: bytes) -> dict[bytes, bytes]:
    """The plain way: for blocks with repeated names."""
    fields: dict[bytes, bytes] = {}
    for line in block.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name = name.lower()
        value = value.strip(b" \t")
        earlier = fields.get(name)
        fields[name] = value if earlier is None else earlier + b", " + value
    return fields


def _why(block: bytes) -> HttpError:
    """Name the rule that a refused block broke."""
    if rules.BARE_LINE_END_SEARCH.search(block):
        return HttpError(Reason.BAD_FRAMING, "a line does not end with CRLF")
    for line in block.split(b"\r\n"):
        if line[:1] in (b" ", b"\t"):
            return HttpError(Reason.BAD_FRAMING, "a header field is continued on a second line (obs-fold)")
        name, colon, _ = line.partition(b":")
        if line and not colon:
            return HttpError(Reason.BAD_REQUEST, "a header line has no colon")
        if line and name.rstrip(b" \t") != name:
            return HttpError(Reason.BAD_REQUEST, "space between a header name and its colon")
        if line and not rules.TOKEN.fullmatch(name):
            return HttpError(Reason.BAD_REQUEST, "a header name holds an illegal character")
    return HttpError(Reason.BAD_REQUEST, "a header value holds a control character")


def without(block: bytes, names: set[bytes], fields: dict[bytes, bytes]) -> bytes:
    """The block, whose fields are `fields`, without the lines of these (lower-case) names."""
    if len(names) == 1 and b"connection" in names and fields[b"connection"] == b"keep-alive":
        # The one line that most upstreams and many clients send, in its usual spelling: a search instead of a loop.
        if block.startswith(_KEEP_ALIVE):
            return block[len(_KEEP_ALIVE) :]
        at = block.find(_KEEP_ALIVE_INSIDE)
        if at >= 0:
            return block[: at + 2] + block[at + len(_KEEP_ALIVE_INSIDE) :]
    return b"".join([line for name, line in lines_of(block) if name not in names])


def lines_of(block: bytes) -> list[tuple[bytes, bytes]]:
    """(lower-case name, whole line with its CRLF) of each line of a block that was parsed before."""
    return [(line[: line.index(b":")].lower(), line + b"\r\n") for line in block.split(b"\r\n")[:-1]]
