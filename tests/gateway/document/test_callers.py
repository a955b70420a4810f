"""What the parts of a document say about callers, each contradiction and doubt at its place, beside what is right."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastgw.config.errors import ConfigError
from fastgw.config.findings import Finding
from fastgw.gateway.document.callers import (
    EXAMPLE_DIGEST,
    EXAMPLE_SECRET,
    contradictions,
    doubts,
    exposed,
)
from fastgw.gateway.document.load import load_file, load_parts, load_plain
from fastgw.gateway.document.options import BaseOptions, RouteOptions
from fastgw.gateway.document.references import Clash, without_line

Change = Callable[[dict[str, Any]], None]

SECRET = "0123456789abcdef0123456789abcdef"
DIGESTS = ["sha256:" + digit * 64 for digit in "abc"]

PLAIN: dict[str, Any] = {
    "listeners": [{"address": "127.0.0.1:8080"}],
    "issuers": {
        "main": {"algorithms": ["HS256"], "secret": SECRET},
        "dev": {"algorithms": ["HS256"], "secret": SECRET},
    },
    "consumers": [
        {"name": "one", "tier": "gold", "scopes": ["read", "write"], "keys": DIGESTS[:1]},
        {
            "name": "two",
            "scopes": ["admin"],
            "keys": DIGESTS[1:2],
            "subjects": [{"issuer": "main", "subject": "s"}],
        },
        {
            "name": "three",
            "tier": "silver",
            "scopes": ["audit"],
            "subjects": [{"issuer": "dev", "subject": "s"}],
        },
    ],
    "limits": [{"name": "flood", "key": "client_ip", "rate": "10/s", "burst": 10}],
    "routes": [
        {
            "name": "jwt",
            "upstream": "app",
            "auth": {"any": [{"jwt": "main"}, "api_key"], "scopes": ["nobodys"]},
            "limits": [
                {"name": "flood", "key": "client_ip", "rate": "1/s", "burst": 1},
                {"name": "each", "key": "consumer", "rate": "1/s", "burst": 1, "tiers": {"gold": "2/s"}},
                {
                    "name": "tenant",
                    "key": "claim:tenant",
                    "rate": "1/s",
                    "burst": 1,
                    "tiers": {"silver": "2/s"},
                },
            ],
        },
        {"name": "key", "upstream": "app", "auth": {"any": ["api_key"], "scopes": ["read", "write"]}},
        {
            "name": "open",
            "upstream": "app",
            "limits": [{"name": "all", "key": "route", "rate": "1/s", "burst": 1}],
        },
    ],
}


def changed(change: Change) -> dict[str, Any]:
    plain = copy.deepcopy(PLAIN)
    change(plain)
    return plain


def parts(plain: dict[str, Any]) -> tuple[BaseOptions, dict[str, int], dict[str, RouteOptions]]:
    base = BaseOptions.model_validate({key: value for key, value in plain.items() if key != "routes"})
    routes = [RouteOptions.model_validate(route) for route in plain["routes"]]
    return (
        base,
        {route.name: number for number, route in enumerate(routes)},
        {route.name: route for route in routes},
    )


def errors(plain: dict[str, Any]) -> list[Finding]:
    base, places, routes = parts(plain)
    return [*contradictions(plain, places, routes), *exposed(base)]


def put(*path: Any) -> Change:
    """All but the last are steps; the last is the value."""

    def change(plain: dict[str, Any]) -> None:
        node: Any = plain
        for step in path[:-2]:
            node = node[step]
        if isinstance(node, list) and path[-2] == len(node):
            node.append(path[-1])
        else:
            node[path[-2]] = path[-1]

    return change


def limit(name: str, key: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "key": key, "rate": "1/s", "burst": 1, **more}


def test_what_is_right() -> None:
    assert errors(PLAIN) == []
    assert list(doubts(*parts(PLAIN))) == []


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        (put("consumers", 1, "name", "one"), ("consumers", 1, "name"), 'another consumer is named "one"'),
        (
            put("consumers", 1, "subjects", 0, "issuer", "mian"),
            ("consumers", 1, "subjects", 0, "issuer"),
            'there is no issuer "mian"; did you mean "main"?',
        ),
        (put("consumers", 1, "keys", DIGESTS[:1]), ("consumers", 1, "keys", 0), "this key is listed before"),
        (
            put("consumers", 1, "keys", DIGESTS[2:] * 2),
            ("consumers", 1, "keys", 1),
            "this key is listed before",
        ),
        (
            put("consumers", 2, "subjects", 0, "issuer", "main"),
            ("consumers", 2, "subjects", 0),
            'the subject "s" of this issuer is listed before; it can be one consumer\'s only',
        ),
        (put("limits", 1, limit("flood", "route")), ("limits", 1, "name"), 'another limit is named "flood"'),
        (
            put("limits", 1, limit("x", "consumer")),
            ("limits", 1, "key"),
            "nobody is authenticated before routing",
        ),
        (put("limits", 1, limit("x", "claim:a")), ("limits", 1, "key"), '"claim:a" is not known here'),
        (
            put("limits", 1, limit("x", "route", tiers={"gold": "2/s"})),
            ("limits", 1, "tiers"),
            "tiers are not known here",
        ),
        (
            put("routes", 0, "limits", 3, limit("each", "route")),
            ("routes", 0, "limits", 3, "name"),
            'another limit of this route is named "each"',
        ),
        (
            put("routes", 2, "limits", 1, limit("x", "consumer")),
            ("routes", 2, "limits", 1, "key"),
            '"consumer" is never known on a route without auth',
        ),
        (
            put("routes", 2, "limits", 1, limit("x", "claim:a")),
            ("routes", 2, "limits", 1, "key"),
            '"claim:a" is never known on a route without auth',
        ),
        (
            put("routes", 1, "limits", [limit("x", "claim:a")]),
            ("routes", 1, "limits", 0, "key"),
            "only a JWT has claims",
        ),
        (
            put("routes", 0, "limits", 3, limit("x", "client_ip", tiers={"gold": "2/s"})),
            ("routes", 0, "limits", 3, "tiers"),
            "decided before the caller's tier is known",
        ),
        (
            put("routes", 2, "limits", 1, limit("x", "header:a", tiers={"gold": "2/s"})),
            ("routes", 2, "limits", 1, "tiers"),
            "decided before the caller's tier is known",
        ),
    ],
)
def test_contradictions(change: Change, path: tuple[str | int, ...], words: str) -> None:
    (finding,) = errors(changed(change))
    assert finding.path == path
    assert words in without_line(finding)


def test_both_places_of_what_is_listed_twice() -> None:
    (finding,) = errors(changed(put("consumers", 1, "keys", DIGESTS[:1])))
    assert isinstance(finding, Clash)
    assert finding.other == ("consumers", 0, "keys", 0)
    assert DIGESTS[0] not in finding.message


@pytest.mark.parametrize(
    "change",
    [
        put("routes", 1, "limits", [limit("x", "consumer")]),  # by API key
        put("routes", 0, "auth", "mode", "shadow"),
        put(
            "routes", 2, "limits", 1, limit("flood", "client_ip")
        ),  # the gateway's and another route's have the name
        put("limits", 1, limit("x", "header:a")),
        put("consumers", 2, "subjects", 0, "subject", "S"),
    ],
)
def test_what_only_looks_like_one(change: Change) -> None:
    assert errors(changed(change)) == []


@pytest.mark.parametrize("address", ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "gateway.example:80"])
def test_the_examples_own_secrets_are_for_loopback(address: str) -> None:
    plain = changed(put("issuers", "dev", "secret", EXAMPLE_SECRET))
    plain["consumers"][1]["keys"] = [DIGESTS[2], EXAMPLE_DIGEST]
    assert errors(plain) == []
    plain["listeners"].append({"address": address})
    found = {finding.path: finding.message for finding in errors(plain)}
    assert set(found) == {("issuers", "dev", "secret"), ("consumers", 1, "keys", 1)}
    assert all(address in message and EXAMPLE_SECRET not in message for message in found.values())


def test_other_loopback_addresses() -> None:
    plain = changed(put("issuers", "dev", "secret", EXAMPLE_SECRET))
    plain["listeners"] = [
        {"address": where} for where in ("localhost:1", "[::1]:2", "unix:/run/x.sock", "127.0.0.2:1")
    ]
    assert errors(plain) == []


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        (
            put("routes", 0, "limits", 1, "tiers", {"gold": "2/s", "glod": "3/s"}),
            ("routes", 0, "limits", 1, "tiers", "glod"),
            'no consumer is in the tier "glod"; did you mean "gold"?',
        ),
        (
            put("routes", 1, "auth", "scopes", ["read", "raed"]),
            ("routes", 1, "auth", "scopes"),
            'no consumer with a key has the scope "raed", so every request is refused; did you mean "read"?',
        ),
        (
            put("routes", 1, "auth", "scopes", ["audit"]),
            ("routes", 1, "auth", "scopes"),
            'has the scope "audit"',
        ),
        (
            put("routes", 1, "auth", "scopes", ["read", "admin"]),
            ("routes", 1, "auth", "scopes"),
            "has all of these scopes",
        ),
        (
            put("consumers", []),
            ("routes", 1, "auth", "any"),
            "no consumer has a key, so every request is refused",
        ),
        (
            put("issuers", "dev", {"algorithms": ["RS256"], "jwks_url": "http://id.example.com/keys"}),
            ("issuers", "dev", "jwks_url"),
            "write https://",
        ),
    ],
)
def test_doubts(change: Change, path: tuple[str | int, ...], words: str) -> None:
    plain = changed(change)
    if not plain["consumers"]:
        plain["routes"][0]["limits"] = []
    (finding,) = doubts(*parts(plain))
    assert finding.path == path
    assert words in finding.message
    assert errors(plain) == []


def test_whatever_stands_there_it_is_no_traceback() -> None:
    for value in (
        3,
        "x",
        [3],
        {"a": 3},
        [[3]],
        {"a": [3]},
        None,
        [{"key": 3, "keys": [3], "subjects": [3]}],
        [{"subjects": [{"issuer": [], "subject": {}}], "limits": [3]}],
        [{"keys": 3, "limits": {}, "tiers": 3}],
    ):
        plain = dict.fromkeys(("consumers", "limits", "issuers", "routes"), value)
        list(contradictions(plain, {}, {}))


FILE = f"""\
listeners: [{{address: "127.0.0.1:8080"}}]
consumers:
  - {{name: a, scopes: [read], keys: ["{DIGESTS[0]}"]}}
  - name: b
    scopes: []
