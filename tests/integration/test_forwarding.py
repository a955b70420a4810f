"""Who the client is, and what the upstream is told about it: trusted and untrusted peers."""

from __future__ import annotations

import re
from zlib import crc32

import pytest

from tests.integration.conftest import TRUSTED
from tests.support import scripts
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream
from tests.support.wire import Request, Response

FORGED = [
    "X-Forwarded-For: 203.0.113.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: forged.example",
    "X-Forwarded-Port: 444",
    "Forwarded: for=203.0.113.7;proto=https",
    "X-Real-IP: 203.0.113.7",
    "X-Request-Id: forged-id",
]


def ask(
    gateway: Gateway, upstream: Upstream, path: str, fields: list[str], source: str = "", **options: str
) -> tuple[Response, Request]:
    with gateway.client(source=source) as client:
        answer = client.get(path, fields=fields, **options)
    return answer, upstream.find(path)[-1]


def test_without_any_the_gateway_writes_them(gateway: Gateway, upstream: Upstream) -> None:
    answer, got = ask(gateway, upstream, "/fwd-none", [], host="a.example:8080")
    assert got.all("X-Forwarded-For") == ["127.0.0.1"]
    assert got.all("X-Forwarded-Proto") == ["http"]
    assert got.all("X-Forwarded-Host") == ["a.example:8080"]
    assert got.get("Forwarded") is None
    assert got.get("Host") == "a.example:8080"
    assert got.get("X-Request-Id") == answer.get("X-Request-Id")
    entry = gateway.journal.of(answer.get("X-Request-Id"))
    assert entry["client"] == "127.0.0.1"
    assert entry["trace_id"]


def test_from_an_untrusted_peer_nothing_is_believed(gateway: Gateway, upstream: Upstream) -> None:
    answer, got = ask(gateway, upstream, "/fwd-forged", FORGED)
    assert got.all("X-Forwarded-For") == ["127.0.0.1"]
    assert got.all("X-Forwarded-Proto") == ["http"]
    assert got.all("X-Forwarded-Host") == ["test.example"]
    assert got.all("X-Forwarded-Port") != ["444"]
    assert got.get("Forwarded") is None
    assert "203.0.113.7" not in got.raw_head.decode()
    assert "forged" not in got.raw_head.decode().replace("/fwd-forged", "")
    assert len(got.all("X-Request-Id")) == 1
    assert answer.get("X-Request-Id") not in {None, "forged-id"}
    assert gateway.journal.of(answer.get("X-Request-Id"))["client"] == "127.0.0.1"


def test_unknown_forwarded_fields_of_an_untrusted_peer_are_removed(
    gateway: Gateway, upstream: Upstream
) -> None:
    _, got = ask(
        gateway,
        upstream,
        "/fwd-other",
        ["X-Forwarded-Prefix: /evil", "X-Forwarded-Server: s", "x-forwarded-user: root"],
    )
    assert "evil" not in got.raw_head.decode()
    assert "root" not in got.raw_head.decode()


def test_a_trusted_peer_is_appended_to_and_believed(gateway: Gateway, upstream: Upstream) -> None:
    fields = [
        "X-Forwarded-For: 203.0.113.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: shop.example",
        "X-Forwarded-Port: 443",
        "X-Request-Id: from-the-edge",
    ]
    answer, got = ask(gateway, upstream, "/fwd-trusted", fields, TRUSTED)
    joined = ", ".join(got.all("X-Forwarded-For")).replace(" ", "")
    assert joined == f"203.0.113.7,{TRUSTED}"
    assert got.all("X-Forwarded-Proto") == ["https"]
    assert got.all("X-Forwarded-Host") == ["shop.example"]
    assert got.all("X-Forwarded-Port") == ["443"]
    assert got.all("X-Request-Id") == ["from-the-edge"]
    assert answer.get("X-Request-Id") == "from-the-edge"
    entry = gateway.journal.path_is("/fwd-trusted")
    assert (entry["client"], entry["request_id"]) == ("203.0.113.7", "from-the-edge")


