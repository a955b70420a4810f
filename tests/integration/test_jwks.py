"""Keys from a URL in a running gateway: rotation under load, and every way in which a source can fail."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.integration.issuers import API_KEY, ask, asks, check_unauthorized, digest, key
from tests.integration.outcome import takes
from tests.support import scripts
from tests.support.client import Client, request
from tests.support.config import route, service
from tests.support.gateway import Gateway
from tests.support.key_source import JSON, KeySource, bomb, dripping, endless, serve
from tests.support.tokens import Key, b64, bearer, compact, ec_key, hmac_with, key_set, rsa_key
from tests.support.upstream import Script, Upstream
from tests.support.wire import wait_for

PARK = 1.0  # the longest that a request waits for keys
SECRET = "a-secret-of-this-test-with-more-than-32-bytes"

OTHER = ec_key("other")
GOOD_LOOKING = key_set(OTHER)

# What the source does from some moment on: name -> script.
FAILING: dict[str, Script] = {
    "reset": scripts.answer_and_reset(b""),
    "hangs": scripts.stall(),
    "drips": dripping,
    "cut": scripts.answer_and_close(scripts.head(200, JSON, "Content-Length: 9999") + GOOD_LOOKING),
    "status-500": serve(GOOD_LOOKING, status=500),
    "status-404": serve(GOOD_LOOKING, status=404),
    "status-204": scripts.answer(scripts.head(204)),
    "html": serve(b"<!doctype html><html><body>Sign in</body></html>", "Content-Type: text/html"),
    "html-as-json": serve(b"<!doctype html>"),
    "redirect-302": serve(b"", "Location: /moved"),
    "redirect-307": serve(b"", "Location: /moved"),
    "empty": serve(b""),
    "list": serve(b"[]"),
    "null": serve(b"null"),
    "no-keys": serve(b"{}"),
    "keys-null": serve(b'{"keys": null}'),
    "keys-object": serve(b'{"keys": {"a": 1}}'),
    "keys-text": serve(b'{"keys": "none"}'),
    "bad-utf8": serve(b'{"keys": ["\xff"]}'),
    "deep": serve(b'{"keys": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "huge": serve(GOOD_LOOKING[:-1] + b', "x": "' + b"x" * 400_000 + b'"}'),
    "endless": endless,
    "bomb": serve(bomb(), JSON, "Content-Encoding: gzip"),
}
for _status in (302, 307):
    FAILING[f"redirect-{_status}"] = scripts.answer(
        scripts.message(b"", _status, "Location: /moved", "Connection: close")
    )

# Issuers with a test of their own each: an unknown key is asked for once in a while only.
OWN = ("rotating", "joining", "waiting", "leaving", "crowd", "flood", "mixed", "bulky", "unused-enc")


@pytest.fixture(scope="module")
def host() -> Iterator[Upstream]:
    one = Upstream()
    yield one
    one.close()


@pytest.fixture(scope="module")
def sources(host: Upstream) -> dict[str, KeySource]:
    return {name: KeySource(host, name, ec_key(f"{name}-1")) for name in (*FAILING, *OWN)}


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, sources: dict[str, KeySource]
) -> Iterator[Gateway]:
    config = {
        "upstreams": {"main": service(upstream.url, timeouts={"connect": "10s"})},
        "issuers": {
            **{name: one.options(jwks_refresh="1h") for name, one in sources.items()},
            "own": {"algorithms": ["HS256"], "secret": SECRET},
        },
        "consumers": [{"name": "app", "keys": [digest(API_KEY)]}],
        "routes": [route("open", "/open/*"), asks("key", "api_key"), *(asks(name, name) for name in sources)],
    }
    one = Gateway(tmp_path_factory.mktemp("jwks"), config).start()
    yield one
    one.check_ledger()
    assert "Traceback" not in one.stderr()
    one.stop()


def connected(live: Gateway, count: int, stack: ExitStack) -> list[Client]:
    return [stack.enter_context(live.client()) for _ in range(count)]


def status(live: Gateway, source: KeySource, token: str) -> int:
    return ask(live, f"/{source.name}/x", *bearer(token)).status


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_source_changes_nothing_for_known_keys(
    name: str, live: Gateway, sources: dict[str, KeySource], host: Upstream
) -> None:
    """Asked for again at an unknown key, which is refused within the time that a request may wait for keys."""
    source = sources[name]
    cached = source.signer.token()
    assert status(live, source, cached) == 200
    asked = source.asked()
    source.script = FAILING[name]
    with takes(0.0, PARK + 1.0):
        unknown = ask(live, f"/{name}/unknown", *bearer(source.by(OTHER).token()))
    check_unauthorized(live, unknown)
    source.wait_asked(asked)
    for token in (cached, source.signer.token(sub="bob")):
        with takes(0.0, 0.5):
            assert status(live, source, token) == 200
    with takes(0.0, 0.5):
        assert ask(live, f"/{name}/again", *bearer(source.by(OTHER).token(sub="bob"))).status == 401
    assert status(live, source, source.signer.token(sub="carol")) == 200
    assert not host.find("/moved"), "a redirect was followed"
    assert live.admin("/readyz")[0] == 200


def test_a_key_that_joins_passes_at_once(live: Gateway, sources: dict[str, KeySource]) -> None:
    source, new = sources["joining"], ec_key("joined")
    source.script = serve(key_set(source.signer.key, new))
    with takes(0.0, PARK):
        assert status(live, source, source.by(new).token()) == 200
    assert status(live, source, source.signer.token()) == 200


def test_what_waits_for_a_key_is_whole_afterwards(
    live: Gateway, sources: dict[str, KeySource], upstream: Upstream
) -> None:
    """Its body, the request behind it on the connection, and its caller."""
    source, new, gate = sources["waiting"], ec_key("waited-for"), threading.Event()
    source.script = scripts.when_allowed(gate, serve(key_set(new)))
    token = bearer(source.by(new).token(sub="bob"))
    asked, parts = source.asked(), [bytes([number]) * 20_000 for number in range(8)]
    expect = ["Expect: 100-continue", f"Content-Length: {len(b''.join(parts))}"]
    with live.client() as client, live.client() as second, live.client() as third:
        third.send(request("/waiting/expect", method="POST", fields=[*token, *expect]))
        client.send(request("/waiting/post", method="POST", fields=[*token, "Transfer-Encoding: chunked"]))
        client.send(scripts.chunked(parts[:4])[:-5])
        second.send(request("/waiting/sized", method="POST", fields=token, body=b"".join(parts)))
        source.wait_asked(asked)
        client.send(scripts.chunked(parts[4:]))
        client.send(request("/open/behind-keys"))
        assert ask(live, "/open/meanwhile").status == 200
        assert not upstream.find("/waiting/post")
        assert not third.stream.buffer, "100 is for a request that may pass"
        gate.set()
        assert [client.read().status, client.read().status, second.read().status] == [200, 200, 200]
        assert third.stream.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        third.send(b"".join(parts))
        assert third.read().status == 200
    for path in ("/waiting/post", "/waiting/sized", "/waiting/expect"):
        assert upstream.one(path).body == b"".join(parts)
        assert upstream.one(path).all("X-Consumer") == ["waiting:bob"]
    assert upstream.one("/open/behind-keys").all("X-Consumer") == []
    assert source.asked() == asked + 1


def test_who_leaves_while_waiting_is_accounted_once(
    live: Gateway, sources: dict[str, KeySource], upstream: Upstream
) -> None:
    source, new, gate = sources["leaving"], ec_key("left"), threading.Event()
    source.script = scripts.when_allowed(gate, serve(key_set(new)))
    token, asked = bearer(source.by(new).token()), source.asked()
    with ExitStack() as stack:
        clients = connected(live, 3, stack)
        for client in clients:
            client.send(request("/leaving/gone", fields=token))
        source.wait_asked(asked)
        for client in clients[:2]:
            client.reset()  # a FIN alone may still want its answer
        live.journal.wait(
            lambda one: one["path"] == "/leaving/gone" and one["reason"] == "client_closed", count=2
        )
        gate.set()
        assert clients[2].read().status == 200
    assert len(upstream.find("/leaving/gone")) == 1
    live.check_ledger()


def test_a_crowd_that_waits_is_bounded_and_harms_nobody(live: Gateway, sources: dict[str, KeySource]) -> None:
    """300 at once on one worker, at a source that does not answer: 256 may wait, and none for long."""
    source = sources["crowd"]
    source.script = scripts.stall()
    unknown = request("/crowd/x", fields=bearer(source.by(OTHER).token()))
    spent = []
    with ExitStack() as stack:
        clients = connected(live, 300, stack)
        started = time.monotonic()
        for client in clients:
            client.send(unknown)
        with takes(0.0, 0.5):
            assert ask(live, "/open/meanwhile").status == 200
            assert status(live, source, source.signer.token()) == 200
        for client in clients:
            answer = client.read()
            assert answer.status == 401, answer.body
            spent.append(time.monotonic() - started)
    assert spent[-1] < PARK + 1.0
    lines = live.journal.wait(lambda one: one["path"] == "/crowd/x" and one["status"] == 401, count=300)
    assert len([one for one in lines if one["duration_ms"] > 500]) <= 256


def test_a_flood_of_unknown_keys_asks_the_source_once(live: Gateway, sources: dict[str, KeySource]) -> None:
    source = sources["flood"]
    asked, said = source.asked(), len(live.stderr())
    with live.client() as client:
        for kid in ("x\ny", "\x1b[2J", "k" * 5000):
            wrong = compact(source.signer.head(kid=kid), source.signer.claims(), source.signer.sign)
            assert client.get("/flood/x", fields=bearer(wrong)).status == 401
        number, end = 0, time.monotonic() + PARK + 0.5  # longer than a worker keeps quiet by itself
        while number < 200 or time.monotonic() < end:
            number += 1
            wrong = compact(
                source.signer.head(kid=f"kid-{number}"), source.signer.claims(), source.signer.sign
            )
            assert client.get("/flood/x", fields=bearer(wrong)).status == 401
        assert client.get("/flood/x", fields=bearer(source.signer.token())).status == 200
    assert source.asked() - asked == 1
    lines = live.stderr()[said:]
    assert len(lines.splitlines()) <= 5, "the flood is in the log"
    assert "\x1b" not in lines


def test_certificates_in_a_set_do_no_harm(live: Gateway, sources: dict[str, KeySource]) -> None:
    """200 KB of chains beside the keys, as providers send them: within the bound of an answer."""
    source, new = sources["bulky"], ec_key("behind-them")
    chain = ["MIIC" + "A" * 6000] * 2
    old = [ec_key(f"old-{number}").jwk(x5c=chain, x5t="t" * 27) for number in range(15)]
    source.script = serve(key_set(*old, new.jwk(x5c=chain)))
    assert status(live, source, source.by(new).token()) == 200
    assert status(live, source, source.signer.token()) == 401


def test_one_bad_key_does_not_spoil_a_set(live: Gateway, sources: dict[str, KeySource]) -> None:
    """And a key that is no good for signatures checks none."""
    source, new, small = sources["mixed"], ec_key("good"), rsa_key("small", 1024)
    secret = b"a-secret-that-everybody-can-read-here"
    off_curve = {**ec_key("off").jwk(), "y": b64(bytes(32))}
    source.script = serve(
        key_set(
            {}, {"kty": "XYZ", "kid": "xyz"}, small.jwk(), off_curve, {"kty": "EC", "kid": "half"},
            {"kty": "oct", "kid": "secret", "k": b64(secret)}, {**OTHER.jwk(), "kid": 7}, new,
        )
    )  # fmt: skip
    assert status(live, source, source.by(new).token()) == 200
    assert status(live, source, compact(source.signer.head(kid="secret", alg="HS256"), source.signer.claims(),
                                        hmac_with(secret))) == 401  # fmt: skip
    assert status(live, source, compact(source.signer.head(kid="small", alg="RS256"), source.signer.claims(),
                                        small.signer("RS256"))) == 401  # fmt: skip
    assert status(live, source, source.by(Key(OTHER.private, "7")).token()) == 401


def test_a_key_for_encryption_checks_no_signature(live: Gateway, sources: dict[str, KeySource]) -> None:
    source, new = sources["unused-enc"], ec_key("for-encryption")
    source.script = serve(key_set(new.jwk(use="enc"), source.signer.key))
    assert status(live, source, source.by(new).token()) == 401
    assert status(live, source, source.signer.token()) == 200


class Callers:
    """Threads that send the same credential again and again, and keep what became of each request."""

    def __init__(self, live: Gateway, jobs: dict[str, tuple[str, list[str]]]) -> None:
        self.seen: dict[str, list[tuple[float, int]]] = {name: [] for name in jobs}
        self.errors: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(live, name, *job), daemon=True)
            for name, job in jobs.items()
        ]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        self.wait_more(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def _run(self, live: Gateway, name: str, path: str, fields: list[str]) -> None:
        try:
            with live.client() as client:
                while not self._stop.is_set():
                    sent = time.monotonic()
                    self.seen[name].append((sent, client.get(path, fields=fields).status))
        except Exception as error:
            self.errors.append(f"{name}: {type(error).__name__}: {error}")

    def wait_more(self, count: int) -> None:
        """That many more requests of each."""
        before = {name: len(seen) for name, seen in self.seen.items()}
        wait_for(
            lambda: self.errors or all(len(seen) >= before[name] + count for name, seen in self.seen.items()),
            10.0,
            f"{count} more requests of each caller",
        )


def test_rotation_under_load(
    tmp_path_factory: pytest.TempPathFactory, host: Upstream, upstream: Upstream
) -> None:
    """Two workers. The new key passes at once, the old one stops, and nobody else notices."""
    old, new = ec_key("old"), ec_key("new")
    turning, steady = KeySource(host, "turning", old), KeySource(host, "steady", ec_key("steady"))
    config = {
        "upstreams": {"main": service(upstream.url, timeouts={"connect": "10s"})},
        "issuers": {one.name: one.options() for one in (turning, steady)},
        "consumers": [{"name": "app", "keys": [digest(API_KEY)]}],
        "routes": [asks("turning", "turning"), asks("steady", "steady"), asks("key", "api_key"),
                   asks("all", "turning", "steady", "api_key")],
    }  # fmt: skip
    live = Gateway(tmp_path_factory.mktemp("rotation"), config, workers=2).start()
    new_token = bearer(turning.by(new).token())
    jobs = {
        "old": ("/turning/load", bearer(turning.signer.token())),
        "steady": ("/steady/load", bearer(steady.signer.token())),
        "steady-all": ("/all/load", bearer(steady.signer.token(sub="bob"))),
        "key": ("/key/load", key(API_KEY)),
    }
    with Callers(live, jobs) as callers:
        asked = turning.asked()
        turning.script = serve(key_set(new))
        callers.wait_more(20)
        changed = time.monotonic()
        with ExitStack() as stack:
            crowd = connected(live, 16, stack)
            for client in crowd:
                client.send(request("/turning/new", fields=new_token))
            assert [client.read().status for client in crowd] == [200] * 16
            took = time.monotonic() - changed
            callers.wait_more(50)
            after = time.monotonic()
            callers.wait_more(50)
            assert {client.get("/turning/new", fields=new_token).status for client in crowd} == {200}
    live.check_ledger()
    live.stop()
    assert callers.errors == []
    assert took < PARK
    assert turning.asked() - asked <= 2, "one flight for all who wait"
    assert {code for at, code in callers.seen["old"] if at < changed} == {200}
    assert {code for at, code in callers.seen["old"] if at > after} == {401}
    for name in ("steady", "steady-all", "key"):
        assert {code for _, code in callers.seen[name]} == {200}, name
    assert json.loads(key_set(new))["keys"][0]["kid"] == "new"
