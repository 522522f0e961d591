"""From usage and lots to invoices and back: what is invoiced is what the ledger says."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from billing.accounts import add_account
from billing.exports import StoreExport
from billing.grants import end_lot, get_lot, grant, refund
from billing.invoices.charges import Line
from billing.invoices.closing import Closed, close, read_books
from billing.invoices.explain import explain
from billing.invoices.facts import read_facts
from billing.invoices.issued import Issued, document_of, list_issued
from billing.invoices.mailing import finish, mail_states
from billing.invoices.notes import credit_note
from billing.invoices.parties import set_profile
from billing.invoices.payments import record_payment
from billing.invoices.rounding import rounded
from billing.lots import Ending
from billing.store import open_store
from billing.usage_sums import LakeUsage, open_lake
from ingest.operations import sync_operations
from tests.integration.dbt_lab import Lab
from tests.integration.invoice_lab import RECIPIENT, set_up_issuer
from warehouse.errors import MeterhouseError
from warehouse.lake import writing
from warehouse.settings import Settings

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
READ = (
    "+fct_invoice_draft",
    "+fct_invoice_month",
    "dim_load",
    "+fct_invoice",
    "fct_invoice_line",
    "+fct_book_balance",
    "+fct_books_monthly",
    "+fct_credit_roll_forward",
    "+rpt_invoices_difference",
    "+rpt_invoices_books",
    "+rpt_credits_balance",
    "+rpt_usage_event",
    "+rpt_credits_usage",
)
"""Models that a close reads, and what they are made from."""

SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)
BOOKS = (
    "fct_book_balance",
    "fct_book_entry",
    "fct_books_monthly",
    "fct_credit_roll_forward",
    "fct_invoice",
    "fct_invoice_difference",
)


class World:
    """An instance of its own: a store, a lake, and what happens to them."""

    read: Sequence[str] = READ

    def __init__(self, home: Path) -> None:
        self.lab = Lab(home, now=datetime(2026, 11, 25, 11))
        self.settings = Settings(home=home)
        self.store = open_store(self.settings)

    def refresh(self, **tables: Any) -> None:
        """Load rows and what is new in the store, build and publish."""
        self.lab.load(**tables)
        with writing(self.settings, "raw") as connection:
            sync_operations(connection, StoreExport(self.store))
            ((load_id,),) = connection.execute("select max(load_id) from raw.main.load").fetchall()
        self.lab.dbt("run", "--select", *self.read, raw_load_id=load_id)
        self.lab.publish(load_id)

    def close(self, month: date, **options: Any) -> Closed:
        return close(self.settings, self.store, month, **{"now": NOW, "actor": "ann", **options})

    def lines(self, account: str) -> list[Line]:
        return [line for one in list_issued(self.store, account_id=account) for line in one.lines]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """September: acme pays afterwards, cedar beyond its lot, blue and jade only with credits."""
    made = World(tmp_path_factory.mktemp("invoices"))
    store = made.store
    set_up_issuer(store)
    at = {"now": datetime(2026, 8, 1, tzinfo=UTC)}
    add_account(
        store,
        "acme",
        currency="EUR",
        time_zone="Europe/Berlin",
        plan="postpaid",
        overage_price="0.0125",
        **at,
    )
    add_account(
        store, "cedar", currency="EUR", plan="prepaid_with_overage", overage_price="0.02", **at
    )
    add_account(store, "blue", currency="USD", email="pay@blue.example", **at)
    add_account(store, "drift", currency="USD", **at)
    add_account(store, "jade", currency="JPY", **at)
    for account in ("acme", "cedar", "blue", "jade"):
        set_profile(store, account, {**RECIPIENT, "name": account.title()}, **at)
    set_profile(store, "acme", {"tax_treatment": "reverse_charge", "language": "de"}, **at)
    bought = {"kind": "purchased", "effective_at": datetime(2026, 9, 2, tzinfo=UTC), "reason": "x"}
    grant(store, "cedar", "100", paid_minor=5000, currency="EUR", **bought, **at)
    grant(store, "blue", "500", paid_minor=2500, currency="USD", **bought, **at)
    expires = {"expires_at": datetime(2026, 9, 15, tzinfo=UTC)}
    grant(store, "jade", "100", paid_minor=1000, currency="JPY", **bought, **expires, **at)
    bought["effective_at"] = datetime(2026, 9, 20, tzinfo=UTC)
    grant(store, "jade", "50", paid_minor=2000, currency="JPY", **bought, **at)
    made.refresh(
        usage_event=[
            # A minute before midnight UTC is October in Berlin already.
            event("a1", "acme", datetime(2026, 9, 30, 21), 1000),
            event("a2", "acme", datetime(2026, 9, 30, 23), 7),
            event("c1", "cedar", datetime(2026, 9, 10), 90),
            event("c2", "cedar", datetime(2026, 9, 20), 40),
            event("b1", "blue", datetime(2026, 9, 20), 60),
            event("d1", "drift", datetime(2026, 9, 20), 1),
            event("j1", "jade", datetime(2026, 9, 10), 40),
            event("j2", "jade", datetime(2026, 9, 21), 10),
        ]
    )
    yield made
    made.store.close()


def event(name: str, account: str, at: datetime, credits: int, **more: Any) -> dict[str, Any]:
    return {"event_id": name, "account_id": account, "occurred_at": at, "credits": credits, **more}


def told(lines: list[Line]) -> list[tuple[str, str, int, int]]:
    return [(line.kind, f"{line.month:%m}", int(line.credits), line.net_minor) for line in lines]


def numbers(closed: Closed) -> list[tuple[str, str]]:
    return [(one.account_id, one.number) for one in closed.issued]


def test_a_dry_run_says_what_would_be_issued_and_issues_nothing(world: World) -> None:
    closed = world.close(SEPTEMBER, dry_run=True)
    assert [draft.account_id for draft in closed.drafts] == ["acme", "blue", "cedar", "jade"]
    assert list_issued(world.store) == []


def test_a_guard_holds_only_the_account_it_names(world: World) -> None:
    held = {hold.account_id: hold.guard for hold in world.close(SEPTEMBER, dry_run=True).held}
    assert held == {"drift": "address"}
    early = world.close(OCTOBER, dry_run=True, now=datetime(2026, 11, 3, 23, 30, tzinfo=UTC))
    assert {(hold.account_id, hold.guard) for hold in early.held} >= {("cedar", "over")}
    assert ("acme", "over") not in {(hold.account_id, hold.guard) for hold in early.held}
    with pytest.raises(MeterhouseError, match="no usage and no credits"):
        world.close(SEPTEMBER, account_id="nobody")


def test_september_is_issued_once_in_the_order_of_accounts(world: World) -> None:
    closed = world.close(SEPTEMBER)
    assert numbers(closed) == [
        ("acme", "INV-2026-000001"),
        ("blue", "INV-2026-000002"),
        ("cedar", "INV-2026-000003"),
        ("jade", "INV-2026-000004"),
    ]
    assert told(world.lines("acme")) == [("usage", "09", 1000, 1250)]
    assert told(world.lines("blue")) == [("purchase", "09", 500, 2101)]
    assert told(world.lines("cedar")) == [("purchase", "09", 100, 4202), ("overage", "09", 30, 60)]
    assert told(world.lines("jade")) == [("purchase", "09", 150, 2521)]
    acme, blue, cedar, _ = (one.totals for one in closed.issued)
    assert (acme.tax_minor, acme.due_minor) == (0, 1250)
    assert (blue.tax_minor, blue.due_minor) == (399, 0)
    assert (cedar.gross_minor, cedar.due_minor) == (5072, 72)
    again = world.close(SEPTEMBER)
    assert again.issued == () and again.already == ("acme", "blue", "cedar", "jade")


def test_documents_and_mails_follow(world: World) -> None:
    done = finish(world.settings, world.store)
    assert (done.rendered, done.written, done.delivered.sent) == (4, 1, 1)
    assert [one.account_id for one in done.unaddressed] == ["acme", "cedar", "jade"]
    again = finish(world.settings, world.store)
    assert (again.rendered, again.written, again.delivered.sent) == (0, 0, 0)
    assert document_of(world.store, "INV-2026-000001").startswith(b"%PDF")
    states = mail_states(world.store)
    assert {number: (mail.state, mail.recipient) for number, mail in states.items()} == {
        "INV-2026-000002": ("sent", "pay@blue.example"),
    }


def test_before_the_lots_of_invoices_arrived_nothing_more_is_issued(world: World) -> None:
    held = {hold.account_id: hold.guard for hold in world.close(OCTOBER, dry_run=True).held}
    assert held == {"acme": "lots", "cedar": "lots", "drift": "address", "jade": "bounds"}


def test_late_usage_and_withdrawals_stand_on_october_under_september(world: World) -> None:
    refund(
        world.store, LakeUsage(world.settings), 2, Decimal(200), reason="asked for it",
        now=datetime(2026, 10, 5, tzinfo=UTC),
    )  # fmt: skip
    charged_back = datetime(2026, 10, 6, tzinfo=UTC)
    with world.store.writing() as connection:
        ending = Ending("chargeback", charged_back, 2000, 400, "JPY", "the bank says so", "ann")
        lot = get_lot(world.store, 4)
        end_lot(connection, lot, ending, charged_back, "charged back")
    withdrawn = event("c2", "cedar", datetime(2026, 9, 20), 40, revision=1, is_withdrawn=True)
    world.refresh(
        usage_event=[
            event("a3", "acme", datetime(2026, 9, 5), 100),
            withdrawn,
            event("c3", "cedar", datetime(2026, 9, 21), 25),
            event("c4", "cedar", datetime(2026, 10, 3), 20),
        ],
        usage_supersession=[{"event_id": "c2", "usage_date_utc": date(2026, 9, 20)}],
    )
    assert differences(world) == [
        ("acme", "09", "usage", 100, 125, "late_usage"),
        ("cedar", "09", "overage", -15, -30, "late_usage, withdrawn_usage"),
    ]
    closed = world.close(OCTOBER, accept=("jade",))
    assert told(world.lines("acme")[1:]) == [("usage", "10", 7, 9), ("usage", "09", 100, 125)]
    # 15 credits of September were not used after all; what they paid of October is October's.
    assert told(world.lines("cedar")[2:]) == [
        ("overage", "10", 20, 40),
        ("overage", "09", -15, -30),
    ]
    assert told(world.lines("blue")[1:]) == [("covered", "10", 0, 0), ("refund", "10", -200, -840)]
    assert told(world.lines("jade")[1:]) == [
        ("covered", "10", 0, 0),
        ("chargeback", "10", -40, -1345),
    ]
    assert [one.series for one in closed.issued] == [
        *("invoice", "invoice", "credit_note", "invoice", "invoice", "credit_note")
    ]
    assert [one.number for one in closed.issued if one.series == "credit_note"] == [
        "CN-2026-000001",
        "CN-2026-000002",
    ]
    before, now = (one.content["statement"] for one in list_issued(world.store, account_id="cedar"))
    assert now["opening"] == before["closing"]
    assert Decimal(now["late"]) == 15


def differences(world: World) -> list[tuple[Any, ...]]:
    """What differs from the invoices of closed months, and why."""
    return [
        (account, f"{month:%m}", kind, int(credits), net, cause)
        for account, month, kind, credits, net, cause in world.lab.query(
            "select account_id, month, kind, difference_credits, difference_net_minor, cause"
            " from marts.main.rpt_invoices_difference"
            " where cause <> 'not_invoiced_yet' order by all"
        )
    ]


def books_reconcile(world: World) -> None:
    world.lab.dbt(
        "test", "--exclude-resource-type", "unit_test", "--select", *BOOKS, full_checks=True
    )


def books(world: World, account: str) -> dict[str, int]:
    """The balances of an account's books."""
    return dict(
        world.lab.query(
            "select book_account, sum(amount_minor) from marts.main.fct_book_entry"
            f" where account_id = '{account}' group by all having sum(amount_minor) <> 0"
        )
    )


def closed_books(world: World) -> list[tuple[Any, ...]]:
    """Every entry of September and October."""
    return world.lab.query(
        "select * from marts.main.fct_book_entry where month < '2026-11-01' order by all"
    )


def ledger_and_invoices(world: World) -> None:
    """Every month's invoices and notes together are what the marts say now."""
    with open_lake(world.settings) as lake:
        publication = lake.publication()
        assert publication is not None
        facts = read_facts(lake, publication, OCTOBER)
    books = read_books(world.store)
    for account in ("acme", "blue", "cedar", "jade"):
        sums: dict[date, int] = defaultdict(int)
        for line in world.lines(account):
            if line.kind != "goodwill":
                sums[line.month] += line.net_minor
        for month in (SEPTEMBER, OCTOBER):
            tax = books.tax(account, month)
            assert tax is not None
            exact = Fraction(0)
            for currency, charges in facts.charges.get((account, month), {}).items():
                exact += sum((charge.net(currency, tax) for charge in charges), Fraction(0))
            assert sums[month] == rounded(exact)


def test_after_all_arrived_the_sum_of_all_documents_is_the_ledger(world: World) -> None:
    ledger_and_invoices(world)
    world.refresh()
    ledger_and_invoices(world)
    open_overage = world.lab.query(
        "select account_id, overage_credits from marts.main.rpt_credits_balance"
        " where account_id in ('acme', 'cedar') order by account_id"
    )
    assert open_overage == [("acme", 0), ("cedar", 0)]
    world.lab.dbt(
        "test", "--exclude-resource-type", "unit_test", "--select", "fct_invoice_draft",
        "fct_invoice_month", "int_invoice_months_spanned", "fct_invoice", "fct_invoice_line",
        full_checks=True,
    )  # fmt: skip
    sums = "select account_id, sum(net_minor) from marts.main.fct_invoice_line group by all"
    stored: dict[str, int] = defaultdict(int)
    for one in list_issued(world.store):
        stored[one.account_id] += one.totals.net_minor
    assert dict(world.lab.query(sums)) == stored


def test_a_line_leads_back_to_its_events_or_payments(world: World) -> None:
    def events(number: str, line: int) -> list[tuple[str, int, int]]:
        found = explain(world.settings, world.store, number, line)
        assert found.events_credits - found.lots_credits == found.line.credits
        return [(e.event_id, int(e.credits or 0), e.line_number) for e in found.events]

    assert events("INV-2026-000001", 1) == [("a1", 1000, 1)]
    assert events("INV-2026-000005", 2) == [("a3", 100, 1)]
    assert events("INV-2026-000003", 2) == [("c1", 90, 1), ("c2", 40, 1)]
    assert events("INV-2026-000007", 2) == [("c2", -40, 1), ("c3", 25, 1)]
    paid = explain(world.settings, world.store, "INV-2026-000002", 1)
    assert [(lot.grant_id, lot.paid_minor) for lot in paid.lots] == [(2, 2500)]
    back = explain(world.settings, world.store, "CN-2026-000001", 1)
    assert [lot.grant_id for lot in back.lots] == [2]
    with pytest.raises(MeterhouseError, match="has lines 1 to 1"):
        explain(world.settings, world.store, "INV-2026-000001", 2)


def test_a_credit_note_by_hand_is_never_more_than_its_invoice(world: World) -> None:
    def credit(net: int | None, number: str = "INV-2026-000001") -> Issued:
        return credit_note(
            world.settings, world.store, number, net, reason="an outage", now=NOW, actor="ann"
        )

    with pytest.raises(MeterhouseError, match="12.50 EUR of the net total"):
        credit(1251)
    note = credit(250)
    assert (note.number, note.corrects) == ("CN-2026-000003", "INV-2026-000001")
    assert (note.totals.net_minor, note.totals.due_minor) == (-250, -250)
    assert credit(None).totals.net_minor == -1000
    with pytest.raises(MeterhouseError, match="0.00 EUR of the net total"):
        credit(1)
    with pytest.raises(MeterhouseError, match="is a credit note itself"):
        credit(1, note.number)
    with pytest.raises(MeterhouseError, match="no invoice INV-9"):
        credit(1, "INV-9")
    ledger_and_invoices(world)


def test_books_hold_what_the_ledger_and_all_documents_say(world: World) -> None:
    record_payment(
        world.store, "INV-2026-000003", 70, currency="EUR", paid_on=date(2026, 10, 20),
        reference="bank 17", now=NOW, actor="ann",
    )  # fmt: skip
    world.refresh()
    books_reconcile(world)
    # 1,107 credits were used at 0.0125 and 12.50 of that given back; no tax is due.
    assert books(world, "acme") == {"receivable": 134, "revenue": -1384, "goodwill": 1250}
    # 100 credits of 50.00 with 19 % in it, 35 beyond them at 0.02; 0.70 came, 14 cents are open.
    assert books(world, "cedar") == {
        "cash": 5070, "receivable": 14, "revenue": -4272, "tax_payable": -812,
    }  # fmt: skip
    # Of 500 credits for 25.00, 60 were used and 200 given back for 10.00.
    assert books(world, "blue") == {
        "cash": 1500, "deferred_revenue": -1008, "revenue": -252, "tax_payable": -239,
        "rounding": -1,
    }  # fmt: skip
    # 400 of 1,000 yen used, 600 lost; of 2,000 used 400, and all charged back.
    assert books(world, "jade") == {
        "cash": 1000, "receivable": 399, "revenue": -672, "breakage": -504, "tax_payable": -223,
    }  # fmt: skip
    assert differences(world) == []


def test_closed_months_stay_and_late_facts_stand_in_the_open_one(world: World) -> None:
    before = closed_books(world)
    world.refresh(
        usage_event=[
            event("b2", "blue", datetime(2026, 9, 25), 40),
            event("c5", "cedar", datetime(2026, 10, 9), 10),
        ]
    )
    assert closed_books(world) == before
    books_reconcile(world)
    # What was given back to blue in October is more than was left then, as is known now.
    assert books(world, "blue")["revenue"] == -420
    assert world.lab.query(
        "select month, book_account, amount_minor from marts.main.fct_book_entry"
        " where account_id in ('blue', 'cedar') and source in ('draft', 'lots')"
        " and month >= '2026-11-01' order by account_id, book_account"
    ) == [
        (date(2026, 11, 1), "breakage", 168),
        (date(2026, 11, 1), "revenue", -168),
        (date(2026, 11, 1), "revenue", -20),
        (date(2026, 11, 1), "tax_payable", -4),
        (date(2026, 11, 1), "unbilled", 24),
    ]
    assert differences(world) == [
        ("blue", "10", "refund", 40, 0, "lots_changed"),
        ("cedar", "10", "overage", 10, 20, "late_usage"),
    ]
