"""An attempt that failed: what the breaker and the balance hear of it, and whether another one is made (section 7).

The middle of forwarding. Only where nothing of the answer was sent on; never twice for what is not idempotent, unless
nothing of it had left; on another target where there is one; within `attempts`, the deadline and the budget.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from fastgw.errors import Reason, Retry
from fastgw.gateway import pipeline
from fastgw.gateway.attempt import Attempt
from fastgw.gateway.choice import SENT
from fastgw.model.exchange import Exchange
from fastgw.model.messages import ResponseHead

if TYPE_CHECKING:
    from fastgw.upstream.target import Target
    from fastgw.upstream.upstream import Upstream

# Which words of `retries.when` a failure goes by.
_WORDS: Final[dict[Reason, frozenset[str]]] = {
    Reason.CONNECT_REFUSED: frozenset({"connect"}),
    Reason.CONNECT_TIMEOUT: frozenset({"connect", "timeout"}),
    Reason.TLS_ERROR: frozenset({"connect"}),
    Reason.UPSTREAM_RESET: frozenset({"reset"}),
    Reason.UPSTREAM_PROTOCOL_ERROR: frozenset({"reset"}),
    Reason.RESPONSE_TIMEOUT: frozenset({"timeout"}),
    Reason.IDLE_TIMEOUT: frozenset({"timeout"}),
}
_SILENT: Final = frozenset(
    {Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT, Reason.TLS_ERROR, Reason.RESPONSE_TIMEOUT}
)

# The longest that an upstream's own `Retry-After` keeps its target out, in seconds.
MAX_RETRY_AFTER: Final = 60.0


class Retries(Attempt):
    __slots__ = ()

    def on_failure(self, reason: Reason, detail: str, retry: Retry) -> None:
        """The attempt failed; its connection is gone."""
        exchange, target, upstream = self._exchange, self._target, self._upstream
        assert exchange is not None and target is not None and upstream is not None
        self._connection = None
        replayable = not (self._interim or self.answering()) and self._replayable(exchange)
        now = self._engine.clock.now()
        if retry is Retry.REUSED_ONLY and replayable and not self._replayed:
            # The peer closed an idle connection just when we used it (RFC 9110 9.2.2, RFC 9112 9.3.1): once more, fresh.
            # No word about the target: it did nothing wrong.
            self._replayed = self._sent_before = True
            self._spent += now - exchange.forwarded_at
            self._client.pause_body()  # until it is wanted again
            target.in_flight -= 1
            upstream.in_flight -= 1
            self._attempt(target, None, now)
            return
        target.failed(now, reason in _SILENT, self.answering())
        self._give_back(False)
        self._judge(False, reason.value)
        if replayable and not upstream.retry_words.isdisjoint(_WORDS.get(reason, ())):
            another = self._another(exchange, upstream, target, now)
            if another is not None:
                self._repeat(exchange, upstream, another, now)
                return
        self._give_up(reason, detail, pipeline.rule_of(reason))

    def bad_answer(self, exchange: Exchange, head: ResponseHead, now: float) -> bool:
        """A status that speaks against the target. True: it is dropped, and another attempt is under way."""
        target, upstream = self._target, self._upstream
        assert target is not None and upstream is not None
        failed = head.status in upstream.failing
        self._give_back(False)
        self._judge(not failed, f"status {head.status}" if failed else "")
        target.failed(now, heard=True)  # no sample: errors come fast, and would draw all traffic to it
        target.unheard = 0
        if head.status not in upstream.retry_statuses:
            return False
        seconds = retry_after(head, self._engine.clock.wall()) if head.status == 503 else 0.0
        if seconds > 0.0:
            target.rest(now, min(seconds, MAX_RETRY_AFTER))
            if upstream.single is not None:
                return False  # nobody else could take it
        if self._interim or not self._replayable(exchange):
            return False
        another = self._another(exchange, upstream, target, now)
        if another is None:
            return False
        connection = self._connection
        if connection is not None and connection.owner is self:
            connection.close()  # the rest of its answer is of no use
        self._repeat(exchange, upstream, another, now)
        return True

    def _another(self, exchange: Exchange, upstream: Upstream, failed: Target, now: float) -> Target | None:
        """The target of one more attempt, with its tickets taken, if bounds and breakers let it."""
        if self._tries + 1 >= upstream.attempts or now >= self._total_until:
            return None
        target = self._choose(upstream, exchange, now, failed)
        if target is None:
            self._engine.refused_retry(upstream.name, "breaker")
            return None
        if not upstream.budget.take(upstream.in_flight, target.steady()):
            upstream.settle(target, self._ticket, self._own_ticket, None, now)
            self._ticket = self._own_ticket = 0
            target.unheard = max(0, target.unheard - 1)
            self._engine.refused_retry(upstream.name, "budget")
            return None
        return target

    def _repeat(self, exchange: Exchange, upstream: Upstream, target: Target, now: float) -> None:
        self._sent_before = self._sent_before or self._stage is SENT
        self._connection = None
        self._replayed = False  # of the next connection, which may be a stale one too
        self._client.pause_body()  # until it is wanted again
        self._spent += now - exchange.forwarded_at
        exchange.forwarded_at = 0.0
        self._leave()
        self._tries += 1
        self._budget = upstream.budget
        self._attempt(target, target.pool.take(now), now)


def retry_after(head: ResponseHead, wall: float) -> float:
    """Seconds of an answer's Retry-After (RFC 9110 10.2.3), 0.0 where there is none or it cannot be read."""
    value = head.fields.get(b"retry-after")
    if not value:
        return 0.0
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall)
    except (ValueError, TypeError, OverflowError):
        return 0.0
