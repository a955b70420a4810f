"""A person acts: watches, asks why, overrules a breaker, rolls back; with the mouse and without one."""

from __future__ import annotations

import time

from playwright.sync_api import expect

from tests.dashboard import scene
from tests.dashboard.conftest import Open
from tests.dashboard.fake_api import Call, FakeApi
from tests.dashboard.looking import dialog, look_again, ready, row


def posted(api: FakeApi, path: str) -> Call:
    return api.heard(lambda call: call.method == "POST" and call.path.split("?")[0] == path)


def test_watches_the_exchanges_that_are_asked_for(visit: Open, api: FakeApi) -> None:
    page = visit("live")
    api.watched()
    page.get_by_label("Reason", exact=True).fill("rate_limited, breaker_open")
    page.get_by_label("Slower than").fill("100ms")
    page.keyboard.press("Enter")
    api.watched("reason=rate_limited&reason=breaker_open&slower=100ms")
    api.send("exchange", scene.exchange(2, 0))
    api.send("notice", {"worker": 1, "text": "breaker of search: closed -> open"})
    api.send("missed", {"worker": 1, "lines": 412})
    lines = page.locator("#live-lines > li")
    expect(lines).to_have_count(2)
    expect(lines.first).to_contain_text("closed -> open")  # newest first
    expect(lines.last).to_contain_text("breaker_open")
    expect(page.locator("#live-state")).to_contain_text("412 lines not shown")
    # A link to what is seen.
    assert "reason=rate_limited" in page.url


def test_pauses_and_goes_on(visit: Open, api: FakeApi) -> None:
    page = visit("live")
    api.watched()
    api.send("exchange", scene.exchange(0, 0))
    expect(page.locator(".line")).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    for number in range(1, 4):
        api.send("exchange", scene.exchange(number, 0))
    expect(page.locator("#live-state")).to_have_text("Paused; 3 lines waiting.")
    expect(page.locator(".line")).to_have_count(1)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".line")).to_have_count(4)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".line")).to_have_count(0)


def test_a_filter_that_is_wrong_is_explained(visit: Open, api: FakeApi) -> None:
    page = visit("live")
    page.get_by_label("Status", exact=True).fill("nonsense")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.locator("#live-state")).to_contain_text("status is a number as 503, or a class as 5xx")


def test_from_a_line_to_its_explanation(visit: Open, api: FakeApi) -> None:
    page = visit("live")
    api.watched()
    api.send("exchange", scene.exchange(3, 0, path="/orders/31"))
    page.locator(".line").click()
    expect(page.locator(".details")).to_contain_text("A limit was used up.")
    expect(page.locator("#live-state")).to_contain_text("Paused")  # a line that is read does not run away
    page.get_by_role("button", name="Explain this request").click()
    asked = posted(api, "/api/explain").body
    assert asked == {
        "request": "GET http://api.example.com/orders/31",
        "headers": {},
        "client": "203.0.113.3",
    }
    expect(page.locator("#explain-answer")).to_contain_text("It would be let through")
    page.get_by_role("tab", name="Live").click()  # and back: as it was left
    expect(page.locator(".details")).to_be_visible()


def test_a_stream_that_breaks_is_opened_again(visit: Open, api: FakeApi) -> None:
    page = visit("live?status=5xx")
    api.watched("status=5xx")
    api.send("exchange", scene.exchange(2, 0))
    expect(page.locator(".line")).to_have_count(1)
    api.cut()
    expect(page.locator("#live-state")).to_contain_text("does not answer")
    api.watched("status=5xx")
    api.send("exchange", scene.exchange(7, 0))
    expect(page.locator(".line")).to_have_count(2)  # what was seen stays


def test_a_forgotten_tab_costs_nothing(visit: Open, api: FakeApi) -> None:
    page = visit("about-to-be-forgotten")
    page.clock.install()
    page.get_by_role("tab", name="Live").click()
    api.watched()
    seen = (
        "(hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}); %s }"
    )
    turned = seen % "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(turned, True)
    page.clock.run_for(61_000)
    api.unwatched()
    api.calls.clear()
    page.evaluate(turned, False)
    api.watched()


