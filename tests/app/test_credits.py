"""The Credits page and the balance at the head show what lake and store hold of one account."""

import csv
import io
import re
from datetime import UTC, datetime
from decimal import Decimal
from html import escape, unescape

import pytest

from app import formats
from app.balance import runway, standing
from app.context import shared_store
from app.gate import Gate, UnknownAccount
from app.lake import LakeReader
from app.queries.credits import (
    PAGE_SIZE,
    POSTING_KINDS,
    LedgerFilter,
    gather_ledger,
    ledger_csv,
)
from billing.accounts import add_account
from billing.gateways import gateway_for
from billing.grants import grant, list_lots
from billing.packages import list_offers
from billing.position import CreditPosition, credit_position
from billing.purchases import fulfil, get_purchase, purchase_history, start_purchase
from billing.store import open_store
from tests.app.conftest import text_of
from tests.app.reporting_lake import HOSTILE, make_raw_lake
from warehouse.settings import Settings


@pytest.fixture
def gate(stocked: Settings):
    reader = LakeReader(stocked)
    yield Gate(reader, reader.publication(), lambda: shared_store(stocked))
    reader.close()


def position(settings: Settings, account_id: str) -> CreditPosition:
    reader = LakeReader(settings)
    with open_store(settings) as store:
        found = credit_position(reader, store, account_id, datetime.now(UTC))
    reader.close()
    return found


def shown_balance(text: str) -> Decimal:
    return Decimal(re.search(r'data-balance="([^"]+)"', text)[1])


@pytest.mark.parametrize("page", ["overview", "credits"])
@pytest.mark.parametrize("account", ["acme", "tokyo", "mallory", "idle"])
def test_the_balance_with_its_parts_and_runway_stands_at_the_head(
    open_page, stocked, page, account
):
    text = text_of(open_page(page, stocked, account=account))
    found = position(stocked, account)
    assert shown_balance(text) == found.balance
    assert found.balance == found.settled_balance - found.pending
    assert f">{formats.credits(found.settled_balance)}<" in text
    if found.lots:
        assert escape(runway(found)) in text


def test_pending_usage_is_told_apart(open_page, stocked):
    text = text_of(open_page("credits", stocked, account="acme"))
    found = position(stocked, "acme")
    assert found.pending == Decimal("2.05")
    assert f"{formats.MINUS}2.05" in text and "41 operations" in text


def test_overage_is_seen_at_a_glance(open_page, stocked):
    text = text_of(open_page("overview", stocked, account="tokyo"))
    found = position(stocked, "tokyo")
    assert found.overage > 0
    assert ">Overage<" in text
    assert f"{formats.credits(found.overage)} credits used beyond the lots" in text


def test_without_credits_it_says_what_to_do(open_page, stocked):
    text = text_of(open_page("credits", stocked, account="idle"))
    assert "No credits yet" in text
    assert "meterhouse credits grant idle 100" in text
    assert "No credits were granted or bought yet" in text


def test_a_lot_that_expires_soon_is_flagged_and_told_at_the_head(open_page, stocked):
    text = text_of(open_page("credits", stocked, account="acme"))
    assert re.search(r"25\.00 expire \d", text)
    assert ">soon<" in text


def test_lots_show_what_is_left_and_what_was_paid(open_page, stocked):
    text = text_of(open_page("credits", stocked, account="acme"))
    for lot in position(stocked, "acme").lots:
        assert formats.credits(lot.remaining) in text
        assert f"of {formats.credits(lot.granted)}" in text
    assert "€1,190.00" in text
    assert ">used up<" in text


def test_packages_are_those_of_the_account_s_currency(open_page, stocked):
    app = open_page("credits", stocked, account="tokyo")
    text = text_of(app)
    assert "¥3,000" in text and "€" not in text.split("Buy credits")[1].split("Ledger")[0]
    assert "10,000 credits" in text and "+ 500 bonus" in text
    assert "Demo payment, no money moves" in text
    assert [button.label for button in app.button] == ["Buy"] * 3


def test_a_double_click_on_buy_is_one_purchase(open_page, stocked):
    app = open_page("credits", stocked, account="acme")
    app.button[0].click().run()
    app.button[0].click().run()
    assert not app.exception
    with open_store(stocked) as store:
        (bought,) = purchase_history(store, "acme")
    assert bought.state == "open"
    assert "/demo/checkout/" in unescape(text_of(app))


def test_what_became_of_a_purchase_is_told_and_listed_with_its_receipt(open_page, stocked):
    bought = buy(stocked, "acme")
    text = text_of(open_page("credits", stocked, account="acme", purchase=bought.purchase_id))
    assert "Thank you, it is paid." in text
    assert f'href="/receipts/{bought.purchase_id}"' in text
    given = bought.credits + bought.bonus_credits
    assert f"{formats.exact(given)} credits were added" in text
    assert shown_balance(text) == position(stocked, "acme").balance


def test_a_purchase_of_another_account_is_not_told(open_page, stocked):
    bought = buy(stocked, "acme")
    text = text_of(open_page("credits", stocked, account="tokyo", purchase=bought.purchase_id))
    assert "This account has no such purchase." in text
    assert "Thank you" not in text and "/receipts/" not in text


