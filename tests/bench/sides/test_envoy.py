from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import pytest

from bench import tools
from bench.sides import envoy
from bench.sides.side import Plan, Policies


def test_router_with_log_and_no_deadline_over_bodies(plan: Plan) -> None:
    text = envoy.render(plan)
    assert str(plan.access_log) in text
    assert text.count('"timeout": "0s"') == 2
    assert (
        json.loads(text)["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"]
        == 4001
    )


def test_policies_come_with_a_json_log(plan: Plan) -> None:
    assert "json_format" not in envoy.render(plan)
    assert "json_format" in envoy.render(replace(plan, policies=Policies(jwt=True)))


@pytest.mark.skipif(tools.find("envoy") is None, reason="envoy is not installed")
@pytest.mark.parametrize("policies", [None, Policies(address=100, jwt=True, consumer=5)])
def test_envoy_accepts_it(plan: Plan, policies: Policies | None) -> None:
    command = envoy.write(replace(plan, routes=4, policies=policies))
    argv = [*command.argv, "--mode", "validate"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
