"""Every exchange is counted once and logged once, in the cells of its route, method, status, source and reason."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from fastgw.account import families
from fastgw.account.access_log import AccessLog
from fastgw.account.ledger import NO_ROUTE, Ledger
from fastgw.account.series import SeriesMemory, Slot
from fastgw.errors import Reason, Source
from fastgw.model.exchange import WOULD_REFUSE, Exchange
from fastgw.model.identity import NEVER_EXPIRES, Identity
from fastgw.model.route import Route


class Books:
    """A ledger, its series, and what it logs."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self.slot: Slot = SeriesMemory(1, 4096, 65536).slot(0)
        self.log = AccessLog(writing, 0, lambda seconds, call: None, lambda lost: None)
        self.ledger = Ledger(self.slot, self.log)

    def close(self, exchange: Exchange, now: float) -> None:
        self.ledger.close(exchange, now, 1_700_000_000.0)

    def series(self) -> dict[tuple[str, ...], int]:
        """Family and labels -> count, of what is above zero; histograms by their number of samples."""
        found = {}
        for entry, _ in self.slot.entries():
            width = entry.family.width
            if width == 1:
                count = self.slot.cells[entry.offset]
            else:
                count = sum(self.slot.cells[entry.offset : entry.offset + width - 1])
            if count:
                found[(entry.family.name.removeprefix("fastgw_"), *entry.labels)] = count
        return found

    def sums(self, family: families.Family) -> dict[tuple[str, ...], int]:
        return {
            entry.labels: self.slot.cells[entry.offset + family.width - 1]
            for entry, _ in self.slot.entries()
            if entry.family is family
        }

    def lines(self) -> list[dict[str, object]]:
        self.log.flush()
        try:
            data = os.read(self._reading, 1 << 20)
        except BlockingIOError:
            return []
        return [json.loads(line) for line in data.splitlines()]


@pytest.fixture
def books() -> Iterator[Books]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    yield Books(reading, writing)
    os.close(reading)
    os.close(writing)


def exchange(
    route: Route | None = None, method: bytes = b"GET", status: int = 200, **changes: object
) -> Exchange:
    made = Exchange(None, method, b"/a", b"", False, 100.0, 70)
    made.route = route
    made.status = status
    for name, value in changes.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


def answered(route: Route | None = None, **changes: object) -> Exchange:
    """One that an upstream answered."""
    made = {
        "source": Source.UPSTREAM,
        "upstream": "app",
        "target": "t:1",
        "attempts": 1,
        "upstream_seconds": 0.2,
        **changes,
    }
    return exchange(route, **made)


def test_an_answered_exchange(books: Books) -> None:
    books.close(answered(Route("one", "")), 100.25)
    assert books.series() == {
        ("requests_total", "one", "GET", "200", "upstream"): 1,
        ("request_duration_seconds", "one"): 1,
        ("gateway_duration_seconds", "one"): 1,
        ("upstream_duration_seconds", "app"): 1,
    }
    assert books.sums(families.REQUEST_DURATION)[("one",)] == pytest.approx(250_000, abs=1)
    assert books.sums(families.GATEWAY_DURATION)[("one",)] == pytest.approx(50_000, abs=1)
    assert books.sums(families.UPSTREAM_DURATION)[("app",)] == pytest.approx(200_000, abs=1)
    (line,) = books.lines()
    assert (line["route"], line["status"], line["reason"], line["source"]) == ("one", 200, "ok", "upstream")
    assert (line["duration_ms"], line["gateway_ms"], line["upstream_ms"]) == (250.0, 50.0, 200.0)


def test_a_refusal_has_a_reason_and_no_upstream(books: Books) -> None:
    books.close(exchange(None, b"POST", 404, reason=Reason.NO_ROUTE), 100.0)
    assert books.series() == {
        ("requests_total", NO_ROUTE, "POST", "404", "gateway"): 1,
        ("rejections_total", NO_ROUTE, "no_route"): 1,
        ("request_duration_seconds", NO_ROUTE): 1,
        ("gateway_duration_seconds", NO_ROUTE): 1,
    }
    (line,) = books.lines()
    assert (line["route"], line["reason"], line["upstream"], line["target"]) == (None, "no_route", None, None)


def test_a_second_close_is_refused_and_counts_nothing(books: Books) -> None:
    one = exchange()
    books.close(one, 100.0)
    before = books.series()
    with pytest.raises(RuntimeError):
        books.close(one, 101.0)
    assert books.series() == before
    assert len(books.lines()) == 1


