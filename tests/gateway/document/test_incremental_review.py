"""Any chain of edits: a check that builds on the document before finds, and makes, what one from nothing does. And
whatever is done to a document that was shown, no error and no warning says a secret of it."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.config.errors import ConfigError
from fastgw.gateway.document.load import load_parts, load_plain
from fastgw.gateway.document.masking import MASK, masked
from fastgw.gateway.document.model import Document
from fastgw.gateway.document.sent import load_sent

Plain = dict[str, Any]

START: Plain = {
    "listeners": [{"address": "127.0.0.1:8080"}],
    "instance": "one",
    "store": "file:/nowhere",
    "issuers": {"main": {"algorithms": ["HS256"], "secret": "s" * 40}},
    "consumers": [{"name": "ann", "tier": "gold", "scopes": ["read"], "keys": ["sha256:" + "1" * 64]}],
    "upstreams": {f"u{i}": {"targets": [f"http://127.0.0.1:900{i}"]} for i in range(3)},
    "routes": [
        {
            "name": f"r{i}",
            "match": {"path": f"/{i}/*"},
            "upstream": f"u{i % 3}",
            "auth": {"any": [{"jwt": "main"}]},
            "limits": [{"name": "few", "key": "consumer", "rate": "9/s", "burst": 9}],
        }
        for i in range(4)
    ],
    "tests": [{"request": "GET http://h/nothing", "expect": {"reason": "no_route"}}],
}

NAMES = st.sampled_from(["r0", "r1", "r2", "r3", "r9"])
UPSTREAMS = st.sampled_from(["u0", "u1", "u2", "u9"])
PATHS = st.sampled_from(["/0/*", "/1/*", "/%30/*", "/x/{id}", "/x/{name}", "/x/../y", "/2", "/3/%2f"])
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "name": NAMES,
    "upstream": UPSTREAMS,
    "split": st.dictionaries(UPSTREAMS, st.integers(0, 3), max_size=2),
    "auth": st.sampled_from(
        [None, {"any": ["api_key"]}, {"any": [{"jwt": "gone"}]}, {"any": ["api_key"], "scopes": ["r"]}]
    ),
    "limits": st.sampled_from(
        [
            [],
            [{"name": "few", "key": "claim:x", "rate": "9/s", "burst": 9}] * 2,
            [{"name": "few", "key": "consumer", "rate": "9/s", "burst": 9, "tiers": {"silver": "1/s"}}],
        ]
    ),
    "sticky": st.sampled_from(["consumer", "client_ip", "nothing"]),
    "timeouts": st.sampled_from(
        [{"total": "1s"}, {"connect": "9s"}, {"total": "20s", "connect": "30s"}, {"total": 1}]
    ),
    "rewrite": st.sampled_from([{"path": {"strip_prefix": "/0"}}, {"path": {"strip_prefix": "/9"}}]),
    "reply": st.sampled_from([{"status": 204}, None]),
    "max_body": st.sampled_from(["1KB", 1, None, 1.0, True]),
}
BASE: dict[str, st.SearchStrategy[Any]] = {
    "issuers": st.sampled_from([{}, {"gone": {"algorithms": ["HS256"], "secret": "s" * 40}}, None, []]),
    "consumers": st.sampled_from(
        [[], [{"name": "ann"}] * 2, [{"name": "bob", "subjects": [{"issuer": "main", "subject": "x"}]}]]
    ),
    "limits": st.sampled_from([[{"name": "all", "key": "consumer", "rate": "1/s", "burst": 1}], []]),
    "workers": st.sampled_from([1, 1.0, "auto", True]),
    "tests": st.sampled_from(
        [
            [{"request": "GET http://h/0/x", "expect": {"route": "r0"}}],
            [{"request": "GET http://h/0/x", "expect": {"route": "r9", "upstream": "u9"}}],
            [{"request": "GET http://h/x/y", "expect": {"reason": "no_route"}}],
        ]
    ),
}


@st.composite
def edits(draw: st.DrawFn) -> tuple[Any, ...]:
    kind = draw(
        st.sampled_from(
            ["set", "set", "set", "drop key", "base", "drop base", "remove", "move", "double", "upstream"]
        )
    )
    if kind == "set":
        key = draw(st.sampled_from(sorted(KEYS)))
        return kind, draw(st.integers(0, 5)), key, draw(KEYS[key])
    if kind == "drop key":
        return kind, draw(st.integers(0, 5)), draw(st.sampled_from(sorted(KEYS)))
    if kind == "base":
        key = draw(st.sampled_from(sorted(BASE)))
        return kind, key, draw(BASE[key])
    if kind == "drop base":
        return kind, draw(st.sampled_from(sorted(BASE)))
    if kind == "upstream":
        change = st.sampled_from(
            [None, {"timeouts": {"connect": "9s", "total": "1s"}}, {"timeouts": {"connect": "9s"}},
             {"hash_on": "consumer"}, {"name": "u0"}, {"targets": []}, {"slow_start": "5s"}]
        )  # fmt: skip
        return kind, draw(UPSTREAMS), draw(change)
    return kind, draw(st.integers(0, 5)), draw(PATHS), draw(NAMES)


def edited(plain: Plain, edit: tuple[Any, ...]) -> None:
    kind, *rest = edit
    routes = plain["routes"]
    if kind == "base":
        plain[rest[0]] = copy.deepcopy(rest[1])
    elif kind == "drop base":
        plain.pop(rest[0], None)
    elif kind == "upstream":
        name, change = rest
        if change is None:
            plain["upstreams"].pop(name, None)
        else:
            plain["upstreams"].setdefault(name, {"targets": ["http://127.0.0.1:9009"]}).update(
                copy.deepcopy(change)
            )
    elif routes:
        number = rest[0] % len(routes)
        route = routes[number]
        if kind == "set":
            route[rest[1]] = copy.deepcopy(rest[2])
        elif kind == "drop key":
            route.pop(rest[1], None)
        elif kind == "remove":
            del routes[number]
        elif kind == "move":
            routes.insert(0, routes.pop(number))
            route["match"] = {"path": rest[1]}
        else:
            routes.append({**copy.deepcopy(route), "name": rest[2], "match": {"path": rest[1]}})


def outcome(plain: Plain, previous: Document | None) -> Document | list[str]:
    try:
        return load_plain(copy.deepcopy(plain), "now", previous=previous)
    except ConfigError as error:
        return sorted(str(each) for each in error.problems)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(edits(), min_size=1, max_size=4), min_size=1, max_size=6))
def test_a_check_that_builds_on_another_is_one_from_nothing(steps: list[list[tuple[Any, ...]]]) -> None:
    current = load_plain(copy.deepcopy(START), "start")
    plain = copy.deepcopy(START)
    for step in steps:
        wanted = copy.deepcopy(plain)
        for edit in step:
            edited(wanted, edit)
        fresh, built = outcome(wanted, None), outcome(wanted, current)
        if isinstance(fresh, list) or isinstance(built, list):
            assert built == fresh
            continue
        assert (built.base, built.upstreams, built.routes) == (fresh.base, fresh.upstreams, fresh.routes)
        assert (built.hash, built.hashes, built.parts()) == (fresh.hash, fresh.hashes, fresh.parts())
        assert [str(each) for each in built.warnings] == [str(each) for each in fresh.warnings]
        assert load_parts(built.parts()).routes == fresh.routes  # as a worker makes it
        current, plain = built, wanted


HIDDEN: Plain = {
    **START,
    "admin": {"token": "hush-" + "t" * 40},
    "redis": {"url": "redis://user:hush@host:6379/0"},
    "api_keys": {"header": "X-Partner"},
    "issuers": {
        "main": {"algorithms": ["HS256"], "secret": "hush-" + "s" * 40},
        "other": {"algorithms": ["ES256"], "jwks_url": "https://u:hush@keys.example/jwks"},
    },
    "routes": [
        {
            "name": "first",
            "match": {"path": "/first", "headers": {"x-partner": "hush-1", "cookie": "hush-2"}},
            "upstream": "u0",
            "rewrite": {"request_headers": {"set": {"Authorization": "hush-3"}}},
        }
    ],
    "tests": [
        {"request": "GET http://h/nothing", "headers": {"Cookie": "hush-4"}, "expect": {"reason": "no_route"}}
    ],
}
OTHERS = (
    None,
    3,
    True,
    "x",
    [],
    {},
    MASK,
    f"sha256:{MASK}",
    [MASK],
    {"secret": MASK},
    f"redis://{MASK}@h",
    "HS512",
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def test_no_error_and_no_warning_says_a_secret() -> None:
    before = load_plain(copy.deepcopy(HIDDEN), "before")
    shown = masked(HIDDEN)
    accepted = 0
    for path in places(shown)[1:]:
        for other in OTHERS:
            plain = copy.deepcopy(shown)
            node: Any = plain
            for step in path[:-1]:
                node = node[step]
            node[path[-1]] = copy.deepcopy(other)
            try:
                document = load_sent(plain, "the document", before)
            except ConfigError as error:
                said = str(error)
            else:
                accepted += 1
                said = f"{[str(each) for each in document.warnings]} {masked(document.plain)}"
            assert "hush" not in said and "1" * 20 not in said, (path, other)
    assert accepted > 20
