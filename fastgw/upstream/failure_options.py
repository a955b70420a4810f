"""What an operator can say about failures of an upstream: retries, breaker, active health checks."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from fastgw.config.errors import shown
from fastgw.config.fields import Duration, List, Share, UrlPath, integer
from fastgw.config.options import Options, written, wrong
from fastgw.config.quantities import parse_duration, parse_share

Count = Annotated[int, *integer(1, 1_000_000)]
FailureStatus = Annotated[int, *integer(400, 599)]
FinalStatus = Annotated[int, *integer(200, 599)]

RETRY_WORDS = ("connect", "reset", "timeout")
# Seconds. More often than that a check is load, and tells nothing that traffic does not.
SHORTEST_INTERVAL = 0.1


def _retry_condition(value: object) -> str:
    text = str(value) if type(value) is int else value
    if type(text) is str and (text in RETRY_WORDS or re.fullmatch(r"[45][0-9][0-9]", text)):
        return text
    raise wrong(
        f"{shown(value)} is not right here; write {', '.join(RETRY_WORDS)} or a status from 400 to 599"
    )


RetryCondition = Annotated[
    str,
    PlainValidator(_retry_condition),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
]


class RetriesOptions(Options):
    attempts: Annotated[int, *integer(1, 10)] = Field(2, description="the first one included")
    when: List[RetryCondition] = ("connect", "reset", "timeout", "502", "503", "504")
    budget: Share = written("20%", parse_share)

    @model_validator(mode="after")
    def _some_condition(self) -> RetriesOptions:
        if not self.when:
            raise wrong(
                "when is empty, so that nothing is ever tried again; write conditions, or remove retries"
            )
        _refuse_doubles("when", self.when)
        return self


class BreakerOptions(Options):
    failures: Count = 5
    error_rate: Share = written("50%", parse_share)
    window: Duration = written("10s", parse_duration)
    min_requests: Count = 20
    open_for: Duration = written("5s", parse_duration)
    max_open_for: Duration = written("60s", parse_duration)
    probes: Count = 1
    successes: Count = 2
    statuses: List[FailureStatus] = (502, 503, 504)

    @model_validator(mode="after")
    def _sound(self) -> BreakerOptions:
        if self.error_rate == 0:
            raise wrong(
                "error_rate is 0%, which every failure reaches; write for example 50% (100%: only where all fail)"
            )
        if self.window == 0:
            raise wrong("window is 0, so that no rate can be measured; write for example 10s")
        if self.open_for == 0:
            raise wrong("open_for is 0, so that the breaker would never refuse; write for example 5s")
        if self.max_open_for < self.open_for:
            raise wrong(
                "max_open_for is shorter than open_for; write at least the same time, or a shorter open_for"
            )
        _refuse_doubles("statuses", self.statuses)
        return self


class HealthOptions(Options):
    path: UrlPath = "/healthz"
    interval: Duration = written("2s", parse_duration)
    timeout: Duration = written("1s", parse_duration)
    healthy_after: Count = 2
    unhealthy_after: Count = 3
    statuses: List[FinalStatus] = (200,)

    @model_validator(mode="after")
    def _sound(self) -> HealthOptions:
        if self.interval < SHORTEST_INTERVAL:
            raise wrong("interval is below 100ms, so that the checks would be load; write for example 2s")
        if self.timeout == 0:
            raise wrong("timeout is 0, so that every check would fail; write for example 1s")
        if self.timeout > self.interval:
            raise wrong(
                "timeout is longer than interval, so that a check would still wait when the next one is due; "
                "write a shorter timeout, or a longer interval"
            )
        if not self.statuses:
            raise wrong("statuses is empty, so that no answer is healthy; write for example [200]")
        _refuse_doubles("statuses", self.statuses)
        return self


def _refuse_doubles(key: str, values: tuple[object, ...]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise wrong(f"{key} lists {value} twice; remove one")
        seen.add(value)
