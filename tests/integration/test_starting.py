"""The start: a port that is taken, a bad file, who is told."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.config import simple
from tests.support.gateway import PORT_IN_USE, ROOT, Gateway
from tests.support.upstream import Upstream

Make = Callable[..., Gateway]


def test_a_second_instance_fails_and_names_the_port(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url))
    second = make_gateway(simple(upstream.url), start=False, anew=True)
    second.port, second.admin_port = one.port, one.admin_port
    second.write(second.config)
    second.run()
    assert second.wait_exit() == PORT_IN_USE
    said = second.stderr()
    assert str(one.admin_port) in said or str(one.port) in said
    assert "Traceback" not in said
    with one.client() as client:
        assert client.get("/first-still-works").status == 200
    one.stop()


def test_a_listener_in_use_by_somebody_else_fails_and_names_it(
    make_gateway: Make, upstream: Upstream
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        one = make_gateway(simple(upstream.url), start=False, anew=True)
        one.port = other.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as free:
            one.admin_port = free.getsockname()[1]
        one.write(one.config)
        one.run()
        assert one.wait_exit() == PORT_IN_USE
        assert str(one.port) in one.stderr()
        assert "Traceback" not in one.stderr()


def test_a_bad_configuration_ends_the_start(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url, sever={}), start=False, anew=True)
    one.port, one.admin_port = 1, 2
    one.write(one.config)
    one.run()
    assert one.wait_exit() == 1
    assert "gateway.yaml:" in one.stderr()
    assert "server" in one.stderr(), "the misspelt key's right name is suggested"
    assert "Traceback" not in one.stderr()


def test_the_start_says_where_it_listens(make_gateway: Make, upstream: Upstream) -> None:
    one = make_gateway(simple(upstream.url), workers=2, anew=True)
    said = one.stderr()
    assert f"127.0.0.1:{one.port}" in said
    assert f"127.0.0.1:{one.admin_port}" in said
    one.stop()


def test_systemd_is_told(make_gateway: Make, upstream: Upstream, tmp_path: Path) -> None:
    address = str(tmp_path / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(address)
        notify.settimeout(10)
        one = make_gateway(simple(upstream.url), start=False, anew=True)
        one.start({"NOTIFY_SOCKET": address})
        assert b"READY=1" in notify.recv(4096).split(b"\n")
    one.stop()


def test_no_child_stays_when_a_pager_reads_the_output(make_gateway: Make, upstream: Upstream) -> None:
    """`fastgw run | head`: a closed stdout must not end or block it."""
    one = make_gateway(simple(upstream.url), start=False, anew=True)
    one.spawn()
    one.wait_ready()
    one.stop()
    process = subprocess.Popen(
        [sys.executable, "-m", "fastgw", "run", "-c", str(one.file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        start_new_session=True,
    )
    one.process = process
    assert process.stdout is not None
    process.stdout.close()
    one.wait_ready()
    with one.client() as client:
        assert client.get("/closed-stdout").status == 200
    assert one.stop() == 0
