"""Real processes: who is replaced, who is killed, what the operator and the parent process are told."""

from __future__ import annotations

import os
import signal
import socket
import time
from itertools import pairwise

from tests.supervisor.conftest import free_port, state, wait_gone, wait_until

FAST = {"tick": 0.02, "stale_ticks": 5, "dead_ticks": 25}


def test_starts_and_says_what_it_does(rig):
    gateway = rig().ready()
    assert gateway.said().splitlines() == [
        "fastgw 0.1.0: configuration 1 of rig.yaml (hash-1), 2 workers",
        f"fastgw: listening on http://127.0.0.1:{gateway.port}",
        f"fastgw: admin on http://127.0.0.1:{gateway.admin}",
    ]
    assert len(gateway.children()) == 4
    assert gateway.end() == 0
    assert gateway.refused()


def test_a_killed_worker_is_replaced_within_200_ms(rig):
    gateway = rig().ready()
    pids = gateway.pids()
    started = time.monotonic()
    os.kill(pids[0], signal.SIGKILL)
    wait_until(lambda: len(gateway.children()) == 4 and pids[0] not in gateway.children(), 2)
    assert time.monotonic() - started < 0.2
    successors = gateway.pids()
    assert successors[0] != pids[0]
    assert successors[1] == pids[1]
    assert "worker 0" in gateway.said()
    assert "SIGKILL" in gateway.said()


def test_the_queue_of_a_killed_worker_is_served_by_its_successor(rig):
    gateway = rig(workers=1).ready()
    worker = gateway.pids(1)[0]
    os.kill(worker, signal.SIGSTOP)
    waiting = gateway.talk()
    waiting.say("who")
    os.kill(worker, signal.SIGKILL)
    answer = waiting.file.readline().split()
    assert answer[0] == "0"
    assert int(answer[1]) != worker


def test_a_worker_that_does_not_move_is_killed_and_replaced(rig):
    gateway = rig(timing=FAST).ready()
    pids = gateway.pids()
    os.kill(pids[1], signal.SIGSTOP)
    wait_gone(pids[1])
    assert gateway.pids()[1] != pids[1]
    assert gateway.pids()[0] == pids[0]
    gateway.heard("has not moved")


def test_a_sibling_accepts_for_a_worker_that_does_not_move_until_it_does(rig):
    gateway = rig(timing={**FAST, "dead_ticks": 100_000}).ready()
    pids = gateway.pids()
    os.kill(pids[1], signal.SIGSTOP)
    # Half of these queue where nobody accepts, until worker 0 does.
    assert {gateway.who()[0] for _ in range(16)} == {0}
    os.kill(pids[1], signal.SIGCONT)
    gateway.heard("worker 1 accepts by itself again")
    assert gateway.pids() == pids


def test_a_callback_that_never_returns_is_a_worker_that_does_not_move(rig):
    gateway = rig(timing=FAST, workers=1).ready()
    worker = gateway.pids(1)[0]
    gateway.talk().say("spin")
    wait_gone(worker)
    assert gateway.pids(1)[0] != worker


def test_a_pause_of_the_machine_kills_nobody(rig):
    gateway = rig(timing=FAST).ready()
    pids = gateway.pids()
    # All of them stand still for twice the limit, as when a virtual machine is paused.
    everybody = [gateway.process.pid, *gateway.children()]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all(state(pid) == "T" for pid in everybody))
    signal.sigtimedwait([], 1.0)
    for pid in reversed(everybody):
        os.kill(pid, signal.SIGCONT)
    assert gateway.pids() == pids
    assert "has not moved" not in gateway.said()


