"""The body of one request as it arrives: framing, the bound on its size, and the clocks of a slow sender.

Both clocks (the longest silence, the average rate) stand still while we ourselves do not read. No I/O here.
"""

from __future__ import annotations

from typing import Final

from fastgw.errors import HttpError, Reason
from fastgw.http1.body import ChunkedDecoder
from fastgw.http1.fields import FieldParser
from fastgw.model.messages import RequestHead

RATE_AFTER: Final = 5.0  # seconds of reading before the average rate counts
NO_LIMIT: Final = 1 << 62
RATE_CHECK: Final = 1.0  # seconds between two looks at it


class Intake:
    __slots__ = (
        "_decoder", "_last", "_left", "_paused_at", "_started", "_stood_still", "done", "limit", "received", "rest",
        "trailers",
    )  # fmt: skip

    def __init__(self, head: RequestHead, parser: FieldParser, now: float) -> None:
        self._decoder = ChunkedDecoder(parser) if head.chunked else None
        self._left = head.length
        self.limit = NO_LIMIT  # of the route: content bytes; set before the first `feed` that counts
        self._started = self._last = now
        self._stood_still = 0.0
        self._paused_at = now  # not reading until somebody wants the body
        self.done = False
        self.received = 0  # content bytes
        self.rest = b""  # what came behind the body: the next request
        self.trailers = b""

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Content pieces of what arrived. Raises HttpError: bad chunks, or more than `max_body`."""
        self._last = now
        decoder = self._decoder
        if decoder is None:
            left = self._left
            if len(data) > left:
                self.rest = data[left:]
                data = data[:left]
            self._left = left - len(data)
            self.done = self._left == 0
            self.received += len(data)
            return [data]
        pieces = decoder.feed(data)
        self.received += sum(map(len, pieces))
        if self.received > self.limit:
            raise HttpError(Reason.BODY_TOO_LARGE, "the request body is larger than allowed")
        if decoder.done:
            self.done = True
            self.rest = decoder.rest
            self.trailers = decoder.trailers
        return pieces

    def paused(self, now: float) -> None:
        if not self._paused_at:
            self._paused_at = now

    def resumed(self, now: float) -> None:
        if self._paused_at:
            self._stood_still += now - self._paused_at
            self._paused_at = 0.0
            self._last = now

    def verdict(self, now: float, body_timeout: float, min_rate: float) -> tuple[float, str]:
        """(when to look again, "" or why the sender is too slow)."""
        if self._paused_at:
            return now + RATE_CHECK, ""
        silent_until = self._last + body_timeout
        if now >= silent_until:
            return now, f"nothing of the request body came for {body_timeout:g} s"
        if not min_rate:
            return silent_until, ""
        reading = now - self._started - self._stood_still
        if reading < RATE_AFTER:
            return min(silent_until, now + RATE_AFTER - reading), ""
        if self.received < min_rate * reading:
            return now, f"the request body came slower than {min_rate:g} bytes a second"
        return min(silent_until, now + RATE_CHECK), ""
