"""Options of the gateway itself: listeners, workers, admin, store, log, the client side of connections."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from fastgw.config.address import Address, parse_address
from fastgw.config.errors import shown, suggestion
from fastgw.config.fields import (
    AddressField,
    Duration,
    FieldName,
    FieldValue,
    Flag,
    Fraction,
    Secret,
    Size,
    Text,
    UrlPath,
    from_secret_text,
    integer,
)
from fastgw.config.options import Options, written, wrong
from fastgw.config.quantities import parse_duration, parse_size
from fastgw.errors import Reason
from fastgw.gateway.asked import DEFAULT_CLIENT, Request, client_address, parse_request
from fastgw.limiter.options import parse_url

MAX_WORKERS = 512
MIN_STORE_TIMEOUT = 0.001
MAX_STORE_TIMEOUT = 1.0
MIN_TOKEN = 32  # bytes of the admin token where others can reach the address


class ListenerTlsOptions(Options):
    certificate: Text
    key: Text
    client_ca: Text | None = None


def _one_or_more(value: object) -> object:
    """One certificate alone is a list of one."""
    return (value,) if type(value) is dict else tuple(value) if type(value) is list else value


class ListenerOptions(Options):
    address: AddressField
    health_path: UrlPath | None = Field(None, description="answered by the gateway itself; default: none")
    proxy_protocol: Flag = False
    tls: Annotated[tuple[ListenerTlsOptions, ...], BeforeValidator(_one_or_more)] | None = None


class DrainOptions(Options):
    delay: Duration = written("0s", parse_duration, "go on accepting for so long after TERM, while not ready")
    timeout: Duration = written("30s", parse_duration, "then what is still open is cut")


class AdminOptions(Options):
    address: AddressField = written("127.0.0.1:9901", parse_address)
    token: Secret = Field("", description="required unless the address is loopback")

    @model_validator(mode="after")
    def _guarded(self) -> AdminOptions:
        if self.address.loopback or len(self.token) >= MIN_TOKEN:
            return self
        if not self.token:
            raise wrong(f"{self.address} can be reached from other machines, so a token is required; set token to "
                        f'at least {MIN_TOKEN} random characters, as in "${{FASTGW_ADMIN_TOKEN}}", or listen on '
                        "127.0.0.1")  # fmt: skip
        raise wrong(f"the token has less than {MIN_TOKEN} characters and {self.address} can be reached from other "
                    "machines; write a longer random one")  # fmt: skip


EMBEDDED = "embedded"  # a server that the gateway runs itself


def _redis_url(text: str) -> str:
    if text == EMBEDDED:
        return text
    if "://" not in text:
        raise ValueError("this is no Redis; write embedded, redis://host:port, rediss://host:port or unix:///path")
    parse_url(text)
    return text


class RedisOptions(Options):
    url: Annotated[str, from_secret_text(_redis_url, "write embedded, redis://host:port or unix:///path"),
                   WithJsonSchema({"type": "string"})] = Field(
        EMBEDDED, description="embedded (a private server that the gateway runs), redis://, rediss:// or unix:///path"
    )  # fmt: skip
    prefix: Text = Field("fastgw:", description="of every key; the same on all gateways that share their limits")
    timeout: Duration = written("25ms", parse_duration, "the longest that a request waits for a decision")

    @model_validator(mode="after")
    def _usable(self) -> RedisOptions:
        # A key is prefix{value}limit: a brace before the value's would decide on which node of a cluster it lives.
        if not re.fullmatch(r"[\x21-\x7a|~]{1,64}", self.prefix):
            raise wrong(f"prefix {shown(self.prefix)} cannot begin a key; write up to 64 visible ASCII characters "
                        "without braces, as in fastgw:")  # fmt: skip
        if not MIN_STORE_TIMEOUT <= self.timeout <= MAX_STORE_TIMEOUT:
            raise wrong("timeout is out of bounds: every request may wait so long; write a duration from 1ms to 1s")
        return self


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where versions live."""

    kind: Literal["file", "redis"]
    directory: str = ""


def parse_store(value: object) -> StoreAddress:
    if value == "redis":
        return StoreAddress("redis")
    if type(value) is str and value.startswith("file:") and len(value) > 5 and "\0" not in value:
        return StoreAddress("file", value.removeprefix("file:"))
    raise wrong(f"{shown(value)} is not right here; write file:DIRECTORY or redis")


def _sink(value: object) -> str:
    if type(value) is str and value and "\0" not in value:
        return value
    raise wrong(f"{shown(value)} is not right here; write stdout, none or the path of a file")


class LogOptions(Options):
    access: Annotated[str, PlainValidator(_sink), WithJsonSchema({"type": "string"})] = Field(
        "stdout", description="stdout, none or a path"
    )
    sample: Fraction = Field(
        1.0, description="share of successful requests that are logged; others always are"
    )


