"""What an operator can say about which requests a route takes, and about routes that answer by themselves."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema, model_validator

from fastgw.config.errors import shown
from fastgw.config.fields import (
    FieldName,
    FieldValue,
    List,
    Method,
    Text,
    integer,
)
from fastgw.config.options import Options, wrong
from fastgw.routing.rule import Rule, parse_rule

LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,62})"
HOST = re.compile(rf"(?:\*\.)?{LABEL}(?:\.{LABEL})*|\[[0-9a-f:.]+\]")
PATH_CHARACTERS = re.compile(r"""(?:[!-"$&-)+->@-\[\]-z|~]|%[0-9A-Fa-f]{2})*""")
PARAMETER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]{0,63}\}")


def _host(value: object) -> str:
    """An exact host or `*.` and a domain, in lower case, without a port."""
    if type(value) is not str:
        raise wrong(f"{shown(value)} is not right here; write a host, as in api.example.com or *.example.com")
    host = value.lower()
    if re.search(r":[0-9]+\Z", host) and not (host.startswith("[") and host.endswith("]")):
        raise wrong(
            f"{shown(value)} has a port; write {host.rpartition(':')[0]} (every port of a listener matches)"
        )
    if host == "*":
        raise wrong("a route without hosts takes any host; leave hosts out")
    if not host.isascii():
        raise wrong(f"{shown(value)} is not ASCII; write its xn-- form")
    host = host.removesuffix(".")
    if not HOST.fullmatch(host) or len(host) > 255:
        raise wrong(f"{shown(value)} is no host; write for example api.example.com or *.example.com")
    return host


def _path(value: object) -> str:
    """`/x` exactly, `/x/*` that and all below, `{id}` one segment. Escapes other than these are left as they are:
    whether a request can ever have such a path is looked at by gateway/document."""
    if type(value) is not str:
        raise wrong(
            f"{shown(value)} is not right here; write a path, as in /orders, /orders/* or /orders/{{id}}"
        )
    if not value.startswith("/"):
        raise wrong(f"{shown(value)} does not start with a slash; write {shown('/' + value)}")
    if "?" in value or "#" in value:
        raise wrong(f"{shown(value)} holds a query or a fragment; a route matches the path only")
    names: set[str] = set()
    for segment in value.removesuffix("/*").split("/")[1:]:
        if "{" in segment or "}" in segment:
            if not PARAMETER.fullmatch(segment):
                raise wrong(
                    f"{shown(segment)} is no parameter; a parameter is a whole segment, as in /orders/{{id}}"
                )
            if segment in names:
                raise wrong(f"the parameter {segment} stands there twice; give each its own name")
            names.add(segment)
        elif "*" in segment:
            raise wrong(f"{shown(value)} has a * that is not the last segment; write /x/* for all below /x")
        elif segment in (".", ".."):
            raise wrong(f"{shown(value)} holds a dot segment; write the path that it means")
        elif not PATH_CHARACTERS.fullmatch(segment):
            raise wrong(f"{shown(value)} holds a character that no path has; write it as %XX")
    return value


Host = Annotated[
    str, PlainValidator(_host), WithJsonSchema({"type": "string", "examples": ["*.example.com"]})
]
PathPattern = Annotated[
    str,
    PlainValidator(_path),
    WithJsonSchema(
        {"type": "string", "pattern": r"^/|\$\{", "examples": ["/orders", "/orders/*", "/orders/{id}"]}
    ),
]


class MatchOptions(Options):
    """Which requests. What is left out matches everything."""

    hosts: List[Host] = Field((), description="exact hosts or *.domain; none = any")
    path: PathPattern = Field("/*", description="/x exact; /x/* that and all below; /x/{id} one segment")
    methods: List[Method] = Field((), description="none = any; GET includes HEAD")
    headers: dict[FieldName, FieldValue] = Field({}, description="names and exact values")

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        if type(value) is dict and type(value.get("headers")) is dict:
            names = [str(name).lower() for name in value["headers"]]
            if len(set(names)) != len(names):
                raise wrong("headers names a header twice (upper and lower case are the same); remove one")
        return value

    @cached_property
    def rule(self) -> Rule:
        """Parsed at the first question (see rule_of); raises PatternError."""
        return parse_rule(self)

    @model_validator(mode="after")
    def _no_doubles(self) -> MatchOptions:
        for key in ("hosts", "methods"):
            values = getattr(self, key)
            if len(set(values)) != len(values):
                twice = next(item for item in values if values.count(item) > 1)
                raise wrong(f"{key} lists {twice} twice; remove one")
        return self


class ReplyOptions(Options):
    """An answer that the gateway makes itself."""

    status: Annotated[int, *integer(200, 599)]
    body: Text = ""
    content_type: FieldValue = "application/json"

    @model_validator(mode="after")
    def _no_body(self) -> ReplyOptions:
        if self.body and self.status in (204, 205, 304):
            raise wrong(
                f"an answer with status {self.status} has no body; remove body, or write another status"
            )
        return self


Weight = Annotated[int, *integer(0, 1_000_000)]


def _split(weights: dict[str, int]) -> dict[str, int]:
    if not any(weights.values()):
        what = "every weight is 0" if weights else "split is empty"
        raise wrong(
            f"{what}, so that no request goes anywhere; give one upstream a weight, as in {{name: 100}}"
        )
    return weights


Split = Annotated[dict[str, Weight], AfterValidator(_split)]
