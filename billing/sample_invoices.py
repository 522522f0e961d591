"""Invoices of the sample's past months, so that a newcomer finds some to look at.

Whom they name comes from ``sample_recipients.csv``. Months are closed as they would have been, each
some days after its end. Invoiced overage has to be published before the next month can be closed;
so an account begins with the month after which it has none.
"""

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from billing.accounts import list_accounts
from billing.invoices.closing import alone, limits_of, preview
from billing.invoices.facts import Facts, read_facts
from billing.invoices.issued import Issued, issue, list_issued
from billing.invoices.notes import credit_note
from billing.invoices.parties import (
    add_tax_rate,
    find_issuer,
    list_profiles,
    set_issuer,
    set_profile,
)
from billing.invoices.rendering import render_missing
from billing.store import Store
from billing.usage_sums import open_lake
from billing.validation import BEGINNING, next_month
from warehouse.settings import Settings

RECIPIENTS = Path(__file__).resolve().parent / "sample_recipients.csv"

MONTHS = 6
"""Past months that are closed."""

ACTOR = "meterhouse sample"

_DAYS_AFTER = 4
"""Days after the month and its grace on which it is closed."""

_ISSUER = {
    "street": "Torstraße 1",
    "postcode": "10119",
    "city": "Berlin",
    "country": "DE",
    "tax_id": "DE123456789",
    "email": "billing@craveva.example",
    "register": "HRB 12345 B",
    "iban": "DE89370400440532013000",
    "footer": "Sample: made to look around, nothing is to be paid.",
}


def declare_sample_parties(store: Store, platform_name: str) -> int:
    """Say who issues the sample's invoices and whom they name, where nobody has; how many names.

    An issuer that was set up already stays as it is.
    """
    if find_issuer(store) is None:
        set_issuer(store, {**_ISSUER, "name": f"{platform_name} GmbH"}, actor=ACTOR)
        add_tax_rate(store, "DE", "19", BEGINNING, actor=ACTOR)
    named = {profile.account_id for profile in list_profiles(store)}
    accounts = {account.account_id: account for account in list_accounts(store)}
    with RECIPIENTS.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["account_id"] in accounts.keys() - named]
    for row in rows:
        account_id = row.pop("account_id")
        name = accounts[account_id].current.name
        set_profile(store, account_id, {"name": name, **_filled(row)}, actor=ACTOR)
    return len(rows)


def close_sample(settings: Settings, store: Store, now: datetime) -> int:
    """Close the sample's past months and give one credit note; how many documents there are.

    Nothing is done where anything was issued before. Raises MeterhouseError as a close does.
    """
    if list_issued(store):
        return 0
    months = [_month_before(now.astimezone(UTC).date())]
    while len(months) < MONTHS:
        months.insert(0, _month_before(months[0]))
    limits = limits_of(settings)
    everybody = {account.account_id for account in list_accounts(store)}
    issued: list[Issued] = []
    with alone(settings, store), open_lake(settings) as lake:
        publication = lake.publication()
        if publication is None:
            return 0
        begins = _first_months(read_facts(lake, publication, months[-1]), months)
        for month in months:
            at = min(_closed_at(month, limits.grace_days), now)
            found = preview(store, lake, month, limits, accept=everybody, now=at)
            for draft in found.closed.drafts:
                if begins[draft.account_id] <= month:
                    issued += issue(
                        store,
                        found.books.issuer,
                        draft.documents,
                        draft.lots,
                        draft.balances,
                        raw_load_id=publication.raw_load_id,
                        now=at,
                        actor=ACTOR,
                    )
    _credit_one(settings, store, issued, now)
    return render_missing(settings, store, now=now)


def _first_months(facts: Facts, months: Sequence[date]) -> dict[str, date]:
    """The first month to close of each account: after the last one with overage to invoice."""
    begins = {account: months[0] for account, _ in facts.months}
    for month in months[:-1]:
        for account in begins:
            charges = facts.charges.get((account, month), {}).values()
            if any(charge.unit_price is not None for found in charges for charge in found):
                begins[account] = next_month(month)
    return begins


def _credit_one(settings: Settings, store: Store, issued: Sequence[Issued], now: datetime) -> None:
    """A tenth of the newest invoice with an amount is given back, some days after it."""
    for invoice in reversed(issued):
        tenth = invoice.totals.net_minor // 10
        if tenth > 0:
            credit_note(
                settings,
                store,
                invoice.number,
                tenth,
                reason="sample: an outage",
                now=min(invoice.recorded_at + timedelta(days=_DAYS_AFTER), now),
                actor=ACTOR,
            )
            return


def _closed_at(month: date, grace_days: int) -> datetime:
    day = next_month(month) + timedelta(days=grace_days + _DAYS_AFTER)
    return datetime(day.year, day.month, day.day, 5, tzinfo=UTC)


def _month_before(day: date) -> date:
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def _filled(row: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if value}
