"""The tasks of a customer and of the staff, each done by clicking, with sign-in and without.

What a page shows is held against the lake and the store, asked beside it in SQL.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pypdf
import pytest

from app import formats
from billing.accounts import get_account, list_accounts
from billing.budgets.stored import list_budgets
from billing.grants import list_lots
from billing.purchases import purchase_history
from billing.store import Store, open_store
from warehouse.lake import reading_head
from warehouse.publication import reading_published
from warehouse.settings import Settings

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from playwright.sync_api import Page, expect

from tests.e2e.browser import PATIENCE, Visit
from tests.e2e.house import ADMIN, enter_by_clicks

PATIENT = PATIENCE * 1_000
Ask = Callable[[str], list[tuple[Any, ...]]]


@dataclass
class Walker:
    """Somebody at the app: a visit that stays open, and how they came in."""

    visit: Visit
    url: str
    mode: str

    @property
    def page(self) -> Page:
        return self.visit.page

    def go(self, name: str) -> Page:
        """To a page by the navigation, as a person does."""
        self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(name, timeout=PATIENT)
        self.visit.settle()
        return self.page


@pytest.fixture(scope="session", params=["without sign-in", "with OIDC"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def come_in(mode: str, person: str, browser: object, request: pytest.FixtureRequest) -> Walker:
    if mode == "with OIDC":
        house = request.getfixturevalue("house")
        return Walker(enter_by_clicks(browser, house, person), house.url, mode)
    url = request.getfixturevalue("server")
    return Walker(Visit(browser).open(url), url, mode)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def came_in(mode: str, browser: object, request: pytest.FixtureRequest) -> Iterator[Walker]:
    """A customer who may buy, at the door once for all walks."""
    walker = come_in(mode, "bill@acme.example", browser, request)
    if mode == "without sign-in":  # who signed in sees no other account
        walker.page.locator(".st-key-account input").first.click()
        walker.page.get_by_role("option", name="Acme Robotics").click()
        walker.page.wait_for_url("**account=acme*")
        walker.visit.settle()
    yield walker
    walker.page.close()


@pytest.fixture
def customer(came_in: Walker) -> Iterator[Walker]:
    """The customer at the app's first page."""
    came_in.go("Overview")
    yield came_in
    assert came_in.visit.errors == []
    assert came_in.visit.outside_requests() == []


@pytest.fixture
def ask(lake: Settings) -> Iterator[Ask]:
    """Asks the published lake."""
    connection, _ = reading_published(lake)
    yield lambda sql: connection.execute(sql).fetchall()
    connection.close()


@pytest.fixture
def store(lake: Settings) -> Iterator[Store]:
    with open_store(lake) as store:
        yield store


def balance(page: Page) -> Decimal:
    """The balance as the page shows it, with every digit."""
    return Decimal(page.locator("[data-balance]").get_attribute("data-balance") or "")


def total(page: Page, label: str) -> str:
    """A total of Usage."""
    return page.locator(".mh-stat", has_text=label).locator(".mh-stat-value").inner_text()


def test_the_balance_and_the_month_by_category_are_read(
    customer: Walker, ask: Ask, store: Store, lake: Settings
) -> None:
    page = customer.page
    expect(page.get_by_test_id("stSidebar")).to_contain_text("Overview")
    granted = sum(each.credits for each in list_lots(store, "acme"))
    ((used, published),) = ask(
        "select sum(credits), (select max(raw_load_id) from rpt_freshness)"
        " from rpt_usage_event where account_id = 'acme'"
    )
    raw = reading_head(lake, "raw")
    ((pending,),) = raw.execute(
        "select sum(credits) from raw.main.usage_event where account_id = 'acme' and load_id > ?",
        [published],
    ).fetchall()
    raw.close()
    assert balance(page) == granted - used - pending
    ((month, credits),) = ask(
        "select month, credits from rpt_overview_month where account_id = 'acme'"
        " and month = (select max(month) from rpt_overview_month where account_id = 'acme')"
    )
    assert total(page, f"Credits used in {formats.month_name(month)}") == formats.credits(credits)
    bars = page.locator(".st-key-card-categories .mh-bar")
    shown = {
        bar.locator(".mh-bar-label").inner_text(): bar.locator("b").inner_text()
        for bar in bars.all()
    }
    assert shown == {
        label: f"{formats.share(share)} · {formats.credits(part)}"
        for label, share, part in ask(
            "select label, share, credits from rpt_overview_category"
            f" where account_id = 'acme' and month = '{month}'"
        )
    }
    assert len(shown) == 8


def test_the_dearest_model_is_found_with_the_operations_behind_it(
    customer: Walker, ask: Ask
) -> None:
    page = customer.page
    ((model, name, credits),) = ask(
        "select model, model_name, credits from rpt_overview_model where account_id = 'acme'"
        " and month = '2026-11-01' order by credits desc limit 1"
    )
    first = page.locator(".st-key-card-models tbody tr").first
    assert name in first.inner_text()
    first.get_by_role("link").click()
    page.get_by_role("link", name=f"Remove model {name}").wait_for()
    customer.visit.settle()
    ((behind, events),) = ask(
        "select sum(credits), count(*) from rpt_usage_event where account_id = 'acme'"
        f" and model = '{model}' and usage_date >= '2026-11-01'"
    )
    assert behind == credits
    assert total(page, "Credits") == formats.credits(credits)
    assert total(page, "Operations") == formats.number(events)


