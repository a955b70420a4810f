"""The CORS protocol as a browser meets it: preflights, fields on answers of every kind, origins that are not allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.outcome import check_refusal
from tests.support import scripts
from tests.support.client import request
from tests.support.config import route, service
from tests.support.gateway import Gateway, free_port
from tests.support.upstream import Upstream
from tests.support.wire import Response

SHOP = "https://shop.example.com"
SECRET = "a-secret-of-this-test-with-more-than-32-bytes"


def shop(**changes: Any) -> dict[str, Any]:
    return {
        "origins": [SHOP, "https://*.wild.example", "http://localhost:3000"],
        "methods": ["GET", "POST", "DELETE"],
        "headers": ["authorization", "x-custom"],
        "credentials": True,
        "max_age": "10m",
        **changes,
    }


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    auth = {"any": [{"jwt": "dev"}, "api_key"], "scopes": ["s"]}
    config = {
        "upstreams": {
            "main": service(upstream.url),
            "dead": service(f"http://127.0.0.1:{free_port()}"),
            "slow": service(upstream.url, timeouts={"response": "200ms"}),
        },
        "issuers": {"dev": {"algorithms": ["HS256"], "secret": SECRET}},
        "routes": [
            route("none", "/none/*"),
            route("cors", "/cors/*", cors=shop()),
            route("public", "/public/*", cors={"origins": ["*"]}),
            route("asks", "/asks/*", cors=shop(), auth=auth),
            route("few", "/few/*", cors=shop(), limits=[{"name": "few", "key": "route", "rate": "1/h", "burst": 1}]),
            route("small", "/small/*", cors=shop(), max_body="1KB"),
            route("dead", "/dead/*", cors=shop(), upstream="dead"),
            route("slow", "/slow/*", cors=shop(), upstream="slow"),
            route("own", "/own/*", cors=shop(), reply={"status": 410, "body": "gone"}),
            route("shadow", "/shadow/*", cors=shop(mode="shadow")),
            route("shadow-reads", match={"path": "/shadow-by-method/*", "methods": ["GET"]}, cors=shop(mode="shadow")),
            route("options", match={"path": "/shadow-by-method/*", "methods": ["OPTIONS"]},
                  reply={"status": 202, "body": "mine"}),
            route("reads", match={"path": "/by-method/*", "methods": ["GET"]}),
            route("writes", match={"path": "/by-method/*", "methods": ["PUT"]}, cors=shop(methods=["PUT"])),
            route(
                "versioned", match={"path": "/versioned/*", "headers": {"x-api-version": "2"}}, cors=shop()
            ),
        ],
    }  # fmt: skip
    one = Gateway(tmp_path_factory.mktemp("cors"), config).start()
    yield one
    one.check_ledger()
    one.stop()


def ask(live: Gateway, path: str, *fields: str, **options: Any) -> Response:
    with live.client() as client:
        return client.get(path, fields=fields, **options)


def preflight(live: Gateway, path: str, origin: str = SHOP, method: str = "GET", *fields: str) -> Response:
    asked = [f"Origin: {origin}", f"Access-Control-Request-Method: {method}", *fields]
    return ask(live, path, *asked, method="OPTIONS")


def listed(answer: Response, name: str) -> set[str]:
    return {one.strip().lower() for value in answer.all(name) for one in value.split(",") if one.strip()}


def granted(answer: Response) -> list[str]:
    """What a browser would read as permission."""
    return [name for name in answer.names() if name.lower().startswith("access-control-allow-")]


def check_allowed(answer: Response, origin: str = SHOP) -> None:
    assert answer.all("Access-Control-Allow-Origin") == [origin]
    assert answer.all("Access-Control-Allow-Credentials") == ["true"]
    assert "origin" in listed(answer, "Vary")


# --- preflights ---


def test_a_preflight_is_answered_here(live: Gateway, upstream: Upstream) -> None:
    answer = preflight(live, "/cors/pre", SHOP, "DELETE", "Access-Control-Request-Headers: x-custom")
    assert answer.status == 204
    check_allowed(answer)
    assert {"get", "post", "delete"} <= listed(answer, "Access-Control-Allow-Methods")
    assert {"authorization", "x-custom"} <= listed(answer, "Access-Control-Allow-Headers")
    assert answer.all("Access-Control-Max-Age") == ["600"]
    assert not answer.all("Content-Length"), "RFC 9110 section 8.6: none on 204"
    assert answer.body == b""
    assert not upstream.find("/cors/pre")
    entry = live.journal.of(answer.get("X-Request-Id"))
    assert (entry["status"], entry["route"], entry["source"]) == (204, "cors", "gateway")


def test_a_preflight_needs_no_credential(live: Gateway, upstream: Upstream) -> None:
    """Browsers send none with it; the request behind it is asked for one."""
    answer = preflight(live, "/asks/pre", SHOP, "POST", "Access-Control-Request-Headers: authorization")
    assert answer.status == 204
    check_allowed(answer)
    assert ask(live, "/asks/pre", f"Origin: {SHOP}").status == 401
    assert not upstream.find("/asks/pre")


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "*",
        "https://shop.example.com.evil.example",
        "https://evilshop.example.com",
        "https://shop.example.comevil",
        "https://shop.example.com:8443",
        "https://shop.example.com/",
        "https://shop.example.com@evil.example",
        "http://shop.example.com",
        "HTTPS://SHOP.EXAMPLE.COM",
        "https://shop-example.com",
        "https://shopXexample.com",
        "https://sub.shop.example.com",
        "https://wild.example",
        "https://.wild.example",
        "https://evilwild.example",
        "https://a.wild.example.evil.example",
        "https://evil.example/.wild.example",
        "https://evil.example#.wild.example",
        "https://evil.example?.wild.example",
        "https://evil.example:1.wild.example",
        "https://a@b.wild.example",
        "https://a.wild.example:8443",
        "http://a.wild.example",
        "https://a..wild.example",
        "https://a.wildXexample",
        "https://" + "a." * 3000 + "wild.example",
        "http://localhost",
        "http://localhost:30000",
        "http://localhost:3001",
        f"{SHOP}, https://evil.example",
        f"https://evil.example, {SHOP}",
        f"{SHOP} https://evil.example",
        f"{SHOP}\xff",
    ],
)
def test_a_foreign_origin_gets_no_permission(origin: str, live: Gateway) -> None:
    for answer in (preflight(live, "/cors/foreign", origin), ask(live, "/cors/foreign", f"Origin: {origin}")):
        assert granted(answer) == []
        assert "origin" in listed(answer, "Vary"), "a cache would give this answer to the shop"
        assert answer.status in {200, 204, 403}


def test_two_origins_are_none(live: Gateway) -> None:
    for origins in ([SHOP, "https://evil.example"], ["https://evil.example", SHOP]):
        assert granted(ask(live, "/cors/two", *(f"Origin: {one}" for one in origins))) == []


@pytest.mark.parametrize(
    "origin", [SHOP, "https://a.wild.example", "https://b-1.a.wild.example", "http://localhost:3000"]
)
def test_an_allowed_origin_is_named_itself(origin: str, live: Gateway) -> None:
    check_allowed(preflight(live, "/cors/own", origin), origin)
    check_allowed(ask(live, "/cors/own", f"Origin: {origin}"), origin)


@pytest.mark.parametrize("fields", [["Access-Control-Request-Headers: x-evil"], []])
def test_a_preflight_lists_no_more_than_is_configured(fields: list[str], live: Gateway) -> None:
    """Whatever it asks for: the browser compares."""
    answer = preflight(live, "/cors/more", SHOP, "PATCH", *fields)
    assert answer.status in {204, 403}
    assert listed(answer, "Access-Control-Allow-Methods") <= {"get", "post", "delete"}
    assert listed(answer, "Access-Control-Allow-Headers") <= {"authorization", "x-custom"}


def test_everybody_without_credentials(live: Gateway) -> None:
    for answer in (preflight(live, "/public/x", "null"), ask(live, "/public/x", "Origin: https://x.example")):
        assert answer.all("Access-Control-Allow-Origin") == ["*"]
        assert not answer.all("Access-Control-Allow-Credentials")


def test_a_preflight_is_routed_by_the_method_it_asks_for(live: Gateway, upstream: Upstream) -> None:
    answer = preflight(live, "/by-method/x", SHOP, "PUT")
    assert answer.status == 204
    check_allowed(answer)
    assert live.journal.of(answer.get("X-Request-Id"))["route"] == "writes"
    assert granted(preflight(live, "/by-method/x", SHOP, "GET")) == []
    assert granted(preflight(live, "/by-method/x", SHOP, "put")) == [], "methods have a case"
    assert granted(ask(live, "/by-method/x", f"Origin: {SHOP}")) == []
    check_allowed(ask(live, "/by-method/x", f"Origin: {SHOP}", method="PUT"))


def test_a_preflight_is_routed_without_conditions_on_headers(live: Gateway) -> None:
    """It never carries the fields of the request that follows."""
    check_allowed(preflight(live, "/versioned/x"))
    assert ask(live, "/versioned/x", f"Origin: {SHOP}").status == 404
    check_allowed(ask(live, "/versioned/x", f"Origin: {SHOP}", "X-API-Version: 2"))


def test_options_that_are_no_preflight_go_on(live: Gateway, upstream: Upstream) -> None:
    for fields in ([f"Origin: {SHOP}"], ["Access-Control-Request-Method: GET"], []):
        assert ask(live, "/cors/options", *fields, method="OPTIONS").status == 200
    assert len(upstream.find("/cors/options")) == 3
    assert preflight(live, "/none/options").status == 200, "a route without cors leaves it to the upstream"
    assert len(upstream.find("/none/options")) == 1
    assert preflight(live, "/nowhere").status == 404


def test_a_get_with_a_preflights_fields_is_none(live: Gateway, upstream: Upstream) -> None:
    answer = ask(live, "/asks/get", f"Origin: {SHOP}", "Access-Control-Request-Method: GET")
    assert answer.status == 401


# --- answers ---


def test_an_upstreams_own_fields_are_replaced(live: Gateway, upstream: Upstream) -> None:
    """Two values, or one that allows everybody, and the browser refuses or the policy is void."""
    own = [
        "Access-Control-Allow-Origin: *",
        "access-control-allow-origin: https://evil.example",
        "Access-Control-Allow-Credentials: true",
        "Access-Control-Allow-Methods: PATCH",
        "Vary: Accept-Encoding",
    ]
    path = upstream.script(scripts.answer(scripts.message(b"x", 200, *own)))
    upstream.scripts[b"cors"] = upstream.scripts[path[1:].encode()]
    try:
        answer = ask(live, "/cors/replaced", f"Origin: {SHOP}")
        check_allowed(answer)
        assert {"origin", "accept-encoding"} <= listed(answer, "Vary")
        assert "patch" not in listed(answer, "Access-Control-Allow-Methods")
        assert granted(ask(live, "/cors/replaced", "Origin: https://evil.example")) == []
        answer = ask(live, "/cors/replaced")
        assert granted(answer) == []
        assert {"origin", "accept-encoding"} <= listed(answer, "Vary")
    finally:
        del upstream.scripts[b"cors"]


def test_without_an_origin_the_answer_still_varies(live: Gateway) -> None:
    answer = ask(live, "/cors/plain")
    assert granted(answer) == []
    assert "origin" in listed(answer, "Vary")
    assert not ask(live, "/none/plain", f"Origin: {SHOP}").all("Vary")


def test_refusals_can_be_read_as_well(live: Gateway, upstream: Upstream) -> None:
    """Else a page sees a network error instead of 401 or 429."""
    origin = f"Origin: {SHOP}"
    path = upstream.script(scripts.stall())
    upstream.scripts[b"slow"] = upstream.scripts[path[1:].encode()]
    first = ask(live, "/few/x", origin)
    assert first.status == 200
    check_allowed(first)
    for answer, status, reason in (
        (ask(live, "/asks/x", origin), 401, "missing_credentials"),
        (ask(live, "/asks/x", origin, "Authorization: Bearer a.b.c"), 401, "invalid_credentials"),
        (ask(live, "/few/x", origin), 429, "rate_limited"),
        (ask(live, "/small/x", origin, method="POST", body=bytes(2000)), 413, "body_too_large"),
        (ask(live, "/dead/x", origin), 502, "connect_refused"),
        (ask(live, "/slow/x", origin), 504, "response_timeout"),
    ):
        check_refusal(live, answer, status, reason)
        check_allowed(answer)
        assert answer.all("Access-Control-Allow-Origin") == [SHOP]
    check_allowed(ask(live, "/own/x", origin))
    assert granted(ask(live, "/asks/x", "Origin: https://evil.example")) == []
    del upstream.scripts[b"slow"]


def test_a_preflight_costs_nothing_of_a_limit_behind_it(live: Gateway) -> None:
    for _ in range(3):
        assert preflight(live, "/few/pre").status == 204


def test_permission_does_not_leak_to_the_next_answer(live: Gateway) -> None:
    """On one connection, pipelined."""
    sent = [
        ("/cors/a", [f"Origin: {SHOP}"], SHOP),
        ("/none/a", [f"Origin: {SHOP}"], None),
        ("/cors/a", ["Origin: https://evil.example"], None),
        ("/cors/a", ["Origin: https://a.wild.example"], "https://a.wild.example"),
        ("/cors/a", [], None),
        ("/nowhere", [f"Origin: {SHOP}"], None),
        ("/public/a", ["Origin: https://evil.example"], "*"),
        ("/none/a", [], None),
    ]
    with live.client() as client:
        client.send(b"".join(request(path, fields=fields) for path, fields, _ in sent))
        for path, fields, origin in sent:
            answer = client.read()
            expected = [origin] if origin else []
            assert answer.all("Access-Control-Allow-Origin") == expected, (path, fields)


def test_a_shadow_leaves_it_to_the_upstream(live: Gateway, upstream: Upstream) -> None:
    own = "Access-Control-Allow-Origin: https://elsewhere.example"
    script = scripts.answer(scripts.message(b"x", 200, own))
    assert granted(ask(live, "/shadow/x", f"Origin: {SHOP}")) == []
    assert preflight(live, "/shadow/pre", "https://evil.example").status == 200
    assert len(upstream.find("/shadow/pre")) == 1
    upstream.scripts[b"shadow"] = script
    try:
        answer = ask(live, "/shadow/own", f"Origin: {SHOP}")
        assert answer.all("Access-Control-Allow-Origin") == ["https://elsewhere.example"]
        assert not answer.all("Vary")
    finally:
        del upstream.scripts[b"shadow"]


def test_a_shadow_does_not_even_route(live: Gateway) -> None:
    """Whoever answered preflights before goes on to."""
    answer = preflight(live, "/shadow-by-method/x")
    assert (answer.status, answer.body) == (202, b"mine")
