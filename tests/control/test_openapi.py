"""The description of the admin API: valid by itself, and complete beside what is served."""

import re
from typing import Any

import aiohttp
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.control.harness import Gateway
from tests.control.test_api import problem

# Design section 11, and what came with it.
CALLS = """
GET /livez /readyz /metrics /api/status /api/config /api/config/versions /api/fleet /api/upstreams /api/tail /api/overview
GET /api/openapi.json /api/routes /api/consumers /api/routes/{name} /api/upstreams/{name} /api/consumers/{name}
PUT /api/config /api/routes/{name} /api/upstreams/{name} /api/consumers/{name}
PATCH /api/routes/{name} /api/upstreams/{name} /api/consumers/{name}
DELETE /api/routes/{name} /api/upstreams/{name} /api/consumers/{name}
POST /api/config/rollback /api/config/diff /api/reload /api/upstreams/{name}/breaker /api/explain
"""


@pytest.fixture
async def described(client: aiohttp.ClientSession) -> dict[str, Any]:
    answer = await client.get("/api/openapi.json")
    assert (answer.status, answer.content_type) == (200, "application/json")
    description: dict[str, Any] = await answer.json()
    return description


def operations(described: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


async def test_it_is_openapi(described: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(described).validate()


async def test_every_call_of_the_design_is_there_and_no_other(described: dict[str, Any]) -> None:
    wanted = {(words[0], path) for words in map(str.split, CALLS.strip().splitlines()) for path in words[1:]}
    assert operations(described).keys() == wanted


async def test_every_call_says_what_it_does_and_how_it_refuses(described: dict[str, Any]) -> None:
    identifiers = set()
    for (method, path), operation in operations(described).items():
        identifiers.add(operation["operationId"])
        assert operation["summary"].endswith(".")
        assert {"401", "403", "422"} <= operation["responses"].keys()
        for status, answer in operation["responses"].items():
            assert answer["description"], (method, path, status)
        named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path))
        if method in ("PUT", "PATCH", "DELETE"):
            assert {"412", "428"} <= operation["responses"].keys()
    assert len(identifiers) == len(operations(described))


async def test_what_is_described_is_served(
    gateway: Gateway, client: aiohttp.ClientSession, described: dict[str, Any]
) -> None:
    for method, path in operations(described):
        if path == "/api/tail":
            continue  # would not end
        where = path.replace("{name}", "orders")
        answer = await client.request(method, where, headers={"Content-Type": "text/plain"}, data=b"x")
        assert answer.status not in (405, 500), (method, path)
        assert answer.status != 404 or "There is no consumer" in (await problem(answer))["detail"]
        wrong = await client.request("OPTIONS", where)
        allowed = {each for each, known in operations(described) if known == path}
        allowed |= {"HEAD"} & {"HEAD" if "GET" in allowed else ""}
        assert (wrong.status, set(wrong.headers["Allow"].split(", "))) == (405, allowed)
        assert (await problem(wrong))["reason"] == "method_not_allowed"


async def test_parts_of_the_document_have_its_schemas(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    assert "upstream" in schemas["Route"]["properties"] and "name" not in schemas["Route"].get("required", ())
    assert schemas["Upstream"]["required"] == ["targets"]
    assert "routes" in schemas["Document"]["properties"]
    assert "$defs" not in str(described)
