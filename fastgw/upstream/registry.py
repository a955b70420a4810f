"""The upstreams of one worker: run-time state by name, outside the snapshot: a reload touches only what changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastgw.upstream.options import UpstreamOptions
from fastgw.upstream.upstream import OnTransition, Upstream
from fastgw.upstream.wire import Shared

# Of a calm upstream's tick: the windows of its breakers turn a tenth at a time.
CALM_EVERY = 10


class Registry:
    """All upstreams of a worker."""

    __slots__ = ("_on_transition", "_random", "_removed", "_shared", "_turn", "upstreams")

    def __init__(self, shared: Shared, random: Callable[[], float], on_transition: OnTransition) -> None:
        self._shared = shared
        self._random = random
        self._on_transition = on_transition
        self._turn = 0
        self.upstreams: dict[str, Upstream] = {}
        # Of the last reload that removed any: an exchange that waited for a policy may still be on its way to one.
        self._removed: dict[str, Upstream] = {}

    def reconcile(self, wanted: Mapping[str, UpstreamOptions]) -> None:
        """Make the run-time state follow a snapshot. Unchanged options cost one comparison of identity."""
        gone = [name for name in self.upstreams if name not in wanted]
        if gone:
            self._removed = {name: self.upstreams.pop(name) for name in gone}
            for upstream in self._removed.values():
                upstream.retire()
        for name, options in wanted.items():
            known = self.upstreams.get(name)
            if known is None:
                self.upstreams[name] = Upstream(options, self._shared, self._random, self._on_transition)
            elif known.options is not options:
                known.configure(options)

    def find(self, name: str) -> Upstream:
        """By the name in a compiled route, whose snapshot may be the one before this."""
        return self.upstreams.get(name) or self._removed[name]

    def tick(self, now: float) -> None:
        """Ten times a second. Where nothing is wrong, a tenth of the upstreams each time."""
        self._turn = (self._turn + 1) % CALM_EVERY
        for place, upstream in enumerate(self.upstreams.values()):
            if not upstream.calm or (upstream.breaker is not None and place % CALM_EVERY == self._turn):
                upstream.tick(now)

    def fade(self) -> None:
        """Once a second: see Target.fade."""
        for upstream in self.upstreams.values():
            upstream.fade()

    def abort(self) -> None:
        for upstream in self.upstreams.values():
            upstream.retire()
