from __future__ import annotations

import json
from pathlib import Path

import jwt
import pytest

from bench.load import traffic
from bench.sides.side import Plan
from fastgw.gateway.document.load import load_file
from k6 import guards
from k6.guards import GuardedWriter
from k6.scenario import SCENARIOS, Bucket, Guards

PLAN = Guards(3, Bucket(100, 200), Bucket(50, 100))


def test_the_gateway_accepts_its_configuration(tmp_path: Path) -> None:
    signer = guards.make_signer(tmp_path)
    plan = Plan(tmp_path, 4001, 4002, 4003, 4004)
    command = GuardedWriter(PLAN, "unix:///run/store.sock", signer.public_key)(plan)
    route = load_file(command.config, {}).routes["all"]
    assert [(limit.key, limit.burst) for limit in route.limits] == [("client_ip", 200), ("consumer", 100)]
    assert route.auth is not None


def test_a_plain_configuration_with_another_route_is_not_guarded_by_mistake(tmp_path: Path) -> None:
    plan = Plan(tmp_path, 4001, 4002, 4003, 4004, routes=3)
    with pytest.raises(ValueError, match="another route"):
        guards.render(plan, PLAN, "unix:///s", tmp_path / "key")


def test_every_client_has_an_address_and_a_token_of_its_own(tmp_path: Path) -> None:
    signer = guards.make_signer(tmp_path)
    clients = guards.make_clients(signer, 3)
    made = [clients.headers(index) for index in range(6)]
    assert len({one["X-Forwarded-For"] for one in made}) == 3
    tokens = [one["Authorization"].removeprefix("Bearer ") for one in made]
    assert tokens[:3] == tokens[3:]
    subjects = {
        jwt.decode(token, signer.public_key.read_text(), algorithms=["ES256"], audience="api")["sub"]
        for token in tokens
    }
    assert len(subjects) == 3


def test_no_two_addresses_are_the_same() -> None:
    assert len({guards.address(client) for client in range(1000)}) == 1000
    assert guards.address(258) == "10.0.1.2"


def test_a_forgery_is_right_until_its_signature_is_spoilt(tmp_path: Path) -> None:
    signer = guards.make_signer(tmp_path)
    file = tmp_path / "forgery.json"
    guards.write_forgery(signer, file)
    signed, signature = json.loads(file.read_text())
    key = signer.public_key.read_text()
    assert jwt.decode(f"{signed}.{signature}", key, algorithms=["ES256"], audience="api")
    spoilt = f"{signed}.{'7'.rjust(12, 'A')}{signature[12:]}"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(spoilt, key, algorithms=["ES256"], audience="api")


def test_the_address_of_the_flood_is_no_clients() -> None:
    script = SCENARIOS["flood"].script.read_text()
    assert "'X-Forwarded-For': '198.51.100.66'" in script


def test_a_token_has_the_size_that_the_other_scenarios_send(tmp_path: Path) -> None:
    token = guards.make_signer(tmp_path).token(1)
    assert abs(len(token) - traffic.CREDENTIAL_BYTES) < 60
