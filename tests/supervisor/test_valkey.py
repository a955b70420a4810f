"""The embedded server: who may reach it, who starts it again, and that nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from tests.supervisor.conftest import Rig, state, wait_gone, wait_until
from tests.support.valkey import binary

FAST = {"tick": 0.02, "stale_ticks": 5, "dead_ticks": 25}


@pytest.fixture
def embedded(rig, tmp_path, monkeypatch):
    """A rig with an embedded server, whose folder is in a place of the test's own."""
    place = Path("/tmp", f"fastgw-test-{os.getpid()}-{tmp_path.name[-20:]}")
    place.mkdir(mode=0o700)
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(place))

    def start(**told) -> Rig:
        started = rig(redis="embedded", valkey=told.pop("valkey", binary()), **told)
        started.place = place
        return started

    yield start
    for left in sorted(place.rglob("*"), reverse=True):
        left.rmdir() if left.is_dir() else left.unlink()
    place.rmdir()


def server(gateway: Rig) -> int:
    """The process id of the one that runs now."""
    found = [pid for pid in gateway.children() if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/")
             and b"valkey-server" in Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]]  # fmt: skip
    assert len(found) <= 1
    return found[0] if found else 0


def ask(gateway: Rig, *words: str) -> bytes:
    """One command over the socket that the workers were told."""
    path = gateway.ask("store").removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(path)
        sock.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w.encode()) for w in words))
        return sock.recv(4096)


def test_it_answers_before_the_workers_serve_and_the_start_line_says_so(embedded):
    gateway = embedded().ready()
    assert ask(gateway, "PING") == b"+PONG\r\n"
    assert f"fastgw: limits are kept in an embedded server ({binary()})" in gateway.said()
    assert len(gateway.children()) == 5
    assert gateway.end() == 0


def test_only_its_own_user_reaches_it_and_it_keeps_nothing(embedded):
    gateway = embedded().ready()
    path = Path(gateway.ask("store").removeprefix("unix://"))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    pid = server(gateway)
    sockets = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    table = Path(f"/proc/{pid}/net/tcp").read_text() + Path(f"/proc/{pid}/net/tcp6").read_text()
    inodes = {line.split()[9] for line in table.splitlines() if line.split()[9].isdigit()}
    assert not {f"socket:[{inode}]" for inode in inodes} & sockets
    assert ask(gateway, "CONFIG", "GET", "save").endswith(b"$4\r\nsave\r\n$0\r\n\r\n")
    assert ask(gateway, "CONFIG", "GET", "maxmemory").endswith(b"67108864\r\n")
    assert ask(gateway, "CONFIG", "GET", "maxmemory-policy").endswith(b"volatile-ttl\r\n")
    assert ask(gateway, "CONFIG", "GET", "appendonly").endswith(b"no\r\n")


def test_it_holds_nothing_of_the_gateway_and_knows_none_of_its_secrets(embedded, monkeypatch):
    monkeypatch.setenv("FASTGW_ADMIN_TOKEN", "a-secret-of-the-configuration")
    gateway = embedded().ready()
    pid = server(gateway)
    theirs = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    ours = {os.readlink(f"/proc/{gateway.process.pid}/fd/{fd}")
            for fd in os.listdir(f"/proc/{gateway.process.pid}/fd")}  # fmt: skip
    shared = {name.partition(":")[0] for name in theirs & ours}
    assert shared <= {"pipe", "/dev/null"}
    assert len([name for name in theirs & ours if name.startswith("pipe:")]) == 1  # its log
    assert b"a-secret" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_one_that_dies_is_replaced_at_the_same_address(embedded):
    gateway = embedded().ready()
    before, path = server(gateway), gateway.ask("store")
    workers = gateway.pids()
    os.kill(before, signal.SIGKILL)
    wait_gone(before)
    wait_until(lambda: server(gateway) not in {0, before}, 1)
    assert gateway.ask("store") == path

    def answers() -> bool:
        try:
            return ask(gateway, "PING") == b"+PONG\r\n"
        except OSError:
            return False

    wait_until(answers)
    assert f"valkey (pid {before}) was killed by SIGKILL; started again at once" in gateway.said()
    assert gateway.pids() == workers


