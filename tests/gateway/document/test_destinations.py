"""What routes and upstreams say about each other, each contradiction and doubt at its place, beside what is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastgw.config.findings import Finding
from fastgw.gateway.document.destinations import destination_doubts, impossible_deadlines
from fastgw.gateway.document.load import load_file, load_plain
from fastgw.gateway.document.options import RouteOptions
from fastgw.upstream.options import UpstreamOptions

Parts = tuple[dict[str, UpstreamOptions], dict[str, int], dict[str, RouteOptions]]

TARGET = "http://127.0.0.1:9001"
OTHER = "http://127.0.0.1:9002"
KEY = {"any": ["api_key"]}


def parts(upstreams: dict[str, Any], *routes: dict[str, Any]) -> Parts:
    """Of each upstream what is not its name and targets; the routes are named by their positions."""
    made = [
        RouteOptions.model_validate({"name": f"r{number}", **route}) for number, route in enumerate(routes)
    ]
    return (
        {
            name: UpstreamOptions.model_validate({"name": name, "targets": [TARGET], **options})
            for name, options in upstreams.items()
        },
        {route.name: number for number, route in enumerate(made)},
        {route.name: route for route in made},
    )


def deadlines(upstream: dict[str, str], *routes: dict[str, Any]) -> list[Finding]:
    return list(impossible_deadlines(*parts({"app": {"timeouts": upstream}, "next": {}}, *routes)))


@pytest.mark.parametrize(
    ("upstream", "route"),
    [
        ({}, None),
        ({"total": "1s"}, None),
        ({"total": "100ms", "connect": "100ms"}, {"response": "50ms"}),
        ({}, {"total": "1s"}),
        ({"connect": "2s"}, {"total": "1s", "connect": "1s"}),
        ({"total": "2s"}, {"connect": "2s"}),
        ({"total": "2s"}, {"total": "3s", "connect": "3s"}),
        ({"total": "2s"}, {"response": "60s"}),
    ],
)
def test_deadlines_that_fit(upstream: dict[str, str], route: dict[str, str] | None) -> None:
    assert deadlines(upstream, {"upstream": "app", "timeouts": route}) == []


@pytest.mark.parametrize(
    ("upstream", "route", "key"),
    [
        ({}, {"total": "999ms"}, "total"),
        ({"connect": "2s"}, {"total": "1s"}, "total"),
        ({"total": "2s"}, {"connect": "3s"}, "connect"),
        ({"total": "9s"}, {"total": "2s", "connect": "3s"}, "total"),
    ],
)
def test_a_routes_total_under_its_connect(upstream: dict[str, str], route: dict[str, str], key: str) -> None:
    (finding,) = deadlines(upstream, {"upstream": "next"}, {"upstream": "app", "timeouts": route})
    assert finding.path == ("routes", 1, "timeouts", key)
    assert "write a longer total, or a shorter connect" in finding.message


def test_an_upstreams_total_under_its_connect_is_said_once() -> None:
    (finding,) = deadlines(
        {"total": "500ms"}, {"upstream": "app", "timeouts": {"response": "1s"}}, {"upstream": "app"}
    )
    assert finding.path == ("upstreams", "app", "timeouts", "total")
    assert finding.message.startswith("the total time-out (0.5s) is shorter than the one to connect (1s)")


def test_every_part_of_a_split_counts_and_one_error_is_enough() -> None:
    split = {"split": {"next": 1, "app": 1}, "timeouts": {"total": "1500ms"}}
    (finding,) = deadlines({"connect": "2s"}, split)
    assert finding.path == ("routes", 0, "timeouts", "total")
    (finding,) = deadlines({}, {**split, "timeouts": {"total": "500ms"}})
    assert finding.path == ("routes", 0, "timeouts", "total")


def test_an_upstream_that_is_wrong_itself_is_not_looked_at() -> None:
    assert deadlines({}, {"upstream": "gone", "timeouts": {"total": "1ms"}}) == []


def doubts(upstreams: dict[str, Any], *routes: dict[str, Any]) -> list[Finding]:
    return list(destination_doubts(*parts(upstreams, *routes)))


@pytest.mark.parametrize(
    ("upstreams", "routes"),
    [
        ({"app": {"balance": "hash", "hash_on": "consumer"}}, [{"upstream": "app", "auth": KEY}, {"upstream": "app"}]),
        ({"app": {"balance": "hash", "hash_on": "consumer"}}, [{"split": {"app": 0, "b": 1}, "auth": KEY}]),
        ({"app": {"balance": "hash", "hash_on": "consumer"}}, []),  # nothing leads there: nothing is said about it
        ({"app": {"balance": "hash", "hash_on": "client_ip"}}, [{"upstream": "app"}]),
        ({"app": {}}, [{"split": {"app": 1}, "sticky": "consumer", "auth": KEY}]),
        ({"app": {}}, [{"split": {"app": 1}, "sticky": "client_ip"}]),
        ({"app": {"slow_start": "1s", "targets": [TARGET, OTHER]}}, []),
        ({"app": {"slow_start": "1s", "targets": ["http://app.example:80"]}}, []),  # it may have many addresses
        ({"app": {"slow_start": "0s"}}, []),
    ],
)  # fmt: skip
def test_no_doubts(upstreams: dict[str, Any], routes: list[dict[str, Any]]) -> None:
    assert doubts(upstreams, *routes) == []


@pytest.mark.parametrize(
    ("upstreams", "routes", "path", "words"),
    [
        (
            {"app": {"balance": "hash", "hash_on": "consumer"}}, [{"upstream": "app"}, {"reply": {"status": 204}}],
            ("upstreams", "app", "hash_on"), "no route to this upstream has auth",
        ),
        (
            {"app": {"balance": "hash", "hash_on": "consumer"}}, [{"split": {"app": 1}}],
            ("upstreams", "app", "hash_on"), "add auth, or write client_ip",
        ),
        (
            {"app": {}}, [{"upstream": "app", "auth": KEY}, {"split": {"app": 1}, "sticky": "consumer"}],
            ("routes", 1, "sticky"), "this route has no auth",
        ),
        ({"app": {"slow_start": "1s"}}, [], ("upstreams", "app", "slow_start"), f'"{TARGET}" is the only target'),
        (
            {"app": {"slow_start": "1s", "targets": ["unix:/run/x.sock"]}}, [],
            ("upstreams", "app", "slow_start"), "remove slow_start",
        ),
        (
            {"app": {"slow_start": "1s", "targets": ["http://[::1]:80"]}}, [],
            ("upstreams", "app", "slow_start"), "add another target",
        ),
    ],
)  # fmt: skip
def test_doubts(
    upstreams: dict[str, Any], routes: list[dict[str, Any]], path: tuple[str | int, ...], words: str
) -> None:
    (finding,) = doubts(upstreams, *routes)
    assert finding.path == path
    assert words in finding.message


FILE = """\
listeners: [{address: "127.0.0.1:8080"}]
upstreams:
  app:
    targets: [http://127.0.0.1:9001]
    slow_start: 10s
    timeouts:
      total: 2s
  next:
    targets: [http://127.0.0.1:9002]
    breaker: {open_for: 5s}
    balance: hash
    hash_on: client_ip
routes:
  - name: one
    split: {app: 95, next: 5}
    sticky: consumer
"""

WRONG = [
    ("total: 2s", "total: 500ms", 7, "upstreams.app.timeouts.total", "the total time-out (0.5s)"),
    ("balance: hash", "balance: p2c", 12, "upstreams.next.hash_on", "no effect with balance: p2c"),
    ("hash_on: client_ip", "hash_on: header:x_y", 12, "upstreams.next.hash_on", "write client_ip, consumer or header"),
    ("open_for: 5s", "open_for: 2m", 10, "upstreams.next.breaker", "max_open_for is shorter"),
    ("{app: 95, next: 5}", "{app: 0, next: 0}", 15, "routes[0].split", "every weight is 0"),
    ("{app: 95, next: 5}", "{}", 15, "routes[0].split", "split is empty"),
    ("sticky: consumer", "sticky: header:ä", 16, "routes[0].sticky", "write client_ip, consumer or header"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "line", "path", "words"), WRONG)
def test_in_a_file_each_has_its_line(
    problems: Callable[..., list[str]], right: str, wrong: str, line: int, path: str, words: str
) -> None:
    (found,) = problems(FILE.replace(right, wrong))
    assert found.startswith(f"gateway.yaml:{line}: {path}: ")
    assert words in found


def test_what_is_doubtful_is_served(problems: Callable[..., list[str]], tmp_path: Path) -> None:
    assert problems(FILE) == []
    document = load_file(tmp_path / "gateway.yaml", {})
    assert [(item.line, item.path) for item in document.warnings] == [
        (5, "upstreams.app.slow_start"),
        (16, "routes[0].sticky"),
    ]
    assert len(load_plain(document.plain, "version 1").warnings) == 2
