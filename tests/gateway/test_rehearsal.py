from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgw.clock import ManualClock
from fastgw.errors import Reason
from fastgw.gateway.asked import parse_request
from fastgw.gateway.document.masking import MASK
from fastgw.gateway.rehearsal import Rehearsal, Rehearsed
from fastgw.gateway.snapshot import Snapshot
from tests.gateway.rig import PLAIN as RIG
from tests.gateway.rig import Make, compiled
from tests.support.tokens import Key, Signer, rsa_key

SECRET = b"0123456789abcdef" * 2
KEY = "a-key-of-the-application"
DIGEST = f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
OUTSIDE = "203.0.113.9"
PREFLIGHT = {"Origin": "https://shop.example.com", "Access-Control-Request-Method": "POST"}
JWKS_URL = "https://id.example.com/jwks.json"
LIMITS: list[dict[str, Any]] = [
    {"name": "by-address", "key": "client_ip", "rate": "100/s", "burst": 200},
    {"name": "by-key", "key": "header:x-api-key", "rate": "5/s", "burst": 5},
    {"name": "by-tenant", "key": "header:x-tenant", "rate": "7/h", "burst": 5},
    {"name": "by-consumer", "key": "consumer", "rate": "10/m", "burst": 5, "tiers": {"gold": "1000/m"}},
    {"name": "writes", "key": "route", "rate": "1/s", "burst": 1, "methods": ["POST"], "mode": "shadow"},
]
PLAIN: dict[str, Any] = {
    "listeners": [{"address": "127.0.0.1:8080", "health_path": "/healthz"}, {"address": "127.0.0.1:8081"}],
    "instance": "test",
    "trusted_proxies": ["10.0.0.0/8"],
    "limits": [{"name": "flood", "key": "client_ip", "rate": "1000/s", "burst": 1}],
    "issuers": {
        "own": {"algorithms": ["HS256"], "secret": SECRET.decode()},
        "far": {"algorithms": ["RS256"], "jwks_url": JWKS_URL},
    },
    "consumers": [
        {"name": "app", "tier": "gold", "scopes": ["read"], "keys": [DIGEST]}
    ],
    "upstreams": {
        "one": {"targets": ["http://127.0.0.1:9001"]},
        "two": {"targets": ["http://two.internal:9002"], "preserve_host": False},
    },
    "routes": [
        {"name": "open", "match": {"path": "/open/*"}, "upstream": "one"},
        {
            "name": "full", "match": {"path": "/full/*"}, "upstream": "one", "max_in_flight": 3,
            "ip_access": {"deny": ["192.0.2.0/24"]}, "cors": {"origins": ["https://shop.example.com"]},
            "auth": {"any": [{"jwt": "own"}, {"jwt": "far"}, "api_key"], "scopes": ["read"]}, "limits": LIMITS,
            "rewrite": {
                "path": {"strip_prefix": "/full", "add_prefix": "/v2"},
                "request_headers": {"set": {"x-made": "here"}, "remove": ["x-debug"]},
            },
        },
        {
            "name": "shadows", "match": {"path": "/shadows"}, "upstream": "one",
            "ip_access": {"deny": ["192.0.2.0/24"], "mode": "shadow"}, "auth": {"any": ["api_key"], "mode": "shadow"},
        },
        {"name": "split", "match": {"path": "/split/*"}, "split": {"one": 5, "two": 95}},
        {"name": "sticky", "match": {"path": "/sticky/*"}, "split": {"one": 50, "two": 50}, "sticky": "header:x-user"},
        {"name": "gone", "match": {"path": "/gone"}, "reply": {"status": 410, "body": "gone"}},
        {"name": "small", "match": {"path": "/small", "methods": ["POST"]}, "upstream": "two", "max_body": "1KB"},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return compiled(PLAIN)


@pytest.fixture
def rehearsal(snapshot: Snapshot) -> Rehearsal:
    return Rehearsal(snapshot, ManualClock())


def run(
    rehearsal: Rehearsal, text: str, headers: Mapping[str, str] | None = None, client: str = "203.0.113.9"
) -> Rehearsed:
    method, _, path = text.partition(" ")
    url = path if "://" in path else f"http://localhost{path}"
    return rehearsal.run(parse_request(f"{method} {url}", (headers or {}).items(), client))


def verdicts(outcome: Rehearsed) -> list[tuple[str, str]]:
    return [(step.policy, step.verdict) for step in outcome.chain]


CHAIN = [
    "limits before routing",
    "max_in_flight",
    "ip_access",
    "cors",
    "limits before auth",
    "auth",
    "limits after auth",
]


def told(*verdicts: str) -> list[tuple[str, str]]:
    return list(zip(CHAIN, [*verdicts, *["skipped"] * (len(CHAIN) - len(verdicts))], strict=True))


def test_a_request_that_passes_everything(rehearsal: Rehearsal) -> None:
    outcome = run(rehearsal, "POST /full/7?x=1", {"X-API-Key": KEY, "x-debug": "1", "X-Tenant": "t1"})
    assert (outcome.route, outcome.reason, outcome.source, outcome.status) == ("full", "ok", "upstream", None)
    assert (outcome.upstream, outcome.path, outcome.query) == ("one", "/v2/7", "x=1")
    assert outcome.target == "/v2/7?x=1"
    assert verdicts(outcome) == told(*["pass"] * 7)
    assert outcome.consumer == "app"
    assert outcome.headers["X-Consumer"] == "app"
    assert outcome.headers["x-made"] == "here"
    assert "x-debug" not in outcome.headers
    assert outcome.headers["X-Forwarded-For"] == "203.0.113.9"
    assert outcome.headers["X-API-Key"] == MASK
    assert [(use.name, use.value, use.rate, use.phase, use.shadow) for use in outcome.limits] == [
        ("flood", "203.0.113.9", "1000/s", "before routing", False),
        ("by-address", "203.0.113.9", "100/s", "before auth", False),
        ("by-key", MASK, "5/s", "before auth", False),
        ("by-tenant", "t1", "7/h", "before auth", False),
        ("writes", "everybody", "1/s", "before auth", True),
        ("by-consumer", "app", "1000/m", "after auth", False),
    ]
    assert KEY not in json.dumps(outcome.plain())


@pytest.mark.parametrize(
    ("text", "headers", "client", "expected", "steps"),
    [
        ("GET /full/7", {}, OUTSIDE, (401, "missing_credentials", "auth"), ["pass"] * 5 + ["refuse"]),
        ("GET /full/7", {"X-API-Key": "no"}, OUTSIDE, (401, "invalid_credentials", "auth"), ["pass"] * 5 + ["refuse"]),
        ("GET /full/7", {}, "192.0.2.4", (403, "ip_denied", "ip_access"), ["pass"] * 2 + ["refuse"]),
        ("OPTIONS /full/7", PREFLIGHT, OUTSIDE, (204, "ok", "cors"), ["pass"] * 3 + ["answer"]),
    ],
)  # fmt: skip
def test_where_the_chain_ends(
    rehearsal: Rehearsal,
    text: str,
    headers: dict[str, str],
    client: str,
    expected: tuple[int, str, str],
    steps: Sequence[str],
) -> None:
    outcome = run(rehearsal, text, headers, client)
    assert (outcome.status, outcome.reason, outcome.rule) == expected
    assert verdicts(outcome) == told(*steps)
    assert (outcome.source, outcome.path, outcome.upstream, outcome.headers) == ("gateway", None, None, {})


@pytest.mark.parametrize(
    ("text", "headers", "expected"),
    [
        ("GET /nowhere", {}, (None, 404, "no_route")),
        ("GET /small", {}, (None, 405, "method_not_allowed")),
        ("GET /gone", {}, ("gone", 410, "ok")),
        ("POST /small", {"Content-Length": "1025"}, ("small", 413, "body_too_large")),
        ("POST /small", {"Content-Length": "1024"}, ("small", None, "ok")),
        ("GET /healthz", {}, (None, 200, "ok")),
        ("GET http://localhost:8081/healthz", {}, (None, 404, "no_route")),  # that listener has none
        ("CONNECT /open/x", {}, (None, 405, "method_not_allowed")),
        ("OPTIONS http://localhost", {}, (None, 204, "ok")),
        ("GET /../x", {}, (None, 400, "bad_request")),
        ("GET /open/%00", {}, (None, 400, "bad_request")),
        ("GET /open/x", {"Host": "a b"}, (None, 400, "bad_request")),
        ("GET /open/x", {"Content-Length": "1", "Transfer-Encoding": "chunked"}, (None, 400, "bad_framing")),
        ("GET /open/x", {"X": "y" * 40_000}, (None, 431, "header_too_large")),
        ("GET /open/x", {"Expect": "miracles"}, (None, 417, "bad_request")),
        ("GET /open/" + "x" * 9000, {}, (None, 414, "uri_too_long")),
    ],
)
def test_what_is_decided_outside_of_a_chain(
    rehearsal: Rehearsal, text: str, headers: dict[str, str], expected: tuple[str | None, int | None, str]
) -> None:
    outcome = run(rehearsal, text, headers)
    assert (outcome.route, outcome.status, outcome.reason) == expected
    assert bool(outcome.detail) == (outcome.reason != "ok")
    json.dumps(outcome.plain())


def test_the_same_request_has_the_same_outcome_whatever_came_before(rehearsal: Rehearsal) -> None:
    """A credential that is known would take the short way around two policies, a line that is known around routing."""
    texts: list[tuple[str, dict[str, str]]] = [
        ("GET /full/7", {"X-API-Key": KEY}), ("GET /full/7", {}), ("GET /open/1", {}), ("GET /nowhere", {}),
        ("GET /..", {}), ("GET /full/7", {"X-API-Key": "no"}),
    ]  # fmt: skip
    first = [without_ids(run(rehearsal, *each)) for each in texts]
    assert [without_ids(run(rehearsal, *each)) for each in texts for _ in range(3)] == [
        one for one in first for _ in range(3)
    ]


def test_a_preflight_that_nobody_answers_here_shows_the_chain_of_the_route_that_takes_it() -> None:
    """The table is asked twice then, and the second answer is not the route."""
    limits = [{"name": "l", "key": "client_ip", "rate": "1/s", "burst": 1}]
    routes = [
        {"name": "options", "match": {"path": "/x", "methods": ["OPTIONS"]}, "upstream": "app",
         "ip_access": {"deny": ["192.0.2.0/24"]}, "auth": {"any": ["api_key"]}},
        {"name": "get", "match": {"path": "/x", "methods": ["GET"]}, "upstream": "app", "limits": limits},
    ]  # fmt: skip
    rehearsal = Rehearsal(compiled({**RIG, "routes": routes}), ManualClock())
    outcome = run(rehearsal, "OPTIONS /x", {**PREFLIGHT, "Access-Control-Request-Method": "GET"}, "192.0.2.4")
    assert outcome.route == "options"
    assert verdicts(outcome) == [("ip_access", "refuse"), ("auth", "skipped")]


def without_ids(outcome: Rehearsed) -> dict[str, Any]:
    plain = outcome.plain()
    plain["headers"] = {
        key: value for key, value in plain["headers"].items() if key not in ("X-Request-Id", "traceparent")
    }
    return plain


def test_every_shadow_is_seen_and_none_refuses(rehearsal: Rehearsal) -> None:
    outcome = run(rehearsal, "GET /shadows", client="192.0.2.4")
    assert verdicts(outcome)[1:] == [("ip_access", "shadow"), ("auth", "shadow")]
    assert (outcome.reason, outcome.rule, outcome.path) == ("ok", "shadow:ip_access", "/shadows")
    assert verdicts(run(rehearsal, "GET /shadows", {"X-API-Key": KEY}))[1:] == [
        ("ip_access", "pass"),
        ("auth", "pass"),
    ]


def test_no_limit_refuses_however_often_it_is_asked(rehearsal: Rehearsal) -> None:
    assert {run(rehearsal, "GET /full/7", {"X-API-Key": KEY}).reason for _ in range(20)} == {"ok"}


def test_what_a_limit_is_keyed_by_may_be_missing(rehearsal: Rehearsal) -> None:
    values = {use.name: use.value for use in run(rehearsal, "GET /full/7").limits}
    assert values == {
        "flood": "203.0.113.9",
        "by-address": "203.0.113.9",
        "by-key": "missing",
        "by-tenant": "missing",
    }


def test_without_a_key_the_heaviest_part_of_a_split(rehearsal: Rehearsal) -> None:
    outcomes = [run(rehearsal, "GET /split/x") for _ in range(50)]
    assert {outcome.upstream for outcome in outcomes} == {"two"}
    assert outcomes[0].candidates == (("one", 5), ("two", 95))
    assert outcomes[0].headers["Host"] == "two.internal:9002"  # preserve_host is the part's own


def test_a_sticky_split_goes_by_its_key(rehearsal: Rehearsal, snapshot: Snapshot) -> None:
    found = {user: run(rehearsal, "GET /sticky/x", {"X-User": user}).upstream for user in map(str, range(40))}
    assert set(found.values()) == {"one", "two"}
    assert found == {user: run(rehearsal, "GET /sticky/x", {"X-User": user}).upstream for user in found}


def test_a_trusted_peer_is_believed_and_no_other(rehearsal: Rehearsal) -> None:
    told = {"X-Forwarded-For": "192.0.2.4", "X-Request-Id": "from-before"}
    trusted = run(rehearsal, "GET /full/7", told, "10.0.0.1")
    assert (trusted.client, trusted.reason) == ("192.0.2.4", "ip_denied")
    assert run(rehearsal, "GET /full/7", told).reason == "missing_credentials"
    assert run(rehearsal, "GET /open/x", told, "10.0.0.1").headers["X-Request-Id"] == "from-before"


def test_tokens_are_checked_at_the_time_of_the_clock(snapshot: Snapshot) -> None:
    clock = ManualClock()
    signer = Signer(Key(SECRET, ""), "HS256", audience="")
    token = signer.token(iat=clock.wall(), exp=clock.wall() + 10, scope="read", sub="me")
    sent = {"Authorization": f"Bearer {token}"}
    rehearsal = Rehearsal(snapshot, clock)
    outcome = run(rehearsal, "GET /full/7", sent)
    assert (outcome.reason, outcome.consumer, outcome.headers["Authorization"]) == ("ok", "own:me", MASK)
    assert {use.name: use.rate for use in outcome.limits}["by-consumer"] == "10/m"  # in no tier
    clock.advance(60)
    assert run(rehearsal, "GET /full/7", sent).reason == "expired_credentials"


def test_keys_that_are_fetched_are_known_only_where_they_are_given(snapshot: Snapshot) -> None:
    clock, key = ManualClock(), rsa_key("k1")
    token = Signer(key, "RS256", audience="").token(
        iat=clock.wall(), exp=clock.wall() + 10, scope="read", sub="me"
    )
    sent = {"Authorization": f"Bearer {token}"}
    without = run(Rehearsal(snapshot, clock), "GET /full/7", sent)
    assert (without.status, without.reason) == (503, "auth_unavailable")
    message = {"type": "keys", "source": JWKS_URL, "keys": [key.jwk()], "error": None}
    assert run(Rehearsal(snapshot, clock, [message]), "GET /full/7", sent).consumer == "far:me"
    other = {**message, "keys": [rsa_key("k2").jwk()]}
    assert run(Rehearsal(snapshot, clock, [other]), "GET /full/7", sent).reason == "invalid_credentials"


def test_the_snapshot_is_left_as_it_was(snapshot: Snapshot, rehearsal: Rehearsal) -> None:
    chains = {name: route.chain for name, route in snapshot.routes.items()}
    for text in ("GET /full/7", "GET /split/x", "GET /gone", "GET /nowhere", "OPTIONS /full/x"):
        run(rehearsal, text, {"X-API-Key": KEY})
    for name, route in snapshot.routes.items():
        assert route.chain is chains[name]
        assert (route.in_flight, route.bound, route.tally) == (0, None, None)


ROUTES: list[dict[str, Any]] = [
    {"name": "one", "match": {"path": "/one/*"}, "upstream": "app"},
    {"name": "gone", "match": {"path": "/gone"}, "reply": {"status": 410}},
    {"name": "small", "match": {"path": "/small", "methods": ["POST"]}, "upstream": "other", "max_body": "1KB"},
    {"name": "closed", "match": {"path": "/closed"}, "upstream": "app", "ip_access": {"deny": ["192.0.2.0/24"]}},
    {
        "name": "shadow", "match": {"path": "/shadow"}, "upstream": "app",
        "ip_access": {"deny": ["192.0.2.0/24"], "mode": "shadow"},
    },
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "lines"),
    [
        (b"GET", b"/one/x", ()),
        (b"GET", b"/nowhere", ()),
        (b"GET", b"/small", ()),
        (b"GET", b"/gone", ()),
        (b"HEAD", b"/gone", ()),
        (b"GET", b"/closed", ()),
        (b"GET", b"/shadow", ()),
        (b"POST", b"/small", (b"Content-Length: 1025",)),
        (b"TRACE", b"/one/x", ()),
        (b"GET", b"/one/x", (b"Expect: x",)),
    ],
)
def test_the_engine_of_a_worker_says_the_same(
    make_gateway: Make, method: bytes, path: bytes, lines: tuple[bytes, ...]
) -> None:
    """Where limits and tokens are asked a real gateway is compared (tests/integration/test_explain.py)."""
    gateway = make_gateway(routes=ROUTES)
    headers = dict(line.decode().split(": ") for line in lines)
    outcome = run(
        Rehearsal(gateway.snapshot, ManualClock()),
        f"{method.decode()} http://a{path.decode()}",
        headers,
        "192.0.2.7",
    )
    _, _, exchange = gateway.run(method, path, *lines)
    assert outcome.route == (exchange.route.name if exchange.route else None)
    assert outcome.reason == exchange.reason.value
    assert outcome.rule == exchange.rule
    assert (outcome.status or 0) == exchange.status
    assert (outcome.upstream or "") == exchange.upstream


def test_a_refusal_without_a_body_says_why_all_the_same(rehearsal: Rehearsal) -> None:
    outcome = run(rehearsal, "HEAD /full/7")
    assert (outcome.reason, outcome.detail.partition(";")[0]) == ("missing_credentials", "the credential is missing")


def test_fields_that_are_no_ascii_are_shown_as_what_they_are(rehearsal: Rehearsal) -> None:
    assert run(rehearsal, "GET /open/x", {"X-Name": "Zoë"}).headers["X-Name"] == "Zoë"


REASONS = {reason.value for reason in Reason}
SOME_PATHS = st.sampled_from(["/open/", "/full/", "/split/", "/gone", "/small", "/", "/..", "/%2e%2e/", "?"])
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)
VALUES = st.text(max_size=30) | st.sampled_from([KEY, "chunked", "7", "close", "a, b", "websocket", "Bearer x", "https://a"])
NAMES = st.sampled_from(
    ["Host", "Authorization", "X-API-Key", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Expect",
     "Origin", "X-Forwarded-For", "traceparent", "X-Request-Id", "X_Under", "Access-Control-Request-Method"]
) | st.text(max_size=10)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "CONNECT", "BREW"]),
    path=st.builds(str.__add__, SOME_PATHS, VISIBLE | st.text(max_size=5)),
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=5),
    client=st.sampled_from(["203.0.113.9", "10.0.0.1", "::1"]),
)
def test_whatever_can_be_asked_has_an_outcome(
    shared: Rehearsal, method: str, path: str, headers: list[tuple[str, str]], client: str
) -> None:
    """An outcome or a ValueError in words; never a traceback, never something that JSON cannot carry."""
    try:
        request = parse_request(f"{method} http://localhost{path}", headers, client)
    except ValueError as error:
        assert str(error)
        return
    outcome = shared.run(request)
    assert outcome.reason in REASONS
    assert (outcome.status is None) == (outcome.path is not None)
    assert json.loads(json.dumps(outcome.plain()))["reason"] == outcome.reason
    assert shared.run(request).reason == outcome.reason


@pytest.fixture(scope="module")
def shared(snapshot: Snapshot) -> Rehearsal:
    return Rehearsal(snapshot, ManualClock())
