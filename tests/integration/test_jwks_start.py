"""A gateway that starts without its identity provider: it waits a little, says 503 for that issuer alone, finds the
keys when they come, and knows them from disk the next time."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.issuers import API_KEY, ask, asks, check_unauthorized, digest, key
from tests.integration.outcome import check_refusal, takes
from tests.support import scripts
from tests.support.config import route, service
from tests.support.gateway import Gateway, free_port
from tests.support.key_source import KeySource
from tests.support.tokens import bearer, ec_key
from tests.support.upstream import Upstream
from tests.support.wire import wait_for

START = 5.0  # the longest that a start waits for keys
BOOT = 6.0  # what a start takes besides, on a busy machine


@pytest.fixture
def host() -> Iterator[Upstream]:
    one = Upstream()
    yield one
    one.close()


@pytest.fixture
def late() -> Iterator[Upstream]:
    """A provider that is down when the gateway starts."""
    one = Upstream(("127.0.0.1", free_port()))
    one.stop_listening()
    yield one
    one.close()


def config_of(upstream: Upstream, *sources: KeySource) -> dict[str, Any]:
    return {
        "upstreams": {"main": service(upstream.url, timeouts={"connect": "10s"})},
        "issuers": {one.name: one.options() for one in sources},
        "consumers": [{"name": "app", "keys": [digest(API_KEY)]}],
        "routes": [
            route("open", "/open/*"),
            *(asks(one.name, one.name) for one in sources),
            asks("either", "absent", "api_key"),
            asks("both", "absent", "fine"),
            asks("shadow", "hangs", auth={"mode": "shadow"}),
        ],
    }


def check_without_keys(live: Gateway, fine: KeySource, hangs: KeySource, absent: KeySource) -> None:
    """503 for those issuers, and for nobody else."""
    assert ask(live, "/open/x").status == 200
    assert ask(live, "/fine/x", *bearer(fine.signer.token())).status == 200
    for source in (hangs, absent):
        answer = ask(live, f"/{source.name}/x", *bearer(source.signer.token()))
        check_refusal(live, answer, 503, "auth_unavailable")
        assert not answer.all("WWW-Authenticate"), "the client's credential is not what is wrong"
    check_unauthorized(live, ask(live, "/absent/x"), "missing_credentials")
    assert ask(live, "/either/x", *key(API_KEY)).status == 200
    check_unauthorized(live, ask(live, "/fine/x", *bearer(absent.signer.token())))
    assert ask(live, "/both/x", *bearer(fine.signer.token())).status == 200
    check_unauthorized(live, ask(live, "/both/x", *bearer("a.b.c")))
    check_refusal(live, ask(live, "/both/x", *bearer(absent.signer.token())), 503, "auth_unavailable")
    with takes(0.0, 2.0):
        assert ask(live, "/shadow/x", *bearer(hangs.signer.token())).status == 200


def test_a_start_without_keys(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, host: Upstream, late: Upstream
) -> None:
    fine = KeySource(host, "fine", ec_key("fine"))
    hangs = KeySource(host, "hangs", ec_key("hangs"))
    absent = KeySource(late, "absent", ec_key("absent"))
    hangs.script = scripts.stall()
    live = Gateway(tmp_path_factory.mktemp("jwks-start"), config_of(upstream, fine, hangs, absent))
    started = time.monotonic()
    live.start()
    assert time.monotonic() - started < START + BOOT
    check_without_keys(live, fine, hangs, absent)

    late.listen()
    passes = bearer(absent.signer.token())
    wait_for(lambda: ask(live, "/absent/x", *passes).status == 200, 10.0, "keys of a provider that came back")
    live.check_ledger()
    live.stop()
    kept = [path for path in (live.directory / "store").rglob("*") if path.is_file()]
    assert kept
    assert [path for path in kept if stat.S_IMODE(path.stat().st_mode) & 0o077] == []

    late.close()
    host.close()
    started = time.monotonic()
    live.run()
    live.wait_ready()
    assert time.monotonic() - started < START + BOOT
    assert ask(live, "/fine/x", *bearer(fine.signer.token(sub="bob"))).status == 200, (
        "the last good set is on disk"
    )
    assert ask(live, "/absent/x", *passes).status == 200
    check_unauthorized(live, ask(live, "/fine/x", *bearer(fine.by(ec_key("fine")).token())))
    check_refusal(live, ask(live, "/hangs/x", *bearer(hangs.signer.token())), 503, "auth_unavailable")
    assert "Traceback" not in live.stderr()
    live.stop()
