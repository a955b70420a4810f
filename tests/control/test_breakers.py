from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fastgw.clock import ManualClock
from fastgw.control.breakers import QUIET, Breakers, Force, Heard
from fastgw.ipc import messages
from fastgw.ipc.messages import Message


class World:
    def __init__(self, log: Any) -> None:
        self.told: list[Message] = []
        self.facts: list[Message] = []
        self.clock = ManualClock(wall=1000.0)
        self.breakers = Breakers(self.tell, self.forget, log, self.clock)

    def tell(self, message: Message) -> None:
        self.told.append(message)
        where = (message["upstream"], message["target"])
        self.facts = [each for each in self.facts if (each["upstream"], each["target"]) != where] + [message]

    def forget(self, wanted: Callable[[Mapping[str, object]], bool]) -> None:
        other = messages.instances(1)
        assert wanted(other)  # what is not about breakers is left alone
        self.facts = [each for each in self.facts if wanted(each)]


@pytest.fixture
def world(log: Any) -> World:
    return World(log)


OPEN = messages.breaker("a", "10.0.0.1:80", "open", "5 failures", 990.0, 1005.0, False)


def test_the_last_word_of_each_worker_counts(world: World) -> None:
    breakers = world.breakers
    assert breakers.of(0, "a", "10.0.0.1:80") == QUIET
    breakers.heard(0, OPEN)
    assert breakers.of(0, "a", "10.0.0.1:80") == Heard("open", "5 failures", 990.0, 1005.0, False)
    assert breakers.of(1, "a", "10.0.0.1:80") == breakers.of(0, "a", "") == QUIET
    breakers.heard(0, {**OPEN, "state": "half_open", "probe_at": 0.0})
    assert breakers.of(0, "a", "10.0.0.1:80").state == "half_open"
    assert QUIET.plain(3) == {
        "worker": 3, "state": "closed", "cause": "", "since": None, "probe_at": None, "forced": False,
    }  # fmt: skip


def test_a_worker_that_is_gone_has_no_say(world: World) -> None:
    world.breakers.heard(0, OPEN)
    world.breakers.gone(0)
    world.breakers.gone(7)
    assert world.breakers.of(0, "a", "10.0.0.1:80") == QUIET


def test_what_is_forced_is_a_fact_until_it_expires(world: World, log: Any) -> None:
    assert world.breakers.force("a", "", "open", 30.0, "api") == Force("open", 1030.0)
    fact = messages.force_breaker("a", "", "open", 1030.0)
    assert world.facts == [fact] and world.breakers.wants(fact)
    assert log.lines() == ["control: the breaker of a is forced open for 30 s (api)"]
    world.clock.advance(29.9)
    world.breakers.expire()
    assert world.facts == [fact] and world.breakers.forced("a", "") == Force("open", 1030.0)
    world.clock.advance(0.2)
    world.breakers.expire()
    assert world.facts == [] and world.breakers.forced("a", "") is None
    assert not world.breakers.wants(fact)


def test_what_was_forced_before_is_learned_from_the_workers(world: World) -> None:
    forced = messages.breaker("a", "", "open", "forced by an operator", 990.0, 1060.0, True, 1060.0)
    world.breakers.heard(0, forced)
    world.breakers.heard(1, forced)
    assert world.facts == [messages.force_breaker("a", "", "open", 1060.0)]
    assert world.breakers.forced("a", "") == Force("open", 1060.0)
    world.clock.advance(61.0)
    world.breakers.expire()
    world.breakers.heard(0, forced)  # it is over by now
    assert world.facts == []


def test_an_operators_word_is_newer_than_a_workers(world: World) -> None:
    forced = messages.breaker("a", "", "open", "forced by an operator", 990.0, 1060.0, True, 1060.0)
    world.breakers.force("a", "", "auto", 0.0, "api")
    world.facts.clear()
    world.breakers.heard(0, forced)
    assert (world.facts, world.breakers.forced("a", "")) == ([], None)


def test_a_second_word_replaces_the_first(world: World) -> None:
    world.breakers.force("a", "", "open", 30.0, "api")
    world.breakers.force("a", "10.0.0.1:80", "closed", 60.0, "api")
    world.breakers.force("a", "", "closed", 300.0, "api")
    world.clock.advance(61.0)
    world.breakers.expire()
    assert world.facts == [messages.force_breaker("a", "", "closed", 1300.0)]


def test_auto_is_told_and_not_remembered(world: World, log: Any) -> None:
    world.breakers.force("a", "10.0.0.1:80", "open", 30.0, "api")
    assert world.breakers.force("a", "10.0.0.1:80", "auto", 0.0, "api") == Force("auto", 0.0)
    assert world.told[-1] == messages.force_breaker("a", "10.0.0.1:80", "auto", 0.0)
    assert world.facts == [] and world.breakers.forced("a", "10.0.0.1:80") is None
    assert log.lines()[-1] == "control: the breaker of 10.0.0.1:80 of a is left to itself again (api)"
    world.breakers.force("a", "", "auto", 0.0, "api")  # nothing was forced there


def test_what_is_not_in_the_document_any_more_is_forgotten(world: World) -> None:
    world.breakers.heard(0, OPEN)
    world.breakers.heard(0, {**OPEN, "target": ""})
    world.breakers.force("a", "10.0.0.1:80", "open", 30.0, "api")
    world.breakers.force("a", "", "open", 30.0, "api")
    world.breakers.keep({"a": ["10.0.0.2:80"], "b": []})
    assert world.breakers.of(0, "a", "10.0.0.1:80") == QUIET
    assert world.breakers.of(0, "a", "").state == "open"
    assert [fact["target"] for fact in world.facts] == [""]
    world.breakers.keep({})
    assert world.facts == [] and world.breakers.of(0, "a", "") == QUIET
