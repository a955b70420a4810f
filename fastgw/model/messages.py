"""The two heads and the reply, as plain records. `http1` makes the heads, `gateway` makes replies.

A head is shared by every exchange that repeats its exact bytes (see http1/memo.py): nothing may write to it after it
was made, except the fields that say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from fastgw.errors import Reason

if TYPE_CHECKING:
    from fastgw.model.route import Route


class Framing(IntEnum):
    """How long a body is (RFC 9112 section 6.3)."""

    NONE = 0
    LENGTH = 1
    CHUNKED = 2
    CLOSE = 3  # answers only: until the connection ends


class RequestLine:
    """A validated request line. Like a head it is shared by every exchange that repeats its exact bytes."""

    __slots__ = (
        "authority", "direct", "host", "http10", "logged", "logged_host", "method", "odd", "path", "query", "start",
        "unrouted",
    )  # fmt: skip

    def __init__(
        self, method: bytes, path: bytes, query: bytes, http10: bool, authority: bytes | None
    ) -> None:
        self.method = method
        self.path = path  # normalised
        self.query = query  # with its leading `?`, or empty
        self.http10 = http10
        self.authority = authority  # of an absolute-form target
        self.odd = http10 or authority is not None
        # As it goes upstream where nothing is rewritten: five parts of a join less, 0.1 us.
        self.start = b"".join((method, b" ", path, query, b" HTTP/1.1\r\n"))
        # Its part of a log line with one host, which is nearly always the same; written by `account`.
        self.logged_host: bytes | None = None
        self.logged = b""
        # The route that this line led to last, and for which host; written by `gateway`, forgotten with the snapshot.
        # Only where no route asks for header fields.
        self.host: bytes | None = None
        self.direct: Route | None = None
        self.unrouted: Reply | None = None  # the refusal, where the line led to no route


class RequestHead:
    """A validated request header block.

    `forward` is what goes upstream for a client that is not trusted: the client's own lines without hop-by-hop
    fields and without those that the gateway writes itself, each ended by CRLF. `fields` maps lower-case names to
    values (repeated fields joined by a comma, RFC 9110 5.3).
    """

    __slots__ = (
        "block", "chunked", "close", "expect_continue", "expect_unknown", "fields", "forward", "host", "host_field",
        "keep_alive", "length", "named", "odd", "request_id", "rewritten", "te_trailers", "traceparent",
        "trusted_forward", "unusual", "websocket",
    )  # fmt: skip

    def __init__(self, fields: dict[bytes, bytes]) -> None:
        self.fields = fields
        self.forward = b""
        self.block = b""  # the exact bytes
        self.trusted_forward: bytes | None = None  # see http1.request.trusted_forward
        self.host = b""  # lower case, without port, for matching; b"" only on HTTP/1.0 without Host
        self.host_field = b""
        self.length = 0  # -1 while chunked
        self.chunked = False
        self.close = False  # Connection: close
        self.keep_alive = False  # Connection: keep-alive, which HTTP/1.0 needs
        self.expect_continue = False
        self.expect_unknown = False
        self.unusual = False  # a body follows, or an expectation that cannot be met: admission looks closer
        self.websocket = False
        self.te_trailers = False
        self.odd = True  # towards the upstream more than the usual lines change: no Host, an upgrade, a known trace
        self.named = False  # it has one of the next two
        self.request_id = b""  # of the client, believed only from a trusted peer
        self.traceparent = b""  # only when well-formed
        # Rendered variants for routes that rewrite request headers, by the route's rewrite; written by `gateway`.
        self.rewritten: dict[object, bytes] = {}


    def with_line(self, name: bytes, value: bytes, line: bytes) -> RequestHead:
        """This head with one more plain field, for one exchange: nothing but the field differs (http1/volatile.py)."""
        made = RequestHead.__new__(RequestHead)  # every slot is written below: no defaults first
        made.fields = {**self.fields, name: value}
        made.rewritten = {}
        made.trusted_forward = None
        made.forward = self.forward + line
        made.block = self.block + line
        made.host = self.host
        made.host_field = self.host_field
        made.length = self.length
        made.chunked = self.chunked
        made.close = self.close
        made.keep_alive = self.keep_alive
        made.expect_continue = self.expect_continue
        made.expect_unknown = self.expect_unknown
        made.unusual = self.unusual
        made.websocket = self.websocket
        made.te_trailers = self.te_trailers
        made.odd = self.odd
        made.named = self.named
        made.request_id = self.request_id
        made.traceparent = self.traceparent
        return made


class ResponseHead:
    """A validated response head.

    `rendered` is the status line and the fields that go to the client, each ended by CRLF, without those that
    depend on the exchange (framing of re-framed bodies, Connection, X-Request-Id).
    """

    __slots__ = (
        "chunked", "fields", "has_date", "keep_alive", "keep_timeout", "length", "rendered", "rewritten", "simple",
        "status", "websocket",
    )  # fmt: skip

    def __init__(self, status: int, fields: dict[bytes, bytes]) -> None:
        self.status = status
        self.fields = fields
        self.rendered = b""
        self.length = -1  # Content-Length, -1 where there is none
        self.chunked = False
        self.keep_alive = True
        self.keep_timeout = -1.0  # seconds of `Keep-Alive: timeout=`, -1 where there is none
        self.simple = False  # a final answer with a length, on a connection that stays
        self.has_date = True
        self.websocket = False  # `Upgrade: websocket`, of interest on a 101 only
        self.rewritten: dict[object, bytes] = {}

    def with_line(self, name: bytes, value: bytes, line: bytes) -> ResponseHead:
        """This head with one more plain field, for one exchange (http1/volatile.py)."""
        made = ResponseHead.__new__(ResponseHead)  # every slot is written below
        made.status = self.status
        made.fields = {**self.fields, name: value}
        made.rewritten = {}
        made.rendered = self.rendered + line
        made.length = self.length
        made.chunked = self.chunked
        made.keep_alive = self.keep_alive
        made.keep_timeout = self.keep_timeout
        made.simple = self.simple
        made.has_date = self.has_date
        made.websocket = self.websocket
        return made


class Reply:
    """An answer the gateway makes itself: a refusal, a static answer of a route, or the health path."""

    __slots__ = ("body", "content_type", "detail", "headers", "members", "ready", "reason", "rule", "status")

    def __init__(
        self,
        reason: Reason,
        status: int,
        detail: str = "",
        *,
        rule: str = "",
        headers: bytes = b"",
        body: bytes | None = None,
        content_type: bytes = b"",
        members: Mapping[str, object] | None = None,
    ) -> None:
        self.reason = reason
        self.status = status
        self.detail = detail
        self.rule = rule
        self.headers = headers  # ready lines, each ended by CRLF
        self.body = body  # None: a problem document is made from the other fields
        self.content_type = content_type
        self.members = members  # more members of the problem document (RFC 9457 3.2)
        self.ready: tuple[bytes, bytes, bytes, bytes] | None = None  # what `writer` has rendered of it


# What a policy returns that cannot decide yet. A value, compared by identity; it is never sent.
WAIT: Final = Reply(Reason.OK, 0)
