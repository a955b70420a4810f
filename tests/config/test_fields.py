"""Every field type through a model of one field: what it takes, what it refuses, and that refusals say what is right."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import ValidationError, create_model

from fastgw.config.address import Address
from fastgw.config.fields import (
    AddressField,
    CallerKey,
    Cidr,
    Duration,
    FieldName,
    FieldValue,
    Flag,
    Fraction,
    List,
    Method,
    Name,
    RateField,
    Secret,
    Share,
    Size,
    TargetField,
    Text,
    UrlPath,
    integer,
    one_of,
)
from fastgw.config.options import Options
from fastgw.config.quantities import Rate

Small = Annotated[int, *integer(1, 10)]
Colour = Annotated[str, *one_of("red", "green", "blue")]
Only = Annotated[str, *one_of("red")]


def through(kind: Any, value: object) -> Any:
    return create_model("Model", __base__=Options, x=(kind, ...)).model_validate({"x": value}).x  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "value", "typed"),
    [
        (Small, 1, 1), (Small, "10", 10), (Small, "0x3", 3),
        (Flag, True, True), (Flag, "false", False),
        (Fraction, 0, 0.0), (Fraction, 1, 1.0), (Fraction, "0.25", 0.25),
        (Text, "", ""), (Text, "x", "x"),
        (Name, "a", "a"), (Name, "a-b.c_d", "a-b.c_d"), (Name, "x" * 64, "x" * 64),
        (Secret, "", ""), (Secret, "0123", "0123"),
        (Duration, "10s", 10.0), (Size, "1KB", 1024), (RateField, "1/s", Rate(1.0, 1.0)), (Share, "5%", 0.05),
        (Cidr, "10.0.0.0/8", "10.0.0.0/8"), (Cidr, "::1", "::1/128"), (Cidr, "192.0.2.7", "192.0.2.7/32"),
        (UrlPath, "/", "/"), (UrlPath, "/a/b.c~d%20", "/a/b.c~d%20"),
        (Method, "GET", "GET"), (Method, "M-SEARCH", "M-SEARCH"),
        (FieldName, "X-Api", "x-api"), (FieldValue, "", ""), (FieldValue, "a b", "a b"), (FieldValue, "a\tb", "a\tb"),
        (CallerKey, "client_ip", "client_ip"), (CallerKey, "header:X-Tenant", "header:X-Tenant"),
        (Colour, "red", "red"), (List[Small], [1, "2"], (1, 2)), (List[Small], (), ()),
        (AddressField, "[::1]:80", Address("tcp", "::1", 80)),
    ],
)  # fmt: skip
def test_taken(kind: Any, value: object, typed: object) -> None:
    result = through(kind, value)
    assert result == typed
    assert type(result) is type(typed)


@pytest.mark.parametrize(
    ("kind", "value", "cure"),
    [
        (CallerKey, "cookie", "write client_ip, consumer or header:<name>"),
        (CallerKey, "header:", "header:<name>"), (CallerKey, "header:a b", "header:<name>"),
        (CallerKey, "header:x_y", "header:<name>"), (CallerKey, "header:x\n", "header:<name>"),
        (CallerKey, "Client_ip", "client_ip"), (CallerKey, 3, "client_ip"),
        *((Small, value, "write a whole number from 1 to 10")
          for value in (0, 11, True, 1.0, "x", "1.5", None, [], "", "１", "9" * 5000)),
        *((Flag, value, "write true or false") for value in ("yes", "on", "True", 1, 0, None, [])),
        *((Fraction, value, "write a number from 0.0 to 1.0")
          for value in (-0.1, 1.1, True, "x", None, float("nan"), float("inf"))),
        *((Text, value, 'quote it: "') for value in (1, 1.5, True)),
        (Text, None, "write text"), (Text, [], "write text"),
        *((Name, value, "write up to 64") for value in ("", "a b", "-a", "a-", "x" * 65, "a/b", "ä", "a\n", "a\0")),
        *((Secret, value, "quote it") for value in (1, None)),
        *((Secret, value, "printable ASCII") for value in ("a b", "a\n", "ä", "\0")),
        (Secret, "file:/x", "configuration files only"),
        *((Duration, value, "write a number and a unit") for value in (10, "10", None, True, [])),
        *((Size, value, "write a number and a unit") for value in (10, "10M", None)),
        *((RateField, value, "write a number and a unit") for value in (10, "10", None)),
        *((Share, value, "write a percentage") for value in (0.2, 20, "20", None)),
        (Cidr, "10.0.0.1/8", "write 10.0.0.0/8"), (Cidr, "x", "write for example"),
        (Cidr, "10.0.0.0/33", "write for example"),
        (Cidr, "10.0.0.0/8\n", "write for example"), (Cidr, 1, "quote it"),
        *((UrlPath, value, "leading slash") for value in ("", "x", "/a b", "/a?b", "/a#b", "/a\n", "/ä")),
        (Method, "get", "write GET"), (Method, "CONNECT", "remove it"), (Method, "TRACE", "remove it"),
        *((Method, value, "write for example GET") for value in ("", "G T", "GET\n", "G" * 33)),
        *((FieldName, value, "write letters") for value in ("", "a b", "a:", "a\n", "ä")),
        *((FieldValue, value, "printable ASCII") for value in (" a", "a ", "a\nb", "a\r\nb", "a\0", "ä", "\t")),
        *((Colour, value, "write red, green or blue") for value in ("Red", "", None, 1)),
        (Only, "x", "write red"),
        *((List[Small], value, "is not a list") for value in ({}, "x", 1, None)),
        (AddressField, "x", "the port is missing"), (AddressField, 8080, "write host:port"),
        (TargetField, 1, "write http://host:port"), (TargetField, "x", "write http://host:port"),
    ],
)  # fmt: skip
def test_refused(kind: Any, value: object, cure: str) -> None:
    with pytest.raises(ValidationError) as caught:
        through(kind, value)
    (error,) = caught.value.errors()
    assert error["type"] == "fastgw", error
    assert cure in error["msg"]


@pytest.mark.parametrize(
    ("kind", "value"), [(Secret, "hush hush"), (TargetField, "http://me:hush@x"), (TargetField, "hush")]
)
def test_what_may_be_secret_is_not_repeated(kind: Any, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        through(kind, value)
    assert "hush" not in str(caught.value)
    assert "hush" not in caught.value.errors()[0]["msg"]
