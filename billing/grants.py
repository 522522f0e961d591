"""Grants in the operational store: giving lots of credits, ending them, listing them.

Lots are append-only. Ending one is a row of its own that can exist once, so a void and a refund
that run at the same time cannot both happen. Giving one has a ``reference`` that can exist once,
so asking again gives nothing again.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billing import validation
from billing.burn_down import KINDS, Kind
from billing.lots import (
    Ending,
    Lot,
    LotState,
    Refund,
    UsageSums,
    refund_of_credits,
    require_open,
    require_voidable,
    spent_of,
)
from billing.once import insert_once
from billing.schema import account, credit_grant, credit_void
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

DEFAULT_PRIORITY = 50
"""Of 0 (burns first) to 100."""

_RESERVED = ("purchase:", "remainder:", "manual:", "invoice:")
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Granted:
    """A lot, whether this call made it, and what should be known about it (None for nothing)."""

    lot: Lot
    is_new: bool
    remark: str | None = None


@dataclass(frozen=True)
class Refunded:
    """An ended lot, what was paid back, and the lot that goes on, if any."""

    lot: Lot
    refund: Refund
    remainder: Lot | None


def grant(
    store: Store,
    account_id: str,
    credits: str | Decimal,
    *,
    reason: str,
    kind: str = "promotional",
    priority: int = DEFAULT_PRIORITY,
    effective_at: datetime | None = None,
    expires_at: datetime | None = None,
    paid_minor: int | None = None,
    currency: str | None = None,
    reference: str | None = None,
    actor: str | None = None,
    now: datetime | None = None,
) -> Granted:
    """Give an account a lot of credits from ``effective_at`` (now by default) on.

    ``paid_minor`` is cash paid for it in minor units of ``currency``. With a ``reference`` the
    same grant can be asked for again and exists once. A lot may begin in the past: it then pays
    usage that was overage since, which the remark says.

    Raises MeterhouseError for an unknown account; an amount that is not above 0 or has more than
    nine decimals; a priority out of 0 to 100; an expiry that is not after the effect; cash on
    credits that are not purchased; and a reference that names another grant.
    """
    at = now or datetime.now(UTC)
    begins = effective_at or at
    values = {
        "reference": _reference(reference),
        "account_id": account_id,
        "kind": _kind(kind),
        "credits": validation.credits(credits),
        "priority": _priority(priority),
        "effective_at": _moment("effect", begins),
        "expires_at": _moment("expiry", expires_at) if expires_at else None,
        "purchase_id": None,
        **_cash(kind, paid_minor, currency),
        "reason": validation.line("reason", reason, 500),
        "recorded_at": at,
        "recorded_by": actor or current_user(),
    }
    if expires_at and expires_at <= begins:
        raise MeterhouseError(
            f"a lot must expire after it begins: {_shown(expires_at)} is not after {_shown(begins)}"
        )
    with store.writing() as connection:
        require_account(connection, account_id)
        lot, is_new = _once(connection, values, asked_effect=effective_at is not None)
    return Granted(lot, is_new, _remark(lot, at))


def adjust(
    store: Store,
    account_id: str,
    credits: str | Decimal,
    *,
    reason: str,
    effective_at: datetime | None = None,
    expires_at: datetime | None = None,
    reference: str | None = None,
    actor: str | None = None,
    now: datetime | None = None,
) -> Granted:
    """Put right what went wrong by a lot of kind ``adjustment``, with author and reason.

    Raises MeterhouseError as :func:`grant` does, and for a negative amount: credits are taken
    back by voiding a lot, so that it stays known which were.
    """
    amount = validation.exact_decimal(credits, "an amount of credits", decimals=9)
    if amount < 0:
        raise MeterhouseError(
            "an adjustment adds credits; to take some back, end a lot with "
            f"`meterhouse credits void` (`meterhouse credits lots {account_id}` shows them)"
        )
    return grant(
        store,
        account_id,
        amount,
        reason=reason,
        kind="adjustment",
        effective_at=effective_at,
        expires_at=expires_at,
        reference=reference,
        actor=actor,
        now=now,
    )


def void(
    store: Store,
    usage: UsageSums,
    grant_id: int,
    *,
    reason: str,
    actor: str | None = None,
    now: datetime | None = None,
) -> tuple[Lot, LotState]:
    """End a lot now; what is unspent is forfeited. Returns it as ended, and its state before.

    What was spent stays spent. Raises MeterhouseError for an unknown lot and for one that is
    spent, expired or ended already.
    """
    at = now or datetime.now(UTC)
    why = validation.line("reason", reason, 500)
    lot = get_lot(store, grant_id)
    state = state_of(store, usage, lot, at)
    require_voidable(lot, state)
    ending = Ending("void", at, None, None, None, why, actor or current_user())
    with store.writing() as connection:
        ended = end_lot(connection, lot, ending, at, "voided")
    return ended, state


def refund(
    store: Store,
    usage: UsageSums,
    grant_id: int,
    credits: Decimal | None = None,
    *,
    reason: str,
    actor: str | None = None,
    now: datetime | None = None,
) -> Refunded:
    """Record that the cash of a lot's unspent part, or of ``credits`` of it, was paid back.

    Moves no money: for what a gateway was paid, see ``billing.reversals``. Raises MeterhouseError
    for an unknown or ended lot, one without cash, and more credits than are unspent.
    """
    at = now or datetime.now(UTC)
    why = validation.line("reason", reason, 500)
    lot = get_lot(store, grant_id)
    planned = refund_of_credits(lot, state_of(store, usage, lot, at).unspent, credits)
    with store.writing() as connection:
        return post_refund(connection, lot, planned, why, actor or current_user(), at)


def state_of(store: Store, usage: UsageSums, lot: Lot, at: datetime) -> LotState:
    """What became of a lot before ``at``."""
    lots = list_lots(store, lot.account_id)
    return spent_of(lots, usage, lot.account_id, at)[lot.grant_id]


def list_lots(store: Store, account_id: str) -> list[Lot]:
    """All lots of an account in the order in which they were recorded."""
    with store.reading() as connection:
        return read_lots(connection, credit_grant.c.account_id == account_id)


def get_lot(store: Store, grant_id: int) -> Lot:
    """One lot. Raises MeterhouseError when there is none with this id."""
    with store.reading() as connection:
        found = read_lots(connection, credit_grant.c.grant_id == grant_id)
    if not found:
        raise MeterhouseError(
            f"there is no lot {grant_id}; `meterhouse credits lots ACCOUNT` shows an account's"
        )
    return found[0]


def read_lots(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[Lot]:
    """Lots with their endings, in the order in which they were recorded."""
    query = (
        sa.select(credit_grant, *(column.label(f"void_{column.name}") for column in credit_void.c))
        .outerjoin(credit_void, credit_void.c.grant_id == credit_grant.c.grant_id)
        .where(where)
        .order_by(credit_grant.c.grant_id)
    )
    return [_lot(row) for row in connection.execute(query)]


def require_account(connection: sa.Connection, account_id: str) -> None:
    """Raises MeterhouseError when nobody declared the account."""
    if not connection.scalar(sa.select(account.c.id).where(account.c.id == account_id)):
        raise MeterhouseError(
            f"there is no account {account_id}; `meterhouse accounts list` shows all"
        )


def end_lot(connection: sa.Connection, lot: Lot, ending: Ending, at: datetime, what: str) -> Lot:
    """Record a lot's end in a writing transaction; returns the lot as it is then.

    Raises MeterhouseError when someone else ended it a moment before; ``what`` is what was
    meant to be done to it.
    """
    row = insert_once(
        connection,
        credit_void,
        {
            "grant_id": lot.grant_id,
            "cause": ending.cause,
            "voided_at": ending.voided_at,
            "refunded_minor": ending.refunded_minor,
            "receivable_minor": ending.receivable_minor,
            "currency": ending.currency,
            "reason": ending.reason,
            "recorded_at": at,
            "recorded_by": ending.recorded_by,
        },
        "grant_id",
    )
    (stored,) = read_lots(connection, credit_grant.c.grant_id == lot.grant_id)
    if row is None:
        require_open(stored, what)
    return stored


def post_refund(
    connection: sa.Connection,
    lot: Lot,
    planned: Refund,
    reason: str,
    who: str,
    at: datetime,
    *,
    paid_back: int | None = None,
) -> Refunded:
    """Record a planned refund in a writing transaction: the lot's end and what goes on.

    ``paid_back`` is the money that went back where it is more than the plan's. The cash of the
    lot that goes on leaves this one too, so that all lots' cash together is what was kept.
    """
    money = planned.refunded_minor if paid_back is None else paid_back
    left = money + planned.remainder_minor
    ending = Ending("refund", at, left, None, lot.currency, reason, who)
    ended = end_lot(connection, lot, ending, at, "refunded")
    remainder = None
    if planned.remainder_credits:
        remainder, _ = insert_lot(
            connection,
            {
                "reference": f"remainder:{lot.grant_id}",
                "account_id": lot.account_id,
                "kind": lot.kind,
                "credits": planned.remainder_credits,
                "priority": lot.priority,
                "effective_at": max(at, lot.effective_at),
                "expires_at": lot.expires_at,
                "purchase_id": lot.purchase_id,
                "paid_minor": planned.remainder_minor,
                "currency": lot.currency,
                "reason": f"what is left of lot {lot.grant_id} after a refund",
                "recorded_at": at,
                "recorded_by": who,
            },
        )
    return Refunded(ended, planned, remainder)


def insert_lot(connection: sa.Connection, values: Mapping[str, Any]) -> tuple[Lot, bool]:
    """Insert a lot unless its reference is there; returns it and whether it is new."""
    row = insert_once(connection, credit_grant, values, "reference")
    where = credit_grant.c.reference == values["reference"]
    (lot,) = read_lots(connection, where)
    return lot, row is not None


def _once(
    connection: sa.Connection, values: Mapping[str, Any], *, asked_effect: bool
) -> tuple[Lot, bool]:
    """Insert a lot; the same reference must mean the same lot."""
    lot, is_new = insert_lot(connection, values)
    if is_new:
        return lot, True
    compared = ["account_id", "kind", "credits", "priority", "expires_at", "paid_minor", "currency"]
    if asked_effect:
        compared.append("effective_at")
    for name in compared:
        if getattr(lot, name) != values[name]:
            raise MeterhouseError(
                f"the reference {lot.reference} is taken by the lot {lot.grant_id}, whose {name} "
                f"is {_plain(getattr(lot, name))} and not {_plain(values[name])}"
            )
    return lot, False


def _plain(value: Any) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def _lot(row: sa.Row[Any]) -> Lot:
    ending = None
    if row.void_void_id is not None:
        ending = Ending(
            cause=row.void_cause,
            voided_at=row.void_voided_at,
            refunded_minor=row.void_refunded_minor,
            receivable_minor=row.void_receivable_minor,
            currency=row.void_currency,
            reason=row.void_reason,
            recorded_by=row.void_recorded_by,
        )
    return Lot(
        grant_id=row.grant_id,
        reference=row.reference,
        account_id=row.account_id,
        kind=row.kind,
        credits=row.credits,
        priority=row.priority,
        effective_at=row.effective_at,
        expires_at=row.expires_at,
        purchase_id=row.purchase_id,
        paid_minor=row.paid_minor,
        currency=row.currency,
        reason=row.reason,
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
        ending=ending,
    )


def _reference(text: str | None) -> str:
    if text is None:
        return f"manual:{uuid.uuid4()}"
    found = validation.line("reference", text, 200)
    if found.startswith(_RESERVED):
        raise MeterhouseError(
            f"the reference {found!a} cannot be used: those that begin with "
            f"{', '.join(_RESERVED)} are Meterhouse's own"
        )
    return found


def _kind(text: str) -> Kind:
    for kind in KINDS:
        if text == kind:
            return kind
    raise MeterhouseError(f"{text!a} is no kind of lot; choose one of {', '.join(KINDS)}")


def _priority(number: int) -> int:
    if not 0 <= number <= 100:
        raise MeterhouseError(f"a priority is 0 (burns first) to 100, not {number}")
    return number


def _moment(what: str, moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise MeterhouseError(f"the {what} {moment} has no time zone")
    if not _EARLIEST <= moment < _LATEST:
        raise MeterhouseError(f"the {what} {moment:%Y-%m-%d} is out of range; use 1970 to 2199")
    return moment.astimezone(UTC)


def _cash(kind: str, paid_minor: int | None, currency: str | None) -> dict[str, Any]:
    if paid_minor is None:
        return {"paid_minor": None, "currency": None}
    if kind != "purchased":
        raise MeterhouseError(f"credits of kind {kind} are not paid for; use the kind purchased")
    if paid_minor < 0 or currency is None:
        raise MeterhouseError("cash paid for credits is 0 or more, and has a currency")
    return {"paid_minor": paid_minor, "currency": validation.currency(currency)}


def _remark(lot: Lot, now: datetime) -> str | None:
    if lot.effective_at < now and lot.recorded_at > lot.effective_at:
        return (
            f"back-dated to {_shown(lot.effective_at)}: it also pays usage since then, and the "
            "ledger changes as if it had been there from the start"
        )
    return None


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
