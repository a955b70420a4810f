"""What an operator can say about issuers, API keys, consumers, and who may use a route.

Keys out of files are in the document as text (gateway/document/key_files.py puts them there): no path is read here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

import orjson
from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from fastgw.config.errors import shown
from fastgw.config.fields import Duration, List, Name, Secret, Text, field_name, name, one_of
from fastgw.config.options import Options, written, wrong
from fastgw.config.quantities import parse_duration
from fastgw.policy.mode import ENFORCE, Mode
from fastgw.policy.rewrite import UNTOUCHABLE

ALGORITHMS = ("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
              "ES256", "ES384", "ES512", "EdDSA")  # fmt: skip
HMAC = ("HS256", "HS384", "HS512")
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


def _scope(value: object) -> str:
    # RFC 6749 section 3.3; it stands in quotes in WWW-Authenticate.
    if type(value) is not str or not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", value):
        raise wrong(f"{shown(value)} is no scope; write one word a scope, without quotes and backslashes")
    return value


def _pem(value: object) -> str:
    from fastgw.policy.auth.keys import BadKey, from_pem  # noqa: PLC0415 (0.15 s that most configurations need not)

    if type(value) is not str or "-----BEGIN" not in value:
        raise wrong("this is no public key; write the path of a PEM file, or in the admin API the PEM itself")
    try:
        from_pem(value)
    except BadKey as error:
        raise wrong(str(error)) from None
    return value


def _jwks(value: object) -> str:
    from fastgw.policy.auth.keys import BadKey, read_jwks  # noqa: PLC0415 (see above)

    if type(value) is not str or not value.lstrip().startswith("{"):
        raise wrong("this is no JWKS; write the path of a JWKS file, or in the admin API the JSON itself as text")
    try:
        usable = read_jwks(value)
    except BadKey as error:
        raise wrong(str(error)) from None
    if re.search(r'"(?:d|k)"\s*:', value):
        raise wrong("there is a private or secret key in it; write the public halves only")
    return orjson.dumps({"keys": usable}).decode()


def _url(value: object) -> str:
    # Not repeated: it may hold a password.
    help_text = "this is no address of a JWKS; write https://host/path"
    if type(value) is not str or not re.fullmatch(r"[\x21-\x7e]+", value):
        raise wrong(help_text)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise wrong(help_text) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise wrong(help_text)
    return value


Scope = Annotated[str, PlainValidator(_scope), WithJsonSchema({"type": "string"})]
PemText = Annotated[
    str, PlainValidator(_pem), WithJsonSchema({"type": "string", "description": "the path of a PEM file"})
]
JwksText = Annotated[
    str, PlainValidator(_jwks), WithJsonSchema({"type": "string", "description": "the path of a JWKS file"})
]
JwksUrl = Annotated[str, PlainValidator(_url), WithJsonSchema({"type": "string"})]
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
    scopes: List[Scope] = Field((), description="all of them are needed")
    mode: Mode = ENFORCE

    @model_validator(mode="after")
    def _some_way_in(self) -> AuthOptions:
        if not self.any:
            raise wrong("any is empty, so nobody could come in; write api_key or jwt: <issuer>")
        return self


class IssuerOptions(Options):
    issuer: Text | None = Field(None, description="what iss must be; absent: it is not looked at")
    audience: Text | None = Field(None, description="what aud must name; absent: a token with aud is refused")
    algorithms: List[Annotated[str, *one_of(*ALGORITHMS)]]
    jwks_url: JwksUrl | None = None
    jwks_file: JwksText | None = None
    public_key: PemText | None = None
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
        if not self.algorithms:
            raise wrong("algorithms is empty; write those that the issuer signs with")
        if self.jwks_refresh < 1.0:
            raise wrong("jwks_refresh is too short; write 1s or more")
        self._algorithms_fit()
        return self

    def _algorithms_fit(self) -> None:
        """RFC 8725 section 3.1: a key is used with algorithms of its own kind only."""
        for algorithm in self.algorithms:
            if (algorithm in HMAC) != (self.secret is not None):
                cure = "write HS256, HS384 or HS512, or give a public key" if self.secret else "it needs a secret"
                kind = "a secret" if self.secret is not None else "public keys"
                raise wrong(f"{algorithm} does not fit {kind}; {cure}")
        if self.public_key is None and self.jwks_file is None:
            return
        from fastgw.policy.auth.keys import from_jwks, from_pem, read_jwks  # noqa: PLC0415 (see above)

        keys = (
            (from_pem(self.public_key),)
            if self.public_key is not None
            else from_jwks(read_jwks(self.jwks_file or ""))
        )
        fitting = frozenset().union(*(key.algorithms for key in keys))
        for algorithm in self.algorithms:
            if algorithm not in fitting:
                raise wrong(
                    f"{algorithm} does not fit the key; write {' or '.join(sorted(fitting))}, or remove it"
                )


def _key_header(value: object) -> str:
    header = field_name(value)
    if header in UNTOUCHABLE or header in _NOT_THE_CLIENTS or header.startswith(("x-forwarded-", "x-consumer")):
        raise wrong(f"{header} says something else already; write a field of its own, as in X-API-Key")
    if "_" in header:
        raise wrong(f"fields with an underscore are dropped; write {header.replace('_', '-')}")
    return header


# Fields that a client's proxies or the gateway itself write, or that hold more than one thing.
_NOT_THE_CLIENTS = frozenset({"cookie", "forwarded", "traceparent", "tracestate", "via", "x-real-ip", "x-request-id"})
KeyHeader = Annotated[str, PlainValidator(_key_header), WithJsonSchema({"type": "string", "examples": ["X-API-Key"]})]


class ApiKeysOptions(Options):
    header: KeyHeader = "x-api-key"


class SubjectOptions(Options):
    issuer: Name
    subject: Text


class ConsumerOptions(Options):
    name: Name
    tier: Name | None = None
    scopes: List[Scope] = ()
    keys: List[Annotated[str, PlainValidator(_digest), WithJsonSchema({"type": "string"})]] = ()
    subjects: List[SubjectOptions] = ()