def test_a_crash_loop_backs_off(rig, tmp_path, monkeypatch):
    marker = tmp_path / "births"
    monkeypatch.setenv("RIG_MARKER", str(marker))
    gateway = rig(workers=2, worker="die").ready()
    os.kill(gateway.pids()[0], signal.SIGKILL)
    wait_until(lambda: len(marker.read_text().splitlines()) >= 8, 10)
    births = [float(line) for line in marker.read_text().splitlines()]
    gaps = [later - earlier for earlier, later in pairwise(births[2:])]
    # Born, dead, born at once, and again; then 100, 200, 400 ms.
    assert gaps[2] > 0.09
    assert gaps[3] > 0.19
    assert gaps[4] > 0.39
    # The other worker serves all the while, on both sockets.
    gateway.heard("accepts for worker 0")
    assert {gateway.who()[0] for _ in range(30)} == {1}


def test_a_start_that_fails_has_its_own_exit_code(rig):
    gateway = rig(worker="fail")
    assert gateway.process.wait(10) == 4
    assert "cannot start: worker" in gateway.said()
    assert "ended with code 7" in gateway.said()


def test_a_configuration_that_does_not_compile_ends_the_start(rig):
    gateway = rig(text="broken")
    assert gateway.process.wait(10) == 4
    assert "does not compile: a part is broken" in gateway.said()


def test_a_port_in_use_is_named_and_has_its_own_exit_code(rig):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        gateway = rig(listeners=[f"127.0.0.1:{port}"])
        assert gateway.process.wait(10) == 3
        assert f"127.0.0.1:{port} (listeners[0]) is in use" in gateway.said()


def test_a_second_instance_ends_at_the_admin_address(rig):
    admin = free_port()
    first = rig(admin=f"127.0.0.1:{admin}").ready()
    second = rig(admin=f"127.0.0.1:{admin}")
    assert second.process.wait(10) == 3
    assert f"127.0.0.1:{admin} (admin.address) is in use" in second.said()
    assert first.who()


def test_a_second_gateway_does_not_share_a_port_in_silence(rig):
    first = rig().ready()
    second = rig(listeners=[f"127.0.0.1:{first.port}"])
    assert second.process.wait(10) == 3
    assert f"127.0.0.1:{first.port} (listeners[0]) is in use" in second.said()
    assert first.who()


def test_control_is_started_again_and_traffic_goes_on(rig):
    gateway = rig().ready()
    before = gateway.control("who")
    held = gateway.talk()
    assert held.ask("hold") == "held"
    gateway.talk(gateway.admin).say("die")
    wait_gone(before["pid"])
    after = gateway.control("who")
    assert after["pid"] != before["pid"]
    assert after["restarts"] == 1
    assert held.ask("done") == "done"
    # Both workers have a channel to the new one.
    wait_until(lambda: {one.get("from") for one in gateway.control("heard")} >= {0, 1})


def test_the_logger_is_started_again_and_loses_nothing_that_is_in_the_pipes(rig, tmp_path):
    log = tmp_path / "access.log"
    gateway = rig(log=str(log), workers=1).ready()
    others = {gateway.pids(1)[0], gateway.control("who")["pid"]}
    (logger,) = gateway.children() - others
    os.kill(logger, signal.SIGSTOP)
    gateway.ask("log one")
    os.kill(logger, signal.SIGKILL)
    wait_until(lambda: '{"text": "one"}\n' in log.read_text())


def test_children_hold_nothing_that_is_not_theirs(rig):
    gateway = rig(log="stdout").ready()
    worker = set(gateway.ask("fds").split(" "))
    control = set(gateway.control("who")["fds"])
    pids = gateway.pids()
    (logger,) = gateway.children() - set(pids.values()) - {gateway.control("who")["pid"]}
    parent = held(gateway.process.pid)
    # Of what the supervisor has: two listening sockets (its own and the sibling's) and its log pipe.
    assert kinds(worker & parent) == ["pipe", "socket", "socket"]
    # The admin socket and its log pipe.
    assert kinds(control & parent) == ["pipe", "socket"]
    # The pipes of two workers, of control and of the supervisor.
    assert kinds(held(logger) & parent) == ["pipe"] * 4


def held(pid: int) -> set[str]:
    return {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}


def kinds(names: set[str]) -> list[str]:
    return sorted(name.partition(":")[0] for name in names if name.startswith(("pipe:", "socket:")))


