"""Response heads of upstreams: bytes -> ResponseHead. As strict as towards clients: a bad answer is 502 (section 6).

Raises HttpError with UPSTREAM_PROTOCOL_ERROR. Which framing applies to an exchange (HEAD, 204, 304) is `framing`.
"""

from __future__ import annotations

from fastgw.errors import HttpError, Reason
from fastgw.http1 import rules
from fastgw.http1.fields import FieldParser, without
from fastgw.model.messages import Framing, ResponseHead


def _bad(detail: str) -> HttpError:
    return HttpError(Reason.UPSTREAM_PROTOCOL_ERROR, detail)


def parse_response_head(raw: bytes, parser: FieldParser) -> ResponseHead:
    """`raw` is the whole head without the empty line: the status line and the field lines, each with its CRLF."""
    line, _, block = raw.partition(b"\r\n")
    match = rules.STATUS_LINE.fullmatch(line)
    if match is None:
        raise _bad("the status line is not `HTTP/1.x NNN reason`")
    try:
        fields = parser.parse(block)
    except HttpError as error:
        raise _bad(error.detail) from None
    status = int(match[2])
    head = ResponseHead(status, fields)
    head.keep_alive = match[1] == b"1"
    dropped: set[bytes] = set()
    if fields.keys() & rules.SPECIAL_RESPONSE:
        _special(head, fields, match[1] == b"0")
        dropped = _dropped_names(head, fields)
    head.has_date = b"date" in fields
    head.simple = head.length >= 0 and head.keep_alive and status >= 200 and status != 304
    if dropped:
        block = without(block, dropped, fields)
    # The version is our own, the reason phrase passes.
    head.rendered = b"".join((b"HTTP/1.1 ", match[2], b" ", match[3] or b"", b"\r\n", block))
    return head


def _special(head: ResponseHead, fields: dict[bytes, bytes], http10: bool) -> None:
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    bodyless = head.status < 200 or head.status == 204
    if coding is not None:
        if length is not None:
            raise _bad("both Content-Length and Transfer-Encoding")
        if http10:
            raise _bad("Transfer-Encoding in an HTTP/1.0 answer")
        if coding.lower() != b"chunked":
            raise _bad("a Transfer-Encoding other than one `chunked`")
        if bodyless:
            raise _bad("Transfer-Encoding in an answer without a body")
        head.chunked = True
    elif length is not None:
        if len(length) > rules.MAX_LENGTH_DIGITS or not rules.DIGITS.fullmatch(length):
            raise _bad("Content-Length is not one plain number")
        if not bodyless:  # RFC 9110 8.6: a 1xx or 204 has none, whatever it says
            head.length = int(length)
    connection = fields.get(b"connection")
    if connection is not None:
        options = {option.strip(b" \t").lower() for option in connection.split(b",")}
        head.keep_alive = b"close" not in options and (head.keep_alive or b"keep-alive" in options)
    keep = fields.get(b"keep-alive")
    if keep is not None:
        timeout = rules.KEEP_ALIVE_TIMEOUT_SEARCH.search(keep)
        if timeout:
            head.keep_timeout = float(timeout[1])
    head.websocket = fields.get(b"upgrade", b"").lower() == b"websocket"


def _dropped_names(head: ResponseHead, fields: dict[bytes, bytes]) -> set[bytes]:
    dropped = set(fields.keys() & rules.HOP_BY_HOP)
    dropped.discard(b"proxy-authenticate")  # meaningless here but harmless; a 407 of the upstream stays readable
    if b"x-request-id" in fields:
        dropped.add(b"x-request-id")  # the gateway echoes the one it sent
    connection = fields.get(b"connection", b"keep-alive")
    if connection != b"keep-alive":
        named = {option.strip(b" \t").lower() for option in connection.split(b",")}
        # An upstream cannot ask us to strip the length of its own answer.
        dropped |= fields.keys() & (named - {b"content-length", b"date", b"content-type"})
    if (head.status < 200 or head.status == 204) and b"content-length" in fields:
        dropped.add(b"content-length")  # RFC 9110 8.6: these have none
    return dropped


def framing(head: ResponseHead, method: bytes) -> Framing:
    """How the body of a final answer ends (RFC 9112 6.3, in its order)."""
    if method == b"HEAD" or head.status == 204 or head.status == 304:
        return Framing.NONE
    if head.chunked:
        return Framing.CHUNKED
    if head.length > 0:
        return Framing.LENGTH
    if head.length == 0:
        return Framing.NONE
    return Framing.CLOSE
