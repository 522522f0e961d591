"""The pages in a real browser, on a really started server."""

import urllib.request

import pytest

from app import formats
from warehouse.publication import reading_published

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from tests.e2e.browser import DESKTOP, PHONE, Visit

PAGES = {
    "overview": "/?account=acme&month=2026-11",
    "insights": "/insights?account=acme",
    "data health": "/data-health",
    "audit log": "/audit-log",
}


@pytest.fixture
def visit(browser):
    visits: list[Visit] = []

    def opened(**options) -> Visit:
        visits.append(Visit(browser, **options))
        return visits[-1]

    yield opened
    for each in visits:
        each.page.close()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("scheme", "size"), [("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE)]
)
def test_a_page_is_drawn_whole_and_asks_nobody_outside(server, visit, page, scheme, size):
    seen = visit(scheme=scheme, size=size).open(server + PAGES[page])
    assert seen.outside_requests() == []
    assert seen.errors == []
    assert seen.page.locator('[data-testid="stException"]').count() == 0
    assert not seen.is_wider_than_the_screen()
    scheme_of_page = seen.page.evaluate(
        "getComputedStyle(document.querySelector('.stApp')).colorScheme"
    )
    assert scheme_of_page == scheme


def test_the_figures_are_those_of_the_lake(server, visit, lake):
    seen = visit().open(server + PAGES["overview"])
    connection, _ = reading_published(lake)
    credits, projected, cost = connection.execute(
        "select credits, projected_credits, provider_cost_usd from rpt_overview_month"
        " where account_id = 'acme' and month = '2026-11-01'"
    ).fetchone()
    connection.close()
    shown = seen.page.locator(".mh-stat-value").all_inner_texts()
    assert shown[:3] == [
        formats.credits(credits),
        formats.credits(projected),
        formats.usd(cost),
    ]


def test_the_type_is_our_own_and_the_platform_is_named(server, visit):
    seen = visit().open(server + PAGES["overview"])
    assert any(url.endswith("inter-latin-wght-normal.woff2") for url in seen.requests)
    assert seen.page.evaluate("document.fonts.check('15px Inter')")
    name = seen.page.evaluate(
        "getComputedStyle(document.querySelector("
        "'[data-testid=stSidebarHeader] > :first-child'), '::after').content"
    )
    assert name == '"Craveva AI"'


def test_no_figure_is_cut_at_any_width(server, visit):
    for size in (DESKTOP, (1100, 900), (900, 900), PHONE):
        seen = visit(size=size).open(server + PAGES["overview"])
        cut = seen.page.evaluate(
            "[...document.querySelectorAll('.mh-stat-value')]"
            ".filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.innerText)"
        )
        assert cut == [], size


def test_a_choice_goes_into_the_address_and_back_returns_to_it(server, visit):
    seen = visit().open(server + PAGES["overview"])
    page = seen.page
    page.locator('.st-key-month [data-baseweb="select"], .st-key-month input').first.click()
    page.get_by_role("option", name="October 2026").click()
    page.get_by_text("Credits used in October").wait_for()
    page.wait_for_url("**month=2026-10*")
    page.go_back()
    page.get_by_text("Credits used in November").wait_for()
    assert "month=2026-11" in page.url


def test_a_link_with_nonsense_shows_a_note_and_a_good_address(server, visit):
    seen = visit().open(server + "/?account=%3Cscript%3Ealert(1)%3C/script%3E&month=$5")
    seen.page.get_by_text("There is no account").wait_for()
    seen.page.wait_for_url("**account=*month=2026-11")
    assert seen.errors == []


def test_hostile_names_run_nothing_and_load_nothing(server, visit):
    seen = visit()
    dialogs: list[str] = []
    seen.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    seen.open(server + "/?account=mallory")
    assert dialogs == []
    assert seen.outside_requests() == []
    foreign = ".mh-table a:not(.mh-to), .mh-table strong, .mh-table script"
    assert seen.page.locator(foreign).count() == 0
    assert seen.page.get_by_text("<script>alert(1)</script> $5 and $6").count() > 0


def test_the_navigation_leads_to_data_health_and_its_examples_open(server, visit):
    seen = visit().open(server + PAGES["overview"])
    seen.page.get_by_role("link", name="Data health").click()
    seen.page.get_by_text("Rejected rows by reason").wait_for()
    seen.page.get_by_text("Unreadable line").click()
    seen.page.get_by_text("Mend it where it was written").wait_for()


def test_health_is_answered_without_a_session(server):
    with urllib.request.urlopen(f"{server}/healthz", timeout=120) as answer:
        assert (answer.status, answer.read()) == (200, b"ok")