def test_payments_that_are_off_sell_nothing(open_page, stocked, monkeypatch):
    monkeypatch.setenv("METERHOUSE_PAYMENTS", "off")
    app = open_page("credits", stocked, account="acme")
    assert "METERHOUSE_PAYMENTS is off" in text_of(app)
    assert not app.button


def test_hostile_names_stay_text(open_page, stocked):
    text = text_of(open_page("credits", stocked, account="mallory"))
    assert HOSTILE not in text and "<script" not in text
    assert escape(HOSTILE)[:40] in text


def test_an_address_that_cannot_be_used_is_told(open_page, stocked):
    text = text_of(
        open_page(
            "credits", stocked, account="acme", kind="theft", lot="99", page="x", from_="soon"
        )
    )
    for told in ("theft", "99", "“x”", "“soon”"):
        assert told in text


def test_the_ledger_follows_its_address(open_page, stocked, gate):
    app = open_page("credits", stocked, account="acme", kind="grant")
    assert app.multiselect(key="credits-kinds").value == ["grant"]
    found = gather_ledger(gate.enter("acme"), LedgerFilter(("grant",)), 1)
    assert formats.plural(found.totals.postings, "posting") in text_of(app)


def test_a_chosen_filter_stands_in_the_address(open_page, stocked):
    app = open_page("credits", stocked, account="acme")
    app.multiselect(key="credits-kinds").set_value(["grant", "overage"]).run()
    assert app.query_params["kind"] == ["grant", "overage"]
    assert app.query_params["account"] == "acme"


def test_pages_of_the_ledger_hold_every_posting_once(gate):
    reader = gate.enter("acme")
    first = gather_ledger(reader, LedgerFilter(), 1)
    assert first.pages > 1
    numbers = [
        posting.posting_number
        for page in range(1, first.pages + 1)
        for posting in gather_ledger(reader, LedgerFilter(), page).postings
    ]
    assert numbers == sorted(set(numbers), reverse=True)
    assert len(numbers) == first.totals.postings
    assert gather_ledger(reader, LedgerFilter(), 10**6).number == first.pages
    assert len(first.postings) == PAGE_SIZE


@pytest.mark.parametrize("kind", POSTING_KINDS)
def test_a_filter_finds_exactly_what_it_names(gate, kind):
    found = gather_ledger(gate.enter("acme"), LedgerFilter((kind,)), 1)
    assert {posting.posting_kind for posting in found.postings} <= {kind}


def test_the_export_is_the_ledger_with_every_digit(gate):
    reader = gate.enter("acme")
    rows = list(csv.DictReader(io.StringIO(ledger_csv(reader, LedgerFilter()))))
    totals = gather_ledger(reader, LedgerFilter(), 1).totals
    assert len(rows) == totals.postings
    assert sum(Decimal(row["change_credits"]) for row in rows) == totals.change_credits
    assert rows[0]["posted_at"].endswith("Z")


def test_an_account_is_asked_for_nothing_of_another(gate):
    reader = gate.enter("tokyo")
    assert {lot.account_id for lot in reader.ask_store(list_lots)} == {"tokyo"}
    assert reader.position(datetime.now(UTC)).account_id == "tokyo"
    with pytest.raises(UnknownAccount):
        gate.enter("nobody")


def test_before_anything_is_published_balance_and_lots_are_shown(open_page, tmp_path):
    settings = Settings(home=tmp_path)
    make_raw_lake(settings)
    with open_store(settings) as store:
        add_account(store, "acme", name="Acme Robotics", currency="EUR")
        grant(store, "acme", "500", reason="Welcome")
    for page in ("overview", "credits"):
        text = text_of(open_page(page, settings, account="acme"))
        assert shown_balance(text) == position(settings, "acme").balance
        assert "nothing published yet" in text
    assert "Postings show here once a refresh has published them." in text


def test_without_any_account_it_says_how_to_declare_one(open_page, tmp_path):
    text = text_of(open_page("credits", Settings(home=tmp_path)))
    assert "There are no accounts yet" in text


def test_an_account_that_nobody_declared_has_no_balance(open_page, own_lake):
    with open_store(own_lake) as store:
        add_account(store, "other")
    for page in ("overview", "credits"):
        text = text_of(open_page(page, own_lake, account="acme"))
        assert "meterhouse accounts add acme" in text
    assert "there is no account acme" in text.lower()


def test_standing_says_low_overage_and_nothing_left(stocked):
    found = position(stocked, "tokyo")
    assert standing(found, "prepaid").kind == "bad"
    assert standing(found, "prepaid_with_overage").kind == "warn"


def buy(settings: Settings, account_id: str):
    """A package bought and paid through the demo gateway."""
    gateway = gateway_for(settings)
    with open_store(settings) as store:
        offer = list_offers(store, "EUR")[1]
        url = start_purchase(store, gateway, account_id, offer.offer_id, "key", "http://x/back")
        session = url.rsplit("/", 1)[1]
        gateway.pay(session)
        assert fulfil(store, gateway, gateway.retrieve_session(session)) == "granted"
        bought = get_purchase(store, purchase_history(store, account_id)[0].purchase_id)
    return bought
