from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bench.load import tokens, traffic
from bench.sides import fastgw
from bench.sides.side import Plan, Policies
from fastgw.gateway.document.load import load_file


@pytest.mark.parametrize("routes", [0, 10])
def test_the_gateway_accepts_it(plan: Plan, routes: int) -> None:
    command = fastgw.write(replace(plan, routes=routes))
    document = load_file(command.config, {})
    assert len(document.routes) == 1 + (routes or 1)
    assert set(document.upstreams) == {"backend", "sink"}
    assert document.base.workers == 1


WHOLE = Policies(address=100_000, jwt=True, consumer=2000, lease="off", store="unix:///tmp/store.sock")


def test_policies_are_written_in_the_words_of_the_configuration(plan: Plan) -> None:
    plain = yaml.safe_load(fastgw.render(replace(plan, policies=WHOLE)))
    assert plain["redis"] == {"url": "unix:///tmp/store.sock"}
    assert plain["issuers"]["main"]["secret"] == tokens.SECRET
    route = plain["routes"][-1]
    assert route["auth"] == {"any": [{"jwt": "main"}], "scopes": [tokens.SCOPE]}
    assert [(limit["key"], limit["rate"], limit["burst"], limit["lease"]) for limit in route["limits"]] == [
        ("client_ip", "100000/s", 100_000, "off"),
        ("consumer", "2000/s", 2000, "off"),
    ]


@pytest.mark.parametrize(
    "policies",
    [Policies(), Policies(address=1, store=WHOLE.store), replace(WHOLE, consumer=0), WHOLE],
    ids=["none", "address", "jwt", "whole"],
)
def test_the_gateway_accepts_each_set_of_policies(plan: Plan, policies: Policies) -> None:
    document = load_file(fastgw.write(replace(plan, policies=policies)).config, {})
    assert list(document.routes) == ["upload", "api"]


def test_started_as_an_operator_would(plan: Plan) -> None:
    command = fastgw.write(plan)
    assert command.argv == (sys.executable, "-m", "fastgw", "run", "-c", str(command.config))


def test_prefix_routes_end_in_a_star(plan: Plan) -> None:
    text = fastgw.render(replace(plan, routes=2))
    assert traffic.route_of(0) == (False, "/service-0/")
    assert 'path: "/service-0/*"' in text
    assert 'path: "/service-1/status"' in text


def test_counted_start_goes_through_the_counter(plan: Plan, tmp_path: Path) -> None:
    command = fastgw.write_counted(plan, tmp_path / "counts", frames=True)
    assert command.argv[1:4] == ("-m", "bench.counting", "run")
    assert command.environ == {"BENCH_COUNTS": str(tmp_path / "counts"), "BENCH_FRAMES": "1"}
