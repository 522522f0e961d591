"""Charges of a month as FOCUS 1.2 has them (FinOps Open Cost and Usage Specification), as files.

What a row says is decided by the model ``rpt_export_focus``; here its columns get FOCUS's names
and the file takes its name only when it is whole. docs/decisions/focus-export.md explains each.
"""

import re
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from billing.grants import require_account
from billing.invoices.parties import find_issuer
from billing.store import Store
from warehouse.errors import MeterhouseError
from warehouse.lake import Connection
from warehouse.leases import lease
from warehouse.publication import reading_published
from warehouse.settings import Settings
from warehouse.usage.export import whole_file

VERSION = "1.2"

EARLIEST_ZONE = "Pacific/Kiritimati"
"""Where a month begins first."""


class FocusFormat(StrEnum):
    """What the rows can be written as; the value is the name's suffix too."""

    PARQUET = "parquet"
    CSV = "csv"


_TIMES = {
    "BillingPeriodEnd": "billing_period_end",
    "BillingPeriodStart": "billing_period_start",
    "ChargePeriodEnd": "charge_period_end",
    "ChargePeriodStart": "charge_period_start",
}
_NUMBERS = {
    "BilledCost": "billed_cost",
    "ConsumedQuantity": "consumed_quantity",
    "ContractedCost": "contracted_cost",
    "ContractedUnitPrice": "contracted_unit_price",
    "EffectiveCost": "effective_cost",
    "ListCost": "list_cost",
    "ListUnitPrice": "list_unit_price",
    "PricingCurrencyContractedUnitPrice": "pricing_currency_contracted_unit_price",
    "PricingCurrencyEffectiveCost": "pricing_currency_effective_cost",
    "PricingCurrencyListUnitPrice": "pricing_currency_list_unit_price",
    "PricingQuantity": "pricing_quantity",
}
_TEXTS = {
    "BillingAccountId": "billing_account_id",
    "BillingAccountName": "billing_account_name",
    "BillingCurrency": "billing_currency",
    "ChargeCategory": "charge_category",
    "ChargeClass": "charge_class",
    "ChargeDescription": "charge_description",
    "ChargeFrequency": "charge_frequency",
    "ConsumedUnit": "consumed_unit",
    "InvoiceId": "invoice_id",
    "InvoiceIssuerName": "coalesce(invoice_issuer_name, $issuer)",
    "PricingCategory": "pricing_category",
    "PricingCurrency": "pricing_currency",
    "PricingUnit": "pricing_unit",
    "ProviderName": "coalesce(invoice_issuer_name, $issuer)",
    "PublisherName": "coalesce(invoice_issuer_name, $issuer)",
    "ResourceId": "resource_id",
    "ResourceName": "resource_name",
    "ResourceType": "resource_type",
    "ServiceCategory": "'AI and Machine Learning'",
    "ServiceName": "cast($service as varchar)",
    "ServiceSubcategory": "'AI Platforms'",
    "SkuId": "sku_id",
    "SkuMeter": "sku_meter",
    "SkuPriceDetails": "sku_price_details",
    "SkuPriceId": "sku_price_id",
    "Tags": "tags",
}

COLUMNS: dict[str, str] = dict(sorted({**_TEXTS, **_NUMBERS, **_TIMES}.items()))
"""FOCUS's columns in the order of the files, each with the expression that gives it."""


@dataclass(frozen=True)
class FocusFiles:
    """What was written, and what whoever reads it has to know.

    ``drafts`` are accounts with rows that no invoice has yet, ``untaxed`` those whose tax of the
    month is not known, and ``unrated_events`` operations without a price, which are in no row.
    """

    files: tuple[Path, ...]
    rows: int
    drafts: tuple[str, ...]
    untaxed: tuple[str, ...]
    unrated_events: int


