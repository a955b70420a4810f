"""What an operator can say about issuers, API keys, consumers, and who may use a route. Not built yet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from fastgw.config.errors import shown
from fastgw.config.fields import Duration, FieldName, List, Name, Secret, Text, name, one_of
from fastgw.config.options import Options, written, wrong
from fastgw.config.quantities import parse_duration
from fastgw.policy.mode import ENFORCE, Mode

ALGORITHMS = ("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
              "ES256", "ES384", "ES512", "EdDSA")  # fmt: skip
MIN_SECRET = 32  # bytes: RFC 7518 section 3.2 asks for as many as the hash of HS256 has


@dataclass(frozen=True, slots=True)
class AuthMethod:
    kind: Literal["jwt", "api_key"]
    issuer: str = ""


def _method(value: object) -> AuthMethod:
    if value == "api_key":
        return AuthMethod("api_key")
    if type(value) is dict and list(value) == ["jwt"]:
        return AuthMethod("jwt", name(value["jwt"]))
    raise wrong(f"{shown(value)} is not right here; write api_key or jwt: <issuer>")


def _digest(value: object) -> str:
    # The value is not repeated: it may be the key itself, written here by mistake.
    if type(value) is not str or not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        raise wrong("this is no digest; write sha256: and the 64 hex digits of the key's SHA-256")
    return value


Method = Annotated[
    AuthMethod,
    PlainValidator(_method),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "api_key"},
                {"type": "object", "properties": {"jwt": {"type": "string"}}, "required": ["jwt"]},
            ]
        }
    ),
]


class AuthOptions(Options):
    any: List[Method]
    scopes: List[Text] = ()
    mode: Mode = ENFORCE


class IssuerOptions(Options):
    issuer: Text | None = None
    audience: Text | None = None
    algorithms: List[Annotated[str, *one_of(*ALGORITHMS)]]
    jwks_url: Text | None = None
    jwks_file: Text | None = None
    public_key: Text | None = None
    secret: Secret | None = None
    jwks_refresh: Duration = written("10m", parse_duration)
    required_claims: List[Text] = ("exp", "sub")
    leeway: Duration = written("5s", parse_duration)
    consumer_claim: Text = "sub"
    scope_claim: Text = Field("scope", description="a space-separated string or a list")

    @model_validator(mode="after")
    def _one_key(self) -> IssuerOptions:
        given = [
            key for key in ("jwks_url", "jwks_file", "public_key", "secret") if getattr(self, key) is not None
        ]
        if len(given) != 1:
            raise wrong(
                f"{' and '.join(given) or 'no key'} is given; "
                "write exactly one of jwks_url, jwks_file, public_key, secret"
            )
        if self.secret is not None and len(self.secret.encode()) < MIN_SECRET:
            raise wrong(f"the secret has less than {MIN_SECRET} bytes; write a longer random one")
        return self


class ApiKeysOptions(Options):
    header: FieldName = "x-api-key"


class SubjectOptions(Options):
    issuer: Name
    subject: Text


class ConsumerOptions(Options):
    name: Name
    tier: Name | None = None
    scopes: List[Text] = ()
    keys: List[Annotated[str, PlainValidator(_digest), WithJsonSchema({"type": "string"})]] = ()
    subjects: List[SubjectOptions] = ()
