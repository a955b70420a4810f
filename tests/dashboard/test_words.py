"""What the page makes of what it is told: numbers as people read them, and what somebody should look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.dashboard import scene
from tests.dashboard.fake_api import FakeApi

Told = Callable[[str, str, list[Any]], Any]


@pytest.fixture(scope="module")
def told(browser: Browser) -> Iterator[Told]:
    """`told(module, function, arguments)`: what a function of the page answers."""
    api = FakeApi().start()
    page = browser.new_page()
    page.goto(f"{api.url}/assets/icon.svg")  # no page that reads on its own, but its files can be had
    call = "async ([module, name, given]) => (await import(`/assets/${module}.js`))[name](...given)"
    yield lambda module, name, given: page.evaluate(call, [module, name, given])
    page.close()
    api.stop()


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("rate", [0], "0"),
        ("rate", [0.04], "< 0.1"),
        ("rate", [3], "3"),
        ("rate", [3.27], "3.3"),
        ("rate", [12345.6], "12,346"),
        ("rate", [None], "–"),
        ("share", [1, 0], "–"),
        ("share", [0, 5], "0 %"),
        ("share", [1, 5000], "< 0.1 %"),
        ("share", [5, 100], "5 %"),
        ("share", [999, 1000], "> 99 %"),
        ("share", [7, 7], "100 %"),
        ("millis", [0.0004], "1 µs"),
        ("millis", [0.21], "210 µs"),
        ("millis", [4.04], "4 ms"),
        ("millis", [310.2], "310 ms"),
        ("millis", [1234], "1.23 s"),
        ("millis", [None], "–"),
        ("bytes", [512], "512 B"),
        ("bytes", [58_720_256], "56 MB"),
        ("span", [59], "59 s"),
        ("span", [3599], "59 min"),
        ("span", [93_000], "1 d 1 h"),
        ("clock", ["yesterday"], "–"),
        ("named", ["-"], "no route"),
        ("named", [None], "no route"),
        ("named", ["orders"], "orders"),
        ("plural", [1, "line"], "1 line"),
        ("plural", [4120, "line"], "4,120 lines"),
    ],
)
def test_numbers_are_read(told: Told, name: str, given: list[Any], text: str) -> None:
    assert told("format", name, given) == text


def well() -> dict[str, Any]:
    """Of a gateway without any trouble."""
    now = time.time()
    return {
        "ready": {"ok": True, "detail": ""},
        "status": scene.status(now) | {"upstreams": []},
        "overview": scene.overview(now, quiet=True),
        "fleet": scene.fleet(now),
    }


def worker(**more: Any) -> dict[str, Any]:
    return {"status": well()["status"] | {"workers": [scene.status(0)["workers"][0] | more]}}


def status(**more: Any) -> dict[str, Any]:
    return {"status": well()["status"] | more}


def redis(**more: Any) -> dict[str, Any]:
    return status(redis=well()["status"]["redis"] | more)


def reload(**more: Any) -> dict[str, Any]:
    return status(last_reload={"ok": True, "version": 7, "errors": [], "needs_restart": [], **more})


def points(requests: float, errors: float) -> dict[str, Any]:
    return {"overview": well()["overview"] | {"points": [{"requests_s": requests, "errors_s": errors}] * 5}}


def fleet(**more: Any) -> dict[str, Any]:
    one, other = well()["fleet"]["instances"]
    return {"fleet": well()["fleet"] | {"instances": [one, other | more]}}


@pytest.mark.parametrize(
    ("trouble", "tone", "words"),
    [
        ({"ready": {"ok": False, "detail": "no worker serves"}}, "bad", "no worker serves"),
        (worker(state="starting"), "bad", "is starting, not serving"),
        (worker(version=6, age_s=9.0), "bad", "still serves version 6; the current one is 7"),
        (worker(respawns=2, uptime_s=30.0), "warn", "was replaced 2 times, last 30 s ago"),
        (worker(loop_lag_ms=80.0), "warn", "is late by 80 ms"),
        (status(upstreams=["orders: 2 of 2 targets unhealthy"]), "warn", "orders: 2 of 2 targets unhealthy"),
        (redis(state="down", error="no answer"), "warn", "does not answer (no answer)"),
        (redis(modes=["redis", "local"]), "warn", "1 worker counts locally"),
        (reload(ok=False, errors=["gateway.yaml:3: routes: empty"]), "bad", "gateway.yaml:3: routes: empty"),
        (reload(needs_restart=["workers"]), "warn", "for workers"),
        (status(logger={"pid": 1, "restarts": 0, "lines_dropped": 1200}), "warn", "1,200 lines could not be"),
        (status(control={"pid": 1, "restarts": 1}), "warn", "was restarted 1 time."),
        (points(100.0, 6.0), "bad", "6 % of the exchanges end with a 5xx"),
        (fleet(error="routes[3]: no such upstream"), "warn", "cannot follow: routes[3]"),
        (fleet(version=6, hash="other"), "warn", "serves version 6, this one 7"),
        (
            {"fleet": {"instances": [], "store": {"kind": "redis", "up": False, "error": "refused"}}},
            "warn",
            "is away (refused)",
        ),
    ],
)
def test_what_needs_attention(told: Told, trouble: dict[str, Any], tone: str, words: str) -> None:
    found = told("attention", "troubles", [well() | trouble])
    assert [each["tone"] for each in found] == [tone], found
    assert words in found[0]["more"]


@pytest.mark.parametrize(
    "fine",
    [
        {},
        {"ready": None, "status": None, "overview": None, "fleet": None},  # nothing is known yet
        worker(version=6, age_s=0.4),  # a reload is under way
        worker(respawns=3, uptime_s=9000.0),
        status(redis=None),
        reload(),
        points(100.0, 4.0),
        points(0.0, 0.0),
    ],
)
def test_what_does_not(told: Told, fine: dict[str, Any]) -> None:
    assert told("attention", "troubles", [well() | fine]) == []


def test_the_worst_comes_first(told: Told) -> None:
    state = well() | status(upstreams=["a: sick", "b: sick"]) | {"ready": {"ok": False, "detail": "draining"}}
    assert [each["tone"] for each in told("attention", "troubles", [state])] == ["bad", "warn", "warn"]
