"""The types that Options are made of: each takes what an operator writes and yields a typed value, or says in plain
words what would be right.

Numbers and truth values are also taken from text, because what `${VAR}` expands to is text.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema

from fastgw.config.address import Address, TargetUrl, parse_address, parse_target
from fastgw.config.errors import kind_of, shown
from fastgw.config.options import wrong
from fastgw.config.quantities import (
    DURATION_HELP,
    RATE_HELP,
    SHARE_HELP,
    SIZE_HELP,
    Rate,
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
)
from fastgw.config.scalars import resolve

T = TypeVar("T")

VARIABLE_PATTERN = r"\$\{"
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
FIELD_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")  # RFC 9110 5.5, ASCII only
SECRET = re.compile(r"[\x21-\x7e]*")


def _text_schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": pattern}, {"type": "string", "pattern": VARIABLE_PATTERN}],
         "examples": [example]}
    )  # fmt: skip


def from_text(parse: Callable[[str], T], help_text: str) -> PlainValidator:
    """A value written as text. The message repeats the value, then says what is right."""

    def validate(value: object) -> T:
        if type(value) is not str:
            raise wrong(f"{shown(value)} is not right here; {help_text}")
        try:
            return parse(value)
        except ValueError as error:
            raise wrong(f"{shown(value)} is not right here; {error}") from None

    return PlainValidator(validate)


def from_secret_text(parse: Callable[[str], T], help_text: str) -> PlainValidator:
    """As `from_text`, for what may hold a secret: the value is never repeated."""

    def validate(value: object) -> T:
        if type(value) is not str:
            raise wrong(help_text)
        try:
            return parse(value)
        except ValueError as error:
            raise wrong(str(error)) from None

    return PlainValidator(validate)


def integer(minimum: int, maximum: int) -> Any:
    """A whole number within bounds: `Annotated[int, integer(1, 10)]`."""

    def validate(value: object) -> int:
        if type(value) is str:
            value = _number(value)
        if type(value) is not int:
            raise wrong(f"{shown(value)} is not right here; write a whole number from {minimum} to {maximum}")
        if not minimum <= value <= maximum:
            raise wrong(f"{value} is out of bounds; write a whole number from {minimum} to {maximum}")
        return value

    return PlainValidator(validate), WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": minimum, "maximum": maximum},
                   {"type": "string", "pattern": VARIABLE_PATTERN}]}
    )  # fmt: skip


def _number(text: str) -> object:
    try:
        return resolve(text)
    except ValueError:
        return text


def _boolean(value: object) -> bool:
    if type(value) is bool:
        return value
    if type(value) is str and value in ("true", "false"):
        return value == "true"
    raise wrong(f"{shown(value)} is not right here; write true or false")


def _fraction(value: object) -> float:
    number = _number(value) if type(value) is str else value
    if type(number) not in (int, float) or not 0.0 <= number <= 1.0:  # type: ignore[operator]  # checked just before
        raise wrong(f"{shown(value)} is not right here; write a number from 0.0 to 1.0")
    return float(number)  # type: ignore[arg-type]  # an int or a float, see above


def _text(value: object) -> str:
    if type(value) is str:
        return value
    if isinstance(value, int | float):
        raise wrong(f'{shown(value)} is not text; quote it: "{shown(value)}"')
    raise wrong(f"{shown(value)} is not right here; write text")


def name(value: object) -> str:
    """The name of a route, an upstream, a consumer: it stands in logs, metrics and addresses of the admin API."""
    text = _text(value)
    if not NAME.fullmatch(text):
        raise wrong(f"{shown(text)} is no name; write up to 64 letters, digits, dashes, dots and underscores")
    return text


def _secret(value: object) -> str:
    if type(value) is not str:
        raise wrong("this is not text; quote it")
    if value.startswith("file:"):
        raise wrong("file: references are read in configuration files only; give the secret itself")
    if not SECRET.fullmatch(value):
        raise wrong("a secret can hold printable ASCII without spaces only")
    return value


def _cidr(value: object) -> str:
    text = _text(value)
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        fixed = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise wrong(
            f"{shown(text)} is no network; write for example 10.0.0.0/8, 192.0.2.7 or fd00::/8"
        ) from None
    raise wrong(f"{shown(text)} has bits set beyond its length; write {fixed}")


def _url_path(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"/[!$&'()*+,;=:@/A-Za-z0-9._~%-]*", text):
        raise wrong(
            f"{shown(text)} is no path; write it with a leading slash and without query, as in /healthz"
        )
    return text


def _token(what: str) -> Callable[[object], str]:
    def validate(value: object) -> str:
        text = _text(value)
        if not TOKEN.fullmatch(text):
            raise wrong(f"{shown(text)} is no {what}; write letters, digits and dashes")
        return text

    return validate


def method(value: object) -> str:
    text = _text(value)
    if not TOKEN.fullmatch(text) or len(text) > 32:
        raise wrong(f"{shown(text)} is no method; write for example GET or POST")
    if text in ("CONNECT", "TRACE"):
        raise wrong(f"{text} is never forwarded (it is answered with 405); remove it")
    if text != text.upper():
        raise wrong(f"{shown(text)} is no method: methods are upper case; write {text.upper()}")
    return text


def field_value(value: object) -> str:
    text = _text(value)
    if not FIELD_VALUE.fullmatch(text):
        raise wrong(f"{shown(text)} is no header value; write printable ASCII without spaces at the ends")
    return text


def field_name(value: object) -> str:
    """A header's name, in lower case."""
    return _token("header name")(value).lower()


