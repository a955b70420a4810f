"""What a page may read, by the Fetch standard: its own CORS check is written out here and asked about the answers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fastgw.errors import Reason
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Reply, RequestHead
from fastgw.policy.cors import STRIPPED, Cors, CorsOptions, CorsShadow, asked_method, build, stripped

SHOP = "https://shop.example.com"


def policy(**options: Any) -> Cors:
    made = build(CorsOptions.model_validate(options))
    assert isinstance(made, Cors)
    return made


def exchange(origin: str | None = None, method: str = "GET", asked: str | None = None) -> Exchange:
    fields = {}
    if origin is not None:
        fields[b"origin"] = origin.encode()
    if asked is not None:
        fields[b"access-control-request-method"] = asked.encode()
    head = RequestHead(fields)
    head.host_field = b"api.example.com"
    return Exchange(head, method.encode(), b"/", b"", False, 1.0, 0)


def fields_of(lines: bytes) -> dict[str, str]:
    """Lower-case names; values of repeated fields joined, as a client reads them."""
    found: dict[str, str] = {}
    assert not lines or lines.endswith(b"\r\n")
    for line in lines.decode().splitlines():
        name, _, value = line.partition(": ")
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def answer(made: Cors, request: Exchange) -> tuple[Reply | None, dict[str, str]]:
    """The reply, and the fields that the client gets because of the policy."""
    reply = made.check(request, None)
    return reply, fields_of(request.answer_lines + (reply.headers if reply is not None else b""))


def readable(fields: dict[str, str], origin: str, credentials: bool) -> bool:
    """The standard's CORS check (Fetch 4.10)."""
    allowed = fields.get("access-control-allow-origin")
    if allowed == "*" and not credentials:
        return True
    if allowed != origin:
        return False
    return not credentials or fields.get("access-control-allow-credentials") == "true"


def test_an_allowed_origin_is_named_and_caches_are_told() -> None:
    made = policy(origins=[SHOP, "https://other.example"])
    reply, fields = answer(made, exchange(SHOP))
    assert reply is None
    assert fields == {"access-control-allow-origin": SHOP, "vary": "Origin"}
    assert readable(fields, SHOP, False)
    assert not readable(fields, SHOP, True)


def test_with_credentials() -> None:
    _, fields = answer(policy(origins=[SHOP], credentials=True), exchange(SHOP))
    assert readable(fields, SHOP, True)
    assert fields["vary"] == "Origin"


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", "", SHOP + ", " + SHOP])
def test_others_get_only_the_word_for_caches(origin: str | None) -> None:
    reply, fields = answer(policy(origins=[SHOP], credentials=True), exchange(origin))
    assert reply is None
    assert fields == {"vary": "Origin"}


def test_everybody() -> None:
    made = policy(origins=["*"])
    for origin in (None, "https://anybody.example", "null"):
        reply, fields = answer(made, exchange(origin))
        assert reply is None
        # The same for all, so that one cached answer serves all: no Vary.
        assert fields == {"access-control-allow-origin": "*"}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.example.com", True),
        ("https://a.b-c.example.com", True),
        ("http://x.local:8080", True),
        (SHOP, True),
        ("https://example.com", False),
        ("https://.example.com", False),
        ("https://a..example.com", False),
        ("https://aexample.com", False),
        ("https://a.example.com.evil.example", False),
        ("https://evil.example/.example.com", False),
        ("https://evil.example?.example.com", False),
        ("https://a@b.example.com", False),
        ("https://a.examplexcom", False),
        ("http://a.example.com", False),
        ("https://a.example.com:8443", False),
        ("https://A.example.com", False),
        ("https://a.example.com\n", False),
        ("https://a.example.com, https://a.example.com", False),
        ("http://x.local", False),
        ("https://" + "a." * 200 + "example.com", False),
    ],
)
def test_all_names_below_a_domain(origin: str, allowed: bool) -> None:
    made = policy(origins=["https://*.example.com", "http://x.local:8080", SHOP], credentials=True)
    _, fields = answer(made, exchange(origin))
    assert readable(fields, origin, True) is allowed
    assert fields["vary"] == "Origin"
    assert made.allows(origin.encode()) is allowed


def test_a_preflight_is_answered_with_what_is_configured() -> None:
    made = policy(
        origins=[SHOP], methods=["GET", "PUT"], headers=["Authorization", "x-a"], credentials=True, max_age="5m"
    )
    for asked in ("PUT", "DELETE"):  # the browser compares
        reply, fields = answer(made, exchange(SHOP, "OPTIONS", asked))
        assert reply is not None
        assert (reply.reason, reply.status, reply.rule) == (Reason.OK, 204, "cors")
        assert fields == {
            "access-control-allow-origin": SHOP,
            "access-control-allow-credentials": "true",
            "access-control-allow-methods": "GET, PUT",
            "access-control-allow-headers": "authorization, x-a",
            "access-control-max-age": "300",
            "vary": "Origin, Access-Control-Request-Method",
        }