@pytest.mark.parametrize("method", [b"BREW", b"", b"get", b"X" * 32])
def test_unknown_methods_fold_into_one_label(books: Books, method: bytes) -> None:
    route = Route("one", "")
    books.close(exchange(route, method), 100.0)
    books.close(exchange(route, b"PURGE"), 100.0)
    assert books.series()[("requests_total", "one", "other", "200", "gateway")] == 2


def test_no_two_outcomes_share_a_cell(books: Books) -> None:
    route = Route("one", "")
    methods = [
        b"GET",
        b"HEAD",
        b"POST",
        b"PUT",
        b"DELETE",
        b"PATCH",
        b"OPTIONS",
        b"CONNECT",
        b"TRACE",
        b"BREW",
    ]
    statuses = [101, 200, 204, 404, 499, 500, 599]
    for source in Source:
        for method in methods:
            for status in statuses:
                books.close(exchange(route, method, status, source=source), 100.0)
    counted = {key: count for key, count in books.series().items() if key[0] == "requests_total"}
    assert len(counted) == len(methods) * len(statuses) * 2
    assert set(counted.values()) == {1}


@pytest.mark.parametrize("first", ["refused", "fine"])
def test_a_line_says_its_own_reason_whatever_came_before_with_the_same_status(
    books: Books, first: str
) -> None:
    route = Route("one", "")
    cut = answered(route, reason=Reason.RESPONSE_TRUNCATED, rule="timeouts.idle")
    fine = answered(route)
    for one in (cut, fine) if first == "refused" else (fine, cut):
        books.close(one, 100.3)
    reasons = [(line["reason"], line["rule"]) for line in books.lines()]
    expected = [("response_truncated", "timeouts.idle"), ("ok", None)]
    assert reasons == (expected if first == "refused" else expected[::-1])
    assert books.series()[("rejections_total", "one", "response_truncated")] == 1
    assert books.series()[("requests_total", "one", "GET", "200", "upstream")] == 2


def test_routes_of_one_name_share_their_series(books: Books) -> None:
    """A reload that changes a route makes another object; its counters go on."""
    for _ in range(2):
        books.close(exchange(Route("one", "")), 100.0)
    assert books.series()[("requests_total", "one", "GET", "200", "gateway")] == 2


def test_buckets_hold_what_is_at_most_their_bound(books: Books) -> None:
    route = Route("one", "")
    for bound in families.REQUEST_DURATION.buckets:
        one = exchange(route)
        one.started = 0.0
        books.close(one, bound)
    one = exchange(route)
    one.started = 0.0
    books.close(one, 61.0)
    offset = books.slot.histogram(families.REQUEST_DURATION, ("one",))
    count = len(families.REQUEST_DURATION.buckets) + 1
    assert list(books.slot.cells[offset : offset + count]) == [1] * count


def test_time_that_the_upstream_overlaps_is_never_below_zero(books: Books) -> None:
    books.close(answered(Route("one", ""), upstream_seconds=0.5), 100.3)
    assert books.sums(families.GATEWAY_DURATION)[("one",)] == 0
    (line,) = books.lines()
    assert line["gateway_ms"] == 0.0


def test_a_share_of_the_good_ones_is_logged_and_every_other(books: Books) -> None:
    books.ledger.sample = 0.25
    for _ in range(100):
        books.close(exchange(), 100.0)
    assert len(books.lines()) == 25
    for _ in range(10):
        books.close(exchange(status=500), 100.0)
        books.close(exchange(reason=Reason.CLIENT_CLOSED), 100.0)
    assert len(books.lines()) == 20
    books.ledger.sample = 0.0
    books.close(exchange(), 100.0)
    assert books.lines() == []
    assert books.series()[("requests_total", NO_ROUTE, "GET", "200", "gateway")] == 111


