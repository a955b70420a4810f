from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastgw.config.errors import ConfigError
from fastgw.config.yaml import parse
from fastgw.gateway.document.cases import MAX_CASES, failures, issued_at
from fastgw.gateway.document.load import load_plain
from fastgw.gateway.document.model import Document
from fastgw.gateway.document.process import CaseOptions
from tests.support.tokens import ABSENT, Key, Signer, ec_key

Plain = dict[str, Any]
EXAMPLE = Path(__file__).with_name("example.yaml")
Problems = Callable[..., list[str]]

SECRET = "0123456789abcdef" * 2
KEY = "a-key-of-the-application"
DIGEST = f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
BORN = 1_000_000_000  # long ago
FILE = """\
listeners: [{address: "127.0.0.1:8080"}]
upstreams: {app: {targets: [http://127.0.0.1:9001]}, next: {targets: [http://127.0.0.1:9002]}}
consumers: [{name: me, keys: ["DIGEST"]}]
issuers:
  own: {algorithms: [HS256], secret: SECRET}
  far: {algorithms: [ES256], jwks_url: "https://id.example.com/jwks"}
routes:
  - {name: rest, upstream: app}
  - {name: below, match: {path: /x/*}, upstream: next, rewrite: {path: {strip_prefix: /x, add_prefix: /y}}}
  - {name: split, match: {path: /s/*}, split: {app: 95, next: 5}}
  - {name: dark, match: {path: /d/*}, split: {app: 1, next: 0}}
  - {name: auth, match: {path: /a/*}, upstream: app, auth: {any: [jwt: own, api_key]}}
  - {name: far, match: {path: /f/*}, upstream: app, auth: {any: [jwt: far]}}
  - {name: deny, match: {path: /n/*}, upstream: app, ip_access: {allow: [10.0.0.0/8]}}
  - {name: gone, match: {path: /gone}, reply: {status: 410}}
tests:
""".replace("DIGEST", DIGEST).replace("SECRET", SECRET)
LINE = FILE.count("\n") + 1


def case(request: str, expect: str, more: str = "") -> str:
    return f'{FILE}  - {{request: "{request}", {more} expect: {{{expect}}}}}\n'


PASSING = [
    ("GET http://a/x/1?q=2", "route: below, reason: ok, upstream: next, path: /y/1", ""),
    ("GET http://a/x/1?q=2", "path: /y/1?q=2", ""),
    ("GET http://a/s/1", "upstream: app", ""),
    ("GET http://a/s/1", "upstream: next, route: split", ""),
    ("GET http://a/gone", "route: gone, status: 410, reason: ok", ""),
    ("GET http://a/a/1", "route: auth, status: 401, reason: missing_credentials", ""),
    ("GET http://a/a/1", "reason: ok, upstream: app", f"headers: {{X-API-Key: {KEY}}},"),
    ("GET http://a/n/1", "reason: ip_denied", ""),
    ("GET http://a/n/1", "reason: ok", "client: 10.1.2.3,"),
    ("GET http://a/%zz", "reason: bad_request, status: 400", ""),
]

FAILING = [
    ("GET http://a/x/1", "route: rest", "", 'route: expected route "rest", but it was "below"'),
    ("GET http://a/x/1", "path: /x/1", "", 'path: expected path "/x/1", but it was "/y/1"'),
    ("GET http://a/x/1?q=2", "path: /y/1?q=3", "", 'path: expected path "/y/1?q=3", but it was "/y/1?q=2"'),
    ("GET http://a/x/1", "status: 200", "", "expected status 200, but there is no status (the route below forwards"),
    ("GET http://a/gone", "upstream: app", "", 'but there is no upstream (the route gone answers it with 410'),
    ("GET http://a/gone", "path: /gone", "", 'path: expected path "/gone", but there is no path'),
    ("GET http://a/d/1", "upstream: next", "", 'upstream: expected upstream "next", but it was "app"'),
    ("GET http://a/a/1", "reason: ok", "", 'but it was "missing_credentials" (the route auth refuses it with 401'),
    ("GET http://a/..", "route: rest", "", "there is no route (the gateway itself refuses it with 400 bad_request"),
    ("GET http://a/n/1", "reason: ok", "client: 11.0.0.1,", 'but it was "ip_denied"'),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "expect", "more"), PASSING)
