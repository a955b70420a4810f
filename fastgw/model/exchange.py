"""The exchange: one request and its response, from the first byte of the request to the ledger.

Only what every floor needs to know about it. How bytes move is in edge/ and gateway/forward.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastgw.errors import Reason, Source

if TYPE_CHECKING:
    from fastgw.model.identity import Identity
    from fastgw.model.messages import RequestHead, RequestLine
    from fastgw.model.route import Route


# A member looked up on its class costs 45 ns in CPython 3.11, a module's name 4.
_OK: Final = Reason.OK
_GATEWAY: Final = Source.GATEWAY

# In front of the name of a policy in shadow mode, where `rule` notes what it would have refused.
WOULD_REFUSE: Final = "shadow:"


class Exchange:
    """Written by the floor that learns a thing first; read by the ledger at the end. Times are monotonic seconds, 0.0
    means never. (Slots: without them, and with class defaults for what rarely changes, birth is 0.2 us cheaper and
    every later write 30 ns dearer.)"""

    __slots__ = (
        "answer_lines", "attempts", "bytes_in", "bytes_out", "client", "closed", "decided", "forwarded_at", "head",
        "holder", "host", "http10", "identity", "keep_alive", "limit", "line", "method", "path", "query", "queued",
        "reason", "request_id", "route", "rule", "source", "span", "started", "status", "step", "target", "trace_id",
        "trusted", "upstream", "upstream_seconds", "version",
    )  # fmt: skip

    def __init__(
        self, head: RequestHead | None, method: bytes, path: bytes, query: bytes, http10: bool, started: float,
        bytes_in: int,
    ) -> None:  # fmt: skip
        self.head = head  # None where the request could not be read
        self.method = method
        self.path = path  # normalised: what is matched is what is forwarded
        self.query = query  # with its leading `?`, or empty
        self.host = b"" if head is None else head.host
        self.http10 = http10
        self.started = started
        self.bytes_in = bytes_in
        self.line: RequestLine | None = None
        self.keep_alive = True  # whether the client's connection may serve another exchange
        self.trusted = False  # the peer is in trusted_proxies
        self.client = self.request_id = self.trace_id = b""  # address as text; ids
        self.span = b""  # this hop's span id, 16 hex digits
        self.route: Route | None = None
        self.reason = _OK
        self.source = _GATEWAY
        self.version = self.status = self.bytes_out = self.attempts = 0
        self.rule = self.upstream = self.target = self.limit = ""  # limit: the one that decided, or would have
        self.identity: Identity | None = None  # who sent it, once a policy knows
        self.answer_lines = b""  # field lines that policies add to whatever answer goes to the client
        self.step = 0  # the place of the next policy in the route's chain
        self.holder: object | None = None  # who drives it, while it waits for a policy; the pipeline's word
        self.forwarded_at = self.upstream_seconds = 0.0
        # Seconds that it waited: for policies (the limiter), only where somebody asked for the times; in a queue.
        self.decided = self.queued = 0.0
        self.closed = False
