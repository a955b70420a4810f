"""What a worker lends to its policies: state that outlives a snapshot, and the way back into the pipeline.

One per worker, made by edge/dataplane.py. What may not live here: decisions.
"""

from __future__ import annotations

from collections.abc import Callable

from fastgw.clock import Clock
from fastgw.limiter.limiter import Limiter
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Reply
from fastgw.policy.auth.authenticator import Authenticator

Decision = tuple[str, tuple[str, ...], str, str]


class Runtime:
    __slots__ = ("auth", "clock", "decisions", "limiter", "resume")

    def __init__(
        self, limiter: Limiter, auth: Authenticator, clock: Clock, resume: Callable[[Exchange, Reply | None], None]
    ) -> None:  # fmt: skip
        self.limiter = limiter
        self.auth = auth
        self.clock = clock
        # What limits decided since it was last published: (route, limits, outcome, mode of the store) -> how often.
        self.decisions: dict[Decision, int] = {}
        # For an exchange whose policy said WAIT: its outcome. Never called from within `check`; an exchange that
        # ended meanwhile (`exchange.closed`) is ignored.
        self.resume = resume
