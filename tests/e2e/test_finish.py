"""What holds on every page: a title, an icon, as of when, help, the keyboard, one origin."""

from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from playwright.sync_api import Page, expect

from app.main import PAGES
from tests.e2e.browser import PATIENCE, Visit

TITLES = [title for pages in PAGES.values() for _, title, _, _ in pages]
MOST_STOPS = 60
RING = """() => {
    const at = document.activeElement, style = getComputedStyle(at);
    const rings = [style, getComputedStyle(at, '::after')].some(each =>
        (each.outlineStyle !== 'none' && parseFloat(each.outlineWidth) > 0)
        || each.boxShadow !== 'none');
    return rings || style.backgroundColor !== 'rgba(0, 0, 0, 0)';
}"""
"""Whether what has the focus shows it."""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until a link of the navigation has the focus."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        at = page.evaluate(
            "document.activeElement.closest('[data-testid=stSidebarNavLink]')?.innerText ?? ''"
        )
        if at.strip().endswith(name):
            return
    raise AssertionError(f"{name} cannot be reached by the keyboard")


def test_every_page_is_reached_by_the_keyboard_and_is_finished(server: str, browser) -> None:
    visit = Visit(browser)
    sockets: list[str] = []
    visit.page.on("websocket", lambda socket: sockets.append(socket.url))
    page = visit.open(server).page
    for title in TITLES:
        page.evaluate("document.activeElement.blur()")
        tab_to(page, title)
        assert page.evaluate(RING), f"the focus on {title} is not seen"
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(title, timeout=PATIENCE * 1_000)
        visit.settle()
        assert page.title() == f"{title} · Craveva AI"
        assert page.get_by_text("data as of").count() >= 1, title
        help_ = page.get_by_test_id("stSidebar").get_by_role("link", name="support@craveva.example")
        assert help_.get_attribute("href") == "mailto:support@craveva.example"
        assert page.get_by_test_id("stException").count() == 0
        assert page.get_by_role("heading", level=1).count() == 1
    icon = page.locator("link[rel~=icon]").first.evaluate("link => link.href")
    asked = [url for url in [*visit.requests, *sockets, icon] if not url.startswith("data:")]
    assert {urlsplit(url).netloc for url in asked if not url.startswith("blob:")} == {
        urlsplit(server).netloc
    }
    assert visit.errors == []
    page.close()


def test_the_keyboard_skips_the_navigation(server: str, browser) -> None:
    visit = Visit(browser).open(server)
    page = visit.page
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to main content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate(
        "!!document.activeElement.closest('[data-testid=stMain], [data-testid=stHeader]')"
    )
    page.close()


def test_the_pages_that_streamlit_does_not_draw_are_finished_too(server: str, browser) -> None:
    visit = Visit(browser)
    visit.page.goto(f"{server}/demo/checkout/none")
    assert visit.page.title() == "Unknown checkout"
    assert visit.page.get_by_role("link", name="support@craveva.example").count() == 1
    icon = visit.page.locator("link[rel=icon]").evaluate("link => link.href")
    assert visit.page.request.get(icon).headers["content-type"] == "image/png"
    assert visit.outside_requests() == []
    visit.page.close()