def _caller_key(value: object) -> str:
    """By what callers are told apart. (Not more than this of a header's name: fields with other characters in their names
    are dropped, or known only to few.)"""
    if type(value) is str and (
        value in ("consumer", "client_ip") or re.fullmatch(r"header:[A-Za-z0-9-]+", value)
    ):
        return value
    raise wrong(f"{shown(value)} is not right here; write client_ip, consumer or header:<name>")


def one_of(*words: str) -> Any:
    """One of a few words: `Annotated[str, one_of("a", "b")]`."""
    choices = " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

    def validate(value: object) -> str:
        if type(value) is not str or value not in words:
            raise wrong(f"{shown(value)} is not right here; write {choices}")
        return value

    return PlainValidator(validate), WithJsonSchema({"enum": [*words]})


def ordered(value: object) -> object:
    """Lists come from YAML and JSON; models keep tuples, so that they cannot change."""
    if type(value) is list:
        return tuple(value)
    if type(value) is tuple:
        return value
    raise wrong(f"{kind_of(value)} is not a list; write [...] or one `- ` entry a line")


List = Annotated[tuple[T, ...], BeforeValidator(ordered)]

Text = Annotated[str, PlainValidator(_text), WithJsonSchema({"type": "string"})]
Flag = Annotated[
    bool,
    PlainValidator(_boolean),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": VARIABLE_PATTERN}]}),
]
Fraction = Annotated[
    float,
    PlainValidator(_fraction),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 1},
                {"type": "string", "pattern": VARIABLE_PATTERN},
            ]
        }
    ),
]
Name = Annotated[
    str, PlainValidator(name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 64})
]
Secret = Annotated[
    str,
    PlainValidator(_secret),
    WithJsonSchema({"type": "string", "description": "text, ${VAR}, or file:PATH for the content of a file"}),
]
Duration = Annotated[
    float, from_text(parse_duration, DURATION_HELP), _text_schema(r"^[0-9.]+(ms|s|m|h)$", "10s")
]
Size = Annotated[int, from_text(parse_size, SIZE_HELP), _text_schema(r"^[0-9]+(B|KB|MB|GB)$", "64KB")]
RateField = Annotated[Rate, from_text(parse_rate, RATE_HELP), _text_schema(r"^[0-9.]+/(s|m|h)$", "100/s")]
Share = Annotated[float, from_text(parse_share, SHARE_HELP), _text_schema(r"^[0-9.]+%$", "20%")]
AddressField = Annotated[
    Address,
    from_text(parse_address, "write host:port, [::1]:port or unix:/path"),
    WithJsonSchema({"type": "string", "examples": ["127.0.0.1:8080", "[::1]:8080", "unix:/run/fastgw.sock"]}),
]
TargetField = Annotated[
    TargetUrl,
    from_secret_text(parse_target, "write http://host:port or unix:/path"),
    WithJsonSchema({"type": "string", "examples": ["http://127.0.0.1:9001", "unix:/run/app.sock"]}),
]
Cidr = Annotated[str, PlainValidator(_cidr), WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8"]})]
UrlPath = Annotated[str, PlainValidator(_url_path), WithJsonSchema({"type": "string", "pattern": r"^/|\$\{"})]
Method = Annotated[str, PlainValidator(method), WithJsonSchema({"type": "string", "examples": ["GET"]})]
FieldName = Annotated[str, PlainValidator(field_name), WithJsonSchema({"type": "string"})]
FieldValue = Annotated[str, PlainValidator(field_value), WithJsonSchema({"type": "string"})]
CallerKey = Annotated[str, PlainValidator(_caller_key), WithJsonSchema({"type": "string"})]
