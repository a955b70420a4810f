"""What stands around a rehearsal reaches out to nobody."""

from __future__ import annotations

import pytest

from fastgw.errors import Reason
from fastgw.gateway.stand_ins import Caught, Client, FullBuckets, Nowhere, Unwritten, watched
from fastgw.gateway.steps import Trace
from fastgw.limiter.limit import Limit
from fastgw.model.exchange import Exchange
from fastgw.model.messages import Reply
from fastgw.model.route import Route
from fastgw.routing.table import MethodNotAllowed
from tests.gateway.rig import PLAIN, Make, compiled


def exchange() -> Exchange:
    return Exchange(None, b"GET", b"/", b"", False, 0.0, 0)


def test_a_ledger_that_counts_nothing_still_refuses_to_close_twice() -> None:
    ledger, one = Unwritten(), exchange()
    ledger.close(one, 0.0, 0.0)
    assert one.closed
    with pytest.raises(RuntimeError, match="closed twice"):
        ledger.close(one, 0.0, 0.0)


def test_a_limit_with_an_empty_bucket_admits_and_is_noted() -> None:
    trace = Trace()
    limiter = FullBuckets(trace)
    limit = Limit(b"r/l", "l", 1.0, 1.0, "deny", False, False)
    for _ in range(3):
        verdict = limiter.decide((limit,), (b"v",), None, 0.0)  # type: ignore[arg-type]  # nobody waits
        assert verdict is not None
        assert verdict.admitted
    assert trace.asked == [("before routing", limit, b"v")] * 3
    assert limit.state is None


def test_no_upstream_is_ever_found() -> None:
    with pytest.raises(KeyError):
        Nowhere().find("app")


def test_a_policy_that_waits_is_a_defect(make_gateway: Make) -> None:
    engine = make_gateway().engine
    with pytest.raises(RuntimeError, match="waits for somebody"):
        Caught(engine, Client(b"", b"", b"", b"")).hold(exchange())


def test_a_defect_in_a_rehearsal_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        Client(b"", b"", b"", b"").defect(ZeroDivisionError(), exchange())


def test_a_watched_route_is_a_copy_without_what_the_other_is_bound_to() -> None:
    only = {"name": "one", "match": {"path": "/*", "methods": ["GET"]}, "upstream": "app"}
    snapshot = compiled({**PLAIN, "routes": [only]})
    real = snapshot.routes["one"]
    real.bound, real.tally, real.in_flight = object(), object(), 7
    table = watched(snapshot, Trace()).table
    found = table.find(b"a", b"GET", b"/", {})
    assert isinstance(found, Route)
    assert found is not real
    assert (found.name, found.bound, found.tally, found.in_flight) == ("one", None, None, 0)
    assert isinstance(table.find(b"a", b"POST", b"/", {}), MethodNotAllowed)
    assert isinstance(table.find_preflight(b"a", b"GET", b"/"), Route)
    assert real.in_flight == 7


class Refuses:
    def check(self, exchange: Exchange, runtime: object) -> Reply | None:
        exchange.rule = "shadow:mine"
        return None


def test_what_a_shadow_before_it_noted_stays() -> None:
    from fastgw.gateway.stand_ins import Watched

    trace = Trace()
    one = exchange()
    one.rule = "shadow:first"
    assert Watched(Refuses(), "mine", trace).check(one, None) is None  # type: ignore[arg-type]  # it asks for nothing
    assert one.rule == "shadow:first"
    assert [(step.policy, step.verdict) for step in trace.steps] == [("mine", "shadow")]
    assert one.reason is Reason.OK
