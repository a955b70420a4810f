from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import pytest

from bench import tools
from bench.sides import envoy
from bench.sides.side import Plan


def test_router_with_log_and_no_deadline_over_bodies(plan: Plan) -> None:
    text = envoy.render(plan)
    assert str(plan.access_log) in text
    assert text.count('"timeout": "0s"') == 2
    assert (
        json.loads(text)["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"]
        == 4001
    )


@pytest.mark.skipif(tools.find("envoy") is None, reason="envoy is not installed")
def test_envoy_accepts_it(plan: Plan) -> None:
    command = envoy.write(replace(plan, routes=4))
    argv = [*command.argv, "--mode", "validate"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