def test_a_test_that_passes(problems: Problems, request_: str, expect: str, more: str) -> None:
    assert problems(case(request_, expect, more)) == []


@pytest.mark.parametrize(("request_", "expect", "more", "words"), FAILING)
def test_a_test_that_fails_is_a_problem_at_its_line(
    problems: Problems, request_: str, expect: str, more: str, words: str
) -> None:
    found = problems(case(request_, expect, more))
    assert len(found) == 1
    assert found[0].startswith(f"gateway.yaml:{LINE}: tests[0].expect.")
    assert words in found[0]
    assert found[0].endswith("; correct the configuration, or what the test expects")


WRONG = [
    ("GET /x", "route: rest", "", "tests[0].request", "is no whole URL"),
    ("GET http://a/", "route: rst", "", "tests[0].expect.route", 'there is no route "rst"; did you mean "rest"?'),
    ("GET http://a/", "upstream: ap", "", "tests[0].expect.upstream", 'there is no upstream "ap"; did you mean "app"?'),
    ("GET http://a/", "reason: no_rute", "", "tests[0].expect.reason", 'did you mean "no_route"?'),
    ("GET http://a/", "reason: 5", "", "tests[0].expect.reason", "5 is no reason"),
    ("GET http://a/", "", "", "tests[0].expect", "expect is empty; write one or more of"),
    ("GET http://a/", "path: x", "", "tests[0].expect", "it begins with /"),
    ("GET http://a/", "status: 99", "", "tests[0].expect.status", "from 100 to 599"),
    ("GET http://a/", "rule: x", "", "tests[0].expect.rule", "unknown key"),
    ("GET http://a/", "status: 404", "client: here,", "tests[0].client", "is no address"),
    ("GET http://a/", "status: 404", 'headers: {"a b": c},', "tests[0].headers", "is no header name"),
    ("GET http://a/", "status: 404", 'headers: {a: "b\\n"},', "tests[0].headers", "is no header value"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "expect", "more", "path", "words"), WRONG)
def test_a_test_that_cannot_be_one(
    problems: Problems, request_: str, expect: str, more: str, path: str, words: str
) -> None:
    found = problems(case(request_, expect, more))
    assert len(found) == 1, found
    assert found[0].startswith(f"gateway.yaml:{LINE}: {path}")
    assert words in found[0]


def test_no_test_runs_while_something_else_is_wrong(problems: Problems) -> None:
    text = case("GET http://a/x/1", "route: rest").replace("upstream: next", "upstream: nxt", 1)
    assert [line.split(": ")[1] for line in problems(text)] == ["routes[1].upstream"]


def test_strange_names_are_told_with_everything_else(problems: Problems) -> None:
    text = case("GET http://a/x/1", "route: rst").replace("upstream: next", "upstream: nxt", 1)
    assert [line.split(": ")[1] for line in problems(text)] == ["routes[1].upstream", "tests[0].expect.route"]


@pytest.mark.parametrize(
    "value", [3, "x", {"a": 3}, [3], [{"expect": 3}], [{"request": 3, "expect": {"route": 3}}], [None]]
)
def test_whatever_stands_there_it_is_no_traceback(plain: Plain, value: object) -> None:
    with pytest.raises(ConfigError):
        load_plain({**plain, "tests": value}, "test")


def test_a_document_through_the_api_or_out_of_the_store_is_tested_too(plain: Plain) -> None:
    plain["tests"] = [{"request": "GET http://a/two", "expect": {"route": "one"}}]
    with pytest.raises(ConfigError) as caught:
        load_plain(plain, "version 7 of the store")
    assert str(caught.value).startswith("version 7 of the store: tests[0].expect.route: expected route")


# --- time and keys ---------------------------------------------------------------------------------------------------


