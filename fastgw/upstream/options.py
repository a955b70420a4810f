"""What an operator can say about an upstream. Which of it is built: gateway/document/unbuilt.py."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from fastgw.config.address import TargetUrl
from fastgw.config.fields import (
    CallerKey,
    Duration,
    Flag,
    List,
    Name,
    TargetField,
    integer,
    one_of,
)
from fastgw.config.options import Options, without_empty, written, wrong
from fastgw.config.quantities import parse_duration
from fastgw.upstream.failure_options import BreakerOptions, HealthOptions, RetriesOptions
from fastgw.upstream.tls_options import UpstreamTlsOptions


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


class UpstreamOptions(Options):
    """A named service. `name` is its key under `upstreams`."""

    name: Name
    targets: List[Target]
    balance: Annotated[str, *one_of("round_robin", "least_requests", "p2c", "hash")] = "p2c"
    hash_on: CallerKey | None = Field(None, description="with balance: hash; default: client_ip")
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

    @field_validator("hash_on", mode="after")
    @classmethod
    def _only_where_hashed(cls, value: str | None, known: ValidationInfo) -> str | None:
        if value is not None and known.data.get("balance", "hash") != "hash":
            raise wrong(
                f"hash_on has no effect with balance: {known.data['balance']}; write balance: hash, or remove it"
            )
        return value

    @model_validator(mode="after")
    def _whole(self) -> UpstreamOptions:
        if not self.targets:
            raise wrong("targets is empty; write at least one, as in targets: [http://127.0.0.1:9001]")
        seen: dict[tuple[str, int, str], TargetUrl] = {}
        for target in self.targets:
            known = seen.setdefault((target.host, target.port, target.unix_path), target.where)
            if known is not target.where:
                if known.scheme != target.scheme:
                    raise wrong(f"{known.url} and {target.url} are the same port; write the one that it speaks")
                raise wrong(f"the target {target.url} is listed twice; use weight to give it a larger share")
        if self.dns_interval <= 0:
            raise wrong(
                "dns_interval is 0, so that names would be resolved without end; write for example 30s"
            )
        return self
