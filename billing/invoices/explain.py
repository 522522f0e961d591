"""From a line of an invoice back to what it is made from: raw events, or payments.

Events are read as they were known when the invoice was issued: raw rows are only added, so those of
batches up to the invoice's tell it for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from billing.grants import list_lots
from billing.invoices.charges import Line
from billing.invoices.issued import Issued, get_issued, list_issued
from billing.live_usage import Lake
from billing.lots import Lot
from billing.store import Store
from billing.usage_sums import open_lake
from warehouse.errors import MeterhouseError
from warehouse.publication import Publication
from warehouse.settings import Settings


@dataclass(frozen=True)
class Event:
    """A usage event behind a line: where it was read, and its credits.

    ``credits`` is None where only a rate could tell them and the event was replaced since. Of a
    correction they are the difference to what was known before: negative where usage was withdrawn.
    """

    source: str
    event_id: str
    occurred_at: datetime
    category: str
    model: str | None
    credits: Decimal | None
    path: str
    line_number: int


@dataclass(frozen=True)
class Explained:
    """A line with its events, or the lots that were paid for.

    ``events_credits`` is the sum of the events, of which ``lots_credits`` were paid by lots and the
    line charges the rest.
    """

    issued: Issued
    line: Line
    events: tuple[Event, ...]
    events_credits: Decimal
    lots_credits: Decimal
    lots: tuple[Lot, ...]


def explain(settings: Settings, store: Store, number: str, line_number: int) -> Explained:
    """What a line of any account's invoice is made from; raises as :func:`explain_line`."""
    with open_lake(settings) as lake:
        return explain_line(lake, store, get_issued(store, number), line_number)


def explain_line(lake: Lake, store: Store, issued: Issued, line_number: int) -> Explained:
    """What a line is made from.

    Raises MeterhouseError for an unknown line, and before anything is published.
    """
    number = issued.number
    line = next((line for line in issued.lines if line.number == line_number), None)
    if line is None:
        raise MeterhouseError(f"{number} has lines 1 to {len(issued.lines)}, and no {line_number}")
    publication = lake.publication()
    if publication is None:
        raise MeterhouseError("nothing is published yet; run `meterhouse refresh`")
    starts, ends = _bounds(lake, publication, issued.account_id, line.month)
    if line.kind in ("purchase", "refund", "chargeback"):
        all_lots = list_lots(store, issued.account_id)
        lots = tuple(lot for lot in all_lots if _moved(lot, line, issued, starts, ends))
        return Explained(issued, line, (), Decimal(0), Decimal(0), lots)
    if line.kind == "goodwill":
        return Explained(issued, line, (), Decimal(0), Decimal(0), ())
    found = _events(lake, publication, issued, issued.raw_load_id, starts, ends)
    if line.is_correction:
        before = _load_before(store, issued, line.month)
        found = _changes(_events(lake, publication, issued, before, starts, ends), found)
    total = sum((event.credits or Decimal(0) for event in found.values()), Decimal(0))
    events = tuple(sorted(found.values(), key=lambda event: (event.occurred_at, event.event_id)))
    return Explained(issued, line, events, total, total - line.credits, ())


def _moved(lot: Lot, line: Line, issued: Issued, starts: datetime, ends: datetime) -> bool:
    """Whether a lot's cash moved in the month, by the line's reason, as known when issued."""
    if not lot.paid_minor or lot.currency != issued.currency:
        return False
    is_remainder = lot.reference.startswith("remainder:")
    begun = lot.recorded_at <= issued.recorded_at and starts <= lot.effective_at < ends
    if line.kind == "purchase":
        return begun and not is_remainder
    ended = lot.ending is not None and lot.ending.cause == line.kind
    return ended and lot.ending is not None and starts <= lot.ending.voided_at < ends


def _bounds(
    lake: Lake, publication: Publication, account_id: str, month: date
) -> tuple[datetime, datetime]:
    rows = lake.rows(
        "select starts_at, ends_at from marts.main.fct_invoice_month"
        " where account_id = $account and month = $month",
        {"account": account_id, "month": month},
        publication=publication,
    )
    if not rows:
        raise MeterhouseError(f"the marts have no {month:%Y-%m} of {account_id} any more")
    starts, ends = rows[0]
    return starts.replace(tzinfo=UTC), ends.replace(tzinfo=UTC)


def _events(
    lake: Lake,
    publication: Publication,
    issued: Issued,
    load_id: int,
    starts: datetime,
    ends: datetime,
) -> dict[tuple[str, str], Event]:
    """Events of a month as known up to a batch, by identity."""
    given = {
        "account": issued.account_id,
        "load": load_id,
        "starts": starts.replace(tzinfo=None),
        "ends": ends.replace(tzinfo=None),
    }
    rows = lake.rows(
        """
        select event.source, event.event_id, event.occurred_at, event.category, event.model,
            event.credits, coalesce(load.path, ''), event.line_number, event.revision
        from raw.main.usage_event as event
        anti join (
            select source, event_id, revision
            from raw.main.usage_supersession
            where load_id <= $load
        ) as replaced using (source, event_id, revision)
        left join raw.main.load as load on event.load_id = load.load_id
        where event.load_id <= $load and event.account_id = $account and not event.is_withdrawn
            and event.occurred_at >= $starts and event.occurred_at < $ends
        """,
        given,
    )
    del given["load"]
    rated = {
        tuple(identity): credits
        for *identity, credits in lake.rows(
            "select source, event_id, revision, credits from marts.main.rpt_usage_event"
            " where account_id = $account and occurred_at >= $starts and occurred_at < $ends"
            " and usage_date_utc between cast($starts as date) and cast($ends as date)",
            given,
            publication=publication,
        )
    }
    return {
        (source, name): Event(
            source, name, at.replace(tzinfo=UTC), category, model,
            credits if credits is not None else rated.get((source, name, revision)),
            path, line,
        )
        for source, name, at, category, model, credits, path, line, revision in rows
    }  # fmt: skip


def _changes(
    before: Mapping[tuple[str, str], Event], now: Mapping[tuple[str, str], Event]
) -> dict[tuple[str, str], Event]:
    """What differs: new events, withdrawn ones with their credits taken off, changed ones."""
    changes = {}
    for identity in before.keys() | now.keys():
        old, new = before.get(identity), now.get(identity)
        difference = _worth(new) - _worth(old)
        shown = new or old
        if difference and shown is not None:
            changes[identity] = Event(
                shown.source, shown.event_id, shown.occurred_at, shown.category, shown.model,
                difference, shown.path, shown.line_number,
            )  # fmt: skip
    return changes


def _worth(event: Event | None) -> Decimal:
    return (event.credits or Decimal(0)) if event else Decimal(0)


def _load_before(store: Store, issued: Issued, month: date) -> int:
    """Up to which batch the invoice before counted: what a correction is a difference to."""
    before = [
        past.raw_load_id
        for past in list_issued(store, account_id=issued.account_id)
        if past.series == "invoice" and month <= past.month < issued.month
    ]
    return before[-1] if before else 0
