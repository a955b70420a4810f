"""The fixed set of sockets."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

import pytest

from fastgw.config.address import parse_address
from fastgw.supervisor.exits import BootError, Exit
from fastgw.supervisor.sockets import SocketSet
from tests.supervisor.conftest import free_port


def base(*listeners: str, admin: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        admin=SimpleNamespace(address=parse_address(admin or f"127.0.0.1:{free_port()}")),
        listeners=[SimpleNamespace(address=parse_address(each)) for each in listeners],
    )


@pytest.fixture
def sockets():
    made = SocketSet(2)
    yield made
    made.close()
    made.close_admin()


def test_one_socket_per_worker_and_none_listens_before_it_is_told(sockets):
    port = free_port()
    sockets.bind(base(f"127.0.0.1:{port}"))
    own = [borrowed.sock for index in range(2) for borrowed in sockets.of_worker(index)]
    assert [sock.getsockname()[1] for sock in own] == [port, port]
    assert len({sock.fileno() for sock in own}) == 2
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass
    sockets.listen()
    socket.create_connection(("127.0.0.1", port)).close()


def test_the_admin_address_listens_at_once_and_alone(sockets):
    sockets.bind(base())
    assert sockets.admin.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
    socket.create_connection(sockets.admin.getsockname()).close()


def test_ipv6_means_ipv6_only(sockets):
    port = free_port()
    sockets.bind(base(f"[::1]:{port}", f"127.0.0.1:{port}"))
    assert sockets.names == [f"http://[::1]:{port}", f"http://127.0.0.1:{port}"]


def test_an_address_in_use_is_named_and_nothing_stays_bound(sockets):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        first, admin = free_port(), free_port()
        with pytest.raises(BootError, match=rf"127.0.0.1:{taken} \(listeners\[1\]\) is in use") as raised:
            sockets.bind(base(f"127.0.0.1:{first}", f"127.0.0.1:{taken}", admin=f"127.0.0.1:{admin}"))
    assert raised.value.code is Exit.PORT_IN_USE
    for port in (first, admin):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_a_listener_with_so_reuseport_is_in_use_too(sockets):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(BootError, match="is in use"):
            sockets.bind(base(f"127.0.0.1:{other.getsockname()[1]}"))


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("192.0.2.1:8080", "no such address"),
        ("no-such-host.invalid:80", "listeners"),
        ("unix:/absent/x", "No such"),
    ],
)
def test_what_cannot_be_bound_says_why(sockets, address, cause):
    with pytest.raises(BootError, match=cause) as raised:
        sockets.bind(base(address))
    assert raised.value.code is Exit.CANNOT_BOOT


def test_a_path_is_removed_at_the_end_unless_a_successor_has_it(sockets, tmp_path):
    path = tmp_path / "edge.sock"
    sockets.bind(base(f"unix:{path}"))
    path.unlink()
    path.write_text("a successor's")
    # The kernel may give a new file the number of the one that was removed.
    same = os.stat(path).st_ino == sockets._paths[0][1]
    sockets.close()
    assert path.exists() or same
