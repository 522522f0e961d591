"""How long credits last: the pace of the last four weeks, and the day on which it meets the end.

Pure functions. The pace of a weekday is the median of its last four days, so that one spike does
not shorten the runway.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from statistics import median

from billing.burn_down import Grant, Usage, burn_down

PACE_DAYS = 28
"""Whole days before today that the pace looks at."""

RUNWAY_LIMIT = 365
"""Days that the runway looks ahead."""

_NANO = Decimal("0.000000001")
_WIDE = Context(prec=60)


@dataclass(frozen=True)
class Pace:
    """Credits of a day: ``by_weekday`` (0 is Monday), and their mean."""

    by_weekday: Mapping[int, Decimal]
    daily: Decimal


def pace_of(used: Mapping[date, Decimal], today: date) -> Pace | None:
    """The pace of the 28 days before ``today``; None without a day of history.

    ``used`` are the credits of days of the account; days without usage count as 0, those before
    the first usage not at all. A weekday without a day has the mean of the others.
    """
    first = min(used, default=today)
    days = [today - timedelta(days=back) for back in range(PACE_DAYS, 0, -1)]
    known = [day for day in days if day >= first]
    if not known:
        return None
    found: dict[int, list[Decimal]] = {}
    for day in known:
        found.setdefault(day.weekday(), []).append(used.get(day, Decimal(0)))
    medians = {weekday: _nano(median(values)) for weekday, values in found.items()}
    mean = _nano(sum(medians.values(), Decimal(0)) / len(medians))
    return Pace({weekday: medians.get(weekday, mean) for weekday in range(7)}, mean)


def runway_days(lots: Iterable[Grant], pace: Pace, now: datetime, today: date) -> int | None:
    """Whole days until the lots no longer cover a day at ``pace``; None beyond RUNWAY_LIMIT.

    ``lots`` have as amount what is left of them now; lots that begin or end later do so. The
    first day is tomorrow: today's usage is in what is left.
    """
    days = [
        Usage(now + timedelta(days=ahead), pace.by_weekday[weekday])
        for ahead in range(1, RUNWAY_LIMIT + 1)
        if pace.by_weekday[weekday := (today + timedelta(days=ahead)).weekday()]
    ]
    if not days:
        return None
    paid: dict[datetime, Decimal] = {}
    for part in burn_down(lots, days, days[-1].at + timedelta(days=1)).consumptions:
        paid[part.at] = paid.get(part.at, Decimal(0)) + part.amount
    for day in days:
        if paid.get(day.at, Decimal(0)) < day.amount:
            return (day.at - now).days - 1
    return None


def _nano(amount: Decimal) -> Decimal:
    return amount.quantize(_NANO, context=_WIDE)