def test_explains_a_request(visit: Open, api: FakeApi) -> None:
    page = ready(visit("explain"))
    view = page.get_by_role("tabpanel", name="Explain")
    expect(page.locator("#explain-answer")).to_contain_text("Type a URL")
    view.get_by_label("Method").select_option("POST")
    page.get_by_label("URL").fill("https://api.example.com/orders/7")
    page.get_by_label("Headers").fill("no header")
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="is no header")).to_be_visible()
    page.get_by_label("Headers").fill("X-API-Key: secret:with:colons\n\nX-Api-Version: 2")
    page.get_by_role("button", name="Explain", exact=True).click()
    assert posted(api, "/api/explain").body == {
        "request": "POST https://api.example.com/orders/7",
        "headers": {"X-API-Key": "secret:with:colons", "X-Api-Version": "2"},
    }
    answer = page.locator("#explain-answer")
    for text in (
        "orders-next",
        "25 %",
        "api_key of mobile-app",
        "1000/m",
        "/v2/7",
        "x-api-version",
        "X-Consumer",
    ):
        expect(answer).to_contain_text(text)
    api.explanation |= {"status": 401, "reason": "missing_credentials", "rule": "auth", "upstream": None}
    page.get_by_role("button", name="Explain", exact=True).click()
    expect(answer).to_contain_text("It would be answered 401")


def test_forces_a_breaker_and_releases_it(visit: Open, api: FakeApi) -> None:
    page = ready(visit("upstreams"))
    card = page.get_by_role("article", name="Upstream orders")
    card.get_by_role("button", name="Force…").first.click()
    sheet = dialog(page)
    expect(sheet).to_contain_text("870 requests a second right now")
    sheet.get_by_role("button", name="5m").click()
    sheet.get_by_role("button", name="Force orders open for 5m").click()
    assert posted(api, "/api/upstreams/orders/breaker").body == {"state": "open", "for": "5m"}
    expect(page.locator("#said")).to_contain_text("forced open in 2 workers until")
    expect(card).to_contain_text("forced open until")
    api.calls.clear()
    card.get_by_role("button", name="Release…").click()
    dialog(page).get_by_role("button", name="Leave orders to itself").click()
    assert posted(api, "/api/upstreams/orders/breaker").body == {"state": "auto"}
    expect(card).not_to_contain_text("forced open until")
    # One target alone.
    api.calls.clear()
    row(page, "Targets", "10.0.1.12:8080").get_by_role("button", name="Force…").click()
    dialog(page).get_by_label("closed").check()
    dialog(page).get_by_role("button", name="Force 10.0.1.12:8080 closed for 30s").click()
    assert posted(api, "/api/upstreams/orders/breaker").body == {
        "state": "closed", "for": "30s", "target": "10.0.1.12:8080",
    }  # fmt: skip


def test_a_thought_better_of_changes_nothing(visit: Open, api: FakeApi) -> None:
    page = ready(visit("upstreams"))
    page.get_by_role("button", name="Force…").first.click()
    dialog(page).get_by_label("For", exact=True).fill("soon")
    dialog(page).get_by_role("button", name="Force").last.click()
    expect(dialog(page)).to_be_visible()  # "soon" is no duration
    page.keyboard.press("Escape")
    expect(dialog(page)).to_have_count(0)
    assert not [call for call in api.calls if call.method == "POST"]


def test_rolls_back_after_seeing_the_difference(visit: Open, api: FakeApi) -> None:
    page = ready(visit("versions"))
    row(page, "Versions, newest first", "canary 5 %").get_by_role("button", name="Roll back…").click()
    sheet = dialog(page)
    expect(sheet).to_contain_text("routes.orders.limits.per-consumer.rate")
    expect(sheet).to_contain_text("600/m")
    assert posted(api, "/api/config/diff").body == {"from": 7, "to": 5}
    sheet.get_by_label("Note").fill("the canary was better")
    sheet.get_by_role("button", name="Publish v5 again").click()
    call = posted(api, "/api/config/rollback")
    assert (call.match, call.body) == ('"7"', {"version": 5, "note": "the canary was better"})
    assert "wait=" in call.path
    expect(page.locator("#said")).to_have_text("v8 is served in 2 workers.")
    expect(page.locator("tr.current")).to_contain_text("the canary was better")


