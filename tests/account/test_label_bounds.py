"""What clients make up (methods, hosts, paths, statuses of upstreams) makes no series of its own without end."""

from __future__ import annotations

import pytest

from fastgw.account.access_log import AccessLog
from fastgw.account.ledger import Ledger
from fastgw.account.series import SeriesMemory, Slot
from fastgw.errors import Reason, Source
from fastgw.model.exchange import Exchange
from fastgw.model.route import Route


@pytest.fixture
def slot() -> Slot:
    return SeriesMemory(1, 65536, 1 << 20).slot(0)


@pytest.fixture
def ledger(slot: Slot) -> Ledger:
    log = AccessLog(-1, 0, lambda seconds, call: None, lambda lost: None)
    log.enabled = False  # what is counted does not depend on it
    return Ledger(slot, log)


def close(ledger: Ledger, route: Route | None, method: bytes, path: bytes, **changes: object) -> None:
    exchange = Exchange(None, method, path, b"q=1", False, 100.0, 70)
    exchange.route, exchange.status = route, 404 if route is None else 200
    for name, value in changes.items():
        assert hasattr(exchange, name)
        setattr(exchange, name, value)
    ledger.close(exchange, 100.01, 1_700_000_000.0)


def series(slot: Slot) -> set[tuple[str, tuple[str, ...]]]:
    return {(entry.family.name, entry.labels) for entry, _ in slot.entries()}


def test_a_hundred_thousand_paths_make_no_series(ledger: Ledger, slot: Slot) -> None:
    route = Route("orders", "")
    close(ledger, route, b"GET", b"/orders/1")
    close(ledger, None, b"GET", b"/1", reason=Reason.NO_ROUTE)
    before = series(slot)
    for number in range(50_000):
        close(ledger, route, b"GET", b"/orders/%d" % number)
        close(ledger, None, b"GET", b"/%d" % number, reason=Reason.NO_ROUTE)
    assert series(slot) == before


def test_methods_that_nobody_knows_are_one(ledger: Ledger, slot: Slot) -> None:
    route = Route("orders", "")
    for number in range(1000):
        close(ledger, route, b"M%d" % number, b"/")
    close(ledger, route, b"get", b"/")  # methods are told apart by case
    counted = [labels for name, labels in series(slot) if name == "fastgw_requests_total"]
    assert counted == [("orders", "other", "200", "gateway")]


def test_known_methods_are_named(ledger: Ledger, slot: Slot) -> None:
    for method in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"CONNECT", b"TRACE"):
        close(ledger, None, method, b"/")
    assert len([name for name, _ in series(slot) if name == "fastgw_requests_total"]) == 9


def test_what_a_caller_is_called_is_in_no_label(ledger: Ledger, slot: Slot) -> None:
    """Consumers, clients and request ids belong to the log: there are millions of them."""
    route = Route("orders", "")
    close(
        ledger,
        route,
        b"GET",
        b"/",
        source=Source.UPSTREAM,
        upstream="backend",
        target="10.0.0.1:80",
        attempts=1,
    )
    before = series(slot)
    for number in range(100):
        close(
            ledger, route, b"GET", b"/", source=Source.UPSTREAM, upstream="backend",
            target=f"10.0.0.{number}:80", attempts=1, client=f"192.0.2.{number}", request_id=b"%d" % number,
        )  # fmt: skip
    assert series(slot) == before


def test_beyond_the_cap_everything_is_one_series() -> None:
    """A document with more routes than there is room for costs detail, never memory."""
    slot = SeriesMemory(1, 4096, 65536).slot(0)
    log = AccessLog(-1, 0, lambda seconds, call: None, lambda lost: None)
    log.enabled = False
    ledger = Ledger(slot, log)
    for number in range(2000):
        close(ledger, Route(f"route-{number}", ""), b"GET", b"/")
    names = {labels[0] for name, labels in series(slot) if name == "fastgw_requests_total"}
    assert "other" in names and len(names) < 200
    total = sum(
        slot.cells[entry.offset]
        for entry, _ in slot.entries()
        if entry.family.name == "fastgw_requests_total"
    )
    assert total == 2000