def test_it_is_found_why_a_day_was_dear(customer: Walker, ask: Ask) -> None:
    page = customer.page
    page.locator(".mh-spikes").get_by_role("link", name="17 Nov").click()
    incidents = page.locator(".st-key-card-incidents")
    incidents.get_by_role("heading", name="A switch · to claude-opus-4-6").wait_for()
    customer.visit.settle()
    ((used, expected, mix),) = ask(
        "select credits, expected_credits, mix_credits from rpt_insights_incident"
        " where account_id = 'acme' and first_date = '2026-11-17'"
    )
    told = incidents.inner_text()
    assert f"{formats.credits(used)} credits" in told
    assert f"{formats.credits(expected)} credits" in told
    causes = incidents.locator(".mh-bar").all_inner_texts()
    assert re.split(r"\n+", causes[0]) == ["Other models", formats.credits(mix)]
    incidents.get_by_role("link", name="The usage behind it", exact=True).click()
    page.wait_for_url("**/usage?**from=2026-11-17&to=2026-11-18*")
    page.get_by_text("Credits an hour").wait_for()
    customer.visit.settle()
    ((behind,),) = ask(
        "select sum(credits) from rpt_usage_event where account_id = 'acme'"
        " and usage_date = '2026-11-17' and model = 'claude-opus-4-6'"
    )
    assert total(page, "Credits") == formats.credits(behind)


def test_credits_are_bought(customer: Walker, store: Store) -> None:
    page = customer.go("Credits")
    before, bought_before = balance(page), len(purchase_history(store, "acme"))
    package = page.locator("[class*=st-key-card-package-]", has_text="Team")
    price = package.locator(".mh-package-price").inner_text()
    package.get_by_role("button", name="Buy").click()
    page.wait_for_url("**/demo/checkout/**")
    assert price.removeprefix("€") in page.locator(".price").inner_text()
    page.get_by_role("button", name="Pay").click()
    page.wait_for_url("**/credits?**")
    customer.visit.settle()
    page.get_by_text("Thank you, it is paid.").wait_for()
    history = purchase_history(store, "acme")
    bought = max(history, key=lambda each: each.number)
    assert (len(history), bought.state) == (bought_before + 1, "paid")
    assert price == formats.money(bought.price_minor, bought.currency)
    wanted = before + bought.credits + bought.bonus_credits
    page.wait_for_function(
        "wanted => Number(document.querySelector('[data-balance]').dataset.balance) === wanted",
        arg=float(wanted),
    )
    assert balance(page) == wanted


def test_a_budget_is_set_and_stands_on_the_overview(
    customer: Walker, ask: Ask, store: Store
) -> None:
    page = customer.go("Budgets")
    name = f"Team {customer.mode}"
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Limit", exact=True).fill("900")
    page.get_by_role("button", name="Try on the past").click()
    editor = page.locator(".st-key-card-budget-editor")
    editor.get_by_text("It would have told").wait_for()
    ((half_used,),) = ask(
        "select min(usage_date) from (select usage_date, sum(credits) over (order by usage_date)"
        " as used from rpt_overview_daily where account_id = 'acme' and month = '2026-11-01')"
        " where used >= 450"
    )
    told = editor.locator("tbody tr", has_text=formats.day(half_used))
    assert "actual use at 50 % of the limit" in told.inner_text()
    page.get_by_role("button", name="Save", exact=True).click()
    # in a month's first days it is there twice: the month before is still open
    page.locator(".st-key-card-budgets tbody tr", has_text=name).last.wait_for()
    (saved,) = [each for each in list_budgets(store, "acme") if each.name == name]
    assert saved.limit_amount == 900
    customer.go("Overview")
    zone = ZoneInfo(get_account(store, "acme").current.time_zone)
    if datetime.now(zone) < datetime(2026, 12, 1, tzinfo=zone):
        page.get_by_text("budget 900.00").wait_for()
    else:  # it holds from today on, and the last month with data is over
        assert page.get_by_text("budget 900.00").count() == 0


def test_an_invoice_is_found_and_its_document_is_the_right_one(
    customer: Walker, tmp_path: Path
) -> None:
    page = customer.go("Invoices")
    page.get_by_role("link", name="2026", exact=True).click()
    page.locator("a[aria-current]", has_text="2026").wait_for()
    row = page.locator(".st-key-card-invoices tbody tr", has_text="September 2026")
    number = row.locator(".mh-name").inner_text()
    amount = row.locator("td").nth(4).inner_text()
    row.get_by_role("link", name=number, exact=True).click()
    page.get_by_text(f"Invoice {number}").wait_for()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download PDF").click()
    waiting.value.save_as(tmp_path / "found.pdf")
    assert waiting.value.suggested_filename == f"{number}.pdf"
    text = "\n".join(each.extract_text() for each in pypdf.PdfReader(tmp_path / "found.pdf").pages)
    assert number in text
    assert amount.removeprefix("€") in text
    assert "September 2026" in text


def test_the_staff_see_every_account_and_look_into_one(
    mode: str, browser: object, store: Store, ask: Ask, request: pytest.FixtureRequest
) -> None:
    staff = come_in(mode, ADMIN, browser, request)
    page = staff.go("Accounts")
    told = page.get_by_test_id("stMain").inner_text()
    for account in list_accounts(store):
        assert account.account_id in told
    ((used,),) = ask(
        "select credits from rpt_overview_month where account_id = 'tokyo' and month = '2026-11-01'"
    )
    row = page.locator("tbody tr", has_text="Tokyo Translators")
    assert formats.credits(used) in row.inner_text()
    row.get_by_role("link").first.click()
    page.wait_for_url("**account=tokyo*")
    page.get_by_text("Credits used in November").wait_for()
    staff.visit.settle()
    assert total(page, "Credits used in November") == formats.credits(used)
    assert staff.visit.errors == []
    assert staff.visit.outside_requests() == []
    page.close()
