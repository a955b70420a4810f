"""A route as the data plane uses it: compiled, with everything decided that can be decided before a request comes.

Made by gateway/compile.py only. What it refers to on higher floors is named by protocols here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fastgw.model.exchange import Exchange
    from fastgw.model.messages import Reply


class Check(Protocol):
    """One policy of a route's chain: None goes on, a Reply refuses (or answers), WAIT holds the exchange until
    `runtime.resume` is called for it. `runtime` is policy.runtime.Runtime, which this floor cannot name."""

    def check(self, exchange: Exchange, runtime: Any) -> Reply | None: ...


class PathRewriter(Protocol):
    def apply(self, path: bytes) -> bytes: ...


class HeaderRewriter(Protocol):
    """`set` holds (lower-case name, ready line with CRLF) pairs, `remove` lower-case names."""

    set: tuple[tuple[bytes, bytes], ...]
    remove: frozenset[bytes]


class Parts(Protocol):
    """A traffic split: the compiled routes of its parts, which differ only in where and how they forward."""

    def part(self, exchange: Exchange) -> Route: ...

    def usual(self, exchange: Exchange) -> Route: ...


class Timeouts:
    """The four deadlines of an exchange, in seconds; `total` is 0.0 for none."""

    __slots__ = ("connect", "idle", "response", "total")

    def __init__(self, connect: float, response: float, idle: float, total: float) -> None:
        self.connect = connect
        self.response = response
        self.idle = idle
        self.total = total


class Route:
    """Immutable once compiled, except for the last three attributes: they bind the route to this worker's runtime and
    survive for as long as the route itself (an unchanged route is the same object after a reload)."""

    __slots__ = (
        "answers_preflight", "bound", "chain", "in_flight", "key", "limited", "max_body", "max_in_flight", "name",
        "path_rewrite", "plain", "preserve_host", "reply", "request_headers", "response_headers", "rewrites", "split",
        "tally", "timeouts", "upstream", "upstream_headers",
    )  # fmt: skip

    def __init__(self, name: str, key: str) -> None:
        self.name = name
        self.key = key  # content hash of the route and of the upstream settings it was compiled with
        self.chain: tuple[Check, ...] = ()
        self.answers_preflight = False  # CORS is this route's policy
        self.upstream: str = ""  # empty for a reply, and for a split
        self.split: Parts | None = None
        self.reply: Reply | None = None
        self.max_body = 0
        self.max_in_flight = 0  # 0: no bound
        self.path_rewrite: PathRewriter | None = None
        self.request_headers: HeaderRewriter | None = None
        self.response_headers: HeaderRewriter | None = None
        self.upstream_headers: HeaderRewriter | None = None  # the same, and what an upstream's answer loses besides
        self.plain = True  # an answer's head passes as it came, but for the request id
        self.limited = False  # a total timeout, or a bound on the upstream's exchanges
        self.rewrites = False  # a request's path, fields or Host change on the way
        self.timeouts = Timeouts(1.0, 15.0, 60.0, 0.0)
        self.preserve_host = True
        self.bound: object | None = None  # the upstream's runtime in this worker
        self.tally: object | None = None  # this route's series in this worker
        self.in_flight = 0
