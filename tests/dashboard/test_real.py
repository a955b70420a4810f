"""The page over a real gateway of two workers: an upstream dies, is seen to and overruled; a version is rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import Open
from tests.dashboard.looking import dialog, ready, row
from tests.support.client import request
from tests.support.config import Config, route, service
from tests.support.gateway import Gateway, free_port
from tests.support.wire import Response

HOSTILE = "/dead/%3Cscript%3Ewindow.hit=1%3C/script%3E"


def config_of(port: int, body: str) -> Config:
    return {
        "upstreams": {
            "dead": service(f"http://127.0.0.1:{port}", breaker={"failures": 2, "open_for": "60s"})
        },
        "routes": [
            route("dead", "/dead/*", upstream="dead"),
            route("gone", "/old/*", reply={"status": 410, "body": body}),
        ],
    }


def get(gateway: Gateway, path: str) -> Response:
    with gateway.client() as client:
        client.send(request(path))
        return client.read()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    one = Gateway(Path(tmp_path_factory.mktemp("real")), config_of(free_port(), "first"), workers=2).start()
    yield one
    one.stop()


@pytest.fixture
def site(gateway: Gateway) -> str:
    return f"http://127.0.0.1:{gateway.admin_port}"


def test_an_upstream_that_dies_is_seen_to(visit: Open, gateway: Gateway) -> None:
    page = ready(visit("live"))
    expect(page.locator("#live-state")).to_contain_text("Nothing has matched yet")
    lines = page.locator(".line")
    # The filter reaches the workers a moment after the page was told that it watches.
    for _ in range(20):
        assert get(gateway, HOSTILE).status in {502, 503}
        if lines.count():
            break
        page.wait_for_timeout(50)
    for _ in range(6):  # enough for the circuit of both workers
        get(gateway, HOSTILE)
    opened = lines.filter(has_text="breaker_open")
    expect(opened.first).to_be_visible()
    expect(lines.filter(has_text="connect_refused").first).to_contain_text("%3Cscript%3E")
    opened.first.click()
    page.get_by_role("button", name="Explain this request").click()
    expect(page.locator("#explain-answer")).to_contain_text("dead")
    page.get_by_role("tab", name="Upstreams").click()
    card = page.get_by_role("article", name="Upstream dead")
    expect(card).to_contain_text("connect_refused")
    card.get_by_role("button", name="Force…").click()
    dialog(page).get_by_label("closed").check()
    dialog(page).get_by_role("button", name="Force dead closed for 30s").click()
    expect(card).to_contain_text("forced closed until")
    # The overview has it all in numbers.
    page.get_by_role("tab", name="Overview").click()
    expect(row(page, "Refused and failed, by reason", "connect_refused")).to_contain_text("dead")
    expect(page.get_by_role("img", name="Exchanges a second").locator("canvas")).to_be_visible()
    assert page.evaluate("window.hit === undefined")


def test_a_new_file_and_back_again(visit: Open, gateway: Gateway) -> None:
    page = ready(visit("versions"))
    expect(page.locator("tr.current")).to_contain_text("v1")
    gateway.write(config_of(free_port(), "second"))
    page.get_by_role("button", name="Reload the file").click()
    dialog(page).get_by_role("button", name="Reload", exact=True).click()
    expect(page.locator("tr.current")).to_contain_text("route:gone")
    assert get(gateway, "/old/x").body == b"second"
    row(page, "Versions, newest first", "v1").get_by_role("button", name="Roll back…").click()
    expect(dialog(page).locator(".changed").filter(has_text="second")).to_contain_text("first")
    dialog(page).get_by_role("button", name="Publish v1 again").click()
    expect(page.locator("#said")).to_have_text("v3 is served in 2 workers.")
    assert get(gateway, "/old/x").body == b"first"
    expect(page.locator("tr.current")).to_contain_text("back to version 1")
