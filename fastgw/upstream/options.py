"""What an operator can say about an upstream. Which of it is built: gateway/document/unbuilt.py."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from fastgw.config.address import TargetUrl
from fastgw.config.errors import shown
from fastgw.config.fields import (
    Duration,
    Flag,
    List,
    Name,
    Share,
    TargetField,
    Text,
    UrlPath,
    integer,
    one_of,
)
from fastgw.config.options import Options, without_empty, written, wrong
from fastgw.config.quantities import parse_duration, parse_share

Status = Annotated[int, *integer(100, 599)]
Count = Annotated[int, *integer(1, 1_000_000)]

RETRY_WORDS = ("connect", "reset", "timeout")


def _retry_condition(value: object) -> str:
    text = str(value) if type(value) is int else value
    if type(text) is str and (text in RETRY_WORDS or re.fullmatch(r"[45][0-9][0-9]", text)):
        return text
    raise wrong(
        f"{shown(value)} is not right here; write {', '.join(RETRY_WORDS)} or a status from 400 to 599"
    )


def hash_key(value: object) -> str:
    if type(value) is str and (value in ("client_ip", "consumer") or value.startswith("header:")):
        return value
    raise wrong(f"{shown(value)} is not right here; write client_ip, consumer or header:<name>")


def _short_target(value: object) -> object:
    """`http://host:port` alone is `{url: http://host:port}`."""
    return {"url": value} if type(value) is str else value


class TargetOptions(Options):
    """One address of an upstream."""

    where: TargetField = Field(alias="url")
    weight: Annotated[int, *integer(1, 1000)] = 1

    @property
    def url(self) -> str:
        return self.where.url

    @property
    def scheme(self) -> str:
        return self.where.scheme

    @property
    def host(self) -> str:
        return self.where.host

    @property
    def port(self) -> int:
        return self.where.port

    @property
    def unix_path(self) -> str:
        return self.where.unix_path


Target = Annotated[
    TargetOptions,
    BeforeValidator(_short_target),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "required": ["url"],
                    "additionalProperties": False,
                    "properties": {"url": {"type": "string"}, "weight": {"type": "integer", "minimum": 1}},
                },
            ]
        }
    ),
]


class ConnectionsOptions(Options):
    """The pool: per worker and target."""

    max: Annotated[int, *integer(1, 1_000_000)] = Field(256, description="connections, busy and idle")
    idle: Annotated[int, *integer(0, 1_000_000)] = Field(64, description="idle connections that are kept")
    idle_timeout: Duration = written("4s", parse_duration)
    queue: Annotated[int, *integer(0, 1_000_000)] = Field(
        256, description="exchanges that wait for a connection"
    )
    queue_timeout: Duration = written("250ms", parse_duration)


class TimeoutsOptions(Options):
    connect: Duration = written("1s", parse_duration)
    response: Duration = written("15s", parse_duration, "until the first byte of the answer")
    idle: Duration = written("60s", parse_duration, "between two bytes")
    total: Duration | None = Field(None, description="the whole exchange; default: none")

    @model_validator(mode="after")
    def _above_zero(self) -> TimeoutsOptions:
        _refuse_zero(self)
        return self


class RouteTimeouts(Options):
    """What a route says otherwise than its upstream."""

    connect: Duration | None = None
    response: Duration | None = None
    idle: Duration | None = None
    total: Duration | None = None

    @model_validator(mode="after")
    def _above_zero(self) -> RouteTimeouts:
        _refuse_zero(self)
        return self


def _refuse_zero(timeouts: TimeoutsOptions | RouteTimeouts) -> None:
    for key in ("connect", "response", "idle", "total"):
        if getattr(timeouts, key) == 0:
            raise wrong(f"{key} is 0, so that every exchange would fail; write a duration above zero")


RetryCondition = Annotated[
    str,
    PlainValidator(_retry_condition),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
]


class RetriesOptions(Options):
    attempts: Annotated[int, *integer(1, 10)] = Field(2, description="the first one included")
    when: List[RetryCondition] = ("connect", "reset", "timeout", "502", "503", "504")
    budget: Share = written("20%", parse_share)


class BreakerOptions(Options):
    failures: Count = 5
    error_rate: Share = written("50%", parse_share)
    window: Duration = written("10s", parse_duration)
    min_requests: Count = 20
    open_for: Duration = written("5s", parse_duration)
    max_open_for: Duration = written("60s", parse_duration)
    probes: Count = 1
    successes: Count = 2
    statuses: List[Status] = (502, 503, 504)


class HealthOptions(Options):
    path: UrlPath = "/healthz"
    interval: Duration = written("2s", parse_duration)
    timeout: Duration = written("1s", parse_duration)
    healthy_after: Count = 2
    unhealthy_after: Count = 3
    statuses: List[Status] = (200,)


class UpstreamTlsOptions(Options):
    ca: Text | None = None
    certificate: Text | None = None
    key: Text | None = None
    verify: Flag = True
    server_name: Text | None = None


class UpstreamOptions(Options):
    """A named service. `name` is its key under `upstreams`."""

    name: Name
    targets: List[Target]
    balance: Annotated[str, *one_of("round_robin", "least_requests", "p2c", "hash")] = "p2c"
    hash_on: Annotated[str, PlainValidator(hash_key), WithJsonSchema({"type": "string"})] | None = None
    preserve_host: Flag = Field(True, description="false: the target's name is sent as Host")
    connections: ConnectionsOptions = ConnectionsOptions()
    timeouts: TimeoutsOptions = TimeoutsOptions()
    max_in_flight: Annotated[int, *integer(1, 1_000_000)] | None = None
    retries: RetriesOptions | None = None
    breaker: BreakerOptions | None = None
    health: HealthOptions | None = None
    slow_start: Duration = written(
        "0s", parse_duration, "a returning target gets its full share after this time"
    )
    dns_interval: Duration = written("30s", parse_duration, "for names whose resolver gives no TTL")
    tls: UpstreamTlsOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _absent_blocks(cls, value: Any) -> Any:
        """`connections:` with nothing under it is the same as no `connections`."""
        return without_empty(value, ("connections", "timeouts"))

    @model_validator(mode="after")
    def _whole(self) -> UpstreamOptions:
        if not self.targets:
            raise wrong("targets is empty; write at least one, as in targets: [http://127.0.0.1:9001]")
        seen: set[TargetUrl] = set()
        for target in self.targets:
            if target.where in seen:
                raise wrong(f"the target {target.url} is listed twice; use weight to give it a larger share")
            seen.add(target.where)
        if self.dns_interval <= 0:
            raise wrong(
                "dns_interval is 0, so that names would be resolved without end; write for example 30s"
            )
        return self
