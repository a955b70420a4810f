"""What is noted of one exchange on its way through the policies: each step, its verdict, and the limits that it asked.

The notes only; the stand-ins that take them are stand_ins.py's, putting them together rehearsal.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from fastgw.gateway.document.masking import MASK, is_sensitive
from fastgw.limiter.limit import Limit
from fastgw.model.exchange import WOULD_REFUSE, Exchange
from fastgw.model.messages import Reply
from fastgw.model.route import Check
from fastgw.policy.admission import Admission
from fastgw.policy.auth.policy import AuthPolicy
from fastgw.policy.cors import Cors, CorsShadow
from fastgw.policy.ip_access import IpAccess
from fastgw.policy.limits import LimitOptions, Limits, is_after_auth

PASS: Final = "pass"
REFUSE: Final = "refuse"
ANSWER: Final = "answer"  # a preflight: the exchange ends here, and well
SHADOW: Final = "shadow"  # would have been refused
SKIPPED: Final = "skipped"  # something before it ended the exchange

BEFORE_ROUTING: Final = "before routing"
BEFORE_AUTH: Final = "before auth"
AFTER_AUTH: Final = "after auth"
_LIMITS: Final = "limits "  # and the phase

_NAMES: Final[dict[type, str]] = {
    Admission: "max_in_flight",
    IpAccess: "ip_access",
    Cors: "cors",
    CorsShadow: "cors",
    AuthPolicy: "auth",
}
_NOBODY: Final = b"-"  # as policy/limits.py has it: the bucket of all that lack what the limit is keyed by


@dataclass(frozen=True, slots=True)
class Step:
    """One policy of the chain."""

    policy: str
    verdict: str
    detail: str = ""

    def plain(self) -> dict[str, object]:
        return {"policy": self.policy, "verdict": self.verdict, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class LimitUse:
    """A limit that the request would take a token of."""

    name: str
    key: str
    value: str
    rate: str
    burst: int
    phase: str
    shadow: bool

    def plain(self) -> dict[str, object]:
        return {
            "name": self.name,
            "key": self.key,
            "value": self.value,
            "rate": self.rate,
            "burst": self.burst,
            "phase": self.phase,
            "shadow": self.shadow,
        }


class Trace:
    """The notes of the exchange that is under way."""

    __slots__ = ("asked", "phase", "steps")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.steps: list[Step] = []
        self.asked: list[tuple[str, Limit, bytes]] = []
        self.phase = BEFORE_ROUTING

    def note_limits(self, limits: Sequence[Limit], values: Sequence[bytes]) -> None:
        self.asked += [(self.phase, limit, value) for limit, value in zip(limits, values, strict=True)]


def names_of(chain: Sequence[Check], limits: Iterable[LimitOptions]) -> list[str]:
    """What each policy of a chain is called, in its order."""
    phases = [BEFORE_AUTH] if any(not is_after_auth(each) for each in limits) else []
    phases.append(AFTER_AUTH)
    return [
        _LIMITS + phases.pop(0) if isinstance(check, Limits) else _NAMES.get(type(check), type(check).__name__)
        for check in chain
    ]


def phase_of(name: str) -> str:
    return name.removeprefix(_LIMITS)


def judged(name: str, check: Check, reply: Reply | None, exchange: Exchange, trace: Trace) -> Step:
    """The step of a policy that has just decided. `exchange.rule` is what this policy alone wrote."""
    if reply is not None:
        verdict = REFUSE if reply.status >= 400 else ANSWER
        return Step(name, verdict, reply.detail or "the answer to a preflight")
    verdict = SHADOW if exchange.rule.startswith(WOULD_REFUSE) else PASS
    return Step(name, verdict, _detail(name, check, exchange, trace))


def _detail(name: str, check: Check, exchange: Exchange, trace: Trace) -> str:
    identity = exchange.identity
    if isinstance(check, Limits):
        names = [limit.name for phase, limit, _ in trace.asked if phase == phase_of(name)]
        return ", ".join(names) or "no limit is for this method"
    if isinstance(check, AuthPolicy):
        if identity is None:
            return "nobody in particular"
        scopes = f" with {' '.join(sorted(identity.scopes))}" if identity.scopes else ""
        return f"{identity.consumer}{scopes}"
    if isinstance(check, IpAccess):
        return exchange.client.decode("latin-1")
    if isinstance(check, Cors | CorsShadow):
        origin = exchange.head.fields.get(b"origin") if exchange.head is not None else None
        return "no Origin" if origin is None else f"Origin {origin.decode('latin-1')}"
    return ""


def uses(
    trace: Trace, options: Iterable[LimitOptions], gateway: Iterable[LimitOptions], key_header: str
) -> list[LimitUse]:
    """The limits that were asked. A value out of a header that carries credentials is masked."""
    known = {each.name: each for each in options}
    whole = {each.name: each for each in gateway}
    made = []
    for phase, limit, value in trace.asked:
        option = (whole if phase == BEFORE_ROUTING else known)[limit.name]
        rates = (*option.tiers.values(), option.rate)  # the caller's tier decides which
        rate = next((rate for rate in rates if rate.per_second == limit.rate), option.rate)
        made.append(
            LimitUse(
                limit.name,
                option.key,
                _value(option.key, value, key_header),
                f"{rate.count:g}/{_UNITS.get(rate.per, 's')}",
                option.burst,
                phase,
                limit.shadow,
            )
        )
    return made


_UNITS: Final = {1.0: "s", 60.0: "m", 3600.0: "h"}


def _value(key: str, value: bytes, key_header: str) -> str:
    if value == _NOBODY:
        return "everybody" if key == "route" else "missing"
    kind, _, name = key.partition(":")
    if kind == "header" and is_secret(name, key_header):
        return MASK
    return value.decode("latin-1")


def is_secret(name: str, key_header: str) -> bool:
    """Whether a header of this name carries a credential."""
    return is_sensitive(name, (key_header.lower(),))
