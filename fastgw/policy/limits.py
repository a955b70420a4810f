"""How often a caller may come (design section 8). Not built yet: only its options are here."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema

from fastgw.config.errors import shown
from fastgw.config.fields import List, Method, Name, RateField, integer, one_of
from fastgw.config.options import Options, wrong
from fastgw.policy.mode import ENFORCE, Mode


def _key(value: object) -> str:
    if type(value) is str and (
        value in ("client_ip", "consumer", "route")
        or re.fullmatch(r"(?:claim|header):[A-Za-z0-9._:/-]+", value)
    ):
        return value
    raise wrong(
        f"{shown(value)} is not right here; write client_ip, consumer, claim:<name>, header:<name> or route"
    )


OnError = Annotated[str, *one_of("local", "allow", "deny")]


class LimitOptions(Options):
    name: Name
    key: Annotated[str, PlainValidator(_key), WithJsonSchema({"type": "string"})]
    rate: RateField
    burst: Annotated[int, *integer(1, 1_000_000_000)]
    tiers: dict[str, RateField] = Field({}, description="a consumer's tier and its rate")
    methods: List[Method] = ()
    lease: Annotated[str, *one_of("auto", "off")] = "auto"
    on_error: OnError | None = None
    mode: Mode = ENFORCE


class LimitsDefaultsOptions(Options):
    on_error: OnError = "local"
