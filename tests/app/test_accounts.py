"""Accounts: the list of every account, its flags, and the way into an account's own pages."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from app.accounts_address import AccountsView, clean, link, parse, render, sorted_by
from app.queries.accounts import (
    FLAGS,
    Line,
    Standing,
    Watched,
    accounts_csv,
    flags_of,
    found,
    lines_of,
    ordered,
)
from billing.budgets.budget import make_budget
from billing.budgets.stored import add_budget
from billing.invoices.payments import OpenInvoice
from billing.store import open_store
from tests.app.conftest import text_of
from warehouse.settings import Settings

WELL = Standing(
    account_id="well",
    name="Well Run",
    time_zone="UTC",
    currency="USD",
    plan="prepaid",
    last_usage_date=date(2026, 11, 22),
    today=date(2026, 11, 23),
    month=date(2026, 11, 1),
    credits=Decimal(10),
    events=4,
    unrated_events=0,
    unpriced_events=0,
    provider_cost_usd=Decimal(1),
    revenue_currency="USD",
    revenue_minor=Decimal(400),
    margin_usd=Decimal(3),
    projected_credits=Decimal(13),
    projected_cost_usd=Decimal("1.3"),
    granted_credits=Decimal(100),
    balance_credits=Decimal(60),
    overage_credits=Decimal(0),
    runway_days=Decimal(60),
    run_out_date=date(2027, 1, 20),
    spike_date=None,
)


NOW = datetime(2026, 11, 23, 20, tzinfo=UTC)


def flagged(watched: Watched | None = None, **changes: object) -> list[str]:
    return [flag.key for flag in flags_of(replace(WELL, **changes), watched or Watched(NOW))]


def test_an_account_that_does_well_has_no_flag():
    assert flagged() == []
    assert WELL.margin_share == Decimal("0.75")


def test_credits_are_low_before_fourteen_days_or_the_end_of_the_month():
    assert flagged(runway_days=Decimal(14)) == []
    assert flagged(runway_days=Decimal("13.9")) == ["low"]
    assert flagged(run_out_date=date(2026, 12, 1)) == []
    assert flagged(run_out_date=date(2026, 11, 30)) == ["low"]


def test_no_credits_are_told_only_where_there_were_some_and_the_plan_lives_on_them():
    nothing = {"balance_credits": Decimal(0), "runway_days": Decimal(0)}
    assert flagged(**nothing) == ["empty"]
    assert flagged(**nothing, granted_credits=Decimal(0)) == []
    assert flagged(**nothing, plan="postpaid") == []


def test_a_loss_is_told_once_the_usage_is_paid():
    assert flagged(margin_usd=Decimal("-0.01")) == ["loss"]
    assert flagged(margin_usd=Decimal("-0.01"), overage_credits=Decimal(2)) == []
    assert flagged(margin_usd=None) == []


def test_an_invoice_is_overdue_after_its_last_day():
    invoice = OpenInvoice("well", "INV-1", "USD", 900, date(2026, 11, 23))
    assert flagged(Watched(NOW, invoices={"well": [invoice]})) == []
    assert flagged(Watched(NOW, invoices={"well": [invoice]}), time_zone="Asia/Tokyo") == [
        "overdue"
    ]
    late = replace(invoice, due_on=date(2026, 11, 22))
    assert flagged(Watched(NOW, invoices={"well": [invoice, late]})) == ["overdue"]
    assert flagged(Watched(NOW, invoices={"other": [late]})) == []


def test_an_account_is_idle_after_four_weeks_or_if_it_never_used_anything():
    assert flagged(last_usage_date=date(2026, 10, 26)) == []
    assert flagged(last_usage_date=date(2026, 10, 25)) == ["idle"]
    assert flagged(last_usage_date=None) == ["idle"]


def test_all_flags_at_once_are_in_the_order_of_their_weight():
    late = OpenInvoice("well", "INV-1", "USD", 900, date(2026, 11, 1))
    everything = flagged(
        Watched(NOW, {"well": ["Monthly"]}, {"well": [late]}, {"well": 3}),
        balance_credits=Decimal(-1),
        margin_usd=Decimal(-5),
        spike_date=date(2026, 11, 20),
        unrated_events=2,
        last_usage_date=None,
    )
    assert everything == [key for key in FLAGS if key != "low"]


def test_the_list_is_searched_by_name_and_id_and_sorted_with_the_unknown_last():
    lines = lines_of(
        [
            replace(WELL, account_id="a", name="Zeta", margin_usd=None),
            replace(WELL, account_id="b", name="alpha", margin_usd=Decimal(1)),
            replace(WELL, account_id="c", name="Beta", margin_usd=Decimal(-9)),
        ],
        Watched(NOW, held={"a": 1}),
    )

    def ids(some: list[Line]) -> str:
        return "".join(line.standing.account_id for line in some)

    assert ids(found(lines, "ETA", None)) == "ac"
    assert ids(found(lines, "", "held")) == "a"
    assert ids(found(lines, "nothing", None)) == ""
    assert ids(ordered(lines, "name", is_descending=False)) == "bca"
    assert ids(ordered(lines, "margin", is_descending=True)) == "bca"
    assert ids(ordered(lines, "margin", is_descending=False)) == "cba"
    assert ids(ordered(lines, "flags", is_descending=True)) == "cab"
    assert accounts_csv(lines[:1]).splitlines()[1].endswith(",held")


@pytest.mark.parametrize(
    "view",
    [
        AccountsView(),
        AccountsView("acme & co", "low", "name", False, 3),
        AccountsView(sort="name", is_descending=True),
        AccountsView(sort="margin", is_descending=False),
    ],
)
def test_a_view_is_the_same_after_its_address(view: AccountsView):
    assert parse(render(view)) == (view, [])


def test_what_an_address_asks_in_vain_is_named():
    address = {"flag": ["rich"], "sort": ["age"], "order": ["up"], "page": ["0"], "q": [" a\x00b "]}
    view, remarks = parse(address)
    assert view == AccountsView("ab")
    assert len(remarks) == 4
    assert clean("x" * 500) == "x" * 100


def test_a_title_sorts_by_it_and_then_the_other_way_round():
    by_name = sorted_by(AccountsView(page=4), "name")
    assert (by_name.sort, by_name.is_descending, by_name.page) == ("name", False, 1)
    assert sorted_by(by_name, "name").is_descending
    assert link(AccountsView()) == "accounts"
    assert link(by_name) == "accounts?sort=name"


def test_the_page_lists_every_account_with_its_flags(open_page):
    page = open_page("accounts")
    shown = text_of(page)
    for name in ("Acme Robotics", "Tokyo Translators", "Idle Instruments"):
        assert name in shown
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
    assert 'href="./?account=acme"' in shown
    assert "insights?account=acme&amp;incident=2026-11-17" in shown
    assert "usage?account=tokyo&amp;rating=unrated" in shown
    assert "312 operations without a rate" in shown
    assert "Never used" in shown
    assert "rejected and not replayed" in shown


def test_the_search_and_a_flag_narrow_the_list_and_stand_in_the_address(open_page):
    page = open_page("accounts", q="TOKYO")
    assert "Tokyo Translators" in text_of(page)
    assert "Acme Robotics" not in text_of(page)
    page.text_input(key="accounts-text").set_value("acme").run()
    assert "Acme Robotics" in text_of(page)
    assert page.query_params["q"] in ("acme", ["acme"])
    page.text_input(key="accounts-text").set_value("nobody").run()
    assert "No account is so" in text_of(page)
    idle = open_page("accounts", flag="idle")
    assert "Idle Instruments" in text_of(idle)
    assert "Acme Robotics" not in text_of(idle)
    assert "There is no flag" in text_of(open_page("accounts", flag="rich"))


def test_a_budget_at_its_limit_is_told(open_page, stocked: Settings):
    with open_store(stocked) as store:
        add_budget(store, make_budget("acme", name="Monthly limit", limit="1"))
        add_budget(store, make_budget("tokyo", name="Far away", limit="100000000"))
    shown = text_of(open_page("accounts", stocked, flag="budget"))
    assert "Reached: Monthly limit" in shown
    assert "Tokyo Translators" not in shown
