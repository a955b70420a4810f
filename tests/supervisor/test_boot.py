"""What is prepared before the first fork, in its order."""

from __future__ import annotations

import gc
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastgw.config.address import parse_address
from fastgw.supervisor.boot import boot
from fastgw.supervisor.exits import BootError, Exit
from fastgw.supervisor.settings import Settings
from tests.supervisor.conftest import free_port


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


class Build:
    """Looks at the ports while the first snapshot is compiled."""

    def __init__(self, port: int, admin: int, error: Exception | None = None) -> None:
        self.ports = (port, admin)
        self.error = error
        self.seen: tuple[bool, ...] = ()
        self.collecting = True

    def assemble(self, document, payload, digest, whole):
        raise AssertionError

    def compile(self, document, version, previous):
        self.seen = tuple(connects(port) for port in self.ports)
        self.collecting = gc.isenabled()
        yield
        if self.error:
            raise self.error
        return f"snapshot {version}"


@pytest.fixture
def settings():
    base = SimpleNamespace(
        admin=SimpleNamespace(address=parse_address(f"127.0.0.1:{free_port()}")),
        listeners=[SimpleNamespace(address=parse_address(f"127.0.0.1:{free_port()}"))],
        server=SimpleNamespace(max_connections=10**9),
    )
    yield Settings(Path("gateway.yaml"), SimpleNamespace(base=base, hash="h"), 3, 2, {})
    gc.unfreeze()


def ports(settings: Settings) -> tuple[int, int]:
    base = settings.document.base
    return base.listeners[0].address.port, base.admin.address.port


def test_nothing_queues_before_the_first_snapshot_is_compiled(settings):
    build = Build(*ports(settings))
    booted = boot(settings, build)
    assert build.seen == (False, True)
    assert not build.collecting
    assert gc.isenabled()
    assert booted.snapshot == "snapshot 3"
    assert [connects(port) for port in ports(settings)] == [True, True]
    booted.sockets.close()
    booted.sockets.close_admin()
    booted.pipes.close_writers()
    booted.pipes.close_readers()


def test_what_does_not_compile_leaves_nothing_bound(settings):
    with pytest.raises(BootError, match="does not compile: broken") as raised:
        boot(settings, Build(*ports(settings), error=ValueError("broken")))
    assert raised.value.code is Exit.CANNOT_BOOT
    assert [connects(port) for port in ports(settings)] == [False, False]
