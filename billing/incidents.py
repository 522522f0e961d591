"""Marks: days of an account that are expected to be unusual, and no longer.

A mark is never changed: another one takes it back. What is unusual, and why, is in the lake
(``fct_incident``); the next refresh heeds what is marked here.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import sqlalchemy as sa

from billing import validation
from billing.live_usage import Lake
from billing.schema import account, incident_mark
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

LONGEST_REASON = 500


@dataclass(frozen=True)
class Mark:
    """Days, both inclusive and of the account, that are expected or, by a later mark, no longer."""

    mark_id: int
    account_id: str
    first_date: date
    last_date: date
    is_expected: bool
    reason: str
    recorded_at: datetime
    recorded_by: str


@dataclass(frozen=True)
class Incident:
    """An incident as it is published; credits, and the parts that they add up to excess."""

    account_id: str
    first_date: date
    last_date: date
    days: int
    is_expected: bool
    expected_reason: str | None
    cause: str
    driver: str
    driver_id: str
    severity: Decimal
    credits: Decimal
    expected_credits: Decimal
    excess_credits: Decimal
    volume_credits: Decimal
    size_credits: Decimal
    price_credits: Decimal
    mix_credits: Decimal
    new_agent_credits: Decimal
    error_credits: Decimal


COLUMNS = tuple(Incident.__dataclass_fields__)
"""The columns of ``fct_incident`` that an Incident has."""

PARTS = {
    "volume": "more calls",
    "size": "longer calls",
    "price": "dearer calls",
    "mix": "other models",
    "new_agent": "a new agent",
    "errors": "failures and retries",
}
"""Causes of an incident, and what is said of each."""


def list_incidents(lake: Lake, account_id: str | None = None) -> list[Incident]:
    """The published incidents of an account or of all, the newest first.

    Raises MeterhouseError before the first publication.
    """
    publication = lake.publication()
    if publication is None or not lake.has_table("marts.main.fct_incident"):
        raise MeterhouseError("nothing was looked at yet; run `meterhouse refresh`")
    rows = lake.rows(
        f"select {', '.join(COLUMNS)} from marts.main.fct_incident"
        " where $account_id is null or account_id = $account_id"
        " order by first_date desc, account_id",
        {"account_id": account_id},
        publication=publication,
    )
    return [Incident(*row) for row in rows]


def incident_on(lake: Lake, account_id: str, day: date) -> Incident:
    """The published incident of an account that ``day`` is in; raises MeterhouseError of none."""
    found = list_incidents(lake, account_id)
    for incident in found:
        if incident.first_date <= day <= incident.last_date:
            return incident
    known = ", ".join(str(incident.first_date) for incident in found[:5])
    raise MeterhouseError(
        f"{account_id} has no incident on {day}"
        + (f"; its last ones begin on {known}" if known else ", nor on any other day")
    )


def mark_days(
    store: Store,
    account_id: str,
    first_date: date,
    last_date: date,
    *,
    is_expected: bool,
    reason: str,
    actor: str | None = None,
    now: datetime | None = None,
) -> Mark:
    """Mark days (both inclusive) as expected, or take that back; the next refresh heeds it.

    Raises MeterhouseError without a reason, for an account that is not declared and for days that
    are no range.
    """
    said = validation.line("reason", reason, LONGEST_REASON)
    if last_date < first_date:
        raise MeterhouseError(f"{last_date} is before {first_date}; give the first day first")
    with store.writing() as connection:
        if not connection.scalar(sa.select(account.c.id).where(account.c.id == account_id)):
            raise MeterhouseError(
                f"there is no account {account_id}; `meterhouse accounts list` names them"
            )
        row = connection.execute(
            sa.insert(incident_mark).returning(incident_mark),
            {
                "account_id": account_id,
                "first_date": first_date,
                "last_date": last_date,
                "is_expected": is_expected,
                "reason": said,
                "recorded_at": now or datetime.now(UTC),
                "recorded_by": actor or current_user(),
            },
        ).one()
    return Mark(**row._mapping)


def list_marks(store: Store, account_id: str) -> list[Mark]:
    """The marks of an account, the newest first; of those that hold for a day the first counts."""
    query = (
        sa.select(incident_mark)
        .where(incident_mark.c.account_id == account_id)
        .order_by(incident_mark.c.mark_id.desc())
    )
    with store.reading() as connection:
        return [Mark(**row._mapping) for row in connection.execute(query)]


def mark_of(marks: list[Mark], first_date: date, last_date: date) -> Mark | None:
    """What holds for all the days of an incident, by marks with the newest first; None of none.

    A part of the days that is marked otherwise leaves the incident as it is.
    """
    for mark in marks:
        if mark.first_date <= first_date and mark.last_date >= last_date:
            return mark
        if mark.first_date <= last_date and mark.last_date >= first_date:
            return None
    return None
