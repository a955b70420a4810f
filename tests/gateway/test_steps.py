from __future__ import annotations

import pytest

from fastgw.gateway.document.options import BaseOptions, RouteOptions
from fastgw.gateway.phases import REQUEST_POLICIES
from fastgw.gateway.steps import AFTER_AUTH, BEFORE_AUTH, is_secret, names_of, phase_of
from fastgw.model.route import Check

BASE = BaseOptions.model_validate({"listeners": [{"address": "127.0.0.1:1"}]})
BEFORE = {"name": "a", "key": "client_ip", "rate": "1/s", "burst": 1}
AFTER = {"name": "b", "key": "consumer", "rate": "1/s", "burst": 1}
EVERYTHING = {
    "max_in_flight": 3,
    "ip_access": {"deny": ["192.0.2.0/24"]},
    "cors": {"origins": ["https://shop.example.com"]},
    "auth": {"any": ["api_key"]},
    "limits": [AFTER, BEFORE],
}


def chain(**policies: object) -> tuple[list[Check], RouteOptions]:
    route = RouteOptions.model_validate({"name": "r", "upstream": "u", **policies})
    return [check for build in REQUEST_POLICIES if (check := build(route, BASE)) is not None], route


def test_every_policy_that_there_is_has_the_name_of_its_key() -> None:
    """A new policy needs a line in steps.py."""
    checks, route = chain(**EVERYTHING)
    assert len(checks) == len(REQUEST_POLICIES)
    names = names_of(checks, route.limits)
    assert names == ["max_in_flight", "ip_access", "cors", "limits before auth", "auth", "limits after auth"]
    assert {name.partition(" ")[0] for name in names} <= set(RouteOptions.model_fields)


def test_a_shadow_has_the_name_of_its_policy() -> None:
    checks, route = chain(cors={"origins": ["https://shop.example.com"], "mode": "shadow"})
    assert names_of(checks, route.limits) == ["cors"]


@pytest.mark.parametrize(
    ("limits", "phases"),
    [([BEFORE], [BEFORE_AUTH]), ([AFTER], [AFTER_AUTH]), ([AFTER, BEFORE], [BEFORE_AUTH, AFTER_AUTH])],
)
def test_the_phase_of_limits(limits: list[object], phases: list[str]) -> None:
    checks, route = chain(limits=limits)
    assert [phase_of(name) for name in names_of(checks, route.limits)] == phases


@pytest.mark.parametrize(
    "name",
    ["Authorization", "COOKIE", "x-api-key", "X-ApiKey", "x-auth-token", "x-client-secret", "X-PASS", "X-Auth-Key",
     "Proxy-Authorization", "X-Access-Key", "x-session-id", "X-Passwd"],
)  # fmt: skip
def test_headers_that_carry_credentials(name: str) -> None:
    assert is_secret(name, "x-pass")


@pytest.mark.parametrize("name", ["accept", "x-tenant", "x-passage", "x-api-version"])
def test_headers_that_do_not(name: str) -> None:
    assert not is_secret(name, "x-pass")
