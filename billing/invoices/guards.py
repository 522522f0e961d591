"""What must hold before an account's month is invoiced. Pure: each guard is a sentence or None."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from billing.currencies import MINOR_DIGITS
from billing.invoices.facts import Facts, MonthFacts
from billing.money import shown

BOUND_MONTHS = 6
"""Earlier invoices that a total is compared with."""

BOUND_FLOOR = 100
"""Units of the currency below which a total is not compared with earlier ones."""


@dataclass(frozen=True)
class Hold:
    """Why an account's month is not invoiced: the guard's name and what to do."""

    account_id: str
    guard: str
    reason: str


@dataclass(frozen=True)
class Limits:
    """What the guards allow: days after the month, unrated credits, growth in times."""

    grace_days: int = 3
    unrated_credits: Decimal = Decimal(0)
    bound: float = 5.0


def month_is_over(facts: MonthFacts, limits: Limits, now: datetime) -> str | None:
    """Over in the account's zone, and the days of grace too."""
    closes_at = facts.ends_at + timedelta(days=limits.grace_days)
    if now >= closes_at:
        return None
    return (
        f"the month can be closed from {closes_at:%Y-%m-%d %H:%M} UTC, "
        f"{limits.grace_days} days after it ended there"
    )


def data_are_whole(facts: MonthFacts, read: Facts) -> str | None:
    """Usage was loaded after the month's end, and all that was loaded of it is in the marts."""
    if read.loaded_at < facts.ends_at:
        return (
            f"usage was last loaded on {read.loaded_at:%Y-%m-%d %H:%M} UTC and the month ended at "
            f"{facts.ends_at:%Y-%m-%d %H:%M}; load what is missing and run `meterhouse refresh`"
        )
    first = read.pending_since.get(facts.account_id)
    if first is not None and first < facts.ends_at:
        return (
            f"usage of {first:%Y-%m-%d} is loaded and not published yet; run `meterhouse refresh`"
        )
    return None


def usage_is_rated(facts: MonthFacts, limits: Limits) -> str | None:
    """Usage without a price may cost no more than the limit."""
    if not facts.unrated_events:
        return None
    most = facts.exposure_high
    if most is not None and most <= limits.unrated_credits:
        return None
    worth = "without a limit" if most is None else f"up to {most.normalize():f} credits"
    return (
        f"{facts.unrated_events:,} operations have no price ({worth}); add it with "
        "`meterhouse rates add`, then `meterhouse refresh`"
    )


def lots_are_settled(facts: MonthFacts, granted: Decimal) -> str | None:
    """The lots of earlier invoices are in the marts, so that nothing is invoiced again."""
    if facts.invoiced_so_far == granted:
        return None
    return (
        f"earlier invoices took {granted.normalize():f} credits of overage off the account, and "
        f"the marts know {facts.invoiced_so_far.normalize():f}; run `meterhouse refresh`"
    )


def months_follow(month: date, next_due: date | None) -> str | None:
    """Months are closed one after the other once the first was."""
    if next_due is None or month <= next_due:
        return None
    return f"{next_due:%Y-%m} comes first; run `meterhouse invoices close {next_due:%Y-%m}`"


def total_is_sane(
    net_minor: int, earlier: Sequence[int], currency: str, limits: Limits
) -> str | None:
    """The net total lies within so many times what the last invoices had."""
    if not earlier:
        return None
    floor = BOUND_FLOOR * 10 ** MINOR_DIGITS[currency]
    least, most = min(earlier), max(earlier)
    if net_minor > max(most, 0) * limits.bound and net_minor - most > floor:
        beyond = f"at most {shown(most, currency)}"
    elif net_minor * limits.bound < least and least - net_minor > floor:
        beyond = f"at least {shown(least, currency)}"
    else:
        return None
    return (
        f"the net total is {shown(net_minor, currency)}, earlier ones were {beyond}; if it is "
        "right, close again with --accept and the account"
    )


def checks_are_green(failed: Sequence[str]) -> str:
    """Error checks that failed since; what is published passed them when it was."""
    return f"checks fail: {', '.join(failed)}; `meterhouse status` says how"


def as_holds(account_id: str, found: Iterable[tuple[str, str | None]]) -> list[Hold]:
    """The guards that tripped."""
    return [Hold(account_id, guard, reason) for guard, reason in found if reason]
