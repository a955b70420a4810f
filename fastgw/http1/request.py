"""Request heads: the header block -> RequestHead, the request line -> its three parts.

Every refusal of design section 6 that concerns a request head is raised here, as HttpError. Targets are target.py,
Host values host.py, bodies body.py.
"""

from __future__ import annotations

from fastgw.errors import HttpError, Reason
from fastgw.http1 import rules
from fastgw.http1.fields import FieldParser, without
from fastgw.http1.host import valid_host
from fastgw.model.messages import RequestHead

# Answered or written anew here, whoever the peer is.
_ALWAYS_DROPPED = frozenset({b"x-request-id", b"x-forwarded-for", b"traceparent", b"expect", b"x-server-timing"})
_HTTP11 = b"HTTP/1.1"
_HTTP10 = b"HTTP/1.0"


def parse_request_line(line: bytes) -> tuple[bytes, bytes, bool]:
    """(method, raw target, whether it is HTTP/1.0) of a request line without its CRLF (RFC 9112 3)."""
    parts = line.split(b" ")
    if len(parts) == 3 and parts[0] in rules.METHODS and parts[1] and parts[2] == _HTTP11:
        return parts[0], parts[1], False
    return _careful_request_line(line, parts)


def _careful_request_line(line: bytes, parts: list[bytes]) -> tuple[bytes, bytes, bool]:
    if rules.BARE_LINE_END_SEARCH.search(line):
        raise HttpError(Reason.BAD_FRAMING, "the request line does not end with CRLF")
    if len(parts) != 3 or not parts[1]:
        raise HttpError(Reason.BAD_REQUEST, "the request line is not `METHOD target HTTP/1.1`")
    method, target, version = parts
    if len(method) > rules.MAX_METHOD or not rules.TOKEN.fullmatch(method):
        raise HttpError(Reason.BAD_REQUEST, "the method is not a token")
    if version not in (_HTTP11, _HTTP10):
        if rules.HTTP_VERSION.fullmatch(version):
            raise HttpError(Reason.BAD_REQUEST, "only HTTP/1.0 and HTTP/1.1 are spoken here", 505)
        raise HttpError(Reason.BAD_REQUEST, "the request line does not end with an HTTP version")
    return method, target, version == _HTTP10


def parse_request_block(block: bytes, parser: FieldParser) -> RequestHead:
    """A validated head from the lines after the request line. What depends on the request line (Host and
    Transfer-Encoding on HTTP/1.0) is checked by `check_version`, so that the result can be remembered."""
    fields = parser.parse(block)
    head = RequestHead(fields)
    _host(head, fields, block)
    special = fields.keys() & rules.SPECIAL_REQUEST
    if special:
        _special(head, fields, block)
    head.unusual = head.length != 0 or head.expect_unknown
    head.odd = bool(not head.host_field or head.websocket or head.traceparent)
    head.forward = _forward(head, fields, block, bool(special), trusted=False)
    head.block = block
    return head


def trusted_forward(head: RequestHead) -> bytes:
    """`head.forward` as it is for a trusted peer: X-Forwarded-Proto, -Host and -Port kept."""
    if head.trusted_forward is None:
        head.trusted_forward = _forward(head, head.fields, head.block, True, trusted=True)
    return head.trusted_forward


def check_version(head: RequestHead, http10: bool) -> None:
    """RFC 9112 3.2 (Host is required on 1.1) and 6.1 (no Transfer-Encoding on 1.0)."""
    if http10:
        if head.chunked:
            raise HttpError(Reason.BAD_FRAMING, "Transfer-Encoding in an HTTP/1.0 request")
    elif not head.host_field:
        raise HttpError(Reason.BAD_REQUEST, "Host is missing")


def _host(head: RequestHead, fields: dict[bytes, bytes], block: bytes) -> None:
    value = fields.get(b"host")
    if value is None:
        return
    # A comma in the joined value could be one strange Host or two: neither is valid, valid_host refuses both.
    head.host = valid_host(value)
    head.host_field = value


