"""What a worker shows of its exchanges while somebody looks on: the lines that are asked for, at a bounded rate.

Exact filters are control's: here one coarse condition keeps what nobody asked for from being sent at all. What may not
live here: the rendering of a line (access_log), who looks on (control/live.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fastgw.errors import Reason
from fastgw.model.exchange import Exchange

_OK: Final = Reason.OK

EVERY: Final = 0.05  # seconds between two messages: faster than an eye
MOST_IN_MESSAGE: Final = 24 * 1024  # bytes of lines; quoting them once more must fit into a packet of 64 KiB
LONGEST_LINE: Final = 8 * 1024  # of which every byte may be escaped twice
MOST_NOTICES: Final = 50  # in one message
MOST_NOTED: Final = 2_000  # characters of them together: what quoting makes of these and of the lines fits into a packet
RESERVED: Final = 0.5  # the share of the rate that is kept for exchanges that did not end well

# Lines, how many that were wanted were left out, operational lines. False: the other side does not keep up.
Tell = Callable[[Sequence[str], int, Sequence[str]], bool]


class Tap:
    """`condition` is that of ipc.messages.watch; `later` the loop's call_later, for one timer a message."""

    __slots__ = (
        "_allowance", "_armed", "_consumers", "_later", "_lines", "_missed", "_noted", "_notices", "_now", "_rate",
        "_reasons", "_refilled_at", "_reserve", "_routes", "_slower", "_tell", "_troubled", "_upstreams",
    )  # fmt: skip

    def __init__(
        self,
        condition: Mapping[str, object],
        tell: Tell,
        later: Callable[[float, Callable[[], None]], object],
        now: Callable[[], float],
    ) -> None:
        self._tell = tell
        self._later = later
        self._now = now
        self._lines: list[bytes] = []
        self._notices: list[str] = []
        self._noted = 0  # their characters
        self._missed = 0
        self._armed = False
        self._refilled_at = now()
        self._allowance = 0.0
        self.change(condition)

    def change(self, condition: Mapping[str, object]) -> None:
        """Others look on now, or for something else."""
        self._troubled = bool(condition.get("troubled"))
        self._routes = _words(condition.get("routes"))
        self._reasons = _words(condition.get("reasons"))
        self._consumers = _words(condition.get("consumers"))
        self._upstreams = _words(condition.get("upstreams"))
        self._slower = float(str(condition.get("slower") or 0.0))
        self._rate = float(str(condition.get("rate") or 500))
        self._reserve = self._rate * RESERVED
        self._allowance = self._rate

    def wants(self, route: str, exchange: Exchange, seconds: float) -> bool:
        """Hot while somebody looks on: whether the line of this exchange is to be handed over, by `add`."""
        troubled = exchange.reason is not _OK or exchange.status >= 400
        if (
            seconds < self._slower
            or (self._troubled and not troubled)
            or (self._routes is not None and route not in self._routes)
            or (self._reasons is not None and exchange.reason.value not in self._reasons)
            or (self._upstreams is not None and exchange.upstream not in self._upstreams)
            or (self._consumers is not None and _consumer(exchange) not in self._consumers)
        ):
            return False
        if self._allowance > (0.0 if troubled else self._reserve):
            self._allowance -= 1.0
            return True
        self._missed += 1
        if not self._armed:
            self._arm()
        return False

    def add(self, line: bytes) -> None:
        """A whole line, with its newline."""
        if len(line) > LONGEST_LINE:
            self._missed += 1
        else:
            self._lines.append(line)
        if not self._armed:
            self._arm()

    def note(self, text: str) -> None:
        shown = text[: MOST_NOTED - self._noted]  # the log has the rest
        if shown and len(self._notices) < MOST_NOTICES:
            self._notices.append(shown)
            self._noted += len(shown)
        if not self._armed:
            self._arm()

    def _arm(self) -> None:
        self._armed = True
        self._later(EVERY, self._on_time)

    def _on_time(self) -> None:
        self._armed = False
        now = self._now()
        self._allowance = min(self._rate, self._allowance + self._rate * (now - self._refilled_at))
        self._refilled_at = now
        lines, self._lines = self._lines, []
        notices, self._notices, self._noted = self._notices, [], 0
        missed, self._missed = self._missed, 0
        for portion in _portions(lines):
            if not self._tell([line[:-1].decode("utf-8", "replace") for line in portion], missed, notices):
                self._missed += len(portion) + missed
            missed, notices = 0, []


def _words(value: object) -> frozenset[str] | None:
    return frozenset(map(str, value)) if isinstance(value, list) else None


def _consumer(exchange: Exchange) -> str:
    return "" if exchange.identity is None else exchange.identity.consumer


def _portions(lines: Sequence[bytes]) -> Sequence[Sequence[bytes]]:
    """Parts that fit into a message each; one, if there are no lines."""
    portions: list[list[bytes]] = [[]]
    size = 0
    for line in lines:
        if size + len(line) > MOST_IN_MESSAGE:
            portions.append([])
            size = 0
        portions[-1].append(line)
        size += len(line)
    return portions
