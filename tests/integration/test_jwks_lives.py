"""Keys from a URL outlive what happens around them: reloads, a worker's death, control's death, a bad document."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.issuers import ask, asks, check_unauthorized
from tests.integration.outcome import takes
from tests.support import processes, scripts
from tests.support.client import request
from tests.support.config import route, service
from tests.support.gateway import Gateway
from tests.support.key_source import KeySource, serve
from tests.support.tokens import bearer, ec_key, key_set
from tests.support.upstream import Upstream
from tests.support.wire import wait_for

Make = Callable[..., Gateway]
PARK = 1.0


@pytest.fixture
def host() -> Iterator[Upstream]:
    one = Upstream()
    yield one
    one.close()


def config_of(upstream: Upstream, *sources: KeySource, **more: Any) -> dict[str, Any]:
    return {
        "upstreams": {"main": service(upstream.url, timeouts={"connect": "10s"})},
        "issuers": {one.name: one.options(jwks_refresh="1h") for one in sources},
        "routes": [route("open", "/open/*"), *(asks(one.name, one.name) for one in sources)],
        **more,
    }


def test_a_reload_keeps_the_keys_that_it_does_not_touch(
    make_gateway: Make, upstream: Upstream, host: Upstream
) -> None:
    """Not one request of a known key fails, while issuers come and go beside it and the source is down."""
    steady, other = KeySource(host, "steady", ec_key("a")), KeySource(host, "other", ec_key("b"))
    live = make_gateway(config_of(upstream, steady), workers=2)
    stop, codes = threading.Event(), []

    def call() -> None:
        with live.client() as client:
            number = 0
            while not stop.is_set():
                number += 1
                token = steady.signer.token(sub=f"user-{number % 7}")
                codes.append(client.get("/steady/load", fields=bearer(token)).status)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    wait_for(lambda: len(codes) > 20, what="traffic")
    steady.script = scripts.answer_and_reset(b"")
    live.reload(config_of(upstream, steady, other))
    wait_for(
        lambda: ask(live, "/other/x", *bearer(other.signer.token())).status == 200,
        3.0,
        "keys of an issuer that came",
    )
    live.reload(config_of(upstream, steady))
    live.reload(config_of(upstream, steady, drain={"timeout": "3s"}))
    count = len(codes)
    wait_for(lambda: len(codes) > count + 20, what="traffic after the reloads")
    stop.set()
    thread.join(10)
    assert set(codes) == {200}
    live.check_ledger()
    live.stop()


def test_a_reload_that_names_another_source_forgets_the_keys_of_the_old(
    make_gateway: Make, upstream: Upstream, host: Upstream
) -> None:
    old = KeySource(host, "moving", ec_key("same-kid"))
    live = make_gateway(config_of(upstream, old))
    token = bearer(old.signer.token())
    with live.client() as client:
        assert client.get("/moving/x", fields=token).status == 200
        new = KeySource(host, "moving", ec_key("same-kid"))
        document = config_of(upstream, new)
        document["issuers"]["moving"]["jwks_url"] = f"{host.url}/moving?elsewhere"
        live.reload(document)
        fresh = bearer(new.signer.token())
        wait_for(
            lambda: client.get("/moving/x", fields=fresh).status == 200, 3.0, "the keys of the new source"
        )
        check_unauthorized(live, client.get("/moving/x", fields=token))
    live.stop()


def test_who_waits_for_a_key_when_its_issuer_goes_is_answered(
    make_gateway: Make, upstream: Upstream, host: Upstream
) -> None:
    going = KeySource(host, "going", ec_key("a"))
    live = make_gateway(config_of(upstream, going))
    asked = going.asked()
    going.script = scripts.stall()
    with live.client() as client, takes(0.0, PARK + 2.0):
        client.send(request("/going/x", fields=bearer(going.by(ec_key("b")).token())))
        going.wait_asked(asked)
        live.reload({**config_of(upstream), "routes": [route("open", "/open/*")]})
        assert client.read().status in {401, 503}
        assert client.get("/going/x").status == 404
    live.check_ledger()
    live.stop()


def test_a_new_worker_knows_the_keys_at_once(make_gateway: Make, upstream: Upstream, host: Upstream) -> None:
    """Without asking the source: it is down by then."""
    steady = KeySource(host, "steady", ec_key("a"))
    live = make_gateway(config_of(upstream, steady))
    assert ask(live, "/steady/x", *bearer(steady.signer.token())).status == 200
    asked = steady.asked()
    steady.script = scripts.answer_and_reset(b"")
    for _ in range(3):
        old = live.worker_pids()[0]
        os.kill(old, signal.SIGKILL)
        assert ask(live, "/steady/x", *bearer(steady.signer.token(sub="bob"))).status == 200
        wait_for(lambda pid=old: live.worker_pids()[0] not in {0, pid}, what="a successor in the status")
    assert steady.asked() == asked
    live.stop()


def test_controls_death_costs_no_caller_anything(
    make_gateway: Make, upstream: Upstream, host: Upstream
) -> None:
    """And the next control goes on: it fetches at an unknown key, and tells the workers that were there."""
    steady = KeySource(host, "steady", ec_key("a"))
    live = make_gateway(config_of(upstream, steady))
    workers = live.worker_pids()
    token = bearer(steady.signer.token())
    for pid in [pid for pid in processes.children(live.pid) if pid not in workers]:
        os.kill(pid, signal.SIGKILL)
        assert ask(live, "/steady/x", *token).status == 200
        wait_for(lambda: len(processes.children(live.pid)) == 3, 3, "three children again", every=0.01)
        assert ask(live, "/steady/x", *token).status == 200
    live.wait_ready()
    assert ask(live, "/steady/x", *bearer(steady.signer.token(sub="bob"))).status == 200
    new = ec_key("b")
    steady.script = serve(key_set(new))
    fresh = bearer(steady.by(new).token())
    wait_for(lambda: ask(live, "/steady/x", *fresh).status == 200, 12.0, "the new key", every=0.1)
    check_unauthorized(live, ask(live, "/steady/x", *token))
    assert live.worker_pids() == workers
    live.check_ledger()
    live.stop()


def test_who_waits_when_the_gateway_stops_is_answered(
    make_gateway: Make, upstream: Upstream, host: Upstream
) -> None:
    steady = KeySource(host, "steady", ec_key("a"))
    live = make_gateway(config_of(upstream, steady))
    asked = steady.asked()
    steady.script = scripts.stall()
    with live.client() as client, takes(0.0, PARK + 2.0):
        client.send(request("/steady/x", fields=bearer(steady.by(ec_key("b")).token())))
        steady.wait_asked(asked)
        live.send_signal(signal.SIGTERM)
        answer = client.read()
        assert answer.status in {401, 503}
        assert client.closed(2.0)
    assert live.wait_exit() == 0
