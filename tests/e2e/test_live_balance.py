"""The shown balance follows purchases and files that land, in a real browser, by real processes.

A home is filled, built and published by the commands of production; the app and ``meterhouse
watch`` run over it, and one test runs a refresh meanwhile.
"""

import os
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from billing.purchases import purchase_history
from billing.store import open_store
from warehouse.settings import Settings

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from playwright.sync_api import expect

from tests.e2e.browser import PATIENCE, Visit
from tests.e2e.conftest import METERHOUSE, drop, running

SHOWN_WITHIN = 5.0
"""Seconds from a file to the page; only ``make soak`` has a machine for itself to hold it to."""


@pytest.fixture
def page(browser, live: str) -> Iterator[Visit]:
    """A page of the browser."""
    visit = Visit(browser)
    yield visit
    assert visit.errors == []
    assert visit.outside_requests() == []
    visit.page.close()


def balance(visit: Visit) -> Decimal:
    """The balance as the page shows it, with every digit."""
    shown = visit.page.locator("[data-balance]").first.get_attribute("data-balance")
    assert shown is not None
    return Decimal(shown)


def until_changed(visit: Visit, before: Decimal) -> float:
    """How long the balance took to change, by the page alone."""
    began = time.monotonic()
    visit.page.wait_for_function(
        "before => document.querySelector('[data-balance]')?.dataset.balance !== before",
        arg=f"{before:f}",
        polling=50,
    )
    return time.monotonic() - began


def is_being_built(home: Settings) -> bool:
    """Whether a refresh holds the builder's lock."""
    lock = FileLock(home.home / "locks" / "marts.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def test_a_file_that_lands_lowers_the_shown_balance_while_a_refresh_runs(
    page: Visit, live: str, home: Settings, account: str
) -> None:
    page.open(f"{live}/?account={account}")
    before = balance(page)
    took = []
    with running(home, [METERHOUSE, "refresh", "--full-checks"]) as refresh:
        while not is_being_built(home):
            assert refresh.poll() is None, refresh.stdout.read() if refresh.stdout else ""
            time.sleep(0.1)
        for _ in range(3):
            drop(home, account, "1.25")
            took.append(until_changed(page, before))
            assert balance(page) == before - Decimal("1.25")
            before = balance(page)
        was_running = refresh.poll() is None
        refresh.wait(600)
    print("seconds from the file to the shown balance:", [round(each, 2) for each in took])
    assert was_running, "the balance did not wait for the refresh"
    if "METERHOUSE_SOAK_SECONDS" in os.environ:
        assert sorted(took)[1] < SHOWN_WITHIN


def test_the_balance_is_refreshed_without_blinking(page: Visit, live: str, account: str) -> None:
    page.open(f"{live}/credits?account={account}")
    faintest = page.page.evaluate(
        """async () => {
            let least = 1;
            for (const until = Date.now() + 6500; Date.now() < until;) {
                let shown = 1;
                for (let e = document.querySelector('.mh-balance'); e; e = e.parentElement)
                    shown = Math.min(shown, Number(getComputedStyle(e).opacity));
                if (!document.querySelector('.mh-balance')) shown = 0;
                least = Math.min(least, shown);
                await new Promise(next => setTimeout(next, 40));
            }
            return least;
        }"""
    )
    assert faintest == 1


def test_a_package_bought_through_the_demo_gateway_raises_the_balance(
    page: Visit, live: str, home: Settings, account: str
) -> None:
    page.open(f"{live}/credits?account={account}")
    before = balance(page)
    assert page.page.get_by_text("Demo payment, no money moves").count() == 1
    page.page.get_by_role("button", name="Buy").nth(1).dblclick()
    page.page.wait_for_url("**/demo/checkout/**")
    assert page.page.get_by_text("Demo payment, no money moves").count() == 1
    page.page.get_by_role("button", name="Pay").click()
    page.page.wait_for_url("**/credits?**")
    page.settle()
    page.page.get_by_text("Thank you, it is paid.").wait_for()
    with open_store(home) as store:
        (bought,) = purchase_history(store, account)
    assert bought.state == "paid"
    until_changed(page, before)
    assert balance(page) == before + bought.credits + bought.bonus_credits
    receipt = page.page.get_by_role("link", name=f"Receipt {bought.number}", exact=True).first
    with page.page.expect_popup() as opened:
        receipt.click()
    assert "Demo payment, no money moved" in opened.value.locator("main").inner_text()
    opened.value.close()


def test_a_cancelled_checkout_says_that_nothing_was_paid(
    page: Visit, live: str, account: str
) -> None:
    page.open(f"{live}/credits?account={account}")
    before = balance(page)
    page.page.get_by_role("button", name="Buy").first.click()
    page.page.wait_for_url("**/demo/checkout/**")
    page.page.get_by_role("button", name="Cancel").click()
    page.page.wait_for_url("**/credits?**")
    page.settle()
    page.page.get_by_text("Not paid.").wait_for()
    assert balance(page) == before


def test_the_ledger_is_filtered_paged_and_exported(page: Visit, live: str, account: str) -> None:
    page.open(f"{live}/credits?account={account}&kind=consumption")
    rows = page.page.locator(".st-key-card-ledger tbody tr")
    expect(rows).to_have_count(25, timeout=PATIENCE * 1_000)
    first = rows.first.inner_text()
    page.page.get_by_role("link", name="Next page").click()
    page.page.wait_for_url("**page=2**")
    expect(rows.first).not_to_have_text(first, use_inner_text=True, timeout=PATIENCE * 1_000)
    page.settle()
    with page.page.expect_download() as download:
        page.page.get_by_role("button", name="Export as CSV").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("posting_number,posted_date,")
    assert {line.split(",")[3] for line in lines[1:]} == {"consumption"}