upstreams: {{app: {{targets: [http://127.0.0.1:9001]}}}}
routes:
  - name: one
    upstream: app
    auth:
      any: [api_key]
      scopes: [write]
    limits:
      - name: each
        key: consumer
        rate: 1/s
        burst: 1
        tiers:
          silver: 2/s
"""


def test_in_a_file_each_has_its_line(problems: Callable[..., list[str]], tmp_path: Path) -> None:
    assert problems(FILE.replace("scopes: []", f'keys: ["{DIGESTS[0]}"]')) == [
        "gateway.yaml:5: consumers[1].keys[0]: this key is listed before (line 3); it can be one consumer's only"
    ]
    assert problems(FILE) == []
    document = load_file(tmp_path / "gateway.yaml", {})
    assert [str(warning).replace(f"{tmp_path}/", "") for warning in document.warnings] == [
        'gateway.yaml:12: routes[0].auth.scopes: no consumer with a key has the scope "write", '
        "so every request is refused; there is: read",
        'gateway.yaml:19: routes[0].limits[0].tiers.silver: no consumer is in the tier "silver"; '
        "give one a tier, or remove this line",
    ]
    # From the store they have no line; a worker, which gets parts, has nobody to tell.
    again = load_plain(document.plain, "version 1")
    assert {(item.file, item.line, item.message) for item in again.warnings} == {
        ("version 1", 0, item.message) for item in document.warnings
    }
    assert load_parts(document.parts()).warnings == ()


def test_a_plain_document_is_refused_without_lines() -> None:
    plain = changed(put("consumers", 1, "keys", DIGESTS[:1]))
    plain["upstreams"] = {"app": {"targets": ["http://127.0.0.1:9001"]}}
    del plain["routes"][:2]
    with pytest.raises(ConfigError, match=r"^test: consumers\[1\]\.keys\[0\]: this key is listed before; it can"):
        load_plain(plain, "test")