def test_a_race_that_is_lost_changes_nothing_and_says_so(visit: Open, api: FakeApi) -> None:
    page = ready(visit("versions"))
    row(page, "Versions, newest first", "canary 5 %").get_by_role("button", name="Roll back…").click()
    expect(dialog(page)).to_contain_text("routes.orders")
    api.versions.append(api.versions[-1] | {"version": 8, "note": "somebody else", "at": time.time()})
    dialog(page).get_by_role("button", name="Publish v5 again").click()
    expect(dialog(page).get_by_role("alert")).to_contain_text("Somebody was faster")
    expect(dialog(page).get_by_role("alert")).to_contain_text("Nothing was changed")
    dialog(page).get_by_role("button", name="Cancel").click()
    expect(row(page, "Versions, newest first", "somebody else")).to_be_visible()
    assert len(api.versions) == 8


def test_compares_two_versions(visit: Open, api: FakeApi) -> None:
    page = ready(visit("versions"))
    button = row(page, "Versions, newest first", "v3").get_by_role("button", name="Difference")
    button.click()
    expect(page.locator(".difference")).to_contain_text("From v3 to v7, which is served")
    assert posted(api, "/api/config/diff").body == {"from": 3, "to": 7}
    look_again(page)  # and it stays open while the page reads again
    expect(button).to_have_attribute("aria-expanded", "true")
    button.click()
    expect(page.locator(".difference")).to_have_count(0)


def test_a_file_with_errors_is_not_taken_and_every_error_is_shown(visit: Open, api: FakeApi) -> None:
    api.reload_errors = [
        {"file": "gateway.yaml", "line": 12, "path": "routes[0].limits[0].rate", "message": "write 100/s"},
        {"file": "gateway.yaml", "line": 20, "path": "upstreams.orders", "message": "it has no targets"},
    ]
    page = ready(visit("versions"))
    page.get_by_role("button", name="Reload the file").click()
    dialog(page).get_by_role("button", name="Reload", exact=True).click()
    alert = dialog(page).get_by_role("alert")
    expect(alert).to_contain_text("routes[0].limits[0].rate (line 12) write 100/s")
    expect(alert).to_contain_text("upstreams.orders (line 20) it has no targets")
    api.reload_errors = []
    dialog(page).get_by_role("button", name="Reload", exact=True).click()
    expect(page.locator("#said")).to_have_text("Nothing to change: v7 has that content already.")


def test_everything_without_a_mouse(visit: Open, api: FakeApi) -> None:
    page = ready(visit())
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("?")
    expect(dialog(page)).to_contain_text("Pause the live view")
    page.keyboard.press("Escape")
    expect(dialog(page)).to_have_count(0)
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    tab = page.get_by_role("tab", name="Upstreams")
    expect(tab).to_be_focused()
    expect(tab).to_have_attribute("aria-selected", "true")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("/")
    expect(page.get_by_placeholder("Find an upstream")).to_be_focused()
    page.keyboard.type("search")
    expect(page.get_by_role("article")).to_have_count(1)
    page.keyboard.press("Tab")  # Watch live
    page.keyboard.press("Tab")  # Force…
    page.keyboard.press("Enter")
    expect(dialog(page)).to_be_visible()
    dialog(page).get_by_label("open").focus()
    page.keyboard.press("Enter")
    assert posted(api, "/api/upstreams/search/breaker").body == {"state": "open", "for": "30s"}
    expect(dialog(page)).to_have_count(0)
    page.keyboard.press("3")
    api.watched()
    for number in range(3):
        api.send("exchange", scene.exchange(number, 0))
    lines = page.locator(".line")
    expect(lines).to_have_count(3)
    lines.first.focus()
    page.keyboard.press("ArrowDown")
    expect(lines.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".details")).to_be_visible()
    page.keyboard.press("p")
    expect(page.locator("#live-state")).to_contain_text("Watching")
