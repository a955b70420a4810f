"""A check that builds on an earlier document finds the same as one from nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fastgw.config.errors import ConfigError
from fastgw.gateway.document.load import load_parts, load_plain
from fastgw.gateway.document.model import Document


def big(number: int = 6) -> dict[str, Any]:
    return {
        "listeners": [{"address": "127.0.0.1:8080"}],
        "issuers": {"main": {"algorithms": ["HS256"], "secret": "s" * 40}},
        "upstreams": {f"u{i}": {"targets": [f"http://127.0.0.1:900{i}"]} for i in range(3)},
        "routes": [
            {
                "name": f"r{i}",
                "match": {"path": f"/{i}/*"},
                "upstream": f"u{i % 3}",
                "auth": {"any": [{"jwt": "main"}]},
                "limits": [{"name": "few", "key": "consumer", "rate": "9/s", "burst": 9}],
                "rewrite": {"path": {"strip_prefix": f"/{i}"}},
            }
            for i in range(number)
        ]
        + [{"name": "any", "match": {"path": "/any/{id}"}, "reply": {"status": 204}}],
    }


@pytest.fixture(params=["checked", "from parts"])
def before(request: pytest.FixtureRequest) -> Document:
    document = load_plain(big(), "before")
    return document if request.param == "checked" else load_parts(document.parts())


def test_what_stays_is_the_same_object(before: Document) -> None:
    plain = big()
    plain["routes"][2]["max_body"] = "1KB"
    plain["routes"].reverse()
    plain["upstreams"]["u1"]["preserve_host"] = False
    again = load_plain(copy.deepcopy(plain), "now", previous=before)
    fresh = load_plain(plain, "now")
    assert (again.base, again.upstreams, again.routes) == (fresh.base, fresh.upstreams, fresh.routes)
    assert (again.hash, again.hashes, again.parts()) == (fresh.hash, fresh.hashes, fresh.parts())
    assert list(again.routes) == list(fresh.routes) == ["any", *(f"r{i}" for i in reversed(range(6)))]
    assert again.base is before.base
    assert [name for name in again.routes if again.routes[name] is not before.routes[name]] == ["r2"]
    assert [name for name in again.upstreams if again.upstreams[name] is not before.upstreams[name]] == ["u1"]
    assert again.hashes["route:r1"] is before.hashes["route:r1"]


BREAK: dict[str, Any] = {
    "a tie with a route that stays": lambda plain: plain["routes"][4]["match"].update(path="/1/*"),
    "a tie with one that is written in another way": lambda plain: plain["routes"].insert(
        0, {"name": "new", "match": {"path": "/%61ny/{other}"}, "reply": {"status": 204}}
    ),
    "ties of two that are new": lambda plain: plain["routes"].extend(
        {"name": f"n{i}", "match": {"path": "/new"}, "reply": {"status": 204}} for i in range(3)
    ),
    "an upstream that routes which stay need": lambda plain: plain["upstreams"].pop("u1"),
    "an issuer that routes which stay need": lambda plain: plain["issuers"].pop("main"),
    "a name twice": lambda plain: plain["routes"].append(copy.deepcopy(plain["routes"][0])),
    "another content under a name that stays": lambda plain: plain["routes"].append(
        {**copy.deepcopy(plain["routes"][0]), "max_body": "1KB"}
    ),
    "another content before a name that stays": lambda plain: plain["routes"].insert(
        0, {**{key: value for key, value in plain["routes"][0].items() if key != "auth"}, "upstream": "gone"}
    ),
    "a changed route that is wrong": lambda plain: plain["routes"][3].update(max_body="much"),
    "a limit twice": lambda plain: plain["routes"][3]["limits"].append(plain["routes"][3]["limits"][0]),
    "a limit by what is not known": lambda plain: plain["routes"][3].pop("auth"),
    "a prefix that does not fit": lambda plain: plain["routes"][3]["match"].update(path="/other/*"),
    "a path that no request has": lambda plain: plain["routes"][3]["match"].update(path="/3/%2e%2e/*"),
    "a time-out that a route which stays cannot have": lambda plain: (
        plain["upstreams"]["u0"].update(timeouts={"connect": "5s", "total": "1s"})
    ),
    "a base that is wrong": lambda plain: plain.update(workers="many", odd=1),
    "a route that is no mapping": lambda plain: plain["routes"].append(3),
    "a route without a name": lambda plain: plain["routes"][0].pop("name"),
    "a route with another kind of name": lambda plain: plain["routes"][0].update(name=["r1"]),
    "what is no JSON": lambda plain: plain["routes"][0].update(max_body={1: object()}),
    "an upstream that is no mapping": lambda plain: plain["upstreams"].update(u0=3),
    "a name in an upstream": lambda plain: plain["upstreams"]["u0"].update(name="u0"),
    "no routes": lambda plain: plain.update(routes={}),
}


@pytest.mark.parametrize("how", BREAK)
def test_the_same_is_wrong(how: str, before: Document) -> None:
    plain = big()
    BREAK[how](plain)
    problems = []
    for previous in (None, before):
        with pytest.raises(ConfigError) as caught:
            load_plain(plain, "now", previous=previous)
        problems.append([str(problem) for problem in caught.value.problems])
    assert problems[0] == problems[1]