def test_a_token_stays_what_it_was_when_the_test_was_written(problems: Problems) -> None:
    signer = Signer(Key(SECRET.encode(), ""), "HS256", audience="")
    for claims in ({}, {"iat": ABSENT, "nbf": BORN}, {"iat": ABSENT}, {"iat": BORN + 0.5}):
        token = signer.token(**{"iat": BORN, "exp": BORN + 60, **claims})
        assert (
            problems(case("GET http://a/a/1", "reason: ok", f"headers: {{authorization: Bearer {token}}},"))
            == []
        )
    over = signer.token(iat=BORN, exp=BORN - 600)
    expired = case(
        "GET http://a/a/1", "reason: expired_credentials", f"headers: {{authorization: Bearer {over}}},"
    )
    assert problems(expired) == []


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer x.y.z", "Basic abc", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA"]
)
def test_what_says_no_time_takes_place_at_the_beginning(value: str) -> None:
    made = CaseOptions.model_validate(
        {"request": "GET http://a/", "headers": {"authorization": value}, "expect": {"status": 401}}
    )
    assert issued_at(made) == 0.0


@pytest.mark.parametrize("iat", [-1, 2.0**60, True, "soon", None])
def test_a_time_that_is_none_is_not_believed(iat: object) -> None:
    token = Signer(Key(SECRET.encode(), ""), "HS256", audience="").token(iat=iat, exp=BORN)
    made = CaseOptions.model_validate(
        {
            "request": "GET http://a/",
            "headers": {"Authorization": f"bearer {token}"},
            "expect": {"status": 401},
        }
    )
    assert issued_at(made) == BORN - 1


def test_keys_that_are_fetched_are_not_known(problems: Problems) -> None:
    token = Signer(ec_key("k"), "ES256", audience="").token(iat=BORN, exp=BORN + 60)
    sent = f"headers: {{authorization: Bearer {token}}},"
    assert problems(case("GET http://a/f/1", "reason: auth_unavailable, status: 503", sent)) == []
    found = problems(case("GET http://a/f/1", "reason: ok", sent))
    assert len(found) == 1
    assert "a test fetches no keys: try it with an API key, or with an issuer that has a secret" in found[0]
    assert token not in found[0]


def test_no_query_is_in_what_a_failure_says(problems: Problems) -> None:
    """It may be a credential, and is not logged of any request."""
    found = problems(case("GET http://a/x/1?token=hush", "route: rest"))
    assert len(found) == 1
    assert "hush" not in found[0]


def test_no_secret_is_in_what_a_failure_says(problems: Problems) -> None:
    sent = f"headers: {{x-api-key: {KEY}, cookie: hush-hush}},"
    found = problems(case("GET http://a/a/1", "route: rest, status: 200", sent))
    assert len(found) == 1
    assert KEY not in found[0]
    assert "hush" not in found[0]


# --- bounds ----------------------------------------------------------------------------------------------------------


def document(plain: Plain, count: int) -> Document:
    tests = [{"request": "GET http://a/two", "expect": {"status": 204}}] * count
    made = load_plain(plain, "test")
    base = type(made.base).model_validate({"listeners": plain["listeners"], "tests": tests})
    return Document(base, made.upstreams, made.routes, made.parts(), made.hashes, made.hash)


def test_as_many_tests_as_there_may_be(plain: Plain) -> None:
    assert failures(document(plain, 200)) == []
    found = failures(document(plain, MAX_CASES + 1))
    assert [finding.path for finding in found] == [("tests",)]
    assert f"keep {MAX_CASES}" in found[0].message


def test_a_document_without_tests_is_not_even_compiled(plain: Plain) -> None:
    assert failures(document(plain, 0)) == []


def test_the_tests_of_the_example_pass() -> None:
    plain: Plain = parse(EXAMPLE.read_bytes(), "example", {}).plain
    plain = {key: value for key, value in plain.items() if key != "cache"}
    for route in plain["routes"]:
        route.pop("cache", None)
    made = load_plain({**plain, "store": "file:/x"}, "the example")
    assert len(made.base.tests) == 4
    plain["routes"][1]["match"]["path"] = "/catalogue/*"
    with pytest.raises(ConfigError, match=r'tests\[1\]\.expect\.route: expected route "catalog", but there is no route'):
        load_plain({**plain, "store": "file:/x"}, "the example")
