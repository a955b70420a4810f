from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from fastgw.account.series import SeriesMemory, Word, WorkerState
from fastgw.clock import ManualClock
from fastgw.control.facts import Facts, FactSource
from fastgw.control.published import History, Published
from fastgw.control.readiness import Readiness


class Known:
    """Everybody who is asked, as they are at first: version 7, one worker that serves it, no reload yet."""

    def __init__(self, published: Callable[..., Published]) -> None:
        self.clock = ManualClock()
        self.history = History(published(7))
        self.publisher: Any = SimpleNamespace(last_reload=None)
        memory = SeriesMemory(1, 64, 4096)
        self.slot = memory.slot(0)
        self.slot.set(Word.STATE, WorkerState.SERVING)
        self.slot.set(Word.VERSION, 7)
        self.readiness = Readiness([self.slot], self.clock)
        self.watching = 0
        self.source = FactSource(
            self.history,
            self.publisher,
            self.readiness,
            self.clock,
            started_at=1_600_000_000.0,
            restarts=2,
            watchers=lambda: self.watching,
        )


@pytest.fixture
def known(published: Callable[..., Published]) -> Known:
    return Known(published)


def test_facts_as_they_are(known: Known) -> None:
    assert known.source.now() == Facts(
        started_at=1_600_000_000.0,
        control_restarts=2,
        ready=True,
        published_version=7,
        published_at=1_600_000_000.0,
        last_reload_ok=True,
        limit_store=False,
        tail_watchers=0,
    )


def test_a_publish_has_its_time(known: Known, published: Callable[..., Published]) -> None:
    known.clock.advance(5)
    known.history.publish(published(8))
    known.source.published()
    known.clock.advance(5)
    facts = known.source.now()
    assert (facts.published_version, facts.published_at) == (8, 1_700_000_005.0)


@pytest.mark.parametrize("ok", [True, False])
def test_a_refused_reload_shows(known: Known, ok: bool) -> None:
    known.publisher.last_reload = SimpleNamespace(ok=ok)
    assert known.source.now().last_reload_ok is ok


def test_ready_is_what_readyz_says(known: Known) -> None:
    known.readiness.draining = True
    assert known.source.now().ready is False


def test_a_store_of_the_limits_is_known_from_the_document(
    known: Known, published: Callable[..., Published]
) -> None:
    known.history.publish(published(8, redis={"url": "redis://127.0.0.1:1"}))
    assert known.source.now().limit_store is True


def test_watchers_are_counted(known: Known) -> None:
    known.watching = 3
    assert known.source.now().tail_watchers == 3


def test_every_sample_has_the_labels_of_its_family(known: Known) -> None:
    for family, labels, value in known.source.now().samples():
        assert len(labels) == len(family.labels)
        assert value >= 0
