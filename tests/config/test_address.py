from __future__ import annotations

import pytest

from fastgw.config.address import Address, TargetUrl, is_loopback, parse_address, parse_target


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("tcp", "127.0.0.1", 8080)),
        ("0.0.0.0:1", Address("tcp", "0.0.0.0", 1)),
        ("[::1]:65535", Address("tcp", "::1", 65535)),
        ("[0:0:0:0:0:0:0:1]:80", Address("tcp", "::1", 80)),
        ("LocalHost:80", Address("tcp", "localhost", 80)),
        ("unix:/run/x.sock", Address("unix", path="/run/x.sock")),
    ],
)
def test_addresses_are_taken(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "127.0.0.1", ":8080", "*:8080", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "127.0.0.1:-1",
        "127.0.0.1:８０", "256.0.0.1:80", "1.2.3:80", "::1:80", "[::1]", "[::x]:80", "[::1:80", "::1]:80",
        "http://127.0.0.1:80", "a b:80", "-a:80", "a..b:80", "127.0.0.1:80\n", "unix:", "unix:" + "x" * 108,
        "unix:/a\0b", "münchen.de:80",
    ],
)  # fmt: skip
def test_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://127.0.0.1:9001", ("http", "127.0.0.1", 9001, "")),
        ("http://app", ("http", "app", 80, "")),
        ("https://app", ("https", "app", 443, "")),
        ("http://[::1]", ("http", "::1", 80, "")),
        ("http://[::1]:81", ("http", "::1", 81, "")),
        ("http://my_app.internal.:81", ("http", "my_app.internal.", 81, "")),
        ("unix:/run/app.sock", ("http", "localhost", 80, "/run/app.sock")),
    ],
)
def test_targets_are_taken(text: str, target: tuple[str, str, int, str]) -> None:
    assert parse_target(text) == TargetUrl(text, *target)  # type: ignore[arg-type]  # the scheme is one of two


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("127.0.0.1:9001", "scheme is missing"),
        ("ftp://x", "only http"),
        ("HTTP://x", "only http"),
        ("http://", "host name"),
        ("http://x/", "not even the last slash"),
        ("http://x/path", "no path or query"),
        ("http://x?q", "no path or query"),
        ("http://x#f", "no path or query"),
        ("http://user:secret@x", "no user or password"),
        ("http://x:0", "port"),
        ("http://x:99999", "port"),
        ("http://[::1", "no URL"),
        ("http://::1:80", "brackets"),
        ("http://a b", "host name"),
        ("unix:", "path is missing"),
    ],
)
def test_targets_are_refused(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint) as caught:
        parse_target(text)
    assert "secret" not in str(caught.value)


def test_addresses_are_shown_as_they_are_written() -> None:
    for text in ("127.0.0.1:8080", "[::1]:80", "unix:/x"):
        assert str(parse_address(text)) == text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST."])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example.com", "x"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
