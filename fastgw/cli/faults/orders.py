"""What a faulty service can be told, as JSON or in process: its mode, how often, for how long.

    mode        own keys (default)                    what the upstream does; the proxy does the same to bytes
    ok                                                answers
    delay       ms (100)                              answers later
    stall                                             reads, never answers
    cut         at (read), how (close), within (512)  ends the connection instead
    halve       how (close)                           the head and half of the body, then the end
    drip        interval (1), at (body)               a byte at a time
    garbage                                           bytes that are no HTTP, then the end
    status      status (503), retry_after (none)      answers with an error
    fail_rate   status (500), retry_after (none)      the same, to half of the requests unless share says otherwise
    refuse                                            a reset for whoever connects or is connected
    blackhole                                         no packet is answered: SYNs are dropped

Every mode takes share (1), for (seconds; none: until told otherwise), seed (0) and checks (true; false: health
checks are answered whatever the mode).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

OWN_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "ok": (),
    "delay": ("ms", "toward"),
    "stall": ("toward",),
    "cut": ("at", "how", "within", "toward"),
    "halve": ("how", "toward"),
    "drip": ("interval", "at", "toward"),
    "garbage": ("toward",),
    "status": ("status", "retry_after"),
    "fail_rate": ("status", "retry_after"),
    "refuse": (),
    "blackhole": (),
}
EVERY_KEY: Final = ("mode", "share", "for", "seed", "checks")
# What they mean for bytes nobody has defined: a proxy does not know what an answer is.
NOT_FOR_BYTES: Final = frozenset({"status", "fail_rate"})

# When the head of the request is read, when all of it is, within the answer.
MOMENTS: Final = ("head", "read", "answer")
# Whose bytes it befalls, in a proxy: those towards the service, or those towards the client.
WAYS: Final = ("up", "down")
# Key, or mode and key -> what may be there; the first is the default.
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "cut at": ("read", "head", "answer", "random"),
    "drip at": ("body", "head"),
    "how": ("close", "reset"),
    "toward": ("down", "up", "random"),
}
# key -> least, most
BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "share": (0, 1),
    "for": (0.001, 86_400),
    "seed": (-(2**63), 2**63),
    "ms": (0, 3_600_000),
    "interval": (0.001, 3_600),
    "within": (1, 2**30),
    "status": (200, 599),
    "retry_after": (0, 86_400),
}
WHOLE: Final = frozenset({"seed", "within", "status", "retry_after"})


class OrderError(Exception):
    """An order that makes no sense; the text says what would."""


@dataclass(frozen=True, slots=True)
class Order:
    mode: str = "ok"
    share: float = 1.0
    seconds: float | None = None
    seed: int = 0
    checks: bool = True
    ms: float = 100.0
    at: str = ""
    how: str = ""
    within: int = 512
    interval: float = 1.0
    status: int = 503
    retry_after: int | None = None
    toward: str = ""

    @property
    def whole(self) -> bool:
        """Nothing gets past it."""
        return self.share >= 1.0

    def as_json(self) -> dict[str, Any]:
        """As it was told, with what it left out."""
        shown: dict[str, Any] = {
            "mode": self.mode,
            "share": self.share,
            "for": self.seconds,
            "seed": self.seed,
            "checks": self.checks,
        }
        return shown | {key: getattr(self, key) for key in OWN_KEYS[self.mode]}


def order_of(told: Any) -> Order:
    """The order that a JSON object is."""
    if not isinstance(told, dict):
        raise OrderError('an order is a JSON object, such as {"mode": "stall", "for": 10}')
    mode = told.get("mode", "ok")
    if not isinstance(mode, str) or mode not in OWN_KEYS:
        raise OrderError(f"mode: {mode!r} is none of {', '.join(OWN_KEYS)}")
    for key, value in told.items():
        if key not in EVERY_KEY and key not in OWN_KEYS[mode]:
            takes = ", ".join((*OWN_KEYS[mode], *EVERY_KEY[1:]))
            raise OrderError(f"{key}: mode {mode} does not know it; it takes {takes}")
        _check(mode, key, value)
    values = {"seconds" if key == "for" else key: value for key, value in told.items()}
    if mode == "fail_rate":
        values = {"share": 0.5, "status": 500} | values
    for key in OWN_KEYS[mode]:
        if choices := CHOICES.get(key) or CHOICES.get(f"{mode} {key}"):
            # Cut bytes are cut anywhere: in a proxy's place nobody knows which way fails first.
            values.setdefault(key, "random" if (mode, key) == ("cut", "toward") else choices[0])
    order = Order(**values)
    if mode == "blackhole" and not order.whole:
        raise OrderError("share: a black hole takes every packet; leave it out")
    return order


def _check(mode: str, key: str, value: Any) -> None:
    if choices := CHOICES.get(key) or CHOICES.get(f"{mode} {key}"):
        if value not in choices:
            raise OrderError(f"{key}: {value!r} is none of {', '.join(choices)}")
    elif key == "checks":
        if not isinstance(value, bool):
            raise OrderError(f"checks: {value!r} is neither true nor false")
    elif key in BOUNDS and not (value is None and key in ("for", "retry_after")):
        least, most = BOUNDS[key]
        kinds = int if key in WHOLE else int | float
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
            what = "whole number" if key in WHOLE else "number"
            raise OrderError(f"{key}: {value!r} is no {what} from {least:g} to {most:g}")


class Script:
    """An order being carried out: whom it meets is drawn from its seed, so that a run can be repeated."""

    __slots__ = ("_random", "order")

    def __init__(self, order: Order) -> None:
        self.order = order
        self._random = random.Random(order.seed)

    def draw(self) -> Order | None:
        """What is to happen to the next one; None: nothing."""
        order = self.order
        if order.mode == "ok" or (order.share < 1.0 and self._random.random() >= order.share):
            return None
        return order

    def one_of(self, choices: tuple[str, ...]) -> str:
        return self._random.choice(choices)

    def below(self, bound: int) -> int:
        return self._random.randrange(bound)

    def junk(self) -> bytes:
        """Never the beginning of an HTTP message, whatever comes after it."""
        return b"\x00\xff" + self._random.randbytes(62)
