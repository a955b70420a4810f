"""The upstreams of one worker: run-time state by name, outside the snapshot, so that a reload touches only what changed.

An upstream survives as long as its name, a target as long as its address; pools, averages and counters go with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastgw.config.address import DEFAULT_PORTS
from fastgw.http1.memo import Streak
from fastgw.upstream.balance import Balancer, make_balancer
from fastgw.upstream.options import TargetOptions, UpstreamOptions
from fastgw.upstream.target import Target
from fastgw.upstream.tls import TlsTarget, server_name
from fastgw.upstream.wire import Shared

Key = tuple[str, int, str]  # host as configured or unix path, port, address


class Upstream:
    """A named service in this worker."""

    __slots__ = (
        "_balancer", "_errors", "_random", "_resolved", "_shared", "_targets", "balance", "duration_cells", "in_flight",
        "max_in_flight", "name", "options", "single", "streak", "targets",
    )  # fmt: skip

    def __init__(self, options: UpstreamOptions, shared: Shared, random: Callable[[], float]) -> None:
        self.name = options.name
        self.options = options
        self._shared = shared
        self._random = random
        self._targets: dict[Key, Target] = {}
        self._resolved: dict[tuple[str, int], tuple[str, ...]] = {}
        self._errors: dict[tuple[str, int], str] = {}
        self.targets: tuple[Target, ...] = ()
        self.single: Target | None = None  # the only target: nothing to choose
        self.streak = Streak()
        self.in_flight = 0
        self.max_in_flight = 0
        self.balance = ""
        self._balancer: Balancer[Target] | None = None
        self.duration_cells = -1  # of the ledger: this upstream's histogram
        self.configure(options)

    def configure(self, options: UpstreamOptions) -> None:
        """Take over changed options; unchanged targets keep their pools."""
        self.options = options
        self.max_in_flight = options.max_in_flight or 0
        if options.balance != self.balance:
            self.balance = options.balance
            self._balancer = make_balancer(options.balance, self._random)
        self._refresh()

    def resolve(self, host: str, port: int, addresses: tuple[str, ...], error: str | None) -> None:
        """What control found for a name. An error keeps the last good addresses."""
        where = (host, port)
        if error is not None:
            self._errors[where] = error
            return
        self._errors.pop(where, None)
        if self._resolved.get(where) != addresses:
            self._resolved[where] = addresses
            self._refresh()

    def unresolved(self) -> bool:
        """A name for which neither addresses nor an error have come yet."""
        return any(
            not target.unix_path
            and _literal(target.host) is None
            and (target.host, target.port) not in self._resolved
            and (target.host, target.port) not in self._errors
            for target in self.options.targets
        )

    def why_none(self) -> str:
        return next(iter(self._errors.values()), "no address is known for any target yet")

    def choose(self, exclude: Target | None = None) -> Target | None:
        """The target of the next attempt, or None where none has an address."""
        if not self.targets or self._balancer is None:
            return None
        return self._balancer.pick(self.targets, exclude, 0)

    def _refresh(self) -> None:
        wanted: dict[Key, TargetOptions] = {}
        for options in self.options.targets:
            for address in self._addresses(options):
                wanted[(options.unix_path or options.host, options.port, address)] = options
        for key in [key for key in self._targets if key not in wanted]:
            self._targets.pop(key).pool.retire()
        for key, options in wanted.items():
            known = self._targets.get(key)
            if known is None:
                self._targets[key] = self._make(options, key[2])
            else:
                known.weight = options.weight
                known.secure(self._tls(options), _host_field(options))
                known.pool.configure(self.options.connections)
        self.targets = tuple(self._targets[key] for key in wanted)
        self.single = self.targets[0] if len(self.targets) == 1 else None

    def _addresses(self, options: TargetOptions) -> tuple[str, ...]:
        if options.unix_path:
            return ("",)
        literal = _literal(options.host)
        return (literal,) if literal is not None else self._resolved.get((options.host, options.port), ())

    def _make(self, options: TargetOptions, address: str) -> Target:
        if options.unix_path:
            label = f"unix:{options.unix_path}"
        else:
            label = f"[{address}]:{options.port}" if ":" in address else f"{address}:{options.port}"
        return Target(
            label, address, options.port, options.unix_path, _host_field(options), options.weight,
            self.options.connections, self._shared, self.streak, self._tls(options),
        )  # fmt: skip

    def _tls(self, options: TargetOptions) -> TlsTarget | None:
        if options.scheme != "https":
            return None
        tls = self.options.tls
        return TlsTarget(self._shared.tls_contexts.of(tls), server_name(tls, options.host))

    def retire(self) -> None:
        for target in self._targets.values():
            target.pool.retire()


class Registry:
    """All upstreams of a worker."""

    __slots__ = ("_random", "_shared", "upstreams")

    def __init__(self, shared: Shared, random: Callable[[], float]) -> None:
        self._shared = shared
        self._random = random
        self.upstreams: dict[str, Upstream] = {}

    def reconcile(self, wanted: Mapping[str, UpstreamOptions]) -> None:
        """Make the run-time state follow a snapshot. Unchanged options cost one comparison of identity."""
        for name in [name for name in self.upstreams if name not in wanted]:
            self.upstreams.pop(name).retire()
        for name, options in wanted.items():
            known = self.upstreams.get(name)
            if known is None:
                self.upstreams[name] = Upstream(options, self._shared, self._random)
            elif known.options is not options:
                known.configure(options)

    def fade(self) -> None:
        """Once a second: see Target.fade."""
        for upstream in self.upstreams.values():
            for target in upstream.targets:
                target.fade()

    def abort(self) -> None:
        for upstream in self.upstreams.values():
            upstream.retire()


def _host_field(options: TargetOptions) -> bytes:
    if options.unix_path:
        return b"localhost"
    name = f"[{options.host}]" if ":" in options.host else options.host
    return (name if options.port == DEFAULT_PORTS[options.scheme] else f"{name}:{options.port}").encode()


def _literal(host: str) -> str | None:
    """The host itself where it is an address already."""
    if ":" in host or host.replace(".", "").isdigit():
        return host
    return None
