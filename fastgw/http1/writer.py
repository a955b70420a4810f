"""Bytes of answers that the gateway makes itself, and the few lines it adds to those it passes on. No I/O, no state.

Tables of ready bytes are made at import; formatting a status line per answer would cost more than the rest of a refusal.
"""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import orjson

from fastgw.errors import PROXY_ERROR, RETRY_AFTER, TITLES, Reason
from fastgw.model.messages import Reply

STATUS_LINE: Final[dict[int, bytes]] = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
CONNECTION_CLOSE: Final = b"Connection: close\r\n"
CONNECTION_KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"  # HTTP/1.0 clients need to be told
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
UPGRADE: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


_OK: Final = Reason.OK
_ID_ENDS: Final = b'"}'  # behind the request id, the last member of a problem document


def status_line(status: int) -> bytes:
    known = STATUS_LINE.get(status)
    return known if known is not None else b"HTTP/1.1 %d \r\n" % status


def date_line(wall: float) -> bytes:
    """`Date` for answers without one (RFC 9110 6.6.1), from seconds since the epoch. Callers keep it for a second."""
    return b"Date: " + formatdate(wall, usegmt=True).encode() + b"\r\n"


def problem(reply: Reply, request_id: bytes) -> bytes:
    """The body of a refusal: application/problem+json (RFC 9457) with the members of design section 12."""
    return orjson.dumps(
        {
            **(reply.members or {}),
            "type": f"urn:fastgw:reason:{reply.reason.value}",
            "title": TITLES.get(reply.status, "Error"),
            "status": reply.status,
            "detail": reply.detail,
            "reason": reply.reason.value,
            "request_id": request_id.decode("ascii"),
        }
    )


def proxy_status(reason: Reason) -> bytes:
    """RFC 9209: this hop, the error type nearest to the reason, and the reason itself as details."""
    return b'Proxy-Status: fastgw; error=%s; details="%s"\r\n' % (
        PROXY_ERROR.get(reason, "proxy_internal_error").encode(),
        reason.value.encode(),
    )


# The lines of each refusal that do not depend on the exchange.
_REFUSAL_LINES: Final[dict[Reason, bytes]] = {
    reason: b"Content-Type: application/problem+json\r\nCache-Control: no-store\r\n"
    + proxy_status(reason)
    + (b"Retry-After: %d\r\n" % RETRY_AFTER[reason] if reason in RETRY_AFTER else b"")
    for reason in Reason
    if reason is not Reason.OK
}


ID_LENGTH: Final = 32  # of the request ids that we make


def usual(made: Reply, request_id: bytes, date: bytes) -> bytes:
    """Hot under a flood: `reply` to anything but HEAD, for a client of HTTP/1.1 that stays. What depends on the reply
    alone is rendered once and kept with it: 3.3 -> 0.5 us."""
    if len(request_id) != ID_LENGTH:
        return reply(made, request_id, date, head_only=False, close=False, http10=False)
    ready = made.ready
    if ready is None:
        ready = made.ready = _ready(made)
    start, fields, body, end = ready
    if end:
        return b"".join((start, date, fields, request_id, body, request_id, end))
    return b"".join((start, date, fields, request_id, body))


def _ready(made: Reply) -> tuple[bytes, bytes, bytes, bytes]:
    """Status line; fields up to the request id; the body, for a problem up to the request id in it; and its end."""
    body, end = made.body or b"", b""
    length = len(body)
    if made.body is None and made.reason is not _OK:
        document = problem(made, b"0" * ID_LENGTH)
        length = len(document)
        body, end = document[: -ID_LENGTH - len(_ID_ENDS)], _ID_ENDS
    fields = _fields(made, length) + b"X-Request-Id: "
    return status_line(made.status), fields, b"\r\n\r\n" + (b"" if _is_bodyless(made) else body), end


def reply(made: Reply, request_id: bytes, date: bytes, *, head_only: bool, close: bool, http10: bool) -> bytes:
    """A whole answer of the gateway's own. `head_only` for HEAD: the length stays, the body goes (RFC 9110 9.3.2)."""
    body = made.body
    if body is None:
        body = problem(made, request_id) if made.reason is not _OK else b""
    parts = [status_line(made.status), date, _fields(made, len(body))]
    if request_id:
        parts += (b"X-Request-Id: ", request_id, b"\r\n")
    if close:
        parts.append(CONNECTION_CLOSE)
    elif http10:
        parts.append(CONNECTION_KEEP_ALIVE)
    parts.append(b"\r\n")
    if not (head_only or _is_bodyless(made)):
        parts.append(body)
    return b"".join(parts)


def _is_bodyless(made: Reply) -> bool:
    return made.status == 204 or made.status == 304


def _fields(made: Reply, length: int) -> bytes:
    """The fields that depend on the reply alone."""
    parts = []
    if made.reason is not _OK:
        parts.append(_REFUSAL_LINES[made.reason])
    elif made.content_type:
        parts += (b"Content-Type: ", made.content_type, b"\r\n")
    if not _is_bodyless(made):
        parts.append(b"Content-Length: %d\r\n" % length)
    parts.append(made.headers)
    return b"".join(parts)
