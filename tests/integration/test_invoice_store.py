"""Issuing in the store, on SQLite and PostgreSQL: once, gapless, and never changed."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from billing.accounts import add_account
from billing.grants import list_lots
from billing.invoice_schema import invoice
from billing.invoices.charges import Charge, MonthCharges, Tax, lines_of
from billing.invoices.closing import alone
from billing.invoices.issued import (
    LAST_PRIORITY,
    OverageLot,
    ToIssue,
    content_hash,
    get_issued,
    issue,
    list_issued,
)
from billing.invoices.parties import (
    add_tax_rate,
    find_issuer,
    list_profiles,
    list_tax_rates,
    set_issuer,
    set_profile,
)
from billing.invoices.payments import list_payments, open_items, record_payment
from billing.store import Store, open_store
from tests.integration.invoice_lab import RECIPIENT, set_up_issuer
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

NOW = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
NOVEMBER = date(2026, 11, 1)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    return Settings(home=tmp_path, operations_url=url)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings) as opened:
        set_up_issuer(opened)
        for account in ("acme", "blue"):
            add_account(opened, account, currency="EUR")
        yield opened


def document(account: str, reference: str, credits: str = "10.000000001") -> ToIssue:
    known = MonthCharges(
        Tax("S", Decimal(19)), (Charge("overage", Decimal(credits), Decimal("0.0125")),)
    )
    lines = lines_of(NOVEMBER, {NOVEMBER: known}, [], "EUR")
    return ToIssue(reference, "invoice", account, NOVEMBER, "EUR", tuple(lines), {"plan": "x"})


def send(store: Store, *documents: ToIssue, now: datetime = NOW, **more: object) -> list[str]:
    issuer = find_issuer(store)
    assert issuer is not None
    issuer = replace(issuer, **more)  # type: ignore[arg-type]
    issued = issue(store, issuer, documents, raw_load_id=3, now=now, actor="ann")
    return [one.number for one in issued]


def test_what_is_issued_is_read_back_as_it_was_and_exists_once(store: Store) -> None:
    issuer = find_issuer(store)
    assert issuer is not None
    lot = OverageLot(NOVEMBER, Decimal("10.000000001"), datetime(2026, 12, 1, tzinfo=UTC))
    to_issue = document("acme", "acme:2026-11:EUR")
    for expected in (["INV-2026-000001"], []):
        issued = issue(store, issuer, [to_issue], [lot], raw_load_id=3, now=NOW, actor="ann")
        assert [one.number for one in issued] == expected
    (one,) = list_issued(store, account_id="acme", year=2026, month=NOVEMBER)
    assert one == get_issued(store, "INV-2026-000001")
    assert one.lines == to_issue.lines
    assert (one.totals.net_minor, one.totals.tax_minor, one.raw_load_id) == (13, 2, 3)
    assert one.content["lines"][0]["credits"] == "10.000000001"
    with store.reading() as connection:
        stored = connection.scalar(sa.select(invoice.c.content))
    assert content_hash(str(stored)) == one.content_hash
    (granted,) = list_lots(store, "acme")
    assert (granted.reference, granted.credits, granted.priority, granted.effective_at) == (
        "invoice:INV-2026-000001:2026-11", lot.credits, LAST_PRIORITY, lot.effective_at,
    )  # fmt: skip


def test_numbers_begin_anew_each_year_of_the_issuers_calendar(store: Store) -> None:
    assert send(store, document("acme", "a")) == ["INV-2026-000001"]
    assert send(store, document("blue", "b"), time_zone="Europe/Berlin") == ["INV-2027-000001"]
    assert send(store, document("blue", "c")) == ["INV-2026-000002"]


def test_documents_that_belong_together_are_issued_together_or_not_at_all(store: Store) -> None:
    note = replace(document("acme", "a:note"), series="credit_note")
    assert send(store, document("acme", "a"), note) == ["INV-2026-000001", "CN-2026-000001"]
    broken = replace(document("acme", "b"), account_id="nobody")
    with pytest.raises(sa.exc.IntegrityError):
        send(store, document("blue", "c"), broken)
    assert send(store, document("blue", "c")) == ["INV-2026-000002"]


def test_many_at_once_leave_no_gap(store: Store) -> None:
    def work(at: int) -> None:
        for number in range(5):
            send(store, document("acme", f"{at % 2}:{number}"))

    threads = [threading.Thread(target=work, args=[at]) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [one.number for one in list_issued(store)]
    assert numbers == [f"INV-2026-{number:06d}" for number in range(1, 11)]


def test_issued_invoices_cannot_be_changed(store: Store) -> None:
    send(store, document("acme", "a"))
    for table in ("invoice", "invoice_line"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            with store.writing() as connection:
                connection.execute(sa.text(f"delete from {table}"))


def test_two_closes_do_not_run_at_once(settings: Settings, store: Store) -> None:
    with alone(settings, store):
        with pytest.raises(MeterhouseError, match="another close is running"):
            with alone(settings, store):
                pass
    with alone(settings, store):
        pass


def test_issuer_profiles_and_rates_are_checked_and_kept(store: Store) -> None:
    changed = set_issuer(store, {"iban": "de89 3704 0044 0532 0130 00", "accent": "#336699"})
    assert find_issuer(store) == changed and changed.iban == "DE89370400440532013000"
    for field, value, match in [
        ("accent", "blue", "is no colour"),
        ("country", "XX", "is no country"),
        ("iban", "12", "is no IBAN"),
        ("note_prefix", "INV", "prefixes of their own"),
        ("logo", "no picture", "SVG image"),
        ("tax_id", "19", "is no tax id"),
    ]:
        with pytest.raises(MeterhouseError, match=match):
            set_issuer(store, {field: value})
    with pytest.raises(MeterhouseError, match="--name --street"):
        set_issuer(store, {}, issuer_id="other")
    set_profile(store, "acme", RECIPIENT)
    kept = set_profile(store, "acme", {"language": "de"}, effective_from=NOVEMBER)
    assert (kept.name, kept.language) == ("Acme Ltd", "de")
    assert list_profiles(store, "acme")[-1] == kept
    for changes, match in [
        ({"tax_treatment": "reverse_charge", "tax_id": None}, "needs the customer's tax id"),
        ({"tax_treatment": "none"}, "choose one of standard"),
        ({"language": "fr"}, "no invoices in 'fr'"),
        ({"name": "a\nb"}, "line break"),
    ]:
        with pytest.raises(MeterhouseError, match=match):
            set_profile(store, "acme", changes)
    with pytest.raises(MeterhouseError, match="there is no account nobody"):
        set_profile(store, "nobody", RECIPIENT)
    with pytest.raises(MeterhouseError, match="street is missing"):
        set_profile(store, "blue", {"name": "Blue"})
    add_tax_rate(store, "fr", "5.5", NOVEMBER)
    assert list_tax_rates(store)[-1].percent == Decimal("5.5")
    with pytest.raises(MeterhouseError, match="below 100 percent"):
        add_tax_rate(store, "FR", "119", NOVEMBER)


def test_payments_are_recorded_once_and_never_beyond_what_is_open(store: Store) -> None:
    (number,) = send(store, document("acme", "a"))
    (due,) = (one.due_minor for one in open_items(store).values())
    assert due > 2 and open_items(store)[number].status == "due"

    def pay(amount: int, reference: str, **more: Any) -> bool:
        given = {"number": number, "currency": "EUR", "paid_on": NOVEMBER, "now": NOW, **more}
        return record_payment(
            store, amount_minor=amount, reference=reference, actor="ann", **given
        )[1]

    assert pay(1, "bank 1")
    assert not pay(1, "bank 1")
    assert open_items(store, "acme")[number].status == "partly_paid"
    for amount, reference, more, why in (
        (due, "bank 2", {}, "are open"),
        (0, "bank 2", {}, "more than 0"),
        (-1, "bank 2", {}, "more than 0"),
        (1, "bank 2", {"currency": "USD"}, "not in USD"),
        (1, "bank 2", {"number": "INV-9"}, "no invoice INV-9"),
        (1, "bank 2", {"paid_on": date(2099, 1, 1)}, "still to come"),
        (2, "bank 1", {}, "is that of another payment"),
        (1, "  ", {}, "reference"),
    ):
        with pytest.raises(MeterhouseError, match=why):
            pay(amount, reference, **more)
    assert pay(due - 1, "bank 2")
    (item,) = open_items(store, "acme").values()
    assert (item.open_minor, item.status) == (0, "paid")
    assert [payment.reference for payment in list_payments(store)] == ["bank 1", "bank 2"]