def test_one_that_does_not_answer_is_killed_and_replaced(embedded):
    gateway = embedded(timing=FAST).ready()
    before = server(gateway)
    os.kill(before, signal.SIGSTOP)
    wait_gone(before)
    gateway.heard(f"valkey (pid {before}) has not moved for 0 s and is killed")
    wait_until(lambda: server(gateway) not in {0, before})


def test_one_that_answers_is_left_alone(embedded):
    gateway = embedded(timing={**FAST, "dead_ticks": 3}).ready()
    pid = server(gateway)
    signal.sigtimedwait([], 0.5)
    assert server(gateway) == pid
    assert "has not moved" not in gateway.said()


def test_a_server_that_cannot_run_keeps_nobody_from_serving(embedded, tmp_path):
    broken = tmp_path / "valkey-server"
    broken.write_text("#!/bin/sh\necho no libraries here\nexit 3\n")
    broken.chmod(0o755)
    gateway = embedded(valkey=str(broken)).ready()
    assert gateway.who()[3] == "ready"
    gateway.heard("fastgw: valkey: no libraries here")
    gateway.heard("ended with code 3; started again in")
    assert gateway.end() == 0


def test_a_server_that_never_answers_holds_the_start_no_longer_than_a_second(embedded, tmp_path):
    silent = tmp_path / "valkey-server"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    gateway = embedded(valkey=str(silent), timing={"valkey_wait": 0.3}).ready()
    assert gateway.who()[3] == "ready"
    assert gateway.end() == 0


def test_a_file_that_is_no_program_is_named(embedded, tmp_path):
    nothing = tmp_path / "valkey-server"
    nothing.write_text("")
    gateway = embedded(valkey=str(nothing)).ready()
    gateway.heard(f"fastgw: valkey: {nothing} cannot be run: Permission denied")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_the_groups_signals_do_not_end_it_before_the_workers(embedded, number):
    """A terminal's Ctrl-C reaches everybody; whoever drains still has limits."""
    gateway = embedded(drain=5).ready()
    pid = server(gateway)
    os.kill(pid, number)
    assert ask(gateway, "PING") == b"+PONG\r\n"
    held = gateway.talk()
    held.ask("hold")
    gateway.send(signal.SIGTERM)
    wait_until(gateway.refused)
    assert held.ask("store").startswith("unix:")
    assert state(pid) in {"S", "R"}
    held.close()
    assert gateway.process.wait(5) == 0
    wait_gone(pid)


def test_it_ends_last_and_its_folder_goes_with_it(embedded):
    gateway = embedded().ready()
    pid = server(gateway)
    assert len(list(gateway.place.iterdir())) == 1
    assert gateway.end(signal.SIGTERM) == 0
    wait_gone(pid)
    assert list(gateway.place.iterdir()) == []


def test_it_dies_with_a_supervisor_that_is_killed_and_the_next_one_cleans_up(embedded):
    gateway = embedded().ready()
    pid = server(gateway)
    gateway.send(signal.SIGKILL)
    gateway.process.wait(5)
    wait_gone(pid)
    (left,) = gateway.place.iterdir()
    after = embedded().ready()
    (made,) = after.place.iterdir()
    assert made != left
    assert after.end() == 0


def test_a_respawned_worker_knows_the_server_too(embedded):
    gateway = embedded(workers=1).ready()
    path = gateway.ask("store")
    pid = gateway.pids(1)[0]
    os.kill(pid, signal.SIGKILL)
    wait_gone(pid)
    assert gateway.ask("store") == path


def test_without_a_redis_key_the_start_says_that_limits_are_local(rig):
    gateway = rig(limits=1).ready()
    assert "fastgw: limits are local to each worker: the configuration has no redis key\n" in gateway.said()
    assert gateway.ask("store") == "local"


def test_another_redis_is_named_without_its_password(rig):
    gateway = rig(redis="redis://someone:hidden@127.0.0.1:1/2").ready()
    assert "fastgw: limits are kept in redis://127.0.0.1:1/2\n" in gateway.said()
    assert "hidden" not in gateway.said()
    assert gateway.ask("store") == "redis://someone:hidden@127.0.0.1:1/2"
