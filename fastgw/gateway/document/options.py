"""Everything an operator can say, put together from the options of every part: the base, and a route."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from fastgw.config.fields import CallerKey, Cidr, List, Name, Size, integer
from fastgw.config.options import Options, without_empty, wrong
from fastgw.gateway.document.process import (
    AdminOptions,
    CaseOptions,
    DrainOptions,
    ListenerOptions,
    LogOptions,
    RedisOptions,
    ServerOptions,
    StoreAddress,
    distinct_listeners,
    parse_store,
    parse_workers,
)
from fastgw.policy.auth.options import ApiKeysOptions, AuthOptions, ConsumerOptions, IssuerOptions
from fastgw.policy.cache.options import CacheMemoryOptions, CacheOptions
from fastgw.policy.cors import CorsOptions
from fastgw.policy.ip_access import IpAccessOptions
from fastgw.policy.limits import LimitOptions, LimitsDefaultsOptions
from fastgw.policy.rewrite import RewriteOptions
from fastgw.routing.options import MatchOptions, ReplyOptions, Split
from fastgw.upstream.options import RouteTimeouts, UpstreamOptions

# Blocks that take their defaults when they hold nothing.
BLOCKS = (
    "drain",
    "admin",
    "log",
    "server",
    "cache",
    "trusted_proxies",
    "limits",
    "issuers",
    "consumers",
    "tests",
)
DEFAULT_STORE = "file:./.fastgw"
DEFAULT_INSTANCE = "gateway"


class BaseOptions(Options):
    """Everything but upstreams and routes."""

    listeners: List[ListenerOptions]
    workers: Annotated[
        int,
        PlainValidator(parse_workers),
        WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
    ] = Field(0, description="auto = one per usable core, or a number", json_schema_extra={"default": "auto"})
    instance: Name = Field(DEFAULT_INSTANCE, description="this gateway's name in a fleet")
    trusted_proxies: List[Cidr] = Field((), description="whose X-Forwarded-* and X-Request-Id are believed")
    drain: DrainOptions = DrainOptions()
    admin: AdminOptions = AdminOptions()
    redis: RedisOptions | None = None
    store: Annotated[
        StoreAddress,
        PlainValidator(parse_store),
        WithJsonSchema({"type": "string", "pattern": r"^file:|^redis$"}),
    ] = Field(
        StoreAddress("file", "./.fastgw"),
        description="where versions live: file:DIRECTORY or redis",
        json_schema_extra={"default": DEFAULT_STORE},
    )
    log: LogOptions = LogOptions()
    server: ServerOptions = ServerOptions()
    limits: List[LimitOptions] = Field((), description="before routing")
    limits_defaults: LimitsDefaultsOptions | None = None
    issuers: dict[Name, IssuerOptions] = Field({}, description="who signs JWTs")
    api_keys: ApiKeysOptions | None = None
    consumers: List[ConsumerOptions] = ()
    cache: CacheMemoryOptions = CacheMemoryOptions()
    tests: List[CaseOptions] = Field((), description="requests, and what must become of them")

    @model_validator(mode="before")
    @classmethod
    def _absent_blocks(cls, value: Any) -> Any:
        return without_empty(value, BLOCKS)

    @model_validator(mode="after")
    def _whole(self) -> BaseOptions:
        if not self.listeners:
            raise wrong(
                "listeners is empty; write at least one, as in listeners: [{address: 127.0.0.1:8080}]"
            )
        distinct_listeners(self.listeners, self.admin.address)
        return self


class RouteOptions(Options):
    """Which requests, what is done with them, and where they go."""

    name: Name
    match: MatchOptions = MatchOptions()
    upstream: Name | None = None
    split: Split | None = Field(None, description="upstreams and their weights, instead of upstream")
    sticky: CallerKey | None = Field(None, description="consumer, client_ip or header:<name>")
    reply: ReplyOptions | None = Field(
        None, description="answered by the gateway itself, instead of upstream"
    )
    ip_access: IpAccessOptions | None = None
    cors: CorsOptions | None = None
    auth: AuthOptions | None = None
    limits: List[LimitOptions] = ()
    cache: CacheOptions | None = None
    max_body: Size | None = None
    max_in_flight: Annotated[int, *integer(1, 10_000_000)] | None = None
    rewrite: RewriteOptions | None = None
    timeouts: RouteTimeouts | None = Field(None, description="overrides the upstream's")

    @model_validator(mode="before")
    @classmethod
    def _absent_blocks(cls, value: Any) -> Any:
        return without_empty(value, ("match", "limits"))

    @model_validator(mode="after")
    def _one_destination(self) -> RouteOptions:
        given = [key for key in ("upstream", "split", "reply") if getattr(self, key) is not None]
        if len(given) > 1:
            raise wrong(f"{' and '.join(given)} are given; write one of upstream, split and reply")
        if not given:
            raise wrong("it goes nowhere; write upstream: <name>, or reply: {status: ...}")
        if self.reply is not None:
            if self.timeouts is not None:
                raise wrong("timeouts has no effect on a reply; remove it")
            if self.rewrite is not None and (self.rewrite.path or self.rewrite.request_headers):
                raise wrong(
                    "a reply is made here: only rewrite.response_headers has an effect; remove the rest"
                )
        if self.sticky is not None and self.split is None:
            raise wrong("sticky has no effect without split; remove it")
        return self


class DocumentOptions(BaseOptions):
    """The whole file: for the schema, and to know which keys there are. Parts are checked one by one."""

    upstreams: dict[Name, UpstreamOptions] = Field({}, description="named services")
    routes: List[RouteOptions] = Field((), description="in any order: precedence is by how exact they are")
