"""The page Invoices shows what was issued to one account, and nothing of another."""

import csv
import io
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from html import escape

import pytest

from app import formats
from app.context import shared_store
from app.gate import Gate
from app.lake import LakeReader
from app.queries.invoices import (
    Documents,
    corrected_by,
    corrects,
    documents_of,
    explained_csv,
    gather_drafts,
    statement_csv,
    statements,
)
from billing.accounts import set_account
from billing.invoices.issued import document_of, get_issued, list_issued
from billing.invoices.payments import record_payment
from billing.store import open_store
from tests.app.conftest import text_of
from tests.app.reporting_lake import HOSTILE, make_invoices, make_raw_lake
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

OCTOBER = "INV-2027-000001"
NOTE = "CN-2027-000001"
YEN = "INV-2026-000003"
MALLORY = "INV-2027-000002"
NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)


@pytest.fixture
def gate(invoiced: Settings):
    reader = LakeReader(invoiced)
    yield Gate(reader, reader.publication(), lambda: shared_store(invoiced))
    reader.close()


def documents_to(settings: Settings, account_id: str) -> Documents:
    with open_store(settings) as store:
        return documents_of(store, account_id)


def issued_to(settings: Settings, account_id: str):
    return documents_to(settings, account_id).issued


def numbers_in(text: str) -> list[str]:
    """Numbers of documents in the list, from top to bottom."""
    listed = text.split("Statement of account")[0]
    return re.findall(r"<a [^>]*mh-row-link[^>]*>((?:INV|CN)-\d{4}-\d{6})</a>", listed)


def test_all_documents_are_listed_the_newest_first_with_their_amounts(open_page, invoiced):
    text = text_of(open_page("invoices", invoiced, account="acme"))
    issued = issued_to(invoiced, "acme")
    assert numbers_in(text) == [each.number for each in issued][::-1]
    assert len(issued) == 4
    for each in issued:
        for minor in (each.totals.net_minor, each.totals.tax_minor, each.totals.due_minor):
            assert f">{formats.money(minor, 'EUR')}<" in text
    for status in ("credit note", "paid"):
        assert f">{status}<" in text


def test_a_year_in_the_address_filters_list_and_statement(open_page, invoiced):
    app = open_page("invoices", invoiced, account="acme", year="2026")
    text = text_of(app)
    assert numbers_in(text) == ["INV-2026-000002", "INV-2026-000001"]
    assert OCTOBER not in text
    assert app.query_params["year"] == "2026"


def test_the_statement_opens_with_what_was_open_before_the_year(invoiced):
    documents = documents_to(invoiced, "acme")
    (whole,) = statements(documents, None)
    (before,), (after,) = statements(documents, 2026), statements(documents, 2027)
    assert (whole.opening_minor, before.opening_minor) == (0, 0)
    assert after.opening_minor == before.closing_minor
    assert after.closing_minor == whole.closing_minor
    assert whole.closing_minor == sum(each.totals.due_minor for each in documents.issued)
    running = 0
    for entry in whole.entries:
        running += entry.amount_minor
        assert entry.open_minor == running
    assert [entry.kind for entry in whole.entries[:2]] == ["invoice", "checkout"]


def test_the_statement_is_exported_as_it_stands(invoiced):
    found = statements(documents_to(invoiced, "acme"), None)
    rows = list(csv.DictReader(io.StringIO(statement_csv(found))))
    assert [int(row["amount_minor"]) for row in rows] == [
        entry.amount_minor for entry in found[0].entries
    ]
    assert rows[-1]["document"] == NOTE


def test_a_document_shows_its_lines_taxes_and_what_corrects_it(open_page, invoiced):
    app = open_page("invoices", invoiced, account="acme", invoice=OCTOBER)
    text = text_of(app)
    (document,) = [each for each in issued_to(invoiced, "acme") if each.number == OCTOBER]
    assert "Usage beyond the credits bought, October 2026" in text
    assert "Tax 19 % on" in text
    assert "EUR 0.0125" in text
    assert "Corrected by" in text and NOTE in text
    assert "Statement of credits" in text and "Closing balance" in text
    assert "Usage by category and model" in text and "gpt-5.2" in text
    for line in document.lines:
        assert formats.money(line.net_minor, "EUR") in text
    (download,) = app.get("download_button")
    assert download.label == "Download PDF"
    assert (download.proto.url, bool(download.proto.deferred_file_id)) == ("", True), (
        "a document that lies ready can be taken away without a row in the log"
    )


