"""Unix listeners: one shared socket, stale files, modes."""

from __future__ import annotations

import os
import signal
import stat

from tests.supervisor.conftest import wait_until


def test_all_workers_accept_on_one_socket(rig, tmp_path):
    path = str(tmp_path / "edge.sock")
    gateway = rig(listeners=[f"unix:{path}"], admin=f"unix:{tmp_path}/admin.sock").ready()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o666
    assert stat.S_IMODE(os.stat(tmp_path / "admin.sock").st_mode) == 0o600
    seen = set()

    def both() -> bool:
        talks = [gateway.talk(path) for _ in range(8)]
        seen.update(talk.ask("who").split()[0] for talk in talks)
        return len(seen) == 2

    wait_until(both)
    assert gateway.end() == 0
    assert not os.path.exists(path)


def test_a_file_that_a_killed_gateway_left_is_replaced(rig, tmp_path):
    path = str(tmp_path / "edge.sock")
    first = rig(listeners=[f"unix:{path}"]).ready()
    first.send(signal.SIGKILL)
    first.process.wait(5)
    assert os.path.exists(path)
    second = rig(listeners=[f"unix:{path}"]).ready()
    assert second.talk(path).ask("who")
    # Somebody listens now: that is not a stale file.
    third = rig(listeners=[f"unix:{path}"])
    assert third.process.wait(10) == 3
    assert f"unix:{path} (listeners[0]) is in use" in third.said()
    assert second.talk(path).ask("who")
    second.end()


def test_a_file_that_is_no_socket_is_left_alone(rig, tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    gateway = rig(listeners=[f"unix:{path}"])
    assert gateway.process.wait(10) == 4
    assert "not a socket" in gateway.said()
    assert path.read_text() == "data"
