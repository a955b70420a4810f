from fastgw.account.series import SeriesMemory, Slot, Word, WorkerState
from fastgw.clock import ManualClock
from fastgw.control.readiness import STALE_AFTER, Readiness


class Gateway:
    """Two workers, and a readiness that looks at them twice a second."""

    def __init__(self, workers: int = 2) -> None:
        memory = SeriesMemory(workers, 64, 4096)
        self.slots = [memory.slot(index) for index in range(workers)]
        self.clock = ManualClock()
        self.refusals: dict[tuple[int, int], str] = {}
        self.readiness = Readiness(self.slots, self.clock, lambda *which: self.refusals.get(which))
        self.version = 1

    def serve(self, slot: Slot) -> None:
        slot.set(Word.STATE, WorkerState.SERVING)
        slot.set(Word.VERSION, self.version)

    def pass_time(self, seconds: float, beating: list[Slot]) -> list[str | None]:
        """Every half second: the heartbeat of these, and what readiness says."""
        said: list[str | None] = []
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)
            for slot in beating:
                slot.set(Word.HEARTBEAT, slot.get(Word.HEARTBEAT) + 1)
            said.append(self.readiness.reason(self.version))
        return said


def test_not_ready_before_a_worker_serves() -> None:
    gateway = Gateway()
    assert gateway.readiness.reason(1) == "no worker is serving"
    gateway.serve(gateway.slots[0])
    gateway.slots[1].set(Word.VERSION, 1)
    assert gateway.pass_time(1, gateway.slots) == [None, None]


def test_not_ready_while_draining() -> None:
    gateway = Gateway()
    for slot in gateway.slots:
        gateway.serve(slot)
    assert gateway.readiness.reason(1) is None
    gateway.readiness.draining = True
    assert gateway.readiness.reason(1) == "draining"


def test_a_respawn_of_the_only_worker_does_not_flap() -> None:
    gateway = Gateway(1)
    (slot,) = gateway.slots
    gateway.serve(slot)
    assert gateway.pass_time(2, [slot])[-1] is None
    slot.reset_for_birth()
    slot.set(Word.VERSION, 1)
    assert gateway.readiness.reason(1) is None
    gateway.clock.advance(0.3)
    assert gateway.readiness.reason(1) is None
    gateway.serve(slot)
    assert set(gateway.pass_time(10, [slot])) == {None}


def test_no_serving_worker_is_told_soon() -> None:
    gateway = Gateway()
    for slot in gateway.slots:
        gateway.serve(slot)
    assert gateway.pass_time(1, gateway.slots)[-1] is None
    for slot in gateway.slots:
        slot.set(Word.STATE, WorkerState.STARTING)
    said = gateway.pass_time(2, gateway.slots)
    assert said[0] is None and said[-1] == "no worker is serving"


def test_killed_workers_still_say_that_they_serve_and_are_not_believed() -> None:
    gateway = Gateway()
    for slot in gateway.slots:
        gateway.serve(slot)
    gateway.pass_time(1, gateway.slots)
    assert gateway.pass_time(3, [])[-1] == "no worker is serving"


def test_a_silent_worker_is_stale_after_five_seconds() -> None:
    gateway = Gateway()
    for slot in gateway.slots:
        gateway.serve(slot)
    gateway.pass_time(1, gateway.slots)
    said = gateway.pass_time(STALE_AFTER + 1, gateway.slots[:1])
    assert set(said[:-2]) == {None}
    assert said[-1] is not None and said[-1].startswith("worker 1 has been silent")
    assert gateway.pass_time(0.5, gateway.slots) == [None]


def test_a_worker_that_stays_behind_is_stale_and_a_reload_does_not_flap() -> None:
    gateway = Gateway()
    for slot in gateway.slots:
        gateway.serve(slot)
    gateway.pass_time(1, gateway.slots)
    gateway.version = 2
    gateway.slots[0].set(Word.VERSION, 2)
    said = gateway.pass_time(STALE_AFTER + 1, gateway.slots)
    assert set(said[:-2]) == {None}
    assert said[-1] is not None and said[-1].startswith("worker 1 has not taken version 2")
    gateway.slots[1].set(Word.VERSION, 2)
    assert gateway.pass_time(0.5, gateway.slots) == [None]


def test_a_worker_that_refused_the_version_says_why() -> None:
    gateway = Gateway()
    for slot in gateway.slots:
        gateway.serve(slot)
    gateway.pass_time(1, gateway.slots)
    gateway.version = 2
    gateway.slots[0].set(Word.VERSION, 2)
    gateway.refusals[1, 2] = "ValueError: odd"
    said = gateway.pass_time(STALE_AFTER + 1, gateway.slots)
    assert set(said[:-2]) == {None}
    assert said[-1] is not None and said[-1].startswith("worker 1 has not taken version 2")
    assert "it refused it (ValueError: odd)" in said[-1]
    # What it said of another version is no reason.
    gateway.version = 3
    gateway.slots[0].set(Word.VERSION, 3)
    last = gateway.pass_time(1, gateway.slots)[-1]
    assert last is not None and "refused" not in last


def test_one_version_after_the_other_makes_nobody_stale() -> None:
    gateway = Gateway(1)
    (slot,) = gateway.slots
    gateway.serve(slot)
    gateway.pass_time(1, [slot])
    said = []
    for gateway.version in range(2, 20):
        said += gateway.pass_time(0.5, [slot])
        slot.set(Word.VERSION, gateway.version)  # there is a newer one when it is looked at again
    assert set(said) == {None}
    gateway.version += 1
    assert gateway.pass_time(STALE_AFTER + 1, [slot])[-1] is not None


def test_a_paused_machine_makes_nobody_stale() -> None:
    gateway = Gateway()
    for slot in gateway.slots:
        gateway.serve(slot)
    gateway.pass_time(1, gateway.slots)
    gateway.clock.advance(3600)
    assert gateway.readiness.reason(1) is None
    assert gateway.pass_time(1, gateway.slots) == [None, None]
