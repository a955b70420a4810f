"""Which target gets the next attempt of an exchange, and what its circuits hear of it (phase 8). And the stages of both.

The state of forwarding, one object for one client connection; sending is attempt.py's, another try retries.py's.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from fastgw.http1 import rules
from fastgw.model.deadlines import NEVER, Timed
from fastgw.model.exchange import Exchange
from fastgw.upstream.breaker import CLOSED
from fastgw.upstream.pool import Waiter
from fastgw.upstream.upstream import Upstream
from fastgw.upstream.wire import Wire

if TYPE_CHECKING:
    from fastgw.gateway.downstream import Downstream
    from fastgw.gateway.engine import Engine
    from fastgw.model.route import Route
    from fastgw.upstream.budget import RetryBudget
    from fastgw.upstream.target import Target


class Stage(IntEnum):
    """IDLE -> HELD -> IDLE; IDLE -> CONNECTING | QUEUED | SENT; CONNECTING, QUEUED -> SENT; SENT -> ANSWERING | TUNNEL;
    any -> IDLE."""

    IDLE = 0
    QUEUED = 1
    CONNECTING = 2
    SENT = 3
    ANSWERING = 4  # the answer's head went to the client: no other answer can be given
    DRAINING = 5  # the answer is complete, the client has not taken all of it yet
    TUNNEL = 6
    HELD = 7  # a policy waits; nothing was attempted


# A member looked up on its class costs 45 ns in CPython 3.11, a module's name 4: ten of them are 3 % of an exchange.
IDLE: Final = Stage.IDLE
QUEUED: Final = Stage.QUEUED
CONNECTING: Final = Stage.CONNECTING
SENT: Final = Stage.SENT
ANSWERING: Final = Stage.ANSWERING
DRAINING: Final = Stage.DRAINING
TUNNEL: Final = Stage.TUNNEL
HELD: Final = Stage.HELD

# Stages in which its target has answered.
HEARD: Final = frozenset({ANSWERING, DRAINING, TUNNEL})


class Choice(Waiter, Timed):
    """One per client connection, used for one exchange after the other."""

    __slots__ = (
        "_budget", "_chunked", "_client", "_connection", "_engine", "_exchange", "_held", "_held_size", "_interim",
        "_own_ticket", "_queue_until", "_replayed", "_route", "_sent_at", "_sent_before", "_spent", "_stage",
        "_target", "_ticket", "_total_until", "_touched", "_tries", "_upstream", "deadline", "waiting", "wake",
    )  # fmt: skip

    def __init__(self, engine: Engine, client: Downstream) -> None:
        # For the life of the client's connection
        self._engine = engine
        self._client = client
        self.deadline = NEVER
        self.wake = NEVER
        self.waiting = False  # in a pool's queue; the pool's word
        # For the life of one exchange
        self._stage = IDLE
        self._exchange: Exchange | None = None
        self._route: Route | None = None  # by which it is forwarded: of a split route, one of its parts
        self._upstream: Upstream | None = None
        self._total_until = NEVER
        self._replayed = False
        self._sent_before = False  # an attempt before this one may have sent something of the request
        self._interim = False  # something was passed on before the answer: no other attempt
        self._tries = 0  # attempts beyond the first one
        self._spent = 0.0  # seconds of the attempts before this one
        self._budget: RetryBudget | None = None  # in which this attempt has a place
        self._touched = False  # this exchange took the long way: more than the usual is to be undone
        # For the life of one attempt
        self._target: Target | None = None
        self._connection: Wire | None = None
        self._sent_at = 0.0  # when its head left: what came before is no latency of the target's
        self._ticket = self._own_ticket = 0  # of the upstream's breaker and the target's
        self._queue_until = NEVER
        self._chunked = False  # the answer's body is chunked by us
        self._held: list[bytes] | None = None  # request body sent so far, while it could still be replayed
        self._held_size = 0

    def _choose(self, upstream: Upstream, exchange: Exchange, now: float, failed: Target | None) -> Target | None:
        """A target, let in by its breaker and the upstream's; None: by neither, or there is none. `failed` is the target
        of the attempt before this one."""
        breaker = upstream.breaker
        ticket = 0
        if breaker is not None:
            ticket = breaker.era if breaker.state is CLOSED else breaker.admit(now)
            if not ticket:
                return None
        target = upstream.single
        if target is None:
            # A target on trial gets a request that can be repeated elsewhere, and neither the repetition itself nor a
            # probe of the whole upstream: those go where they are likeliest to end well.
            head = exchange.head
            trial = (
                failed is None
                and (breaker is None or breaker.state is CLOSED)
                and exchange.method in rules.IDEMPOTENT
                and head is not None
                and not head.length
            )
            target = upstream.choose(exchange, now, failed, trial)
            if target is None:
                if breaker is not None:
                    breaker.dropped(ticket, now)
                return None
            target.unheard += 1
            own = target.breaker
            if own is not None:
                self._own_ticket = own.era if own.state is CLOSED else own.admit(now)
        self._ticket = ticket
        return target

    def _replayable(self, exchange: Exchange) -> bool:
        """Whether all that left of the request, if anything did, may and can be sent again (RFC 9110 9.2.2)."""
        if not self._sent_before and self._stage is not SENT:
            return True
        head = exchange.head
        if head is None or exchange.method not in rules.IDEMPOTENT:
            return False
        return head.length == 0 or self._held is not None

    def answering(self) -> bool:
        return self._stage is ANSWERING or self._stage is DRAINING

    def _judge(self, verdict: bool | None, cause: str = "") -> None:
        """What the breakers hear of the attempt, once: an answer, a failure with its cause, or nothing (None)."""
        target, upstream = self._target, self._upstream
        if verdict:
            self._give_back(True)
        if self._ticket or self._own_ticket:
            if target is not None and upstream is not None:
                now = self._engine.clock.now()
                upstream.settle(target, self._ticket, self._own_ticket, verdict, now, cause)
            self._ticket = self._own_ticket = 0

    def _judge_probe(self) -> None:
        """An answer has begun: a retry was worth it. While the circuit is closed the verdict comes with its end; a probe
        may not wait for that: behind an event stream a circuit would let one request in per `open_for`, for ever."""
        target, upstream = self._target, self._upstream
        self._give_back(True)
        if target is None or upstream is None:
            return
        breaker, own = upstream.breaker, target.breaker
        if (breaker is not None and breaker.state is not CLOSED) or (own is not None and own.state is not CLOSED):
            self._judge(True)

    def _leave(self) -> None:
        """The attempt is over: no count and no place stays behind."""
        target, upstream = self._target, self._upstream
        assert target is not None and upstream is not None
        self._target = None
        target.in_flight -= 1
        upstream.in_flight -= 1
        if self.waiting:
            target.pool.leave(self)
        self._give_back(False)

    def _give_back(self, succeeded: bool) -> None:
        """The retry's place in its budget."""
        if self._budget is not None:
            self._budget.give(succeeded)
            self._budget = None