def test_a_preflight_for_everybody() -> None:
    reply, fields = answer(policy(origins=["*"], headers=["*"]), exchange("null", "OPTIONS", "GET"))
    assert reply is not None
    assert fields == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "*",
        "access-control-max-age": "600",
        "vary": "Access-Control-Request-Method",
    }


def test_a_preflight_of_a_foreign_origin_learns_nothing() -> None:
    reply, fields = answer(policy(origins=[SHOP]), exchange("https://evil.example", "OPTIONS", "GET"))
    assert reply is not None
    assert reply.status == 204
    assert fields == {"vary": "Origin, Access-Control-Request-Method"}


@pytest.mark.parametrize(
    ("origin", "method", "asked"),
    [(None, "OPTIONS", "GET"), (SHOP, "OPTIONS", None), (SHOP, "GET", "GET"), (SHOP, "POST", "OPTIONS")],
)
def test_what_is_no_preflight_goes_on(origin: str | None, method: str, asked: str | None) -> None:
    request = exchange(origin, method, asked)
    assert asked_method(request) is None
    reply, fields = answer(policy(origins=[SHOP]), request)
    assert reply is None
    assert "access-control-allow-methods" not in fields


def test_which_method_a_preflight_asks_for() -> None:
    assert asked_method(exchange(SHOP, "OPTIONS", "PUT")) == b"PUT"
    assert asked_method(Exchange(None, b"OPTIONS", b"/", b"", False, 1.0, 0)) is None


def test_lines_of_other_policies_stay() -> None:
    request = exchange(SHOP)
    request.answer_lines = b"X-Other: 1\r\n"
    policy(origins=[SHOP]).check(request, None)
    assert request.answer_lines.startswith(b"X-Other: 1\r\nAccess-Control-Allow-Origin: ")


@pytest.mark.parametrize(
    ("request_", "rule"),
    [
        (exchange(SHOP), ""),
        (exchange(None), ""),
        (exchange("https://api.example.com", "POST"), ""),  # the route's own host
        (exchange("https://evil.example"), "shadow:cors"),
        (exchange("https://evil.example", "OPTIONS", "PUT"), "shadow:cors"),
    ],
)
def test_a_shadow_changes_nothing_and_notes(request_: Exchange, rule: str) -> None:
    made = build(CorsOptions(origins=(SHOP,), mode="shadow"))
    assert isinstance(made, CorsShadow)
    assert made.check(request_, None) is None
    assert request_.answer_lines == b""
    assert request_.rule == rule


def test_the_upstreams_own_words_go_unless_the_policy_is_a_shadow() -> None:
    assert stripped(CorsOptions(origins=(SHOP,))) is STRIPPED
    assert all(name == name.lower() and name.startswith(b"access-control-") for name in STRIPPED)
    assert b"access-control-expose-headers" not in STRIPPED
    assert stripped(CorsOptions(origins=(SHOP,), mode="shadow")) == stripped(None) == frozenset()


def test_no_options_no_policy() -> None:
    assert build(None) is None


@pytest.mark.parametrize("key", ["origins", "methods", "headers"])
def test_credentials_are_not_for_everybody(key: str) -> None:
    assert CorsOptions.model_validate({"origins": ["https://x"], "credentials": True}).credentials
    with pytest.raises(ValidationError, match=f"list the {key}"):
        CorsOptions.model_validate({"origins": ["https://x"], "credentials": True, key: ["*"]})


@pytest.mark.parametrize(
    "origin",
    ["https://x", "http://localhost:3000", "capacitor://localhost", "http://[::1]:8080", "https://*.example.com",
     "http://*.example.com:8080", "https://xn--bcher-kva.example", "*"],
)  # fmt: skip
def test_origins(origin: str) -> None:
    assert CorsOptions.model_validate({"origins": [origin]}).origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    ["", "null", "shop.example.com", "https://", "https://x/", "https://x/a", "https://X", "HTTPS://x", "https://x?",
     "//x", "https://*", "https://*.com", "https://a.*.com", "https://a*.example.com", "https://*.*.example.com", "https://x:",
     "https://x:port", "https://x:123456", "https://x y", "https://x\r\ny", "https://x\n", "https://bücher.example",
     "https://u@x", "https://x..y", 3, None],
)  # fmt: skip
def test_what_is_no_origin(origin: object) -> None:
    with pytest.raises(ValidationError, match="is no origin; write scheme://host"):
        CorsOptions.model_validate({"origins": [origin]})


@pytest.mark.parametrize(("origin", "right"), [("https://x:443", "https://x"), ("http://[::1]:80", "http://[::1]")])
def test_default_ports_are_never_sent(origin: str, right: str) -> None:
    with pytest.raises(ValidationError, match=r"leave the default port away; write " + right.replace("[", r"\[")):
        CorsOptions.model_validate({"origins": [origin]})
    assert CorsOptions.model_validate({"origins": ["http://x:443"]})


def test_no_origins() -> None:
    with pytest.raises(ValidationError, match="origins is empty"):
        CorsOptions.model_validate({"origins": []})
