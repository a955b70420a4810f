"""Following the configuration: differences, slices, failures."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from fastgw.clock import ManualClock
from fastgw.worker.follow import Change, Follower


@dataclass
class Document:
    hash: str
    text: str = ""


@dataclass
class Snapshot:
    version: int
    document: Document


@dataclass
class Build:
    """Each step costs a millisecond of the clock; a text of `broken` does not compile."""

    clock: ManualClock
    steps: int = 3
    compiled: list[int] = field(default_factory=list)

    def assemble(self, document, payload, digest, whole):
        for _ in range(self.steps):
            self.clock.advance(0.001)
            yield
        return Document(digest, payload.decode() if whole else document.text + payload.decode())

    def compile(self, document, version, previous):
        for _ in range(self.steps):
            self.clock.advance(0.001)
            yield
        if "broken" in document.text:
            raise ValueError("it is broken")
        self.compiled.append(version)
        return Snapshot(version, document)


class Rig:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.build = Build(self.clock)
        self.applied: list[int] = []
        self.rejected: list[tuple[int, str]] = []
        document = Document("h1", "1")
        self.follower = Follower(
            document,
            Snapshot(1, document),
            self.build,
            self.clock,
            on_applied=lambda snapshot: self.applied.append(snapshot.version),
            on_rejected=lambda version, error: self.rejected.append((version, error)),
        )

    def offer(self, version: int, base: str | None, text: str = "x") -> bool:
        return self.follower.offer(Change(version, f"h{version}", base, text.encode()))

    def finish(self) -> int:
        slices = 1
        while self.follower.run_slice(0.001):
            slices += 1
        return slices


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_difference_is_applied_in_slices(rig):
    assert rig.offer(2, "h1", "+2")
    assert rig.follower.busy
    assert rig.finish() >= 6
    assert not rig.follower.busy
    assert rig.applied == [2]
    assert rig.follower.document == Document("h2", "1+2")
    assert rig.follower.snapshot.version == 2


def test_a_slice_ends_with_its_budget(rig):
    rig.offer(2, "h1")
    before = rig.clock.now()
    assert rig.follower.run_slice(0.002)
    assert rig.clock.now() - before == pytest.approx(0.002)


def test_nothing_changes_before_the_last_slice(rig):
    rig.offer(2, "h1")
    while rig.follower.run_slice(0.001):
        if not rig.applied:
            assert rig.follower.snapshot.version == 1
    assert rig.follower.snapshot.version == 2


def test_a_difference_to_something_else_is_not_taken(rig):
    assert not rig.offer(3, "h2")
    assert not rig.follower.busy
    assert rig.offer(3, None, "all")
    rig.finish()
    assert rig.follower.document == Document("h3", "all")


def test_differences_that_follow_each_other_are_taken_and_compiled_together(rig):
    assert rig.offer(2, "h1", "+2")
    assert rig.offer(3, "h2", "+3")
    assert not rig.offer(4, "h2")
    rig.finish()
    assert rig.follower.document == Document("h3", "1+2+3")
    assert rig.build.compiled == [3]


def test_one_that_arrives_while_another_compiles_comes_after_it(rig):
    rig.offer(2, "h1", "+2")
    rig.follower.run_slice(0.004)
    assert rig.offer(3, "h2", "+3")
    rig.finish()
    assert rig.applied == [2, 3]
    assert rig.follower.document.text == "1+2+3"


def test_a_failure_changes_nothing_and_says_so(rig):
    rig.offer(2, "h1", "broken")
    rig.finish()
    assert rig.rejected == [(2, "ValueError: it is broken")]
    assert rig.applied == []
    assert rig.follower.document.hash == "h1"
    # What builds on the broken one is not taken; what builds on what is served is.
    assert not rig.offer(3, "h2")
    assert rig.offer(3, "h1")
    rig.finish()
    assert rig.applied == [3]


def test_a_failure_takes_what_was_built_on_it_with_it(rig):
    rig.offer(2, "h1", "broken")
    rig.follower.run_slice(0.004)
    rig.offer(3, "h2", "+3")
    rig.finish()
    assert rig.applied == []
    assert rig.follower.document.hash == "h1"
    assert rig.offer(4, "h1")
