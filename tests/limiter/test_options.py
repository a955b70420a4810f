"""The store's URL: what is right, and what is refused without repeating a password."""

from __future__ import annotations

import pytest

from fastgw.limiter.options import LimiterOptions, StoreAddress, parse_url


def address(
    host: str = "",
    port: int = 6379,
    path: str = "",
    tls: bool = False,
    username: str = "",
    password: str = "",
    database: int = 0,
) -> StoreAddress:
    return StoreAddress(host, port, path, tls, username, password, database)


RIGHT = [
    ("redis://localhost", address("localhost")),
    ("redis://localhost:7000", address("localhost", 7000)),
    ("redis://localhost/", address("localhost")),
    ("redis://localhost/2", address("localhost", database=2)),
    ("redis://localhost?db=2", address("localhost", database=2)),
    ("redis://:secret@10.0.0.1:7000/15", address("10.0.0.1", 7000, password="secret", database=15)),
    ("redis://me:p%40ss%2F@h", address("h", username="me", password="p@ss/")),
    ("redis://[::1]:7000", address("::1", 7000)),
    ("rediss://me:secret@store.example.com", address("store.example.com", tls=True, username="me", password="secret")),
    ("unix:///run/valkey.sock", address(path="/run/valkey.sock")),
    ("unix:///run/valkey.sock?db=3", address(path="/run/valkey.sock", database=3)),
    ("unix://me:secret@/run/v%20x.sock", address(path="/run/v x.sock", username="me", password="secret")),
]  # fmt: skip


@pytest.mark.parametrize(("url", "expected"), RIGHT, ids=[row[0] for row in RIGHT])
def test_right(url: str, expected: StoreAddress) -> None:
    assert parse_url(url) == expected
    assert LimiterOptions(url, b"", 1.0).address == expected


WRONG = [
    "",
    "localhost:6379",
    "http://localhost",
    "redis+sentinel://h/0",
    "redis://",
    "redis://:secret@",
    "redis://h:port",
    "redis://h:99999",
    "redis://h/x",
    "redis://h/-1",
    "redis://h/1/2",
    "redis://h/1?db=2",
    "redis://h?timeout=3",
    "redis://h?db=1&db=2",
    "redis://h#x",
    "redis://me@h",
    "redis://h h",
    "redis://h\n",
    "redis://h\0",
    "redis://[::1",
    "unix://run/valkey.sock",
    "unix://",
    "unix:///",
    "unix:///run/v.sock?db=x",
]


@pytest.mark.parametrize("url", WRONG)
def test_wrong(url: str) -> None:
    with pytest.raises(ValueError, match="write redis://"):
        parse_url(url)


@pytest.mark.parametrize("url", ["redis://me:hunter2@h:port", "http://me:hunter2@h", "redis://:hunter2@h/x"])
def test_a_refusal_does_not_repeat_the_password(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_url(url)
    assert "hunter2" not in str(caught.value)


def test_the_password_is_never_shown() -> None:
    options = LimiterOptions("rediss://me:hunter2@h/3", b"p", 1.0)
    assert "hunter2" not in repr(options) + repr(options.address) + options.address.shown
    assert options.address.shown == "rediss://h:6379/3"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h", "redis://h:6379"),
        ("redis://:x@[::1]/1", "redis://[::1]:6379/1"),
        ("unix:///s?db=2", "unix:///s?db=2"),
    ],
)
def test_shown(url: str, shown: str) -> None:
    assert parse_url(url).shown == shown
