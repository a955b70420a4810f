"""A person looks: what goes on, what is wrong, on which screen, with which token, and when nobody answers."""

from __future__ import annotations

import json
import time
from typing import Any

from playwright.sync_api import expect

from tests.dashboard import scene
from tests.dashboard.conftest import OUTSIDE, Open
from tests.dashboard.fake_api import FakeApi
from tests.dashboard.looking import dialog, look_again, ready, row, sideways

VIEWS = ("overview", "upstreams", "live", "explain", "versions")
# In every place where a stranger, or another gateway, may have a say.
HOSTILE = '"><img src=x onerror="window.hit=1"><script>window.hit=1</script>{{7*7}}'


def test_sees_what_goes_on(visit: Open) -> None:
    page = ready(visit())
    expect(page.locator("#version")).to_contain_text("v7 9f2c61d0ab53")
    expect(page.locator("#tiles")).to_contain_text("Requests")
    expect(page.locator("#attention")).to_contain_text("search: 1 of 2 targets unhealthy")
    for name in ("Exchanges a second", "Latency"):
        picture = page.get_by_role("img", name=name)
        expect(picture.locator("canvas")).to_be_visible()
        assert any(character.isdigit() for character in picture.get_attribute("aria-label") or "")
    expect(row(page, "Routes", "payments")).to_contain_text("310 ms")
    expect(row(page, "Limits", "flood")).to_contain_text("local 50 %")
    expect(row(page, "Workers", "pid 4111")).to_contain_text("serving")
    expect(row(page, "Fleet", "edge-2")).to_contain_text("2 of 2")
    # A reason says what it means, and leads to its exchanges.
    row(page, "Refused and failed, by reason", "breaker_open").get_by_role("button").click()
    expect(page.locator("#reasons")).to_contain_text("The circuit is open after failures")
    page.locator("#reasons").get_by_role("button", name="Watch live").click()
    expect(page.get_by_label("Reason", exact=True)).to_have_value("breaker_open")


def test_sorts_and_finds_a_route(visit: Open) -> None:
    page = ready(visit())
    routes = page.get_by_role("table", name="Routes")
    first = routes.locator("tbody tr").first
    expect(first).to_contain_text("orders")
    routes.get_by_role("button", name="p99", exact=True).click()
    expect(first).to_contain_text("payments")
    expect(routes.locator('th[aria-sort="descending"]')).to_have_text("p99")
    page.get_by_placeholder("Find a route").fill("cata")
    expect(routes.locator("tbody tr")).to_have_count(1)
    # What no route has matched has no name to filter by, but a reason.
    page.get_by_placeholder("Find a route").fill("no route")
    routes.get_by_role("button", name="no route").click()
    expect(page.get_by_label("Reason", exact=True)).to_have_value("no_route")


def test_what_is_published_shows_by_itself(visit: Open, api: FakeApi) -> None:
    page = ready(visit("versions"))
    expect(page.locator("tr.current")).to_contain_text("v7")
    api.versions.append(api.versions[-1] | {"version": 8, "note": "a canary", "at": time.time()})
    api.status = api.status | {"version": 8}
    expect(page.locator("tr.current")).to_contain_text("a canary")
    expect(page.locator("#version")).to_contain_text("v8")
    page.get_by_role("tab", name="Overview").click()
    # Both workers are behind, and that is said.
    expect(page.locator("#attention")).to_contain_text(
        "Worker 1 still serves version 7; the current one is 8"
    )


def test_a_quiet_gateway_says_what_to_do(visit: Open, api: FakeApi) -> None:
    api.overview = scene.overview(time.time(), quiet=True)
    api.status = api.status | {"upstreams": []}
    api.upstreams = []
    api.fleet = {"instances": api.fleet["instances"][:1], "store": {"kind": "file", "up": True, "error": ""}}
    page = ready(visit())
    expect(page.locator("#attention")).to_contain_text("All is well")
    expect(page.locator("#routes")).to_contain_text("No exchange in the last ten seconds. Send one")
    expect(page.locator("#reasons")).to_contain_text("Nothing was refused")
    expect(page.locator("#traffic-chart")).to_contain_text("Nothing was measured yet")
    expect(page.locator("#fleet-panel")).to_be_hidden()
    page.get_by_role("tab", name="Upstreams").click()
    expect(page.locator("#upstreams-more")).to_contain_text("no upstreams")


def test_says_why_it_is_not_ready(visit: Open, api: FakeApi) -> None:
    api.ready = False
    page = visit()
    expect(page.locator("#ready")).to_have_text("not ready")
    expect(page.locator("#attention li").first).to_contain_text("worker 1 serves version 6 since 9 s")


def test_a_connection_that_is_lost_comes_back_by_itself(visit: Open, api: FakeApi) -> None:
    page = ready(visit())
    api.away = True
    look_again(page)
    expect(page.locator("#banner")).to_contain_text("Connection lost at")
    expect(page.locator("#banner")).to_contain_text("Traffic goes on without it")
    expect(page.locator("#ready")).to_have_text("no answer")
    expect(page.locator("#tiles")).to_contain_text("Requests")  # what was known stays to be read
    api.away = False
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#said")).to_have_text("The gateway answers again.")


