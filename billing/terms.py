"""Account terms: what holds for an account from the start of a month on. Pure functions.

A term is never changed. Of one ``effective_from`` the term recorded last counts; a month starts
where the one before ended, so a term takes over at midnight in the zone of the term before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing.validation import INVOICED_PLANS, next_month

DATED_FIELDS = ("time_zone", "currency", "plan", "overage_price")
"""Fields that change what usage costs or where it falls: by default from the next month on."""

CONTACT_FIELDS = ("name", "email")
"""Fields that say how to address the account: by default from the current month on."""


@dataclass(frozen=True)
class Term:
    """What holds for an account from ``effective_from``, a month's first day in its own days.

    ``overage_price`` is what a credit beyond the lots costs, in the currency (units, not minor
    units); None where the plan sells none. ``term_id`` orders terms as they
    were recorded and is 0 for one that is not recorded yet.
    """

    effective_from: date
    name: str
    time_zone: str
    currency: str
    email: str | None
    plan: str
    overage_price: Decimal | None = None
    term_id: int = 0


def missing_price(term: Term, before: Term | None = None) -> str | None:
    """Why ``term`` cannot follow ``before`` for want of a price of overage; None when it can.

    A plan that invoices overage needs one, or the overage would be lost; and a price is in its
    currency, so that another currency needs another price.
    """
    if term.plan not in INVOICED_PLANS:
        return None
    if term.overage_price is None:
        return f"the plan {term.plan} invoices overage and needs its price"
    if (
        before is not None
        and term.currency != before.currency
        and term.overage_price == before.overage_price
    ):
        return (
            f"the price of overage, {term.overage_price.normalize():f}, is in {before.currency}; "
            f"a change to {term.currency} needs another"
        )
    return None


def standing_terms(terms: Iterable[Term]) -> list[Term]:
    """Of each ``effective_from`` the term recorded last, in the order of time."""
    latest: dict[date, Term] = {}
    for term in sorted(terms, key=lambda term: term.term_id):
        latest[term.effective_from] = term
    return [latest[day] for day in sorted(latest)]


def term_from(terms: Iterable[Term], month: date) -> Term:
    """The term that holds from ``month`` on. Raises ValueError when none does."""
    earlier = [term for term in standing_terms(terms) if term.effective_from <= month]
    if not earlier:
        raise ValueError(f"no term holds on {month}")
    return earlier[-1]


def split_at(terms: Iterable[Term], moment: datetime) -> tuple[Term, list[Term]]:
    """The term that holds at ``moment`` (aware), and those to come.

    Raises ValueError when there is no term.
    """
    standing = standing_terms(terms)
    if not standing:
        raise ValueError("an account without a term")
    current = 0
    for index in range(1, len(standing)):
        zone = ZoneInfo(standing[index - 1].time_zone)
        if moment.astimezone(zone).date() < standing[index].effective_from:
            break
        current = index
    return standing[current], standing[current + 1 :]


def default_start(field: str, current: Term, moment: datetime) -> date:
    """The month from which a change of ``field`` holds when nobody says otherwise."""
    today = moment.astimezone(ZoneInfo(current.time_zone)).date()
    return next_month(today) if field in DATED_FIELDS else today.replace(day=1)


def changed_terms(
    terms: Sequence[Term], changes: Mapping[str, str | Decimal | None], effective_from: date
) -> list[Term]:
    """The terms to record so that ``changes`` hold from ``effective_from`` on.

    Terms already recorded for later months take a change over until one of them had changed
    that field itself: a new name must not fall back to the old one at the next month's start.
    The list is empty when everything is so already.

    Raises ValueError when ``effective_from`` lies before the first term.
    """
    before = term_from(terms, effective_from)
    to_record = []
    pending: dict[str, Any] = {
        field: value for field, value in changes.items() if getattr(before, field) != value
    }
    if pending:
        new = replace(before, effective_from=effective_from, term_id=0, **pending)
        to_record.append(new)
    for later in standing_terms(terms):
        if later.effective_from <= effective_from:
            continue
        pending = {
            field: value
            for field, value in pending.items()
            if getattr(later, field) == getattr(before, field)
        }
        if not pending:
            break
        to_record.append(replace(later, term_id=0, **pending))
    return to_record
