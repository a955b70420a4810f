"""The exchange: one request and its response, from the first byte of the request to the ledger.

Only what every floor needs to know about it. How bytes move is in edge/ and gateway/forward.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastgw.errors import Reason, Source

if TYPE_CHECKING:
    from fastgw.model.messages import RequestHead
    from fastgw.model.route import Route


class Exchange:
    """Written by the floor that learns a thing first; read by the ledger at the end. Times are monotonic seconds, 0.0
    means never. (25 slots set in one go cost 0.27 us; the same as class defaults 0.20 us but without the guard
    against misspelt names.)"""

    __slots__ = (
        "attempts", "bytes_in", "bytes_out", "client", "closed", "first_byte_at", "forwarded_at", "head", "host",
        "http10", "keep_alive", "method", "path", "plain", "query", "reason", "request_id", "route", "rule", "scheme", "source", "span",
        "started", "status", "target", "trace_id", "trusted", "upstream", "upstream_seconds", "version", "wall",
    )  # fmt: skip

    def __init__(
        self, head: RequestHead | None, method: bytes, path: bytes, query: bytes, http10: bool, started: float
    ) -> None:
        self.head = head  # None where the request could not be read
        self.method = method
        self.path = path  # normalised: what is matched is what is forwarded
        self.query = query  # with its leading `?`, or empty
        self.host = b"" if head is None else head.host
        self.http10 = http10
        self.started = started
        self.keep_alive = True  # whether the client's connection may serve another exchange
        self.client = b""  # address, as text
        self.trusted = False  # the peer is in trusted_proxies
        self.plain = False  # nothing of the answer's head depends on more than the request id: the short way out
        self.scheme = b"http"
        self.request_id = b""
        self.trace_id = b""
        self.span = b""  # this hop's span id, 16 hex digits
        self.route: Route | None = None
        self.version = 0
        self.reason = Reason.OK
        self.source = Source.GATEWAY
        self.rule = ""
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.forwarded_at = 0.0
        self.first_byte_at = 0.0
        self.upstream_seconds = 0.0
        self.upstream = ""
        self.target = ""
        self.attempts = 0
        self.closed = False
        self.wall = 0.0
