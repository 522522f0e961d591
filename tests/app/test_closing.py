"""The closing dashboard shows the staff what a close would do, and does nothing of it."""

import csv
import io
from datetime import UTC, date, datetime
from html import escape

import pytest
from filelock import FileLock

from app import formats
from app.context import shared_store
from app.gate import Gate
from app.lake import LakeReader
from app.queries.closing import (
    GUARDS,
    Closing,
    closing_csv,
    gather_closing,
    gather_months,
    last_month,
)
from billing.invoices import guards
from billing.invoices.closing import close
from billing.invoices.issued import list_issued
from billing.invoices.payments import record_payment
from billing.store import open_store
from tests.app.conftest import text_of
from tests.app.reporting_lake import FAILED_CHECKS, HOSTILE, make_invoices, publish_head
from warehouse.lake import writing
from warehouse.settings import Settings

AUGUST, OCTOBER, NOVEMBER = date(2026, 8, 1), date(2026, 10, 1), date(2026, 11, 1)
NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)


@pytest.fixture
def gate(invoiced: Settings):
    reader = LakeReader(invoiced)
    yield Gate(reader, reader.publication(), lambda: shared_store(invoiced))
    reader.close()


def states(closing: Closing) -> dict[str, str]:
    return {each.account_id: each.state for each in closing.accounts}


def test_each_account_is_issued_ready_or_held(open_page, invoiced, gate):
    closing = gather_closing(gate, OCTOBER, NOW)
    assert states(closing) == {"acme": "issued", "tokyo": "issued", "mallory": "issued"}
    text = text_of(open_page("closing", invoiced, month="2026-10"))
    assert ">3 of 3<" in text
    for each in closing.accounts:
        for number in each.numbers:
            assert number in text
        assert f">{formats.money(each.net_minor, each.currency)}<" in text
    assert HOSTILE not in text and escape(HOSTILE)[:40] in text


def test_what_holds_accounts_stands_with_what_to_do(open_page, invoiced, gate):
    closing = gather_closing(gate, NOVEMBER, NOW)
    assert set(states(closing).values()) == {"held"}
    held = {each.guard: each for each in closing.held()}
    assert {"over", "fresh", "rated", "lots"} <= held.keys()
    assert held["rated"].accounts == ("Tokyo Translators",)
    text = text_of(open_page("closing", invoiced, month="2026-11", state="held"))
    assert GUARDS["rated"] in text
    assert "312 operations have no price" in text
    assert "<code>meterhouse rates add</code>" in text


def test_a_held_account_has_its_draft_beside_the_months_before(gate):
    (acme,) = [each for each in gather_closing(gate, NOVEMBER, NOW).accounts if each.name[0] == "A"]
    assert acme.state == "held" and len(acme.earlier) == 3
    assert acme.net_minor == pytest.approx(acme.earlier[-1], abs=1)


def test_what_is_known_since_is_shown_beside_what_was_issued(open_page, stocked):
    make_invoices(stocked)
    with writing(stocked, "marts") as connection:
        connection.execute(
            "update marts.main.fct_invoice_draft set credits = 333 + 100 where"
            " account_id = 'tokyo' and month = '2026-10-01'"
        )
        publish_head(connection, 1)
    text = text_of(open_page("closing", stocked, month="2026-10"))
    assert ">+¥160<" in text and "1 known otherwise" in text
    assert ">late usage<" in text


def test_what_is_open_and_the_books_of_the_month_are_shown(open_page, stocked):
    make_invoices(stocked)
    with open_store(stocked) as store:
        record_payment(
            store, "INV-2026-000003", 500, currency="JPY", paid_on=date(2026, 11, 9), reference="B1"
        )
    text = text_of(open_page("closing", stocked, month="2026-10"))
    assert ">¥33 open<" in text
    books = text.split(">Books<")[1]
    assert ">closed<" in books
    assert ">€25.21<" in books and ">¥2,521<" in books, "revenue"
    assert "€100.00" in books, "deferred revenue"


def test_failed_checks_hold_everybody(open_page, stocked):
    make_invoices(stocked)
    with writing(stocked, "marts") as connection:
        connection.execute("create table marts.main.newer as select 1 as one")
        publish_head(connection, 1, FAILED_CHECKS)
    text = text_of(open_page("closing", stocked, month="2026-11"))
    assert "Checks fail: credits_are_conserved" in text


def test_looking_writes_nothing_and_waits_for_no_close(open_page, invoiced):
    with open_store(invoiced) as store:
        before = [each.number for each in list_issued(store)]
        locks = invoiced.home / "locks"
        with FileLock(locks / "invoices.lock", timeout=0):
            found = close(invoiced, store, NOVEMBER, dry_run=True, now=NOW)
            open_page("closing", invoiced, month="2026-11")
        assert found.held and not found.issued
        assert [each.number for each in list_issued(store)] == before


def test_the_month_and_the_state_stand_in_the_address(open_page, invoiced):
    app = open_page("closing", invoiced, month="2026-09")
    assert app.selectbox(key="closing-month").value == date(2026, 9, 1)
    app.selectbox(key="closing-month").set_value(AUGUST).run()
    assert not app.exception
    assert app.query_params["month"] == "2026-08"
    text = text_of(open_page("closing", invoiced, month="1812-01", state="x"))
    assert "There is no month “1812-01” to close." in text
    assert "There is no state “x”." in text


def test_the_last_month_that_is_over_comes_first(gate):
    months = gather_months(gate, NOW)
    assert last_month(months, NOW) == OCTOBER
    assert last_month(months, datetime(2030, 1, 1, tzinfo=UTC)) == NOVEMBER


def test_the_export_has_every_account(gate):
    closing = gather_closing(gate, OCTOBER, NOW)
    rows = {row["account_id"]: row for row in csv.DictReader(io.StringIO(closing_csv(closing)))}
    assert rows.keys() == {"acme", "tokyo", "mallory"}
    assert rows["acme"]["documents"] == "INV-2027-000001 CN-2027-000001"
    assert rows["tokyo"]["net_minor"] == "533"
    assert rows["mallory"]["name"] == HOSTILE


def test_before_anybody_issues_invoices_it_says_how_to_begin(open_page, stocked):
    text = text_of(open_page("closing", stocked))
    assert "No month can be closed yet" in text
    assert "<code>meterhouse invoices issuer --name …</code>" in text


def test_before_anything_is_published_it_says_what_to_run(open_page, tmp_path):
    text = text_of(open_page("closing", Settings(home=tmp_path)))
    assert "Nothing is published yet" in text


def test_every_guard_of_a_close_has_a_name():
    holds = guards.as_holds("acme", [(name, "x") for name in GUARDS])
    assert [hold.guard for hold in holds] == list(GUARDS)
