from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from bench import tools
from bench.sides import haproxy
from bench.sides.side import Plan


def test_http_mode_with_log_and_reuse(plan: Plan) -> None:
    text = haproxy.render(plan)
    for line in ("nbthread 1", "option httplog", "http-reuse always", "server upstream 127.0.0.1:4003"):
        assert line in text


@pytest.mark.skipif(tools.find("haproxy") is None, reason="haproxy is not installed")
@pytest.mark.parametrize("routes", [0, 50])
def test_haproxy_accepts_it(plan: Plan, routes: int) -> None:
    command = haproxy.write(replace(plan, routes=routes))
    done = subprocess.run(
        [command.argv[0], "-c", "-f", str(command.config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
