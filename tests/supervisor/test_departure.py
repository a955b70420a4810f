"""How it ends: in order, at once, and without a supervisor."""

from __future__ import annotations

import os
import signal
import time

from tests.supervisor.conftest import wait_gone, wait_until


def test_term_finishes_what_was_begun(rig):
    gateway = rig(drain=5).ready()
    held, idle = gateway.talk(), gateway.talk()
    assert held.ask("hold") == "held"
    assert idle.ask("hello") == "done"
    gateway.send(signal.SIGTERM)
    wait_until(gateway.refused)
    assert idle.file.readline() == ""  # closed in order
    assert held.ask("done") == "done"
    assert gateway.process.wait(5) == 0


def test_term_answers_whoever_is_in_the_queue(rig):
    gateway = rig(workers=1).ready()
    worker = gateway.pids(1)[0]
    os.kill(worker, signal.SIGSTOP)
    waiting = [gateway.talk() for _ in range(30)]
    for talk in waiting:
        talk.say("who")
    gateway.send(signal.SIGTERM)
    os.kill(worker, signal.SIGCONT)
    assert [talk.file.readline().split()[1] for talk in waiting] == [str(worker)] * 30
    assert gateway.process.wait(5) == 0


def test_term_goes_on_accepting_for_the_delay(rig):
    gateway = rig(delay=0.5).ready()
    started = time.monotonic()
    gateway.send(signal.SIGTERM)
    wait_until(lambda: gateway.who()[3] == "draining")
    wait_until(lambda: {"type": "draining"} in gateway.control("heard"))
    wait_until(gateway.refused)
    assert time.monotonic() - started >= 0.5
    assert gateway.process.wait(5) == 0


def test_quit_skips_the_delay(rig):
    gateway = rig(delay=30).ready()
    gateway.send(signal.SIGTERM)
    wait_until(lambda: gateway.who()[3] == "draining")
    assert gateway.end(signal.SIGQUIT, 5) == 0


def test_a_drain_has_a_deadline(rig):
    gateway = rig(drain=0.3).ready()
    held = gateway.talk()
    held.ask("hold")
    started = time.monotonic()
    gateway.send(signal.SIGTERM)
    assert gateway.process.wait(5) == 0
    assert 0.3 <= time.monotonic() - started < 2


def test_int_stops_at_once(rig):
    gateway = rig(drain=60, delay=60).ready()
    held = gateway.talk()
    held.ask("hold")
    gateway.send(signal.SIGTERM)
    wait_until(lambda: gateway.who()[3] == "draining")
    started = time.monotonic()
    assert gateway.end(signal.SIGINT, 5) == 0
    assert time.monotonic() - started < 1


def test_what_does_not_end_is_killed(rig):
    gateway = rig(timing={"stop_grace": 0.3}).ready()
    for pid in gateway.children():
        os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    assert gateway.end(signal.SIGINT, 8) == 0
    assert time.monotonic() - started < 3


def test_the_logger_has_the_last_word(rig, tmp_path):
    log = tmp_path / "access.log"
    gateway = rig(log=str(log)).ready()
    for number in range(200):
        gateway.ask(f"log {number}")
    assert gateway.end(signal.SIGTERM) == 0
    assert len(log.read_text().splitlines()) == 200


def test_without_a_supervisor_the_ports_are_free_at_once_and_nobody_stays(rig):
    gateway = rig(drain=5).ready()
    held = gateway.talk()
    assert held.ask("hold") == "held"
    children = gateway.children()
    gateway.send(signal.SIGKILL)
    gateway.process.wait(5)
    assert wait_until(gateway.refused) < 0.5
    # A new one starts while the orphans finish.
    successor = rig(listeners=[f"127.0.0.1:{gateway.port}"], admin=f"127.0.0.1:{gateway.admin}").ready()
    assert held.ask("done") == "done"
    for pid in children:
        wait_gone(pid)
    successor.end()


def test_orphans_have_the_deadline_too(rig):
    gateway = rig(drain=0.3).ready()
    held = gateway.talk()
    held.ask("hold")
    children = gateway.children()
    gateway.send(signal.SIGKILL)
    for pid in children:
        wait_gone(pid, 3)


def test_an_orphan_whose_loop_hangs_is_ended_by_the_kernel(rig):
    gateway = rig(drain=0.2, workers=1).ready()
    worker = gateway.pids(1)[0]
    gateway.talk().say("spin")
    gateway.send(signal.SIGKILL)
    wait_gone(worker, 5)


def test_a_sink_that_blocks_stops_nothing(rig, tmp_path):
    """The access log is a pipe that nobody reads: lines are lost, traffic goes on, and so does the end."""
    os.mkfifo(tmp_path / "full")
    reader = os.open(tmp_path / "full", os.O_RDONLY | os.O_NONBLOCK)
    gateway = rig(log=str(tmp_path / "full"), workers=1, timing={"stop_grace": 0.3}).ready()
    talk = gateway.talk()
    line = "log " + "x" * 60_000
    answers = [talk.ask(line) for _ in range(40)]
    assert answers[-1] == "dropped"
    assert gateway.end(signal.SIGINT, 8) == 0
    os.close(reader)
