"""What a watcher asks for: the query of GET /api/tail as filters, and whether an exchange passes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from fastgw.config.errors import Problem, shown, suggestion
from fastgw.config.quantities import DURATION_HELP, parse_duration
from fastgw.errors import Reason

MOST_VALUES: Final = 50  # of one key
LONGEST_VALUE: Final = 200
REASONS: Final = frozenset(reason.value for reason in Reason)
# What a query may hold; design section 13 has the same words as options.
KEYS: Final = ("route", "reason", "status", "consumer", "upstream", "method", "slower")
_TROUBLE: Final = 400  # a status from here on is trouble, whatever the reason

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Filters:
    """Empty is any; of each key one value must fit, and every key must. `statuses` are inclusive bounds; `slower` is in
    seconds."""

    routes: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    statuses: tuple[tuple[int, int], ...] = ()
    consumers: frozenset[str] = frozenset()
    upstreams: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()
    slower: float = 0.0
    troubled: bool = field(init=False)  # all that can pass ended badly

    def __post_init__(self) -> None:
        reasons = bool(self.reasons) and Reason.OK.value not in self.reasons
        statuses = bool(self.statuses) and all(low >= _TROUBLE for low, _ in self.statuses)
        object.__setattr__(self, "troubled", reasons or statuses)

    def want(self, exchange: Mapping[str, object]) -> bool:
        """`exchange` is an object of the access log."""
        # `-` as in the metrics: none took it.
        if self.routes and (exchange.get("route") or "-") not in self.routes:
            return False
        if self.reasons and exchange.get("reason") not in self.reasons:
            return False
        if self.consumers and exchange.get("consumer") not in self.consumers:
            return False
        if self.upstreams and exchange.get("upstream") not in self.upstreams:
            return False
        if self.methods and exchange.get("method") not in self.methods:
            return False
        status = exchange.get("status")
        if self.statuses and not (
            isinstance(status, int) and any(low <= status <= high for low, high in self.statuses)
        ):
            return False
        took = exchange.get("duration_ms")
        return not self.slower or (isinstance(took, int | float) and took >= self.slower * 1000)


EVERYTHING: Final = Filters()


class WrongQuery(Exception):
    """The query is refused; `problems` says everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def filters_of(query: Iterable[tuple[str, str]]) -> Filters:
    """Of `key=value` pairs, a key as often as one likes. Raises WrongQuery with all problems."""
    values: dict[str, list[str]] = {}
    for key, value in query:
        values.setdefault(key, []).append(value)
    problems = [
        _problem(key[:50], f"there is no such filter{suggestion(key[:50], KEYS)}") for key in values if key not in KEYS
    ]

    def each(key: str, read: Callable[[str], T]) -> Iterator[T]:
        given = values.get(key, [])
        if len(given) > MOST_VALUES:
            problems.append(_problem(key, f"a filter has {MOST_VALUES} values at most"))
            return
        for value in given:
            try:
                yield read(value)
            except ValueError as error:
                problems.append(_problem(key, str(error)))

    filters = Filters(
        routes=frozenset(each("route", _name)),
        reasons=frozenset(each("reason", _reason)),
        statuses=tuple(each("status", _status)),
        consumers=frozenset(each("consumer", _name)),
        upstreams=frozenset(each("upstream", _name)),
        methods=frozenset(each("method", _method)),
        slower=min(each("slower", _slower), default=0.0),
    )
    if problems:
        raise WrongQuery(problems)
    return EVERYTHING if filters == EVERYTHING else filters


def _problem(key: str, message: str) -> Problem:
    return Problem("query", 0, key, message)


def _name(text: str) -> str:
    if not 0 < len(text) <= LONGEST_VALUE:
        raise ValueError(f"write a name of 1 to {LONGEST_VALUE} characters")
    return text


def _reason(text: str) -> str:
    if text not in REASONS:
        raise ValueError(f"{shown(text)} is no reason{suggestion(text[:50], sorted(REASONS))}")
    return text


def _status(text: str) -> tuple[int, int]:
    """`503`, or `5xx` for all that begin so."""
    if len(text) == 3 and text[0] in "12345":
        if text[1:].lower() == "xx":
            return int(text[0]) * 100, int(text[0]) * 100 + 99
        if text.isascii() and text.isdigit():
            return int(text), int(text)
    raise ValueError(f"{shown(text)} is no status; write a number as in 503, or a class as in 5xx")


def _method(text: str) -> str:
    return _name(text).upper()


def _slower(text: str) -> float:
    # Bounded: a duration has few characters.
    if len(text) > LONGEST_VALUE:
        raise ValueError(DURATION_HELP)
    return parse_duration(text)