def _special(head: RequestHead, fields: dict[bytes, bytes], block: bytes) -> None:
    length = fields.get(b"content-length")
    coding = fields.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise HttpError(Reason.BAD_FRAMING, "both Content-Length and Transfer-Encoding")
        if coding.lower() != b"chunked":
            raise HttpError(Reason.BAD_FRAMING, "a Transfer-Encoding other than one `chunked`")
        head.chunked = True
        head.length = -1
    elif length is not None:
        head.length = content_length(length)
    connection = fields.get(b"connection")
    if connection is not None:
        _connection(head, fields, connection_options(connection))
    expect = fields.get(b"expect")
    if expect is not None:
        head.expect_continue = expect.lower() == b"100-continue"
        head.expect_unknown = not head.expect_continue
    request_id = fields.get(b"x-request-id")
    if request_id is not None and rules.REQUEST_ID.fullmatch(request_id):
        head.request_id = request_id
    traceparent = fields.get(b"traceparent")
    if traceparent is not None:
        match = rules.TRACEPARENT.fullmatch(traceparent)
        if match and (traceparent[:2] != b"00" or len(traceparent) == 55):
            head.traceparent = traceparent
    head.named = bool(head.request_id or head.traceparent)


def content_length(value: bytes) -> int:
    """RFC 9112 6.3: plain digits, once. A list of equal values is refused too."""
    if len(value) > rules.MAX_LENGTH_DIGITS or not rules.DIGITS.fullmatch(value):
        raise HttpError(Reason.BAD_FRAMING, "Content-Length is not one plain number")
    return int(value)


def connection_options(value: bytes) -> frozenset[bytes]:
    """The lower-case options of Connection. Raises HttpError for one that is no token or that may not be named."""
    options = frozenset(option.strip(b" \t").lower() for option in value.split(b",")) - {b""}
    for option in options:
        if not rules.TOKEN.fullmatch(option):
            raise HttpError(Reason.BAD_REQUEST, "Connection holds something that is not a token")
        if option in rules.NOT_CONNECTION_OPTIONS or option.startswith((rules.FORWARDED_PREFIX, rules.CONSUMER_PREFIX)):
            raise HttpError(Reason.BAD_REQUEST, "Connection names a field that is not hop-by-hop")
    return options


def _connection(head: RequestHead, fields: dict[bytes, bytes], options: frozenset[bytes]) -> None:
    head.close = b"close" in options
    head.keep_alive = b"keep-alive" in options and not head.close
    if b"te" in options:
        codings = fields.get(b"te", b"").lower().replace(b" ", b"").split(b",")
        head.te_trailers = b"trailers" in codings
    # RFC 6455 4.1. Only `websocket` and only without a body; every other upgrade ends here (design section 6).
    if b"upgrade" in options and fields.get(b"upgrade", b"").lower() == b"websocket":
        head.websocket = head.length == 0 and b"content-length" not in fields


def _forward(head: RequestHead, fields: dict[bytes, bytes], block: bytes, special: bool, *, trusted: bool) -> bytes:
    """The lines that go upstream as they came. Framing of chunked bodies, tracing and forwarding fields follow them."""
    names = b",".join(fields)
    if special or b"_" in names or rules.CONSUMER_PREFIX in names or rules.FORWARDED_PREFIX in names:
        dropped = _dropped_names(head, fields, trusted)
        if dropped:
            block = without(block, dropped, fields)
    if head.chunked:
        block += b"Transfer-Encoding: chunked\r\n"
    if head.te_trailers:
        block += b"TE: trailers\r\nConnection: TE\r\n"
    if head.host_field and (not trusted or b"x-forwarded-host" not in fields):
        block = b"".join((block, b"X-Forwarded-Host: ", head.host_field, b"\r\n"))
    return block


def _dropped_names(head: RequestHead, fields: dict[bytes, bytes], trusted: bool) -> set[bytes]:
    dropped = set(fields.keys() & rules.HOP_BY_HOP)
    if b"connection" in dropped:
        dropped |= fields.keys() & connection_options(fields[b"connection"])
    for name in fields:
        # Underscores collide with dashes in CGI-style upstreams; a consumer is named by the gateway only.
        if (
            b"_" in name
            or name.startswith(rules.CONSUMER_PREFIX)
            or (name.startswith(rules.FORWARDED_PREFIX) and not trusted)
        ):
            dropped.add(name)
    if b"content-length" in fields and b"transfer-encoding" in fields:  # refused before; never both, whatever happens
        dropped.add(b"content-length")
    dropped |= fields.keys() & _ALWAYS_DROPPED
    if not trusted:
        dropped |= fields.keys() & rules.FORWARDING
    if b"tracestate" in fields and not head.traceparent:
        dropped.add(b"tracestate")  # of a trace that is not continued
    return dropped

