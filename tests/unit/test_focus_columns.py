"""The FOCUS export: its columns, and what the command says."""

import re
from datetime import date
from pathlib import Path

import yaml

from billing.focus import COLUMNS, FocusFiles, FocusFormat, file_name
from orchestration.commands.export import remarks
from warehouse.settings import ROOT

OCTOBER = date(2026, 10, 1)
MANDATORY = """
    BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd
    BillingPeriodStart ChargeCategory ChargeClass ChargeDescription ChargePeriodEnd
    ChargePeriodStart ContractedCost EffectiveCost InvoiceIssuerName ListCost PricingQuantity
    PricingUnit ProviderName PublisherName ServiceCategory ServiceName
"""
CONDITIONAL = """
    ConsumedQuantity ConsumedUnit ContractedUnitPrice ListUnitPrice PricingCategory PricingCurrency
    PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice
    ResourceId ResourceName ResourceType SkuId SkuMeter SkuPriceDetails SkuPriceId Tags
"""
RECOMMENDED = "ChargeFrequency InvoiceId ServiceSubcategory"


def written(**more: object) -> FocusFiles:
    fields = {"files": (), "rows": 3, "drafts": (), "untaxed": (), "unrated_events": 0}
    return FocusFiles(**{**fields, **more})  # type: ignore[arg-type]


def test_the_columns_are_those_of_focus_that_concern_us_in_their_order() -> None:
    known = [*MANDATORY.split(), *CONDITIONAL.split(), *RECOMMENDED.split()]
    assert list(COLUMNS) == sorted(known)


def test_every_column_is_explained_and_comes_from_the_model() -> None:
    page = (ROOT / "docs/decisions/focus-export.md").read_text(encoding="utf-8")
    path = ROOT / "dbt_project/models/reporting/rpt_export_focus.yml"
    (model,) = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
    columns = {column["name"] for column in model["columns"]}
    for name, expression in COLUMNS.items():
        assert re.search(rf"^\| [^|]*\b{name}\b[^|]*\|", page, re.MULTILINE), name
        used = re.sub(r"'[^']*'|cast\(|coalesce\(| as varchar\)|\$\w+|[(),]", " ", expression)
        assert set(used.split()) <= columns, name


def test_a_file_is_named_by_month_and_account() -> None:
    assert file_name(OCTOBER, None, FocusFormat.CSV) == "focus-1.2_2026-10.csv"
    named = file_name(OCTOBER, "../acme ltd", FocusFormat.PARQUET)
    assert named == "focus-1.2_2026-10_..-acme-ltd.parquet"
    assert Path(named).name == named


def test_what_the_reader_has_to_know_is_said_in_sentences() -> None:
    assert remarks(OCTOBER, None, written()) == []
    (nothing,) = remarks(OCTOBER, "acme", written(rows=0))
    assert nothing == "there are no charges of acme in 2026-10: the files have only heads"
    (drafts,) = remarks(OCTOBER, None, written(drafts=tuple("abcdefgh")))
    assert "no invoice yet for a, b, c, d, e and 3 more" in drafts
    assert "meterhouse invoices close 2026-10" in drafts
    (untaxed,) = remarks(OCTOBER, None, written(untaxed=("acme",)))
    assert "the tax of acme is not known" in untaxed
    (unrated,) = remarks(OCTOBER, None, written(unrated_events=1234))
    assert "1,234 operations without a price" in unrated
