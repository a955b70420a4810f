"""Who sent a request: the lines towards the upstream, and the value that stands in keys of the store."""

from __future__ import annotations

import re

import orjson
import pytest

from fastgw.model.identity import NEVER_EXPIRES, Identity, bounded


def identity(consumer: str, scopes: frozenset[str] = frozenset()) -> Identity:
    return Identity(consumer, "main", "", scopes, {}, NEVER_EXPIRES)


def test_the_upstream_learns_the_name_and_the_scopes_in_order() -> None:
    made = identity("mobile-app", frozenset({"b:write", "a:read"}))
    assert made.lines == b"X-Consumer: mobile-app\r\nX-Consumer-Scopes: a:read b:write\r\n"


def test_without_scopes_there_is_no_line_of_them() -> None:
    assert identity("x").lines == b"X-Consumer: x\r\n"


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("main:a b", b"main:a b"),
        ("main:100%", b"main:100%25"),
        ("main:a\r\nX-Evil: 1", b"main:a%0D%0AX-Evil:%201"),
        ("main:\x00", b"main:%00"),
        ("main:é", b"main:%C3%A9"),
        (" lead", b"%20lead"),
        ("main:\ud800", b"main:?"),
    ],
)
def test_nothing_in_a_name_can_break_a_line(name: str, sent: bytes) -> None:
    assert identity(name).lines == b"X-Consumer: " + sent + b"\r\n"


@pytest.mark.parametrize("name", ["plain", 'quo"te', "new\nline", "é", "\ud800"])
def test_the_part_of_the_log_line_is_json(name: str) -> None:
    parsed = orjson.loads(b"{" + identity(name).log + b"}")
    assert list(parsed) == ["consumer"]


@pytest.mark.parametrize("value", [b"a", b"192.0.2.1", b"main:app-7731", b"a" * 64, b"a/b|c=d+e@f"])
def test_a_harmless_value_stays_as_it_is(value: bytes) -> None:
    assert bounded(value) == value


@pytest.mark.parametrize("value", [b"", b"a" * 65, b"{x}", b"a b", b"a\n", b"\xc3\xa9", b"#" + b"0" * 32, b"a\x00"])
def test_anything_else_becomes_its_digest(value: bytes) -> None:
    made = bounded(value)
    assert re.fullmatch(rb"#[0-9a-f]{32}", made)
    assert made != value
    assert bounded(value) == made


def test_different_values_stay_different() -> None:
    values = [b"", b"{", b"}", b"a" * 65, b"a" * 66, b"a b", b"a  b"]
    assert len({bounded(value) for value in values}) == len(values)
