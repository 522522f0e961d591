"""Which grant pays for which usage: the burn-down of credits, exact at event time.

A pure function: the result depends on the facts alone, never on the order in which they are given.
Usage may be single events or sums, as long as no grant begins or ends within what is summed.
Inside, amounts are whole nano-credits, so nothing is ever rounded.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import Literal

Kind = Literal["promotional", "purchased", "adjustment", "refund"]

KINDS: tuple[Kind, ...] = ("promotional", "purchased", "adjustment", "refund")
"""What a grant can be. Only promotional credits burn before the others of their priority."""

_NANO = 9
_NEVER = datetime.max.replace(tzinfo=UTC)
_EXACT = Context(prec=60, traps=[Inexact])


@dataclass(frozen=True)
class Grant:
    """A lot of credits; active from ``effective_at`` until it expires or is voided (exclusive).

    ``amount`` is in credits with at most nine decimals, ``priority`` 0 to 100 (lower burns first),
    times are aware.
    """

    id: str
    amount: Decimal
    priority: int
    kind: Kind
    effective_at: datetime
    expires_at: datetime | None
    voided_at: datetime | None
    created_at: datetime

    @property
    def ends_at(self) -> datetime | None:
        """When it stops being active, whichever comes first; None if never."""
        ends = [moment for moment in (self.expires_at, self.voided_at) if moment is not None]
        return min(ends) if ends else None


@dataclass(frozen=True)
class Usage:
    """Credits that were used at a time (aware), at most nine decimals."""

    at: datetime
    amount: Decimal


@dataclass(frozen=True)
class Consumption:
    """Credits that a grant paid. ``at`` is when: with the usage, or later for overage."""

    grant_id: str
    at: datetime
    amount: Decimal


@dataclass(frozen=True)
class Forfeit:
    """Credits of a grant that were lost unspent when it expired or was voided."""

    grant_id: str
    at: datetime
    amount: Decimal
    reason: Literal["expired", "voided"]


@dataclass(frozen=True)
class BurnDown:
    """The state before ``until`` and how it came about.

    Of every grant with effect before ``until``: amount = consumed + forfeited + remaining. Usage =
    consumed + overage. ``remaining`` has every grant, 0 where it is not active.
    """

    remaining: Mapping[str, Decimal]
    overage: Decimal
    consumptions: tuple[Consumption, ...]
    forfeits: tuple[Forfeit, ...]


def burn_order(grant: Grant) -> tuple[object, ...]:
    """Sorts grants in the order in which they are used up.

    Priority, earlier expiry (none last), promotional before every other kind, earlier effect,
    earlier creation, id.
    """
    return (
        grant.priority,
        grant.expires_at is None,
        grant.expires_at or _NEVER,
        grant.kind != "promotional",
        grant.effective_at,
        grant.created_at,
        grant.id,
    )


def burn_down(grants: Iterable[Grant], usage: Iterable[Usage], until: datetime) -> BurnDown:
    """Burn ``usage`` down against ``grants``, all that happens before ``until`` (exclusive).

    What no grant covers is overage; the next grant to become active pays it first. What is left
    when a grant expires or is voided is forfeited. Raises ValueError for two grants with one id,
    a negative amount, more than nine decimals, or a time without a zone.
    """
    lots = [_Lot(grant) for grant in sorted(grants, key=burn_order)]
    if len({lot.grant.id for lot in lots}) != len(lots):
        raise ValueError("two grants have the same id")
    _aware(until)
    run = _Run()
    for at, happenings in groupby(
        merge(_borders(lots), _moments(usage), key=lambda happening: happening[0]),
        key=lambda happening: happening[0],
    ):
        if at >= until:
            break
        _happen(run, at, [what for _, what in happenings])
    return run.result(lots)


class _Lot:
    """A grant with what is left of it."""

    __slots__ = ("ends_at", "grant", "left")

    def __init__(self, grant: Grant) -> None:
        for moment in (grant.effective_at, grant.expires_at, grant.voided_at, grant.created_at):
            if moment is not None:
                _aware(moment)
        self.grant = grant
        self.left = _nano(grant.amount)
        ends = grant.ends_at
        # A grant that ends before it has an effect is lost as a whole when it would have begun.
        self.ends_at = ends if ends is None or ends > grant.effective_at else grant.effective_at


_Begin = tuple[Literal["begin"], _Lot]
_End = tuple[Literal["end"], _Lot]
_Use = tuple[Literal["use"], int]


def _borders(lots: Sequence[_Lot]) -> Iterator[tuple[datetime, _Begin | _End | _Use]]:
    """Beginnings and ends of grants in the order of time; of one time, in burn order."""
    found: list[tuple[datetime, _Begin | _End | _Use]] = []
    for lot in lots:
        found.append((lot.grant.effective_at, ("begin", lot)))
        if lot.ends_at is not None:
            found.append((lot.ends_at, ("end", lot)))
    return iter(sorted(found, key=lambda border: border[0]))


def _moments(usage: Iterable[Usage]) -> Iterator[tuple[datetime, _Begin | _End | _Use]]:
    """Usage in the order of time."""
    for item in sorted(usage, key=attrgetter("at")):
        _aware(item.at)
        yield item.at, ("use", _nano(item.amount))


def _happen(run: "_Run", at: datetime, happenings: list[_Begin | _End | _Use]) -> None:
    """All that happens at one instant: grants begin, then end, then usage burns."""
    for what in ("begin", "end"):
        for name, lot in happenings:
            if name == what and isinstance(lot, _Lot):
                run.begin(at, lot) if what == "begin" else run.end(at, lot)
    used = sum(amount for _, amount in happenings if isinstance(amount, int))
    run.use(at, used)


class _Run:
    """The burn-down as it goes on: active lots in burn order, overage, and what was noted."""

    def __init__(self) -> None:
        self._active: list[_Lot] = []
        self._overage = 0
        self._consumed: list[tuple[str, datetime, int]] = []
        self._forfeits: list[Forfeit] = []

    def begin(self, at: datetime, lot: _Lot) -> None:
        """A lot becomes active and pays what is open, unless it ends at once."""
        if lot.ends_at is not None and lot.ends_at <= at:
            self._active.append(lot)
            return
        self._overage -= self._pay(lot, at, self._overage)
        self._active.append(lot)
        self._active.sort(key=lambda active: burn_order(active.grant))

    def end(self, at: datetime, lot: _Lot) -> None:
        """A lot stops being active; what is left of it is lost."""
        self._active.remove(lot)
        if lot.left:
            voided = lot.grant.voided_at
            expires = lot.grant.expires_at
            is_void = voided is not None and (expires is None or voided < expires)
            reason: Literal["expired", "voided"] = "voided" if is_void else "expired"
            self._forfeits.append(Forfeit(lot.grant.id, at, _credits(lot.left), reason))
            lot.left = 0

    def use(self, at: datetime, amount: int) -> None:
        """Usage takes from the active lots in burn order; what they lack is overage."""
        for lot in self._active:
            if not amount:
                return
            amount -= self._pay(lot, at, amount)
        self._overage += amount

    def _pay(self, lot: _Lot, at: datetime, amount: int) -> int:
        paid = min(lot.left, amount)
        if paid:
            lot.left -= paid
            self._consumed.append((lot.grant.id, at, paid))
        return paid

    def result(self, lots: Sequence[_Lot]) -> BurnDown:
        """What came of it."""
        active = set(map(id, self._active))
        return BurnDown(
            remaining={
                lot.grant.id: _credits(lot.left if id(lot) in active else 0) for lot in lots
            },
            overage=_credits(self._overage),
            consumptions=tuple(
                Consumption(grant_id, at, _credits(paid)) for grant_id, at, paid in self._consumed
            ),
            forfeits=tuple(self._forfeits),
        )


def _nano(amount: Decimal) -> int:
    """Credits as whole nano-credits."""
    if not isinstance(amount, Decimal) or not amount.is_finite():
        raise ValueError(f"{amount!r} is no finite Decimal")
    if amount < 0:
        raise ValueError(f"{amount} is negative; credits go back by a grant, not by usage")
    shifted = amount.scaleb(_NANO, _EXACT)
    if shifted != shifted.to_integral_value():
        raise ValueError(f"{amount} has more than {_NANO} decimals")
    return int(shifted)


def _credits(nano: int) -> Decimal:
    """Whole nano-credits as credits."""
    return Decimal(nano).scaleb(-_NANO, _EXACT)


def _aware(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
