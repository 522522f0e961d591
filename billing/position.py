"""What an account has now: settled and pending usage burnt down against the stored grants.

The grants are those of the operational store, so a purchase shows at once; what was used comes
from the lakes (``billing.live_usage``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing.accounts import get_account
from billing.burn_down import BurnDown, burn_down
from billing.grants import list_lots
from billing.live_usage import Lake, LiveUsage, read_usage
from billing.lots import Lot, borders_of
from billing.runway import Pace, pace_of, runway_days
from billing.store import Store

_ZERO = Decimal(0)


@dataclass(frozen=True)
class LotPosition:
    """A stored lot as it stands now. Amounts are credits; times are aware.

    ``status`` is scheduled | active | exhausted | expired | voided. Lots come in burn order.
    """

    grant_id: int
    kind: str
    priority: int
    granted: Decimal
    consumed: Decimal
    forfeited: Decimal
    remaining: Decimal
    effective_at: datetime
    expires_at: datetime | None
    status: str
    reason: str


@dataclass(frozen=True)
class CreditPosition:
    """The credits of an account at an instant.

    ``balance`` is what is left in active lots minus the overage that no lot has paid yet, over
    settled and pending usage; ``settled_balance`` is the same over settled usage only, and
    ``pending`` what pending usage takes from it (balance = settled_balance - pending).
    Pending usage without credits (``pending_unrated_events``) is in no sum. ``runway_days`` is
    how many days the lots last if usage goes on at ``daily_pace`` (credits a day, by weekday
    medians): 0 when nothing is left, None without a pace or when they outlast
    ``runway.RUNWAY_LIMIT``. ``settled_until`` is when the settled state was published.
    """

    account_id: str
    at: datetime
    balance: Decimal
    settled_balance: Decimal
    pending: Decimal
    pending_events: int
    pending_unrated_events: int
    remaining: Decimal
    overage: Decimal
    lots: tuple[LotPosition, ...]
    daily_pace: Decimal | None
    runway_days: int | None
    settled_until: datetime | None


def credit_position(lake: Lake, store: Store, account_id: str, now: datetime) -> CreditPosition:
    """What ``account_id`` has at ``now`` (aware), before anything that happens then.

    Raises MeterhouseError for an account that is not in the store.
    """
    account = get_account(store, account_id, now=now)
    lots = list_lots(store, account_id)
    publication = lake.publication()
    usage = read_usage(lake, publication, account_id, borders_of(lots, now))
    today = now.astimezone(ZoneInfo(account.current.time_zone)).date()
    return position_of(
        account_id,
        lots,
        usage,
        pace_of(usage.daily, today),
        now,
        today,
        settled_until=publication.published_at if publication else None,
    )


def position_of(
    account_id: str,
    lots: Sequence[Lot],
    usage: LiveUsage,
    pace: Pace | None,
    now: datetime,
    today: date,
    *,
    settled_until: datetime | None = None,
) -> CreditPosition:
    """The position that follows from stored lots and usage; a pure function.

    ``today`` is the account's day, whose weekday the pace follows.
    """
    grants = [lot.as_grant() for lot in lots]
    whole = burn_down(grants, usage.all_usage(), now)
    settled = burn_down(grants, usage.settled_usage(), now)
    positions = _lot_positions(lots, whole, now)
    remaining = sum((lot.remaining for lot in positions), _ZERO)
    balance = remaining - whole.overage
    settled_balance = sum(settled.remaining.values(), _ZERO) - settled.overage
    return CreditPosition(
        account_id=account_id,
        at=now,
        balance=balance,
        settled_balance=settled_balance,
        pending=settled_balance - balance,
        pending_events=usage.pending_events,
        pending_unrated_events=usage.pending_unrated_events,
        remaining=remaining,
        overage=whole.overage,
        lots=positions,
        daily_pace=pace.daily if pace else None,
        runway_days=_runway(lots, whole, pace, now, today),
        settled_until=settled_until,
    )


def _lot_positions(lots: Sequence[Lot], result: BurnDown, now: datetime) -> tuple[LotPosition, ...]:
    consumed: dict[str, Decimal] = {}
    for part in result.consumptions:
        consumed[part.grant_id] = consumed.get(part.grant_id, _ZERO) + part.amount
    forfeited = {part.grant_id: part for part in result.forfeits}
    by_id = {lot.as_grant().id: lot for lot in lots}
    found = []
    for grant_id, remaining in result.remaining.items():
        lot = by_id[grant_id]
        used, lost = consumed.get(grant_id, _ZERO), forfeited.get(grant_id)
        if lot.effective_at >= now:
            status = "scheduled"
        elif used == lot.credits:
            status = "exhausted"
        else:
            status = lost.reason if lost else "active"
        found.append(
            LotPosition(
                grant_id=lot.grant_id,
                kind=lot.kind,
                priority=lot.priority,
                granted=lot.credits,
                consumed=used,
                forfeited=lost.amount if lost else _ZERO,
                remaining=remaining,
                effective_at=lot.effective_at,
                expires_at=lot.expires_at,
                status=status,
                reason=lot.reason,
            )
        )
    return tuple(found)


def _runway(
    lots: Sequence[Lot], result: BurnDown, pace: Pace | None, now: datetime, today: date
) -> int | None:
    """Days from now on: lots with what is left of them, and those that are still to begin."""
    if pace is None or not pace.daily:
        return None
    if result.overage:
        return 0
    ahead = []
    for lot in lots:
        grant = lot.as_grant()
        if lot.effective_at < now:
            grant = replace(grant, amount=result.remaining[grant.id])
        ahead.append(grant)
    return runway_days(ahead, pace, now, today)
