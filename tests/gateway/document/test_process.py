from __future__ import annotations

from collections.abc import Callable

import pytest

from fastgw.gateway.document.process import StoreAddress, parse_store, parse_workers

Problems = Callable[..., list[str]]
LISTENER = "listeners: [{address: '127.0.0.1:8080'}]\n"


def test_workers() -> None:
    assert parse_workers("auto") == 0
    assert parse_workers(4) == 4
    assert parse_workers("4") == 4


def test_store() -> None:
    assert parse_store("file:/x") == StoreAddress("file", "/x")
    assert parse_store("redis") == StoreAddress("redis")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        *(
            (f"workers: {value}", "write auto or a number")
            for value in ("0", "-1", "513", "x", "1.5", "true", "[1]")
        ),
        *((f"store: {value}", "write file:DIRECTORY") for value in ("x", "'file:'", "3", "Redis")),
        *((f"log: {{access: {value}}}", "write stdout, none or") for value in ("3", "''", "[x]", "true")),
        ("log: {sample: 2}", "0.0 to 1.0"),
        ("server: {header_timeout: 0s}", "header_timeout is 0"),
        ("server: {keepalive_timeout: 0ms}", "keepalive_timeout is 0"),
        ("server: {max_header_size: 1B}", "from 1KB to 1MB"),
        ("server: {max_header_size: 2MB}", "from 1KB to 1MB"),
        ("server: {max_connections: 0}", "whole number"),
        ("server: {min_body_rate: -1}", "whole number"),
        ("server: {max_in_flight: 0}", "whole number"),
        ("trusted_proxies: 10.0.0.0/8", "is not a list"),
        ("trusted_proxies: [10.0.0.1/8]", "write 10.0.0.0/8"),
        ("admin: {address: '0.0.0.0:9901'}", "a token is required"),
        ("admin: {address: '0.0.0.0:9901', token: short-and-known}", "less than 32 characters"),
        ("admin: {address: '[::]:9901'}", "a token is required"),
        ("admin: {address: 'example.com:9901'}", "a token is required"),
        ("admin: {address: '127.0.0.1:8080'}", "as is admin.address"),
        ("redis: {url: 'http://x'}", "a store's URL begins with redis://"),
        ("instance: a b", "no name"),
    ],
)
def test_refused(problems: Problems, text: str, hint: str) -> None:
    (found,) = problems(LISTENER + text)
    assert found.startswith("gateway.yaml:")
    assert hint in found
    assert "short-and-known" not in found


@pytest.mark.parametrize(
    "text",
    [
        "admin: {address: '[::1]:9901'}",
        "admin: {address: 'localhost:9901'}",
        "admin: {address: 'unix:/x'}",
        "admin: {address: '0.0.0.0:9901', token: 0123456789abcdef0123456789abcdef}",
        "admin:",
        "log: {access: none}",
        "workers: ${NO:-auto}",
        "server: {server_timing: true, max_body: 0B, min_body_rate: 0}",
        "drain: {timeout: 0s}",
    ],
)
def test_taken(problems: Problems, text: str) -> None:
    assert problems(LISTENER + text) == []


@pytest.mark.parametrize(
    ("listeners", "hint"),
    [
        ("[{address: '127.0.0.1:1'}, {address: '127.0.0.1:1'}]", "as is listeners[0].address"),
        ("[{address: 'unix:a'}, {address: 'unix:./a'}]", "as is listeners[0].address"),
        ("[{address: '127.0.0.1:1', health_path: healthz}]", "leading slash"),
        ("[{}]", "address is missing"),
        ("[127.0.0.1:1]", "is not a mapping"),
    ],
)
def test_listeners(problems: Problems, listeners: str, hint: str) -> None:
    (found,) = problems(f"listeners: {listeners}")
    assert hint in found