def test_a_respawned_worker_starts_from_the_current_document(rig):
    gateway = rig().ready()
    gateway.control("publish 2 hash-1 new")
    wait_until(lambda: {gateway.who()[2] for _ in range(10)} == {2})
    pids = gateway.pids()
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    for pid in pids.values():
        wait_gone(pid)
    assert {gateway.who()[2] for _ in range(10)} == {2}
    gateway.talk(gateway.admin).say("die")
    wait_until(lambda: gateway.said().count("control") > 0 and "started again" in gateway.said())
    wait_until(lambda: gateway.control("who")["version"] == 2)


def test_a_document_that_does_not_compile_changes_nothing(rig):
    gateway = rig().ready()
    gateway.control("publish 2 hash-1 broken")
    wait_until(lambda: sum(one["type"] == "rejected" for one in gateway.control("heard")) == 3)
    assert {gateway.who()[2] for _ in range(10)} == {1}
    # What comes next builds on what is served.
    gateway.control("publish 3 hash-1 fine")
    wait_until(lambda: {gateway.who()[2] for _ in range(10)} == {3})


def test_a_difference_to_something_else_is_answered_with_what_is_held(rig):
    gateway = rig().ready()

    def hellos(count: int) -> bool:
        heard = [one["index"] for one in gateway.control("heard") if one["type"] == "hello"]
        return all(heard.count(index) == count for index in (-1, 0, 1))

    wait_until(lambda: hellos(1))
    gateway.control("publish 9 hash-8 new")
    wait_until(lambda: hellos(2))
    assert {gateway.who()[2] for _ in range(10)} == {1}
    gateway.control("publish 9 - new")
    wait_until(lambda: {gateway.who()[2] for _ in range(10)} == {9})


def test_known_addresses_reach_those_that_are_born_later(rig):
    gateway = rig().ready()
    gateway.control("addresses")
    wait_until(lambda: gateway.control("who") is not None)
    os.kill(gateway.pids()[0], signal.SIGKILL)
    gateway.heard("addresses up name:80 127.0.0.9")


def test_known_keys_reach_those_that_are_born_later(rig):
    gateway = rig().ready()
    gateway.control("keys")
    before = gateway.control("who")
    os.kill(gateway.pids()[0], signal.SIGKILL)
    gateway.heard("keys https://id/jwks 1 down")
    os.kill(before["pid"], signal.SIGKILL)
    wait_until(lambda: before["pid"] not in gateway.children())
    known = gateway.control("who")["keys"]
    assert [(each["source"], each["keys"]) for each in known] == [("https://id/jwks", [{"kty": "EC"}])]


def test_hup_asks_control_and_tells_the_service_manager(rig, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(5)
        gateway = rig(env={"NOTIFY_SOCKET": path}).ready()
        assert manager.recv(100) == b"READY=1"
        gateway.send(signal.SIGHUP)
        assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(100) == b"READY=1"
        assert {"type": "reload"} in gateway.control("heard")
        gateway.send(signal.SIGTERM)
        assert manager.recv(100) == b"STOPPING=1"
        assert gateway.process.wait(5) == 0


def test_usr1_reopens_the_log(rig, tmp_path):
    log = tmp_path / "access.log"
    gateway = rig(log=str(log)).ready()
    gateway.ask("log one")
    wait_until(lambda: "one" in log.read_text())
    log.rename(tmp_path / "access.log.1")
    gateway.send(signal.SIGUSR1)
    wait_until(log.exists)
    gateway.ask("log two")
    wait_until(lambda: "two" in log.read_text())
    assert (tmp_path / "access.log.1").read_text() == '{"text": "one"}\n'


def test_the_terminals_signals_to_the_whole_group_are_the_supervisors_alone(rig):
    gateway = rig(drain=5).ready()
    held = gateway.talk()
    held.ask("hold")
    # Ctrl-\ and a service manager's TERM reach every process of the group.
    os.killpg(gateway.process.pid, signal.SIGQUIT)
    wait_until(gateway.refused)
    assert held.ask("done") == "done"
    assert gateway.process.wait(5) == 0