def test_a_credit_note_says_what_it_credits_and_why(open_page, invoiced):
    text = text_of(open_page("invoices", invoiced, account="acme", invoice=NOTE))
    assert f"Credit note {NOTE}" in text
    assert "Corrects" in text and OCTOBER in text
    assert f"outage {escape(HOSTILE)}" in text and HOSTILE not in text
    assert f"{formats.MINUS}€10.00" in text


def test_documents_name_each_other(invoiced):
    issued = issued_to(invoiced, "acme")
    invoice, note = issued[-2], issued[-1]
    assert [each.number for each in corrected_by(invoice, issued)] == [NOTE]
    assert [each.number for each in corrects(note, issued)] == [OCTOBER]
    assert corrects(issued[0], issued) == corrected_by(note, issued) == []


def test_yen_have_no_decimals_and_an_export_no_tax(open_page, invoiced):
    text = text_of(open_page("invoices", invoiced, account="tokyo", invoice=YEN))
    assert "¥533" in text and "¥533.00" not in text
    assert "Export, tax free, on ¥533" in text


def test_reverse_charge_is_said_and_a_hostile_name_stays_text(open_page, invoiced):
    text = text_of(open_page("invoices", invoiced, account="mallory", invoice=MALLORY))
    assert "Reverse charge on $19.00" in text
    assert "IE6388047V" in text
    assert HOSTILE not in text and "<script" not in text
    assert escape(HOSTILE) in text


def test_a_document_that_is_not_rendered_says_so(open_page, invoiced):
    app = open_page("invoices", invoiced, account="mallory", invoice=MALLORY)
    assert "Its PDF is not rendered yet." in text_of(app)
    assert not app.get("download_button")


def test_a_line_leads_to_its_operations(open_page, invoiced):
    app = open_page("invoices", invoiced, account="acme", invoice=OCTOBER, line="2")
    text = text_of(app)
    assert "30 operations, 15 credits: 2.5 of them paid by lots, 12.5 charged." in text
    assert escape(HOSTILE)[:40] in text and HOSTILE not in text
    assert "Page 1 of 2" in text
    text = text_of(
        open_page("invoices", invoiced, account="acme", invoice=OCTOBER, line="2", page="2")
    )
    assert ">o-29<" in text and ">o-3<" not in text


def test_a_line_of_a_purchase_leads_to_its_lots(gate):
    found = gate.enter("acme").explained("INV-2026-000001", 1)
    rows = list(csv.DictReader(io.StringIO(explained_csv(found))))
    assert not found.events
    assert [lot.reason for lot in found.lots] == ["Growth pack", "Scale pack"]
    assert [row["lot_id"] for row in rows] == [str(lot.grant_id) for lot in found.lots]


def test_the_export_of_a_line_has_every_operation_with_every_digit(gate):
    found = gate.enter("acme").explained(OCTOBER, 2)
    rows = list(csv.DictReader(io.StringIO(explained_csv(found))))
    assert len(rows) == 30
    assert sum(Decimal(row["credits"]) for row in rows) == found.events_credits
    assert rows[0]["event_id"] == HOSTILE
    assert rows[0]["occurred_at"] == "2026-10-02T08:00:00Z"


def test_nothing_of_another_account_is_shown(open_page, invoiced, gate):
    app = open_page("invoices", invoiced, account="tokyo", invoice=OCTOBER, line="2")
    text = text_of(app)
    assert f"There is no invoice “{OCTOBER}” of this account." in text
    assert numbers_in(text) == [YEN]
    assert "invoice" not in app.query_params
    assert not [each for each in app.get("download_button") if each.label == "Download PDF"]
    reader = gate.enter("tokyo")
    with pytest.raises(MeterhouseError, match=f"there is no invoice {OCTOBER}"):
        reader.explained(OCTOBER, 2)
    with pytest.raises(MeterhouseError, match="there is no invoice"):
        reader.ask_store(lambda store, account: get_issued(store, OCTOBER, account))
    assert {each.account_id for each in reader.ask_store(_documents)} == {"tokyo"}


def test_the_document_is_the_stored_one(gate):
    pdf = gate.enter("acme").ask_store(lambda store, _: document_of(store, OCTOBER))
    assert pdf.startswith(b"%PDF")


