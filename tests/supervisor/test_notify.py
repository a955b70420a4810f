"""The service manager's socket."""

from __future__ import annotations

import socket

import pytest

from fastgw.supervisor import notify


@pytest.mark.parametrize("abstract", [True, False])
def test_it_is_told(tmp_path, abstract):
    name = f"@fastgw-{tmp_path.name}-{id(tmp_path)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(5)
        notifier = notify.Notifier({"NOTIFY_SOCKET": name})
        notifier.send(notify.READY)
        assert manager.recv(100) == b"READY=1"
        notifier.send(notify.reloading(1.5))
        assert manager.recv(100) == b"RELOADING=1\nMONOTONIC_USEC=1500000"


def test_nobody_is_told_where_nobody_asked(tmp_path):
    notify.Notifier({}).send(notify.READY)
    notify.Notifier({"NOTIFY_SOCKET": str(tmp_path / "absent")}).send(notify.READY)