class Eyes:
    """A tap that wants one kind of exchange."""

    def __init__(self, troubled: bool) -> None:
        self.troubled = troubled
        self.seen: list[dict[str, object]] = []
        self.asked: list[tuple[str, Exchange, float]] = []

    def wants(self, route: str, exchange: Exchange, seconds: float) -> bool:
        self.asked.append((route, exchange, seconds))
        return exchange.status >= 400 or not self.troubled

    def add(self, line: bytes) -> None:
        self.seen.append(json.loads(line))

    def note(self, text: str) -> None:
        self.seen.append({"notice": text})


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("sample", [1.0, 0.0])
def test_who_looks_on_sees_the_line_of_the_log_whether_it_is_kept_or_not(
    enabled: bool, sample: float, books: Books
) -> None:
    books.log.enabled, books.ledger.sample = enabled, sample
    eyes = Eyes(troubled=False)
    books.log.tap = eyes  # type: ignore[assignment]
    well, badly = answered(Route("one", "")), exchange(reason=Reason.NO_ROUTE, status=404)
    books.close(well, 100.25)
    books.close(badly, 100.5)
    assert [(line["route"], line["status"], line["reason"]) for line in eyes.seen] == [
        ("one", 200, "ok"), (None, 404, "no_route"),
    ]  # fmt: skip
    assert eyes.asked == [("one", well, 0.25), (NO_ROUTE, badly, 0.5)]
    kept = (eyes.seen if sample else eyes.seen[1:]) if enabled else []
    assert books.lines() == kept


def test_who_looks_on_reads_what_the_operator_does(books: Books) -> None:
    eyes = Eyes(troubled=True)
    books.log.tap = eyes  # type: ignore[assignment]
    books.log.operational("worker 0: a circuit opened")
    assert eyes.seen == [{"notice": "worker 0: a circuit opened"}]


def test_without_an_access_log_everything_is_counted_still(books: Books) -> None:
    books.log.enabled = False
    books.close(exchange(), 100.0)
    assert books.lines() == []
    assert books.series()[("requests_total", NO_ROUTE, "GET", "200", "gateway")] == 1


def test_books_balance_over_every_reason(books: Books) -> None:
    route = Route("one", "")
    for reason in Reason:
        books.close(exchange(route, reason=reason), 100.0)
    series = books.series()
    assert sum(count for key, count in series.items() if key[0] == "requests_total") == len(Reason)
    assert {key[2] for key in series if key[0] == "rejections_total"} == {
        reason.value for reason in Reason
    } - {"ok"}
    assert [line["reason"] for line in books.lines()] == [reason.value for reason in Reason]


# --- what policies noted ----------------------------------------------------------------------------------------------


def identity(name: str = "app") -> Identity:
    return Identity(name, "", "", frozenset(), {}, NEVER_EXPIRES)


def test_the_consumer_is_logged_with_answers_and_with_refusals(books: Books) -> None:
    route = Route("one", "")
    for changes in ({}, {"identity": identity()}, {"identity": identity('q"uote')}, {}):
        books.close(answered(route, **changes), 100.25)
    books.close(
        exchange(route, status=429, identity=identity(), reason=Reason.RATE_LIMITED, rule="a", limit="a"), 100.1
    )
    lines = books.lines()
    assert [line["consumer"] for line in lines] == [None, "app", 'q"uote', None, "app"]
    assert [line["limit"] for line in lines] == [None, None, None, None, "a"]
    assert (lines[4]["reason"], lines[4]["rule"]) == ("rate_limited", "a")


def test_a_path_cannot_write_into_the_fields_beside_it(books: Books) -> None:
    made = answered(Route("one", ""), limit="a", identity=identity())
    made.path = b'/x","limit":null,"consumer":null,"y":"'
    books.close(made, 100.25)
    (line,) = books.lines()
    assert (line["path"], line["limit"], line["consumer"]) == (made.path.decode(), "a", "app")


def test_what_a_shadow_would_have_refused_is_counted_and_logged_and_stays_ok(books: Books) -> None:
    route = Route("one", "")
    books.close(answered(route, rule=WOULD_REFUSE + "ip_access"), 100.25)
    books.close(answered(route, rule=WOULD_REFUSE + "ip_access", identity=identity()), 100.25)
    books.close(answered(route), 100.25)
    lines = books.lines()
    assert [(line["reason"], line["rule"]) for line in lines] == [
        ("ok", "shadow:ip_access"), ("ok", "shadow:ip_access"), ("ok", None),
    ]  # fmt: skip
    assert lines[1]["consumer"] == "app"
    assert books.series()[("shadow_refusals_total", "one", "ip_access")] == 2
    assert not any(key[0] == "rejections_total" for key in books.series())


def test_sampling_leaves_out_nothing_that_a_shadow_would_have_refused(books: Books) -> None:
    route = Route("one", "")
    books.ledger.sample = 0.125
    for _ in range(10):
        books.close(answered(route, rule=WOULD_REFUSE + "ip_access"), 100.25)
        books.close(answered(route), 100.25)
    lines = books.lines()
    assert [line["rule"] for line in lines].count("shadow:ip_access") == 10
    assert len(lines) == 11
    assert books.series()[("shadow_refusals_total", "one", "ip_access")] == 10
