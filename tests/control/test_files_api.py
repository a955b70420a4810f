"""The files of the dashboard as they are served."""

import aiohttp
import pytest

from tests.control.test_api import problem


@pytest.fixture
def token() -> str:
    return "a-token-of-at-least-thirty-two-bytes"


async def test_the_page_needs_no_token_but_what_it_shows_does(client: aiohttp.ClientSession) -> None:
    answer = await client.get("/")
    assert (answer.status, answer.content_type) == (200, "text/html")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Server"] == "fastgw"
    assert (await client.get("/api/status")).status == 401


async def test_it_is_sent_once(client: aiohttp.ClientSession) -> None:
    tag = (await client.get("/")).headers["ETag"]
    again = await client.get("/", headers={"If-None-Match": f'W/{tag}, "x"'})
    assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)
    assert (await client.get("/", headers={"If-None-Match": '"other"'})).status == 200
    head = await client.head("/")
    assert (head.status, await head.read()) == (200, b"")


async def test_a_foreign_page_gets_none_of_it(client: aiohttp.ClientSession) -> None:
    for fields in ({"Host": "evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await client.get("/", headers=fields)
        assert answer.status == 403
        assert (await problem(answer))["reason"] in {"host_not_allowed", "foreign_origin"}


async def test_only_files_are_there(client: aiohttp.ClientSession) -> None:
    for path in ("/index.html", "/assets/", "/assets/../control/api.py", "/assets/%2e%2e/api.py"):
        assert (await client.get(path)).status in (401, 404)
    answer = await client.post("/", json={})
    assert answer.status == 401
