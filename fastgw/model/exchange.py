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
    means never.

    No slots: what most exchanges never change is a default of the class, and only nine attributes are set at birth
    (29 slots set in one go are 100 bytecodes and 0.37 us, this is 30 and 0.15). mypy guards the names.
    """

    keep_alive: bool = True  # whether the client's connection may serve another exchange
    client: bytes = b""  # address, as text
    trusted: bool = False  # the peer is in trusted_proxies
    scheme: bytes = b"http"
    request_id: bytes = b""
    trace_id: bytes = b""
    span: bytes = b""  # this hop's span id, 16 hex digits
    route: Route | None = None
    version: int = 0
    reason: Reason = Reason.OK
    source: Source = Source.GATEWAY
    rule: str = ""
    status: int = 0
    bytes_out: int = 0
    forwarded_at: float = 0.0
    upstream_seconds: float = 0.0
    upstream: str = ""
    target: str = ""
    attempts: int = 0
    closed: bool = False
    wall: float = 0.0

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