@pytest.mark.parametrize(
    ("name", "value", "client"),
    [
        ("rightmost", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("skips-trusted", f"198.51.100.1, 203.0.113.9, {TRUSTED}", "203.0.113.9"),
        ("all-trusted", TRUSTED, TRUSTED),
        ("v6", "2001:db8::1", "2001:db8::1"),
        ("none", "", TRUSTED),
    ],
)
def test_client_is_the_rightmost_address_that_is_not_trusted(
    name: str, value: str, client: str, gateway: Gateway, upstream: Upstream
) -> None:
    fields = [f"X-Forwarded-For: {value}"] if value else []
    ask(gateway, upstream, f"/fwd-client-{name}", fields, TRUSTED)
    assert gateway.journal.path_is(f"/fwd-client-{name}")["client"] == client


def test_client_over_two_lines(gateway: Gateway, upstream: Upstream) -> None:
    _, got = ask(
        gateway, upstream, "/fwd-two", ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.9"], TRUSTED
    )
    assert gateway.journal.path_is("/fwd-two")["client"] == "203.0.113.9"
    assert ",".join(got.all("X-Forwarded-For")).replace(" ", "") == f"1.1.1.1,203.0.113.9,{TRUSTED}"


@pytest.mark.parametrize("value", ["garbage", "203.0.113.7:80x", "<script>", "999.1.1.1", ",,,"])
def test_garbage_from_a_trusted_peer_is_not_a_client(
    value: str, gateway: Gateway, upstream: Upstream
) -> None:
    """Whatever it is, it must not become the client's address."""
    path = f"/fwd-garbage-{crc32(value.encode('latin-1'))}"
    answer, _ = ask(gateway, upstream, path, [f"X-Forwarded-For: {value}"], TRUSTED)
    assert answer.status in {200, 400}
    if answer.status == 200:
        assert gateway.journal.path_is(path)["client"] == TRUSTED


@pytest.mark.parametrize("value", ["", "x" * 300, "has space", 'quo"te', "new\xe9"])
def test_a_request_id_that_is_no_token_is_replaced_even_from_a_trusted_peer(
    value: str, gateway: Gateway, upstream: Upstream
) -> None:
    """It goes into log lines and answers: at most a plain token of modest length is taken over."""
    path = f"/fwd-id-{crc32(value.encode('latin-1'))}"
    answer, got = ask(gateway, upstream, path, [f"X-Request-Id: {value}"], TRUSTED)
    made = answer.get("X-Request-Id")
    assert made and made != value
    assert got.all("X-Request-Id") == [made]


def test_the_request_id_is_the_gateways_in_the_answer(gateway: Gateway, upstream: Upstream) -> None:
    """An upstream that answers with an id of its own does not make two."""
    path = upstream.script(scripts.answer(scripts.message(b"ok", 200, "X-Request-Id: of-the-upstream")))
    with gateway.client() as client:
        answer = client.get(path)
    assert answer.get("X-Request-Id") == upstream.one(path).get("X-Request-Id")


def test_request_ids_differ(gateway: Gateway) -> None:
    with gateway.client() as client:
        ids = {client.get("/fwd-ids").get("X-Request-Id") for _ in range(50)}
    assert len(ids) == 50


TRACE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def test_a_trace_is_started(gateway: Gateway, upstream: Upstream) -> None:
    answer, got = ask(gateway, upstream, "/trace-none", [])
    matched = TRACE.fullmatch(got.get("traceparent") or "")
    assert matched
    assert matched[1] != "0" * 32 and matched[2] != "0" * 16
    assert gateway.journal.of(answer.get("X-Request-Id"))["trace_id"] == matched[1]


def test_a_trace_is_continued(gateway: Gateway, upstream: Upstream) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    fields = [f"traceparent: 00-{trace}-00f067aa0ba902b7-01", "tracestate: a=b"]
    answer, got = ask(gateway, upstream, "/trace-some", fields)
    matched = TRACE.fullmatch(got.get("traceparent") or "")
    assert matched and matched[1] == trace
    assert got.all("tracestate") == ["a=b"]
    assert gateway.journal.of(answer.get("X-Request-Id"))["trace_id"] == trace


@pytest.mark.parametrize(
    "value",
    [
        "garbage",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    ],
)
def test_a_malformed_trace_is_started_anew(value: str, gateway: Gateway, upstream: Upstream) -> None:
    _, got = ask(gateway, upstream, f"/trace-bad-{crc32(value.encode('latin-1'))}", [f"traceparent: {value}"])
    assert got.get("traceparent") != value
    assert TRACE.fullmatch(got.get("traceparent") or "")


def test_via_is_appended(gateway: Gateway, upstream: Upstream) -> None:
    _, got = ask(gateway, upstream, "/via-none", [])
    assert got.all("Via") == ["1.1 fastgw"]
    _, got = ask(gateway, upstream, "/via-some", ["Via: 1.0 fred"])
    assert ", ".join(got.all("Via")) == "1.0 fred, 1.1 fastgw"


def test_via_says_the_version_that_came_in(gateway: Gateway, upstream: Upstream) -> None:
    """RFC 9110 7.6.3: the received protocol. The design writes 1.1; a 1.0 client's message was received as
    1.0."""
    _, got = ask(gateway, upstream, "/via-one-zero", [], version="1.0")
    assert got.get("Via") in {"1.0 fastgw", "1.1 fastgw"}


def test_the_targets_name_as_host(gateway: Gateway, upstream: Upstream) -> None:
    """preserve_host: false."""
    _, got = ask(gateway, upstream, "/own-name/x", [])
    assert got.all("Host") == [f"127.0.0.1:{upstream.port}"]
    assert got.all("X-Forwarded-Host") == ["test.example"]