def export_focus(
    settings: Settings,
    store: Store,
    month: date,
    folder: Path,
    *,
    account_id: str | None = None,
    formats: Sequence[FocusFormat] = tuple(FocusFormat),
    now: datetime | None = None,
) -> FocusFiles:
    """Write the charges that are billed in ``month``, of one account or all, into ``folder``.

    They are those of the published snapshot, in one order, so that the same snapshot gives the
    same rows. Files of the same name are replaced, all of them or none that was not whole. Raises
    MeterhouseError for an unknown account, a month that has not begun, without an issuer or a
    publication, and when a file cannot be written.
    """
    with store.reading() as stored:
        if account_id is not None:
            require_account(stored, account_id)
    issuer = find_issuer(store)
    if issuer is None:
        raise MeterhouseError(
            "nobody issues invoices yet; set it up with `meterhouse invoices issuer --name …`"
        )
    if not folder.is_dir():
        raise MeterhouseError(f"there is no folder {folder}")
    connection, publication = reading_published(settings)
    with (
        closing(connection),
        lease(
            settings,
            marts_snapshot=publication.marts_snapshot,
            raw_snapshot=publication.raw_snapshot,
        ),
        ExitStack() as drafts,
    ):
        zone = _zone(connection, account_id)
        if datetime(month.year, month.month, 1, tzinfo=zone) > (now or datetime.now(UTC)):
            raise MeterhouseError(f"{month:%Y-%m} has not begun yet")
        names = {"issuer": issuer.name, "service": settings.platform_name}
        _gather(connection, month, account_id, names)
        files = []
        for kind in formats:
            target = folder / file_name(month, account_id, kind)
            draft = drafts.enter_context(whole_file(target))
            draft.touch()
            _copy(connection, draft, kind)
            files.append(target)
        return FocusFiles(tuple(files), *_told(connection, month, account_id))


def file_name(month: date, account_id: str | None, kind: FocusFormat) -> str:
    """A name of letters, digits, dots, dashes and underscores that says what is inside."""
    account = f"_{re.sub('[^A-Za-z0-9.-]+', '-', account_id)[:100]}" if account_id else ""
    return f"focus-{VERSION}_{month:%Y-%m}{account}.{kind}"


def _zone(connection: Connection, account_id: str | None) -> ZoneInfo:
    """The zone in which the month has to have begun."""
    found = connection.execute(
        "select time_zone from rpt_account where account_id = $account_id",
        {"account_id": account_id},
    ).fetchone()
    return ZoneInfo(found[0] if found else EARLIEST_ZONE)


def _gather(
    connection: Connection, month: date, account_id: str | None, names: dict[str, str]
) -> None:
    """The rows in their order, with FOCUS's names, as a temporary table that may go to disk."""
    columns = ", ".join(f"{expression} as {name}" for name, expression in COLUMNS.items())
    where, values = _of(month, account_id)
    connection.execute(
        f"create temporary table focus as select {columns}, is_tax_known from rpt_export_focus"
        f" where {where} order by billing_account_id, charge_period_start, charge_category,"
        " charge_key",
        {**values, **names},
    )


def _copy(connection: Connection, draft: Path, kind: FocusFormat) -> None:
    if kind is FocusFormat.PARQUET:
        fields = [
            f"timezone('UTC', {name}) as {name}" if name in _TIMES else name for name in COLUMNS
        ]
        options = "format parquet, compression zstd"
    else:
        fields = [f"{_as_text(name)} as {name}" for name in COLUMNS]
        options = "format csv, header, nullstr ''"
    target = str(draft).replace("'", "''")
    try:
        connection.execute(
            f"copy (select {', '.join(fields)} from focus) to '{target}' ({options})"
        )
    except duckdb.IOException as error:
        raise MeterhouseError(f"{draft.parent} cannot be written: {error}") from error


def _as_text(name: str) -> str:
    """A field of a CSV file: times in ISO 8601; numbers always with a decimal point, so that none
    is taken for a whole number, and without further zeros at their end.
    """
    if name in _TIMES:
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%SZ')"
    if name in _NUMBERS:
        return f"regexp_replace(cast({name} as varchar), '(\\.\\d+?)0*$', '\\1')"
    return name


def _told(
    connection: Connection, month: date, account_id: str | None
) -> tuple[int, tuple[str, ...], tuple[str, ...], int]:
    row = connection.execute(
        "select count(*),"
        " list(distinct BillingAccountId order by BillingAccountId)"
        "   filter (where InvoiceId is null),"
        " list(distinct BillingAccountId order by BillingAccountId) filter (where not is_tax_known)"
        " from focus"
    ).fetchone()
    where, values = _of(month, account_id)
    unrated = connection.execute(
        "select coalesce(sum(unrated_events), 0) from fct_usage_monthly"
        f" where {where.replace('billing_account_id', 'account_id')}",
        values,
    ).fetchone()
    assert row is not None
    assert unrated is not None
    return row[0], tuple(row[1] or ()), tuple(row[2] or ()), int(unrated[0])


def _of(month: date, account_id: str | None) -> tuple[str, dict[str, str]]:
    if account_id is None:
        return f"month = date '{month}'", {}
    return f"month = date '{month}' and billing_account_id = $account", {"account": account_id}
