"""A browser for a file of tests, and for each test an admin API and a page that has to stay without errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.dashboard.browser import PATIENCE_MS, launched
from tests.dashboard.fake_api import FakeApi

Open = Callable[..., Page]

# An address that nobody has (RFC 5737); the page may not even ask for it.
OUTSIDE = "http://192.0.2.1/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as one:
        yield one


@pytest.fixture
def api() -> Iterator[FakeApi]:
    one = FakeApi().start()
    yield one
    one.stop()


@pytest.fixture
def site(api: FakeApi) -> str:
    """Where the page is; a module with a gateway of its own overrides it."""
    return api.url


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Open]:
    """`visit("live")` opens the page at a view; how the browser is, follows by name (viewport=, color_scheme=)."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def said(message: ConsoleMessage) -> None:
        # What the API refuses is in the console too, and so is what a test provokes: no defects of the page.
        expected = message.text.startswith("Failed to load resource") or OUTSIDE in message.text
        if message.type == "error" and not expected:
            errors.append(message.text)

    def visited(view: str = "overview", **more: object) -> Page:
        settings: dict[str, object] = {
            "viewport": {"width": 1280, "height": 800},
            "reduced_motion": "reduce",
            **more,
        }
        context = browser.new_context(**settings)  # type: ignore[arg-type]  # as new_context takes them
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", said)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{site}/#{view}")
        return page

    yield visited
    for context in contexts:
        context.close()
    assert errors == []