def test_the_month_so_far_is_a_draft_beyond_what_was_issued(open_page, invoiced, gate):
    text = text_of(open_page("invoices", invoiced, account="acme"))
    assert "November 2026 so far" in text and ">Draft<" in text
    reader = gate.enter("acme")
    (draft,) = gather_drafts(reader, reader.ask_store(_documents), NOW)
    assert [line.kind for line in draft.lines] == ["purchase", "overage"]
    assert draft.is_running and draft.is_taxed
    assert draft.totals.due_minor == draft.totals.gross_minor - 14_900
    assert formats.money(draft.totals.net_minor, "EUR") in text


def test_without_an_address_the_draft_has_no_tax(open_page, stocked):
    text = text_of(open_page("invoices", stocked, account="acme"))
    assert "No invoices yet" in text
    assert "meterhouse invoices recipient acme" in text
    assert "Without tax: nobody knows its address yet." in text


def test_an_account_without_usage_says_when_the_first_one_comes(open_page, invoiced):
    text = text_of(open_page("invoices", invoiced, account="idle"))
    assert "No invoices yet" in text
    assert "The first one follows the first month with usage or credits." in text


def test_a_document_is_mailed_again_by_hand(open_page, stocked):
    make_invoices(stocked)
    with open_store(stocked) as store:
        set_account(store, "acme", {"email": "billing@acme.example"})
    app = open_page("invoices", stocked, account="acme", invoice=OCTOBER)
    assert "It was not mailed." in text_of(app)
    app.button(key=f"invoice-resend-{OCTOBER}").click().run()
    assert not app.exception
    assert "To billing@acme.example" in text_of(app)
    (mail,) = stocked.mail_folder.iterdir()
    assert f"{OCTOBER}.pdf".encode() in mail.read_bytes()
    text = text_of(open_page("invoices", stocked, account="acme"))
    assert text.count(">mailed<") == 1


def test_an_account_without_an_address_is_told_how_to_give_one(open_page, stocked):
    make_invoices(stocked)
    app = open_page("invoices", stocked, account="tokyo", invoice=YEN)
    app.button(key=f"invoice-resend-{YEN}").click().run()
    assert "meterhouse accounts set tokyo --email ADDRESS" in text_of(app)


def test_what_cannot_be_used_of_the_address_is_told(open_page, invoiced):
    app = open_page("invoices", invoiced, account="acme", year="1812", invoice="<b>", line="x")
    text = text_of(app)
    assert "There are no invoices of the year “1812”." in text
    assert "There is no invoice “&lt;b&gt;” of this account." in text
    assert len(numbers_in(text)) == 4


def test_an_invoice_is_due_until_its_day_and_overdue_after_it(invoiced):
    documents = documents_to(invoiced, "tokyo")
    (yen,) = documents.issued
    assert documents.status(yen, date(2026, 11, 19)) == "due"
    assert documents.status(yen, date(2026, 11, 20)) == "overdue"


def test_the_list_of_accounts_tells_who_is_overdue(open_page, invoiced):
    shown = text_of(open_page("accounts", invoiced, flag="overdue"))
    assert "Tokyo Translators" in shown
    assert "was due" in shown
    assert "Idle Instruments" not in shown


def test_payments_are_taken_off_what_is_open(open_page, stocked):
    make_invoices(stocked)
    with open_store(stocked) as store:
        for amount, reference in ((500, "BANK-1"), (33, HOSTILE)):
            record_payment(
                store, YEN, amount, currency="JPY", paid_on=date(2026, 11, 9), reference=reference
            )
            if amount == 500:
                before = documents_of(store, "tokyo")
    assert before.status(before.issued[0], date(2026, 11, 10)) == "partly paid"
    after = documents_to(stocked, "tokyo")
    assert after.status(after.issued[0], date(2027, 11, 10)) == "paid"
    (statement,) = statements(after, None)
    assert [entry.open_minor for entry in statement.entries] == [533, 33, 0]
    text = text_of(open_page("invoices", stocked, account="tokyo"))
    assert "Paid, BANK-1" in text and ">paid<" in text and HOSTILE not in text
    text = text_of(open_page("invoices", stocked, account="tokyo", invoice=YEN))
    assert "Paid 9 Nov 2026, BANK-1" in text and f">{formats.MINUS}¥33<" in text


def test_before_anything_is_published_it_says_when_invoices_come(open_page, tmp_path):
    make_raw_lake(Settings(home=tmp_path))
    text = text_of(open_page("invoices", Settings(home=tmp_path)))
    assert "There are no accounts yet" in text


def _documents(store, account):
    return list_issued(store, account_id=account)
