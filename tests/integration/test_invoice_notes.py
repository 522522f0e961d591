"""What finance can give back, take in and close by hand, and what is refused."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

from billing.invoice_schema import issuer
from billing.invoices.closing import close
from billing.invoices.issued import Issued, list_issued
from billing.invoices.mailing import finish
from billing.invoices.notes import credit_note, left_of
from billing.invoices.parties import add_tax_rate, set_issuer
from billing.invoices.payments import record_payment
from billing.store import Store, open_store
from tests.integration.invoice_lab import NOW, OCTOBER, build_lakes, fill_store
from tests.integration.small_lake import settings_at
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

House = tuple[Settings, Store]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    settings = settings_at(tmp_path)
    build_lakes(settings, 3)
    with open_store(settings) as store:
        fill_store(store, 3)
        yield settings, store


def second(store: Store) -> Issued:
    """The invoice of a002: 0.03 net."""
    return next(one for one in list_issued(store) if one.account_id == "a002")


def test_notes_give_back_no_more_than_was_asked_for_with_tax(house: House) -> None:
    settings, store = house
    add_tax_rate(store, "DE", "50", OCTOBER, now=NOW)
    close(settings, store, OCTOBER, now=NOW)
    number = second(store).number
    for _ in range(2):  # 0.01 and a tax of 0.005, which is rounded up
        credit_note(settings, store, number, 1, reason="an outage", now=NOW)
    with pytest.raises(MeterhouseError, match="with its tax that is 0.02 EUR, and 0.01 EUR"):
        credit_note(settings, store, number, None, reason="an outage", now=NOW)


def test_what_a_later_document_took_back_cannot_be_credited_again(house: House) -> None:
    settings, store = house
    close(settings, store, OCTOBER, now=NOW)
    invoice = second(store)
    (line,) = invoice.lines
    back = replace(line, is_correction=True, net_minor=-2)
    later = replace(invoice, number="INV-2026-000009", month=date(2026, 11, 1), lines=(back,))
    other = replace(later, currency="USD")
    assert left_of(invoice, [invoice]) == 3
    assert left_of(invoice, [invoice, later, other]) == 1
    more = replace(later, lines=(replace(back, net_minor=5),))
    assert left_of(invoice, [invoice, more]) == 3


def test_a_logo_that_cannot_be_drawn_is_refused_and_one_in_the_store_stops_only_its_own_document(
    house: House,
) -> None:
    settings, store = house
    with pytest.raises(MeterhouseError, match="cannot be drawn"):
        set_issuer(store, {"logo": "<svg><g></svg>"}, now=NOW)
    close(settings, store, OCTOBER, account_id="a001", now=NOW)
    with store.writing() as connection:
        row = connection.execute(sa.select(issuer)).mappings().one()
        broken = {**row["settings"], "logo": "<svg><g></svg>"}
        connection.execute(
            sa.insert(issuer),
            {**{k: v for k, v in row.items() if k != "issuer_row_id"}, "settings": broken},
        )
    close(settings, store, OCTOBER, account_id="a002", now=NOW)
    with pytest.raises(MeterhouseError, match="INV-2026-000002 cannot be rendered"):
        finish(settings, store, now=NOW)
    assert len(list((settings.home / "mail").glob("*.eml"))) == 1


def test_a_payment_before_the_month_and_a_month_to_come_are_refused(house: House) -> None:
    settings, store = house
    close(settings, store, OCTOBER, now=NOW)
    with pytest.raises(MeterhouseError, match="before the month"):
        record_payment(
            store, second(store).number, 1, currency="EUR", paid_on=date(1800, 1, 1),
            reference="bank 1", now=NOW,
        )  # fmt: skip
    with pytest.raises(MeterhouseError, match="2027-01 has not begun"):
        close(settings, store, date(2027, 1, 1), now=NOW)
    with pytest.raises(MeterhouseError, match="nothing to accept of nobody"):
        close(settings, store, OCTOBER, accept=["nobody"], now=NOW)
