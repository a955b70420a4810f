"""What a person does again and again, in words."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


def ready(page: Page) -> Page:
    expect(page.locator("#ready")).to_have_text("ready")
    return page


def look_again(page: Page) -> None:
    """Comes back to the tab: the page reads at once what else it would read within two seconds."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def row(page: Page, table: str, text: str) -> Locator:
    return page.get_by_role("table", name=table).get_by_role("row").filter(has_text=text)


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider
