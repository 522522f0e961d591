"""Charges in the format FOCUS 1.2: what they add up to, the worked examples, the validator."""

import csv
import json
import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from billing.accounts import add_account
from billing.currencies import MINOR_DIGITS
from billing.focus import COLUMNS, FocusFormat, export_focus
from billing.grants import grant, refund
from billing.invoices.issued import list_issued
from billing.invoices.notes import credit_note
from billing.invoices.parties import set_profile
from billing.packages import add_offer, make_offer
from billing.usage_sums import LakeUsage
from ingest.load import Loader
from ingest.spec_files import load_specs
from orchestration.commands.export import export
from tests.integration.invoice_lab import RECIPIENT, set_up_issuer
from tests.integration.loading_lab import DeclaredAccounts, lines
from tests.integration.test_invoices import NOW, OCTOBER, SEPTEMBER, World, event
from warehouse.errors import MeterhouseError
from warehouse.lake import writing
from warehouse.settings import ROOT

EXAMPLES = ROOT.parent / "shared" / "data" / "focus" / "virtual-currency"
APRIL = date(2025, 4, 1)
BEGIN = datetime(2025, 4, 1, tzinfo=UTC)
MONTHS = (APRIL, SEPTEMBER, OCTOBER)

MONEY = (
    "BilledCost",
    "ContractedCost",
    "EffectiveCost",
    "ListCost",
    "PricingCurrencyEffectiveCost",
)

PURCHASES = {
    "a1": ("200000", "200000", "0", "200000", "0"),
    "b1": ("100000", "100000", "0", "200000", "0"),
}
"""The money of the worked examples, in the order of MONEY: 100,000 tokens at the list price, and
at half of it."""

USAGE = {
    "a2": {
        "Q Widget": ("0", "490", "490", "490", "245"),
        "Z Widget": ("0", "20", "20", "20", "10"),
        "Workflow": ("0", "720", "720", "720", "360"),
    },
    "b2": {
        "Q Widget": ("0", "245", "245", "490", "245"),
        "Z Widget": ("0", "10", "10", "20", "10"),
        "Workflow": ("0", "360", "360", "720", "360"),
    },
}
"""A day's use of three SKUs: 245 executions of 1 token, 5 of 2, 120 of 3."""

WIDGETS = (("Q Widget", 245, 1), ("Z Widget", 5, 2), ("Workflow", 120, 3))

Row = dict[str, Any]


class FocusWorld(World):
    """An instance of which charges are exported."""

    read: Sequence[str] = (
        "+rpt_export_focus", "+fct_invoice_month", "+fct_book_balance", "dim_load", "+rpt_account",
        "+rpt_credits_usage", "fct_credit_ledger",
    )  # fmt: skip

    def load_file(self, content: bytes, *accounts: str) -> None:
        """Load a log by the loader."""
        file = self.settings.home / "widgets.ndjson"
        file.write_bytes(content)
        os.utime(file, (1_000_000_000, 1_000_000_000))
        spec = load_specs(self.settings).find("meterhouse")
        with writing(self.settings, "raw") as connection:
            loader = Loader(connection, self.settings, DeclaredAccounts(*accounts))
            assert loader.load(spec, [file]).loaded == 740

    def export(self, month: date, account: str | None = None) -> list[Row]:
        folder = self.settings.home / "focus"
        folder.mkdir(exist_ok=True)
        done = export_focus(
            self.settings, self.store, month, folder, account_id=account, now=NOW,
            formats=[FocusFormat.PARQUET],
        )  # fmt: skip
        rows: list[Row] = pa.parquet.read_table(done.files[0]).to_pylist()
        assert len(rows) == done.rows
        return rows


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FocusWorld]:
    """September and April are invoiced, and so is October, with late usage, a refund and a gift."""
    made = FocusWorld(tmp_path_factory.mktemp("focus"))
    store = made.store
    set_up_issuer(store)
    at = {"now": datetime(2025, 4, 1, tzinfo=UTC)}
    add_account(
        store, "acme", name="Ácme, \"Ltd\"", currency="EUR", time_zone="Europe/Berlin",
        plan="postpaid", overage_price="0.0125", **at,
    )  # fmt: skip
    add_account(
        store, "cedar", currency="EUR", plan="prepaid_with_overage", overage_price="0.02", **at
    )
    add_account(store, "blue", currency="JPY", **at)
    for account in ("acme", "cedar", "blue"):
        set_profile(store, account, {**RECIPIENT, "name": account.title()}, **at)
    set_profile(store, "acme", {"tax_treatment": "reverse_charge"}, **at)
    bought = {"kind": "purchased", "effective_at": datetime(2026, 9, 2, 12, tzinfo=UTC)}
    grant(store, "cedar", "70", paid_minor=3333, currency="EUR", reason="b", **bought, **at)
    grant(store, "cedar", "30", paid_minor=999, currency="EUR", reason="c", **bought, **at)
    grant(store, "blue", "500", paid_minor=2500, currency="JPY", reason="d", **bought, **at)
    grant(store, "blue", "5", kind="promotional", effective_at=bought["effective_at"],
          reason="gift", **at)  # fmt: skip
    list_price = make_offer(
        "tokens", name="Tokens", credits="100000", currency="USD", price_minor=20_000_000,
        effective_from=BEGIN,
    )  # fmt: skip
    add_offer(store, list_price, **at)
    for account, paid in (("example-a", 20_000_000), ("example-b", 10_000_000)):
        add_account(store, account, name="AwesomeCorpDemo", currency="USD", **at)
        set_profile(store, account, {**RECIPIENT, "country": "US", "tax_treatment": "export"}, **at)
        grant(
            store, account, "100000", kind="purchased", effective_at=BEGIN,
            expires_at=datetime(2026, 4, 1, tzinfo=UTC), paid_minor=paid, currency="USD",
            reason="Standard-Contract Period 1 Tokens", **at,
        )  # fmt: skip
    made.load_file(
        lines(
            *(
                {
                    "event_id": f"{account}-{sku}-{number}", "account_id": account,
                    "agent_id": "Alpha Widget", "category": "llm", "model": sku,
                    "occurred_at": "2025-04-01T10:00:00Z", "credits": credits,
                }
                for account in ("example-a", "example-b")
                for sku, count, credits in WIDGETS
                for number in range(count)
            )
        ),
        "example-a",
        "example-b",
    )  # fmt: skip
    made.refresh(
        usage_event=[
            event("a1", "acme", datetime(2026, 9, 30, 21), 1003),
            event("a2", "acme", datetime(2026, 9, 30, 23), 7),
            event("c1", "cedar", datetime(2026, 9, 10), 60, agent_id="writer"),
            event("c2", "cedar", datetime(2026, 9, 20), 50, agent_id="painter"),
            event("c3", "cedar", datetime(2026, 9, 20, 4), 33, agent_id="scout", model="gpt-5"),
            event("b1", "blue", datetime(2026, 9, 20), 60),
            # Lots that begin at noon pay for the morning and the afternoon.
            event("b3", "blue", datetime(2026, 9, 2, 8), 10),
            event("b4", "blue", datetime(2026, 9, 2, 14), 3),
            event("b2", "blue", datetime(2026, 9, 20), 0, status="error"),
        ]
    )
    for month in (APRIL, SEPTEMBER):
        made.close(month)
    refund(
        store, LakeUsage(made.settings), 3, Decimal(200), reason="asked for it",
        now=datetime(2026, 10, 5, tzinfo=UTC),
    )  # fmt: skip
    made.refresh(
        usage_event=[
            event("a3", "acme", datetime(2026, 9, 5), 101),
            event("c2", "cedar", datetime(2026, 9, 20), 50, revision=1, is_withdrawn=True),
            event("c4", "cedar", datetime(2026, 9, 21), 25),
            event("c5", "cedar", datetime(2026, 10, 3), 21),
            event("d1", "example-b", datetime(2026, 10, 3), 1),
            event("d2", "example-b", datetime(2026, 10, 3), None),
        ],
        usage_supersession=[{"event_id": "c2", "usage_date_utc": date(2026, 9, 20)}],
    )
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def drafts(world: FocusWorld) -> list[Row]:
    """October before it is invoiced."""
    return world.export(OCTOBER)


@pytest.fixture(scope="module")
def invoiced(world: FocusWorld, drafts: list[Row]) -> FocusWorld:
    """October is invoiced, and a part of September's invoice was given back."""
    assert drafts
    world.close(OCTOBER, accept=("blue",))
    credit_note(
        world.settings, world.store, number_of(world, "acme", SEPTEMBER), 250, reason="an outage",
        now=NOW, actor="ann",
    )  # fmt: skip
    world.read = ("fct_invoice", "fct_invoice_line")
    world.refresh()
    return world


@pytest.fixture(scope="module")
def months(invoiced: FocusWorld) -> dict[date, list[Row]]:
    """What is exported of each month."""
    return {month: invoiced.export(month) for month in MONTHS}


Months = dict[date, list[Row]]


def of(rows: list[Row], account: str) -> list[Row]:
    return [row for row in rows if row["BillingAccountId"] == account]


def number_of(world: World, account: str, month: date) -> str:
    (number,) = [
        one.number
        for one in list_issued(world.store, account_id=account, month=month)
        if one.series == "invoice"
    ]
    return number


def summed(rows: list[Row], column: str, *keys: str) -> dict[Any, Decimal]:
    sums: dict[Any, Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[tuple(row[key] for key in keys)] += row[column]
    return sums


def money_of(row: Row) -> tuple[Decimal, ...]:
    return tuple(Decimal(str(row[name]).strip()) for name in MONEY)


def decimals(*texts: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(text) for text in texts)


def test_a_month_without_an_invoice_is_a_draft_that_adds_up_to_what_would_be_invoiced(
    world: FocusWorld, drafts: list[Row]
) -> None:
    assert {row["InvoiceId"] for row in drafts} == {None}
    closed = world.close(OCTOBER, dry_run=True)
    would = {
        (draft.account_id, document.currency): sum(
            line.net_minor for line in document.lines if not line.is_correction
        )
        for draft in closed.drafts
        for document in draft.documents
        if document.series == "invoice"
    }
    billed = summed(
        [row for row in drafts if row["ChargeCategory"] != "Tax"],
        "BilledCost", "BillingAccountId", "BillingCurrency",
    )  # fmt: skip
    assert billed["acme", "EUR"] * 100 == would["acme", "EUR"] == 9
    assert billed["cedar", "EUR"] * 100 == would["cedar", "EUR"] == 42
    taxes = summed(
        [row for row in drafts if row["ChargeCategory"] == "Tax"], "BilledCost", "BillingAccountId"
    )
    assert taxes["cedar",] == Decimal("0.08")


def test_billed_costs_with_tax_are_the_invoices_and_notes_of_the_month(
    invoiced: FocusWorld, months: Months
) -> None:
    issued = list_issued(invoiced.store)
    assert {one.series for one in issued} == {"invoice", "credit_note"}
    for month in MONTHS:
        billed = summed(months[month], "BilledCost", "InvoiceId")
        payable = {
            (one.number,): Decimal(one.totals.gross_minor + one.totals.rounding_minor)
            / 10 ** MINOR_DIGITS[one.currency]
            for one in issued
            if one.month == month
        }
        assert {key: amount for key, amount in billed.items() if amount} == {
            key: amount for key, amount in payable.items() if amount
        }


def test_credits_in_the_pricing_currency_are_those_of_the_ledger(
    invoiced: FocusWorld, months: Months
) -> None:
    ledger = invoiced.lab.query(
        "select account_id, date_trunc('month', usage_date)::date, sum(credits)"
        " from marts.main.fct_credit_ledger where ledger_account = 'credits:consumed' group by all"
    )
    assert {month for _, month, _ in ledger} == set(MONTHS)
    for month in MONTHS:
        used = summed(
            [row for row in months[month] if row["PricingCurrency"] == "Credits"],
            "PricingCurrencyEffectiveCost", "BillingAccountId",
        )  # fmt: skip
        assert used == {(account,): credits for account, day, credits in ledger if day == month}


def test_effective_costs_are_the_recognised_value_without_tax(
    invoiced: FocusWorld, months: Months
) -> None:
    """Of lots what was recognised of them, exact once they are used up; of overage its price."""
    rows = [row for month in MONTHS for row in months[month]]
    by_payer: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        if row["ChargeCategory"] == "Usage" and not row["ChargeClass"]:
            by_payer[json.loads(row["Tags"])["meterhouse/paid_by"]] += row["EffectiveCost"]
        elif row["ChargeCategory"] != "Credit":
            assert row["EffectiveCost"] == 0, row
    lots = invoiced.lab.query(
        "select lots.lot_id, lots.status, lots.currency, lots.recognised_minor, lots.paid_minor,"
        " taxes.tax_percent from marts.main.fct_credit_lot as lots"
        " inner join marts.main.int_credit_lots_netted as taxes using (lot_id)"
        " where lots.recognised_minor > 0"
    )
    purchases = {
        row["ResourceId"]: row["BilledCost"] for row in rows if row["ChargeCategory"] == "Purchase"
    }
    assert {lot[0]: lot[1] for lot in lots}[1] == "exhausted"
    for lot_id, status, currency, recognised, paid, percent in lots:
        scale = 10 ** MINOR_DIGITS[currency]
        name = f"lot/{lot_id}"
        exact = Fraction(recognised) / (1 + Fraction(percent) / 100)
        # A lot's net is whole minor units, as on its invoice; so is a part of it off by a part.
        assert abs(Fraction(by_payer[name]) * scale - exact) <= Fraction(recognised) / paid / 2
        if status == "exhausted" and name in purchases:
            assert by_payer[name] == purchases[name]
    charged = invoiced.lab.query(
        "select sum(credits * unit_price) from marts.main.fct_invoice_draft"
        " where unit_price is not null"
    )
    assert by_payer["usage"] + by_payer["overage"] == charged[0][0]
    assert by_payer["open"] == by_payer["free"] == 0


def test_a_cost_is_quantity_times_price_and_what_has_no_price_is_billed(months: Months) -> None:
    rows = [row for month in MONTHS for row in months[month]]
    for row in rows:
        for cost, price in (
            ("ContractedCost", "ContractedUnitPrice"),
            ("ListCost", "ListUnitPrice"),
        ):
            quantity = row["PricingQuantity"]
            exact = row["BilledCost"] if quantity is None else quantity * row[price]
            assert row[cost] == exact, row
    assert {row["ChargeCategory"] for row in rows if row["PricingQuantity"] is None} == {
        "Adjustment", "Credit", "Tax", "Usage",
    }  # fmt: skip


def test_every_row_has_a_key_of_its_own(invoiced: FocusWorld) -> None:
    ((rows, keys),) = invoiced.lab.query(
        "select count(*), count(distinct (billing_account_id, month, charge_key))"
        " from marts.main.rpt_export_focus"
    )
    assert rows == keys > 20


def test_a_day_is_shared_by_agents_and_lots_and_loses_nothing(months: Months) -> None:
    rows = [
        row
        for row in of(months[SEPTEMBER], "cedar")
        if row["ChargeCategory"] == "Usage" and not row["ChargeClass"]
    ]
    told = [
        (
            row["ResourceId"], json.loads(row["Tags"])["meterhouse/paid_by"],
            int(row["PricingQuantity"]), row["ConsumedQuantity"],
        )
        for row in rows
    ]  # fmt: skip
    assert told == [
        ("cedar/writer", "lot/1", 60, 1),
        ("cedar/scout", "lot/1", 10, Decimal("0.303030303")),
        ("cedar/scout", "lot/2", 23, Decimal("0.696969697")),
        ("cedar/scout", "lot/2", 7, Decimal("0.28")),
        ("cedar/scout", "overage", 18, Decimal("0.72")),
    ]
    first = rows[0]
    assert first["ChargePeriodStart"] == datetime(2026, 9, 10, tzinfo=UTC)
    assert first["ListUnitPrice"] >= 0 and first["PricingCurrencyListUnitPrice"] == 1
    assert first["SkuId"] == "llm/gpt-4o" and first["InvoiceIssuerName"] == "Craveva AI GmbH"


def test_days_and_months_are_those_of_the_account_as_utc(months: Months) -> None:
    (usage,) = [row for row in of(months[OCTOBER], "acme") if row["PricingQuantity"] == 7]
    assert usage["BillingAccountName"] == 'Ácme, "Ltd"'
    assert usage["BillingPeriodStart"] == datetime(2026, 9, 30, 22, tzinfo=UTC)
    assert usage["BillingPeriodEnd"] == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert usage["ChargePeriodStart"] == datetime(2026, 9, 30, 22, tzinfo=UTC)
    assert usage["ChargePeriodEnd"] == datetime(2026, 10, 1, 22, tzinfo=UTC)


def test_what_was_known_later_is_a_correction_of_its_month(months: Months) -> None:
    corrections = [row for row in months[OCTOBER] if row["ChargeClass"] == "Correction"]
    told = [
        (row["BillingAccountId"], row["ChargeCategory"], row["BilledCost"], row["EffectiveCost"])
        for row in corrections
    ]
    assert told == [
        ("acme", "Usage", Decimal("1.26"), 0),
        ("cedar", "Usage", Decimal("-0.50"), 0),
    ]
    assert corrections[0]["ChargePeriodStart"] == datetime(2026, 8, 31, 22, tzinfo=UTC)
    refunds = [row for row in of(months[OCTOBER], "blue") if "Refund" in row["ChargeDescription"]]
    assert [(row["ChargeCategory"], row["BilledCost"]) for row in refunds] == [("Adjustment", -840)]
    (gift,) = [row for row in months[SEPTEMBER] if row["ChargeCategory"] == "Credit"]
    assert (
        gift["InvoiceId"].startswith("CN-") and gift["BilledCost"] == gift["EffectiveCost"] == -2.5
    )


def test_the_worked_examples_of_virtual_currency_have_the_same_money(months: Months) -> None:
    for example, account in (("a", "example-a"), ("b", "example-b")):
        rows = of(months[APRIL], account)
        (bought,) = [row for row in rows if row["ChargeCategory"] == "Purchase"]
        assert money_of(bought) == decimals(*PURCHASES[f"{example}1"])
        assert (bought["PricingCurrency"], bought["PricingQuantity"]) == ("USD", 100000)
        assert bought["ChargePeriodEnd"] == datetime(2026, 4, 1, tzinfo=UTC)
        used = {
            json.loads(row["Tags"])["meterhouse/model"]: row
            for row in rows
            if row["ChargeCategory"] == "Usage"
        }
        assert {sku: money_of(row) for sku, row in used.items()} == {
            sku: decimals(*money) for sku, money in USAGE[f"{example}2"].items()
        }
        assert {sku: row["ConsumedQuantity"] for sku, row in used.items()} == {
            sku: count for sku, count, _ in WIDGETS
        }


def test_the_money_of_the_worked_examples_is_that_of_their_files() -> None:
    if not EXAMPLES.is_dir():
        pytest.skip("the worked examples of FOCUS are not in ../shared/data")
    for name in ("a1", "a2", "b1", "b2"):
        path = EXAMPLES / f"virtual_currency_pricing_model_{name}.csv"
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        found = [money_of(row) for row in rows]
        expected = [PURCHASES[name]] if name in PURCHASES else list(USAGE[name].values())
        assert found == [decimals(*money) for money in expected]


# --- the command ------------------------------------------------------------------------------


@pytest.fixture
def command(world: FocusWorld, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("METERHOUSE_HOME", str(world.settings.home))
    monkeypatch.setenv("METERHOUSE_OPERATIONS_URL", "")

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(export, ["focus", *map(str, arguments)])

    return run


def test_the_command_writes_both_formats_and_again_the_same(command: Any, tmp_path: Path) -> None:
    done = command("2026-09", "--to", tmp_path)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["focus-1.2_2026-09.csv", "focus-1.2_2026-09.parquet"]
    assert all(str(file) in done.stdout for file in files)
    before = [file.read_bytes() for file in files]
    again = command("2026-09", "--to", tmp_path)
    assert [file.read_bytes() for file in sorted(tmp_path.iterdir())] == before
    assert again.stdout == done.stdout
    with files[0].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table = pa.parquet.read_table(files[1])
    assert table.column_names == list(rows[0]) == list(COLUMNS)
    for row, other in zip(rows, table.to_pylist(), strict=True):
        assert money_of(row) == money_of(other)
        start = other["ChargePeriodStart"].strftime("%Y-%m-%dT%H:%M:%SZ")
        assert row["ChargePeriodStart"] == start
    assert {row["BillingAccountName"] for row in rows} >= {'Ácme, "Ltd"'}


def test_the_command_says_what_its_reader_has_to_know(command: Any, tmp_path: Path) -> None:
    done = command("2026-10", "--to", tmp_path, "--account", "example-b", "--format", "parquet")
    assert "2026-10 has no invoice yet for example-b: these rows are drafts" in done.stderr
    assert "1 operations without a price are in no row" in done.stderr
    nothing = command("2026-08", "--to", tmp_path, "--account", "acme", "--format", "csv")
    (file,) = tmp_path.glob("*_acme.csv")
    assert file.read_text().strip() == ",".join(COLUMNS)
    assert "no charges of acme in 2026-08" in nothing.stderr
    shown = json.loads(command("2026-11", "--to", tmp_path, "--json").stdout)
    assert (shown["rows"], shown["drafts"], len(shown["files"])) == (0, [], 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("2026-13",), "is no month"),
        (("2126-01",), "2126-01 has not begun yet"),
        (("2026-09", "--account", "nobody"), "there is no account nobody"),
        (("2026-09", "--to", "/nowhere/at/all"), "there is no folder"),
    ],
)
def test_bad_input_says_what_is_wrong(command: Any, arguments: Sequence[str], said: str) -> None:
    assert said in str(command(*arguments).exception)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    world: FocusWorld, command: Any, tmp_path: Path
) -> None:
    (tmp_path / "focus-1.2_2026-09.csv").mkdir()
    failed = command("2026-09", "--to", tmp_path, "--format", "csv")
    assert isinstance(failed.exception, MeterhouseError)
    assert "cannot be written" in str(failed.exception)
    assert [file.name for file in tmp_path.iterdir()] == ["focus-1.2_2026-09.csv"]


# --- FOCUS's own validator --------------------------------------------------------------------

VALIDATOR = ROOT / ".venv" / "focus"

CRITERIA = (
    "ACCOUNT_NAMING_SUPPORTED",
    "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED",
    "PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED",
    "PUBLIC_PRICE_LIST_SUPPORTED",
    "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED",
    "TAGGING_SUPPORTED",
    "UNIT_PRICING_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED",
    "VIRTUAL_CURRENCY_SUPPORTED",
)
"""What we support of what makes columns of FOCUS mandatory."""

RULE_FAULTS = {
    "BillingAccountName-C-002-M": "knows ASCII only, though StringHandling asks for Unicode",
    "BillingAccountName-C-000-M": "is made of C-002",
    "InvoiceId-C-004-C": "asks every InvoiceId to be null, whether the charge is invoiced or not",
    "InvoiceId-C-005-C": "asks none to be null, whether the charge is invoiced or not",
    "InvoiceId-C-003-C": "asks one of the two of all rows: invoiced and draft cannot mix",
    "InvoiceId-C-000-O": "is made of C-003",
    "PricingCurrency-C-003-M": "knows ISO 4217 only; CurrencyFormat allows virtual ones",
    "PricingCurrency-C-000-C": "is made of C-003",
    "ConsumedQuantity-C-004-C": "reads CommitmentDiscountStatus, which only some providers have",
    "ConsumedQuantity-C-006-C": "reads it too, and asks corrections for what it says of all others",
    "ConsumedQuantity-C-005-C": "is made of C-006",
    "ConsumedQuantity-C-003-C": "is made of C-004 and C-005",
    "ConsumedQuantity-C-000-C": "is made of C-003",
}
"""Rules of focus-validator 2.2.1 that contradict what they check, each with its fault."""


@pytest.mark.parametrize("output", list(FocusFormat))
def test_the_validator_of_focus_finds_nothing_but_faults_of_its_own(
    invoiced: FocusWorld, output: FocusFormat, tmp_path: Path
) -> None:
    if not (VALIDATOR / "ready").exists():
        pytest.skip("FOCUS's validator is not set up: `make focus` does, with Python 3.12")
    done = export_focus(
        invoiced.settings, invoiced.store, OCTOBER, tmp_path, formats=[output], now=NOW
    )
    (package,) = VALIDATOR.glob("lib/python*/site-packages/focus_validator")
    # It looks for its rules below the working directory and writes a log there.
    shutil.copytree(package / "rules", tmp_path / "focus_validator" / "rules")
    ended = subprocess.run(
        [
            VALIDATOR / "bin" / "focus-validator",
            "--data-file", done.files[0],
            "--validate-version", "1.2",
            "--block-download",
            "--applicability-criteria", ",".join(CRITERIA),
            "--output-type", "console",
            "--show-violations",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    # It exits with 0 whatever it finds; without the line of totals it found nothing out.
    total = re.search(r"^Total: (\d+) \| Pass: (\d+) \| Fail: (\d+) \|", ended.stdout, re.MULTILINE)
    assert total, ended.stderr[-2000:]
    assert int(total[2]) > 200
    failed = re.findall(r"^❌ (\S+): FAIL", ended.stdout, re.MULTILINE)
    assert len(failed) == int(total[3])
    told = ended.stdout.partition("--- Failures ---")[2]
    assert set(failed) <= RULE_FAULTS.keys(), told