def test_asks_for_the_token_and_keeps_it_in_this_tab_only(visit: Open, api: FakeApi) -> None:
    api.token = "the-right-token-of-this-gateway"
    page = visit()
    field = dialog(page).get_by_label("Token")
    expect(field).to_be_focused()
    field.fill("a-wrong-token")
    page.keyboard.press("Enter")
    expect(dialog(page)).to_contain_text("is not the right one")
    page.keyboard.press("Escape")  # without a token there is nothing to see: it stays
    dialog(page).get_by_label("Token").fill(api.token)
    page.keyboard.press("Enter")
    ready(page)
    kept = page.evaluate(
        "[JSON.stringify(sessionStorage), JSON.stringify(localStorage), document.cookie, location.href]"
    )
    assert [api.token in each for each in kept] == [True, False, False, False]
    page.get_by_role("tab", name="Live").click()
    api.watched()  # the stream carries it too
    page.get_by_role("button", name="Sign out").click()
    expect(dialog(page)).to_contain_text("wants its token")


def test_dark_and_light(visit: Open) -> None:
    def ground() -> str:
        colour: str = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        return colour

    page = ready(visit(color_scheme="dark"))
    dark = ground()
    page.emulate_media(color_scheme="light")
    light = ground()
    assert dark != light
    page.keyboard.press("t")  # from "as the system has it" to dark, whatever that is
    expect(page.locator("#theme")).to_have_text("Theme: dark")
    assert ground() == dark
    page.reload()
    assert ground() == dark
    page.keyboard.press("t")
    assert ground() == light


def test_says_nothing_is_well_that_it_does_not_know(visit: Open, api: FakeApi) -> None:
    api.token = "not-given"
    page = visit()
    expect(dialog(page)).to_be_visible()
    expect(page.locator("#attention")).not_to_contain_text("well")


def test_on_a_phone_nothing_scrolls_sideways(visit: Open, api: FakeApi) -> None:
    api.overview["routes"].append(
        api.overview["routes"][0] | {"route": "a-route-with-a-rather-long-name-" * 3}
    )
    page = ready(visit(viewport={"width": 360, "height": 740}))
    for view in VIEWS:
        page.get_by_role("tab", name=view.title()).click()
        expect(page.locator(f"#view-{view}")).to_be_visible()
        if view == "live":
            api.watched()
            api.send("exchange", scene.exchange(2, 0, path="/a/very/long/path" * 9))
            page.locator(".line").click()
        if view == "explain":
            page.get_by_label("URL").fill("https://api.example.com/orders/7")
            page.keyboard.press("Enter")
            expect(page.locator("#explain-answer")).to_contain_text("let through")
        if view == "versions":
            page.get_by_role("button", name="Difference").first.click()
            expect(page.locator(".difference")).to_contain_text("routes.orders")
        assert sideways(page) <= 0, view
    page.get_by_role("button", name="Roll back…").first.click()
    box = dialog(page).bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


def test_hostile_text_stays_text(visit: Open, api: FakeApi) -> None:
    def poisoned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poisoned(each) for key, each in value.items()}
        if isinstance(value, list):
            return [poisoned(each) for each in value]
        return HOSTILE if isinstance(value, str) else value

    for name in ("status", "overview", "upstreams", "versions", "fleet", "explanation", "difference"):
        setattr(api, name, poisoned(json.loads(json.dumps(getattr(api, name)))))
    page = visit()
    expect(page.locator("#routes")).to_contain_text(HOSTILE)
    for view in VIEWS[1:]:
        page.get_by_role("tab", name=view.title()).click()
        if view == "live":
            api.watched()
            api.send("exchange", poisoned(scene.exchange(2, 0)) | {"status": 503})
            api.send("notice", {"worker": 1, "text": HOSTILE})
            page.locator(".line").click()
            expect(page.locator(".details")).to_contain_text(HOSTILE)
            page.get_by_role("button", name="Explain this request").click()
        if view in {"live", "explain"}:
            expect(page.locator("#explain-answer")).to_contain_text(HOSTILE)
        if view == "versions":
            page.get_by_role("button", name="Difference").first.click()
        expect(page.locator(f"#view-{view if view != 'live' else 'explain'}")).to_contain_text(HOSTILE)
    assert page.evaluate("window.hit === undefined && document.images.length === 1")


def test_the_page_can_load_nothing_from_outside(visit: Open) -> None:
    page = ready(visit())
    refused = """async (url) => {
        const heard = new Promise((tell) => document.addEventListener(
            "securitypolicyviolation", (event) => tell(event.effectiveDirective)));
        const picture = new Image();
        picture.src = url;
        return heard;
    }"""
    assert page.evaluate(refused, OUTSIDE + "pixel.png") == "img-src"