class ServerOptions(Options):
    """The client side."""

    header_timeout: Duration = written("10s", parse_duration)
    body_timeout: Duration = written("30s", parse_duration, "between two reads, while we are willing to read")
    min_body_rate: Annotated[int, *integer(0, 2**40)] = Field(
        128, description="bytes per second; 0 = no bound"
    )
    send_timeout: Duration = written("60s", parse_duration, "a client that does not read its answer")
    keepalive_timeout: Duration = written("75s", parse_duration)
    keepalive_requests: Annotated[int, *integer(0, 2**40)] = Field(0, description="0 = without end")
    max_connections: Annotated[int, *integer(1, 10_000_000)] = Field(8192, description="per worker")
    max_connections_per_ip: Annotated[int, *integer(0, 10_000_000)] = Field(0, description="0 = no bound")
    max_in_flight: Annotated[int, *integer(1, 10_000_000)] = Field(4096, description="exchanges per worker")
    server_timing: Flag = False
    max_header_size: Size = written("32KB", parse_size)
    max_body: Size = written("10MB", parse_size, "a route can say otherwise")

    @model_validator(mode="after")
    def _within_reason(self) -> ServerOptions:
        for key in ("header_timeout", "body_timeout", "send_timeout", "keepalive_timeout"):
            if getattr(self, key) == 0:
                raise wrong(f"{key} is 0, so that every connection would fail; write a duration above zero")
        if not 1024 <= self.max_header_size <= 1024 * 1024:
            raise wrong("max_header_size is out of bounds; write a size from 1KB to 1MB")
        return self


def _reason(value: object) -> str:
    tokens = [reason.value for reason in Reason]
    if type(value) is str and value in tokens:
        return value
    raise wrong(f"{shown(value)} is no reason{suggestion(str(value), tokens) or '; write for example no_route'}")


class ExpectOptions(Options):
    """What is not named may be anything."""

    route: Text | None = None
    reason: Annotated[str, PlainValidator(_reason), WithJsonSchema({"enum": [each.value for each in Reason]})] | None = (
        Field(None, description="ok: it is forwarded, or the route answers it")
    )
    upstream: Text | None = Field(None, description="of a split any part with a weight above 0")
    path: Text | None = Field(None, description="as forwarded; with its query where there is a ? in it")
    status: Annotated[int, *integer(100, 599)] | None = Field(None, description="of an answer of the gateway's own")

    @model_validator(mode="after")
    def _something(self) -> ExpectOptions:
        if not self.model_fields_set:
            raise wrong("expect is empty; write one or more of route, reason, upstream, path and status")
        if self.path is not None and not self.path.startswith("/"):
            raise wrong(f"path {shown(self.path)} cannot be forwarded; it begins with /, as in /v2/7")
        return self


def _request(value: object) -> Request:
    if type(value) is not str:
        raise wrong(f'{shown(value)} is no request; write for example "GET https://api.example.com/orders/7"')
    try:
        return parse_request(value)
    except ValueError as error:
        raise wrong(str(error)) from None


def _client(value: object) -> str:
    try:
        return client_address(value if type(value) is str else "")
    except ValueError as error:
        raise wrong(str(error)) from None


class CaseOptions(Options):
    """One of `tests`: a request, and what must become of it."""

    request: Annotated[
        Request,
        PlainValidator(_request),
        WithJsonSchema({"type": "string", "examples": ["GET https://api.example.com/orders/7"]}),
    ]
    headers: dict[FieldName, FieldValue] = Field({})
    client: Annotated[str, PlainValidator(_client), WithJsonSchema({"type": "string"})] | None = Field(
        None, description=f"the address that it comes from; default: {DEFAULT_CLIENT}"
    )
    expect: ExpectOptions


def parse_workers(value: object) -> int:
    """0 is `auto`: one per usable core, found out when the gateway starts."""
    if value == "auto":
        return 0
    number: Any = int(value) if type(value) is str and re.fullmatch(r"[0-9]{1,4}", value) else value
    if type(number) is not int or not 1 <= number <= MAX_WORKERS:
        raise wrong(f"{shown(value)} is not right here; write auto or a number from 1 to {MAX_WORKERS}")
    return number


def distinct_listeners(listeners: tuple[ListenerOptions, ...], admin: Address) -> None:
    """No address twice, the admin's included."""
    seen: dict[Address, str] = {admin: "admin.address"}
    for number, listener in enumerate(listeners):
        if listener.address in seen:
            raise wrong(
                f"listeners[{number}].address is {listener.address}, as is {seen[listener.address]}; "
                "give each its own address"
            )
        seen[listener.address] = f"listeners[{number}].address"
