"""Lots of credits and what may be done with them: pure decisions on spent and unspent parts.

Money is whole minor units. The unspent part of a lot is worth its share of the cash paid, rounded
down, so that all refunds of a lot together never exceed what was paid for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Protocol

from billing.burn_down import Grant, Kind, Usage, burn_down
from warehouse.errors import MeterhouseError

_NANO = Decimal("0.000000001")


@dataclass(frozen=True)
class Ending:
    """The end of a lot before its time. ``cause`` is void | refund | chargeback.

    ``refunded_minor`` is the cash that left the lot: what was paid back, and the cash of the
    lot that goes on after a refund of a part; ``receivable_minor`` is owed for the spent part
    after a chargeback. Both None where there was no cash.
    """

    cause: str
    voided_at: datetime
    refunded_minor: int | None
    receivable_minor: int | None
    currency: str | None
    reason: str
    recorded_by: str


@dataclass(frozen=True)
class Lot:
    """A stored grant. ``paid_minor`` is the cash paid in minor units, None where none was."""

    grant_id: int
    reference: str
    account_id: str
    kind: Kind
    credits: Decimal
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    purchase_id: str | None
    paid_minor: int | None
    currency: str | None
    reason: str
    recorded_at: datetime
    recorded_by: str
    ending: Ending | None = None

    def as_grant(self) -> Grant:
        """The lot as the burn-down takes it; ids sort as numbers do."""
        return Grant(
            id=f"{self.grant_id:019d}",
            amount=self.credits.quantize(_NANO),
            priority=self.priority,
            kind=self.kind,
            effective_at=self.effective_at,
            expires_at=self.expires_at,
            voided_at=self.ending.voided_at if self.ending else None,
            created_at=self.recorded_at,
        )

    @property
    def ends_at(self) -> datetime | None:
        """When it stops being active, whichever comes first; None if never."""
        return self.as_grant().ends_at


@dataclass(frozen=True)
class LotState:
    """What became of a lot before an instant: consumed + forfeited + unspent = its credits.

    ``unspent`` of a lot without effect yet is the whole lot.
    """

    consumed: Decimal
    forfeited: Decimal
    unspent: Decimal


class UsageSums(Protocol):
    """Knows what an account used, settled and pending."""

    def between(self, account_id: str, borders: Sequence[datetime]) -> list[Usage]:
        """Credits used before the last of ``borders`` (ascending, aware), summed up between them.

        One ``Usage`` for each stretch with usage: its time is the stretch's beginning, and for
        what lies before the first border a time before it.
        """


class NoUsage:
    """Nothing was used: for an account, or an instance, that has no usage yet."""

    def between(self, account_id: str, borders: Sequence[datetime]) -> list[Usage]:
        """Always empty."""
        return []


def borders_of(lots: Iterable[Lot], until: datetime) -> list[datetime]:
    """The instants before ``until`` at which a lot begins or ends, and ``until`` itself."""
    moments = {until}
    for lot in lots:
        for moment in (lot.effective_at, lot.ends_at):
            if moment is not None and moment < until:
                moments.add(moment)
    return sorted(moments)


def spent_of(
    lots: Sequence[Lot], usage: UsageSums, account_id: str, until: datetime
) -> dict[int, LotState]:
    """What became of each of an account's lots before ``until`` (exclusive), by grant id.

    ``lots`` are all lots of the account: which of them pays depends on the others.
    """
    grants = {lot.grant_id: lot.as_grant() for lot in lots}
    sums = usage.between(account_id, borders_of(lots, until))
    result = burn_down(grants.values(), sums, until)
    consumed: dict[str, Decimal] = {}
    for part in result.consumptions:
        consumed[part.grant_id] = consumed.get(part.grant_id, Decimal(0)) + part.amount
    forfeited = {part.grant_id: part.amount for part in result.forfeits}
    states = {}
    for grant_id, grant in grants.items():
        used = consumed.get(grant.id, Decimal(0))
        lost = forfeited.get(grant.id, Decimal(0))
        states[grant_id] = LotState(used, lost, grant.amount - used - lost)
    return states


def summed(events: Iterable[Usage], borders: Sequence[datetime]) -> list[Usage]:
    """Single events summed up as ``UsageSums.between`` promises."""
    starts = [borders[0] - timedelta(microseconds=1), *borders[:-1]]
    sums: dict[datetime, Decimal] = {}
    for event in events:
        if event.at < borders[-1]:
            start = max((at for at in starts if at <= event.at), default=starts[0])
            sums[start] = sums.get(start, Decimal(0)) + event.amount
    return [Usage(at, amount) for at, amount in sorted(sums.items())]


@dataclass(frozen=True)
class Refund:
    """What a refund does: it ends the lot and leaves a new one with what is not refunded.

    ``credits`` are taken back for ``refunded_minor``; ``remainder_credits`` (0 for none) go on as
    a lot of the same kind, expiry and priority with ``remainder_minor`` as its cash.
    """

    credits: Decimal
    refunded_minor: int
    remainder_credits: Decimal
    remainder_minor: int


def unspent_value(lot: Lot, unspent: Decimal) -> int:
    """Minor units that the unspent part is worth: its share of the cash, rounded down."""
    return _share(lot.paid_minor or 0, unspent, lot.credits, ROUND_FLOOR)


def refund_of_credits(lot: Lot, unspent: Decimal, credits: Decimal | None) -> Refund:
    """Refund ``credits`` of a lot, or all that is unspent.

    The money is their share of the cash, rounded down; only as many credits are taken back as
    that money bought. Raises MeterhouseError for more than is unspent, and for credits that are
    worth no money.
    """
    require_open(lot, "refunded")
    if lot.paid_minor is None or lot.currency is None:
        raise MeterhouseError(
            f"nothing was paid for the lot {lot.grant_id}; "
            f"take it back with `meterhouse credits void {lot.grant_id}`"
        )
    if unspent <= 0:
        raise MeterhouseError(
            f"nothing of the lot {lot.grant_id} is left to refund: it is spent or has expired"
        )
    wanted = unspent if credits is None else credits
    if wanted > unspent:
        raise MeterhouseError(
            f"of the lot {lot.grant_id} {_plain(unspent)} credits are unspent, "
            f"and no more than that can be refunded; {_plain(wanted)} were asked for"
        )
    value = unspent_value(lot, unspent)
    if wanted == unspent:
        money = value
    else:
        money = min(value, _share(lot.paid_minor, wanted, lot.credits, ROUND_FLOOR))
    if not money:
        raise MeterhouseError(
            f"{_plain(wanted)} credits of the lot {lot.grant_id} are worth less than the smallest "
            f"coin of {lot.currency}; take them back with `meterhouse credits void {lot.grant_id}`"
        )
    credits = unspent if wanted == unspent else _bought(lot, money)
    return Refund(credits, money, unspent - credits, value - money)


def refund_of_money(lot: Lot, unspent: Decimal, money: int) -> Refund:
    """What ``money`` minor units paid back take of a lot: at most its unspent part.

    As many credits go as the money bought, rounded up to a nano-credit. Where more is paid back
    than the unspent part is worth, all of it goes and the rest of the money is not this lot's.
    """
    value = unspent_value(lot, unspent)
    if money >= value:
        return Refund(unspent, value, Decimal(0), 0)
    credits = min(_bought(lot, money), unspent)
    if credits == unspent:
        return Refund(unspent, money, Decimal(0), 0)
    return Refund(credits, money, unspent - credits, value - money)


def _bought(lot: Lot, money: int) -> Decimal:
    """The credits of a paid lot that ``money`` minor units bought, rounded up to a nano-credit."""
    with localcontext(prec=60):
        return (lot.credits * money / (lot.paid_minor or 1)).quantize(_NANO, ROUND_CEILING)


def owed_after_chargeback(lot: Lot, unspent: Decimal, taken_minor: int) -> int:
    """Minor units that the account owes after ``taken_minor`` of a payment were taken back.

    ``lot`` is what the payment still stands for; its unspent part goes back with the money, so
    that part's share of the cash (rounded up) is not owed. What expired was paid for like what was
    used. Where earlier lots of the same payment were refunded in part, what was spent of them
    is owed too: it is in ``taken_minor``.
    """
    returned = _share(lot.paid_minor or 0, unspent, lot.credits, ROUND_CEILING)
    return max(0, taken_minor - returned)


def require_open(lot: Lot, what: str) -> None:
    """Raises MeterhouseError that says how and when the lot ended, if it was ended."""
    if lot.ending:
        raise MeterhouseError(
            f"the lot {lot.grant_id} cannot be {what}: it ended by {lot.ending.cause} on "
            f"{lot.ending.voided_at:%Y-%m-%d %H:%M} UTC ({lot.ending.reason})"
        )


def require_voidable(lot: Lot, state: LotState) -> None:
    """Raises MeterhouseError where there is nothing to void: an ended, expired or spent lot."""
    require_open(lot, "voided")
    if state.unspent > 0:
        return
    if state.forfeited > 0 and lot.expires_at:
        raise MeterhouseError(
            f"the lot {lot.grant_id} expired on {lot.expires_at:%Y-%m-%d %H:%M} UTC; "
            "there is nothing to void"
        )
    raise MeterhouseError(
        f"the lot {lot.grant_id} is spent; there is nothing to void. What was used stays used: "
        "to charge for it, sell a package or let it be invoiced"
    )


def by_id(lots: Iterable[Lot]) -> Mapping[int, Lot]:
    """Lots by grant id."""
    return {lot.grant_id: lot for lot in lots}


def _share(money: int, part: Decimal, whole: Decimal, rounding: str) -> int:
    with localcontext(prec=60):
        return int((money * part / whole).to_integral_value(rounding))


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():,f}"
