"""A circuit that changes is seen: in the log, in the metrics, and by control, in its own clock's terms."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest

from fastgw.account import families
from fastgw.account.series import SeriesMemory
from fastgw.clock import ManualClock
from fastgw.edge.circuits import Circuits
from fastgw.upstream.breaker import CLOSED, OPEN, Transition
from fastgw.upstream.upstream import Upstream
from tests.upstream.fakes import Bench, upstream

OPENED = Transition(OPEN, "5 failures in a row, the last one connect_refused", 1000.0, 1005.0, False, "failures")


class World:
    def __init__(self) -> None:
        self.clock = ManualClock(1000.0, 1_700_000_000.0)
        self.slot = SeriesMemory(1, 4096, 65536).slot(0)
        self.lines: list[str] = []
        self.told: list[Mapping[str, object]] = []
        self.circuits = Circuits(self.slot, "3", self.clock, self.lines.append)

    def cell(self, family: families.Family, *labels: str) -> int:
        reader = self.slot.gauge if family.kind is families.Kind.GAUGE else self.slot.counter
        return self.slot.cells[reader(family, labels)]


@pytest.fixture
def world() -> World:
    return World()


def test_a_transition_is_logged_counted_and_told(world: World) -> None:
    world.circuits.tell = world.told.append
    world.circuits.changed("app", "127.0.0.1:9001", OPENED)
    assert world.lines == [
        "worker 3: upstream app, target 127.0.0.1:9001: circuit open: 5 failures in a row, the last one "
        "connect_refused; next probe in 5.0 s"
    ]
    assert world.cell(families.BREAKER_TRANSITIONS, "app", "127.0.0.1:9001", "open", "failures") == 1
    assert world.cell(families.BREAKER_STATE, "app", "127.0.0.1:9001", "3") == 2
    assert world.cell(families.BREAKER_NEXT_PROBE, "app", "127.0.0.1:9001", "3") == 1_700_000_005
    (message,) = world.told
    assert message == {
        "type": "breaker", "upstream": "app", "target": "127.0.0.1:9001", "state": "open", "cause": OPENED.cause,
        "at": 1_700_000_000.0, "probe_at": 1_700_000_005.0, "forced": False, "until": 0.0,
    }  # fmt: skip


def test_the_next_probe_is_gone_when_it_closes(world: World) -> None:
    world.circuits.changed("app", "", OPENED)
    world.circuits.changed("app", "", Transition(CLOSED, "2 probes succeeded", 1001.0, 0.0, False, "probes_succeeded"))
    assert world.cell(families.BREAKER_NEXT_PROBE, "app", "", "3") == 0
    assert world.cell(families.BREAKER_STATE, "app", "", "3") == 0
    assert world.lines[-1] == "worker 3: upstream app: circuit closed: 2 probes succeeded"


def test_control_learns_later_of_what_is_not_simply_closed(world: World) -> None:
    bench = Bench()
    app = Upstream(
        upstream("app", ["http://127.0.0.1:9001", "http://127.0.0.1:9002"], breaker={"failures": 1}),
        bench.shared, Random(1).random, world.circuits.changed,
    )  # fmt: skip
    assert list(world.circuits.states({"app": app})) == []
    app.force("", "closed", 1060.0, 1000.0)
    breaker = app.targets[1].breaker
    assert breaker is not None
    breaker.failed(breaker.admit(1000.0), 1000.0, "upstream_reset")
    told = [(one["target"], one["state"], one["forced"]) for one in world.circuits.states({"app": app})]
    assert told == [("", "closed", True), ("127.0.0.1:9002", "open", False)]


def test_gauges_show_health_only_where_it_is_checked(world: World) -> None:
    bench = Bench()
    checked = Upstream(upstream("app", ["http://127.0.0.1:9001"], health={}), bench.shared, Random(1).random, print)
    checked.set_health("127.0.0.1", 9001, "127.0.0.1", False)
    world.circuits.publish({"app": checked})
    assert world.cell(families.TARGET_HEALTHY, "app", "127.0.0.1:9001", "3") == 0
    checked.set_health("127.0.0.1", 9001, "127.0.0.1", True)
    world.circuits.publish({"app": checked})
    assert world.cell(families.TARGET_HEALTHY, "app", "127.0.0.1:9001", "3") == 1
    other = Upstream(upstream("other", ["http://127.0.0.1:1"]), bench.shared, Random(1).random, print)
    world.circuits.publish({"app": checked, "other": other})
    assert not world.slot.has(families.TARGET_HEALTHY, ("other", "127.0.0.1:1", "3"))


def test_what_is_gone_from_the_configuration_raises_no_alarm(world: World) -> None:
    bench = Bench()
    urls = ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]
    app = Upstream(
        upstream("app", urls, health={}, breaker={"failures": 1}), bench.shared, Random(1).random, world.circuits.changed
    )
    app.set_health("127.0.0.1", 9002, "127.0.0.1", False)
    gone = app.targets[1]
    assert gone.breaker is not None
    gone.breaker.failed(gone.breaker.admit(1000.0), 1000.0, "upstream_reset")
    gone.in_flight = 3
    world.circuits.publish({"app": app})
    assert world.cell(families.BREAKER_STATE, "app", gone.label, "3") == 2
    app.configure(upstream("app", urls[:1], health={}, breaker={"failures": 1}))
    world.circuits.publish({"app": app})
    assert world.cell(families.BREAKER_STATE, "app", gone.label, "3") == 0
    assert world.cell(families.BREAKER_NEXT_PROBE, "app", gone.label, "3") == 0
    assert world.cell(families.TARGET_HEALTHY, "app", gone.label, "3") == 1
    assert world.cell(families.UPSTREAM_IN_FLIGHT, "app", gone.label) == 0
    world.circuits.publish({})
    assert world.cell(families.TARGET_HEALTHY, "app", "127.0.0.1:9001", "3") == 1
