from __future__ import annotations

from typing import Any

import pytest

from fastgw.config.errors import Problem
from fastgw.control.outcome import EditRefused, NoSuchVersion, Outcome, needs_restart
from fastgw.gateway.document.process import RedisOptions
from tests.control.harness import make_document


def test_an_outcome_says_what_is_wrong() -> None:
    outcome = Outcome(1.0, "me", False, 3, problems=(Problem("file", 2, "a.b", "is odd"),), routes=("one",))
    assert outcome.plain() == {
        "at": 1.0,
        "by": "me",
        "ok": False,
        "version": 3,
        "changed": False,
        "errors": ["file:2: a.b: is odd"],
        "needs_restart": [],
    }


def test_refusals_say_what_to_do() -> None:
    assert "GET /api/config/versions" in str(NoSuchVersion(7))
    refused = EditRefused(404, "not_found", "there is no route x")
    assert (refused.status, refused.reason, refused.detail) == (404, "not_found", "there is no route x")
    assert str(refused) == refused.detail


@pytest.mark.parametrize(
    ("more", "keys"),
    [
        ({}, ()),
        ({"drain": {"timeout": "5s"}, "server": {"max_body": "1MB"}, "trusted_proxies": ["10.0.0.0/8"]}, ()),
        ({"listeners": [{"address": "127.0.0.1:8080", "health_path": "/up"}]}, ()),
        ({"listeners": [{"address": "127.0.0.1:8081"}]}, ("listeners",)),
        ({"workers": 7}, ("workers",)),
        ({"admin": {"address": "127.0.0.1:9902"}}, ("admin.address",)),
        ({"admin": {"token": "x" * 32}}, ()),
        ({"store": "file:/elsewhere", "log": {"access": "none"}}, ("store", "log.access")),
    ],
)
def test_what_needs_a_restart(more: dict[str, Any], keys: tuple[str, ...]) -> None:
    assert needs_restart(make_document().base, make_document(**more).base) == keys


EMBEDDED, ONE, OTHER = {"url": "embedded"}, {"url": "redis://one"}, {"url": "redis://other"}
PATIENT = {"url": "embedded", "timeout": "50ms"}


@pytest.mark.parametrize(
    ("running", "wanted", "keys"),
    [
        (None, ONE, ()),
        (ONE, OTHER, ()),
        (ONE, None, ()),
        (EMBEDDED, PATIENT, ()),
        (None, EMBEDDED, ("redis.url",)),
        (ONE, EMBEDDED, ("redis.url",)),
        (EMBEDDED, ONE, ("redis.url",)),
        (EMBEDDED, None, ("redis.url",)),
    ],
)
def test_the_embedded_server_comes_and_goes_with_a_restart(running: Any, wanted: Any, keys: tuple[str, ...]) -> None:
    base = make_document().base
    before, after = (
        base.model_copy(update={"redis": each and RedisOptions(**each)}) for each in (running, wanted)
    )
    assert needs_restart(before, after) == keys


def test_versions_stay_on_their_server_until_a_restart() -> None:
    def base(**redis: str) -> Any:
        return make_document(store="redis", redis=redis).base

    here = base(url="redis://one")
    assert needs_restart(here, base(url="redis://one", timeout="50ms")) == ()
    assert needs_restart(here, base(url="redis://other")) == ("store",)
    assert needs_restart(here, base(url="redis://one", prefix="x:")) == ("store",)
    assert needs_restart(here, make_document().base) == ("store",)
