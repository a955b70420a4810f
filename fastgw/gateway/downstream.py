"""What the gateway needs of a client's connection. The edge implements it; nothing here knows how."""

from __future__ import annotations

from typing import Protocol

from fastgw.model.exchange import Exchange


class Downstream(Protocol):
    """The client side of the exchange that is under way."""

    blocked: bool  # its write buffer is above the high-water mark: do not read more from upstream
    forward_lines: bytes  # X-Forwarded-* and Via of an untrusted peer, ready
    port: bytes
    health_path: bytes  # of its listener; empty for none
    peer: bytes  # the peer's address, as text

    def write(self, data: bytes) -> None: ...

    def start_body(self) -> None:
        """The upstream takes the request's body now: answer `Expect`, hand over what came, read on."""

    def body_complete(self) -> bool: ...

    def settle_body(self) -> bool:
        """No more of the body is wanted. True: it has not arrived whole, so the connection cannot go on."""

    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...

    def finished(self, exchange: Exchange, now: float) -> None:
        """The exchange is accounted, its answer written: serve the next one, or close."""

    def defect(self, error: Exception, exchange: Exchange) -> None:
        """An error of ours: it costs this exchange, and nobody else's."""

    def cut(self) -> None:
        """The answer cannot be completed: end the connection so that the client sees it."""

    def enter_tunnel(self) -> None: ...

    def leave_tunnel(self) -> None: ...
