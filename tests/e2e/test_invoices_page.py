"""An invoice is found in a browser and its document downloaded; the pages look right everywhere."""

from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from billing.audit import list_events
from billing.store import open_store
from tests.e2e.browser import DESKTOP, PHONE, Visit
from warehouse.settings import Settings

NUMBER = "INV-2027-000001"
PAGES = (
    "/invoices?account=acme",
    f"/invoices?account=acme&invoice={NUMBER}&line=2",
    "/invoices?account=mallory",
    "/closing?month=2026-11",
)


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", DESKTOP), ("dark", DESKTOP), ("light", PHONE)]
)
def test_the_pages_are_drawn_whole_and_fit(browser, server, scheme, size):
    visit = Visit(browser, scheme=scheme, size=size)
    for page in PAGES:
        visit.open(server + page)
        assert visit.page.locator('[data-testid="stException"]').count() == 0
        assert not visit.is_wider_than_the_screen(), page
        cut = visit.page.evaluate(
            "[...document.querySelectorAll('.mh-scroll')]"
            ".filter(e => e.scrollWidth > e.clientWidth + 1).length"
        )
        assert cut == 0, page
    assert visit.errors == []
    assert visit.outside_requests() == []
    visit.page.close()


def test_an_invoice_is_found_and_its_document_downloaded_which_is_logged(
    browser, server, lake: Settings, tmp_path: Path
):
    visit = Visit(browser).open(f"{server}/invoices?account=acme")
    page = visit.page
    page.get_by_role("link", name="2027", exact=True).click()
    page.locator("a[aria-current]", has_text="2027").wait_for()
    page.locator(".st-key-card-invoices").get_by_role("link", name=NUMBER, exact=True).click()
    page.get_by_text(f"Invoice {NUMBER}").wait_for()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download PDF").click()
    waiting.value.save_as(tmp_path / "found.pdf")
    assert waiting.value.suggested_filename == f"{NUMBER}.pdf"
    assert (tmp_path / "found.pdf").read_bytes().startswith(b"%PDF")
    page.get_by_role("link", name="Usage beyond the credits bought").click()
    page.get_by_text("30 operations, 15 credits").wait_for()
    with page.expect_download() as waiting:
        page.locator(".st-key-explained-csv button").click()
    waiting.value.save_as(tmp_path / "line.csv")
    assert len((tmp_path / "line.csv").read_text().splitlines()) == 31
    page.get_by_role("link", name="All invoices").click()
    page.get_by_text("Statement of account").wait_for()
    assert "year=2027" in page.url
    with page.expect_download() as waiting:
        page.locator(".st-key-statement-csv button").click()
    assert waiting.value.suggested_filename == "statement-acme.csv"
    page.close()
    with open_store(lake) as store:
        taken = [(event.action, dict(event.details)) for event in list_events(store, limit=3)]
    assert taken == [
        ("export.statement", {"span": "2027"}),
        ("export.line", {"number": NUMBER, "line": "2"}),
        ("invoice.read", {"number": NUMBER}),
    ]
