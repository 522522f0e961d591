"""Purchases of credit packages: started, paid, fulfilled, settled.

A purchase is stored before its checkout is opened. What happens to it later are events that can
exist once each; its state follows from them. ``fulfil`` is the one way from a checkout to credits:
the webhook, the return page and the sweep all call it, any number of times.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from billing import validation
from billing.accounts import get_account
from billing.gateways.protocol import Gateway, Order, Session
from billing.grants import DEFAULT_PRIORITY, insert_lot
from billing.once import insert_once
from billing.packages import find_offer
from billing.schema import credit_package, payment_event, purchase
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

Outcome = Literal["granted", "already", "pending", "expired", "mismatched", "unknown"]
"""What ``fulfil`` did: only ``granted`` gave credits."""

State = Literal[
    "started",
    "open",
    "paid",
    "mismatched",
    "expired",
    "partly_refunded",
    "refunded",
    "charged_back",
]


@dataclass(frozen=True)
class PaymentEvent:
    """Something that happened to a purchase, once. Amounts are minor units."""

    kind: str
    session_id: str | None
    amount_minor: int | None
    currency: str | None
    detail: str
    occurred_at: datetime


@dataclass(frozen=True)
class Purchase:
    """A purchase as it was made, with what happened to it since.

    ``number`` stands on the receipt. ``name`` is the package's. Prices are minor units.
    """

    number: int
    purchase_id: str
    account_id: str
    offer_id: int
    name: str
    credits: Decimal
    bonus_credits: Decimal
    currency: str
    price_minor: int
    validity_days: int | None
    bonus_validity_days: int | None
    gateway: str
    recorded_at: datetime
    recorded_by: str
    events: tuple[PaymentEvent, ...]

    @property
    def state(self) -> State:
        """What has become of it."""
        return state_of(self.price_minor, self.events)

    @property
    def paid_at(self) -> datetime | None:
        """When it was paid."""
        return next((event.occurred_at for event in self.events if event.kind == "paid"), None)

    @property
    def refunded_minor(self) -> int:
        """Minor units that were paid back or charged back."""
        return _reversed(self.events)

    @property
    def session_id(self) -> str | None:
        """The checkout that was paid, or else the one opened last."""
        paid = [event.session_id for event in self.events if event.kind == "paid"]
        opened = [event.session_id for event in self.events if event.kind == "opened"]
        return (paid or opened or [None])[-1]


def state_of(price_minor: int, events: Sequence[PaymentEvent]) -> State:
    """The state that follows from what happened, in whatever order it was learnt.

    Money counts more than time: a checkout that was paid is paid, also if it expired before.
    """
    kinds = {event.kind for event in events}
    if "charged_back" in kinds:
        return "charged_back"
    if "refunded" in kinds:
        return "refunded" if _reversed(events) >= price_minor else "partly_refunded"
    if "paid" in kinds:
        return "paid"
    if "mismatched" in kinds:
        return "mismatched"
    if "expired" in kinds:
        return "expired"
    return "open" if "opened" in kinds else "started"


def expiry(begins: datetime, days: int | None, zone: str) -> datetime | None:
    """When credits expire that are valid for ``days`` days after the day on which they begin.

    At midnight in the account's zone after the last of these days; None for never.
    """
    if days is None:
        return None
    local = ZoneInfo(zone)
    last = begins.astimezone(local).date() + timedelta(days=days)
    return datetime.combine(last + timedelta(days=1), time(0), local).astimezone(UTC)


def start_purchase(
    store: Store,
    gateway: Gateway,
    account_id: str,
    offer_id: int,
    request_key: str,
    return_url: str,
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> str:
    """Store a purchase, open its checkout, and return the address where it is paid.

    ``request_key`` is made once for each time the customer is asked: the same key again, from
    another click or process, leads to the same checkout, or to ``return_url`` once it is paid.
    The customer comes back to ``return_url``, which gets ``?purchase=<id>``.

    Raises MeterhouseError for an unknown account, for an offer that is not offered or in another
    currency, for a key that was used for something else, and for a checkout that has expired;
    GatewayError where the gateway does not work: the purchase is stored, and the same key
    tries again.
    """
    at, who = now or datetime.now(UTC), actor or current_user()
    key = validation.line("request key", request_key, 64)
    current = get_account(store, account_id, now=at).current
    with store.writing() as connection:
        row = connection.execute(
            sa.select(purchase).where(purchase.c.request_key == key)
        ).one_or_none()
        if row is None:
            offer = find_offer(connection, offer_id, at)
            if offer.currency != current.currency:
                raise MeterhouseError(
                    f"the account {account_id} pays in {current.currency}, and this package is "
                    f"offered in {offer.currency}"
                )
            row = insert_once(
                connection,
                purchase,
                {
                    "purchase_id": str(uuid.uuid4()),
                    "account_id": account_id,
                    "offer_id": offer_id,
                    "credits": offer.credits,
                    "bonus_credits": offer.bonus_credits,
                    "currency": offer.currency,
                    "price_minor": offer.price_minor,
                    "validity_days": offer.validity_days,
                    "bonus_validity_days": offer.bonus_validity_days,
                    "gateway": gateway.name,
                    "request_key": key,
                    "recorded_at": at,
                    "recorded_by": who,
                },
                "request_key",
            )
            assert row is not None
        if (row.account_id, row.offer_id, row.gateway) != (account_id, offer_id, gateway.name):
            raise MeterhouseError("this request was used for another purchase; choose again")
    bought = get_purchase(store, row.purchase_id)
    assert bought is not None
    back = f"{return_url}{'&' if '?' in return_url else '?'}purchase={bought.purchase_id}"
    if bought.state not in ("started", "open"):
        if bought.state == "expired":
            raise MeterhouseError("this checkout has expired; choose the package again")
        return back
    opened = bought.session_id
    session = gateway.retrieve_session(opened) if opened else None
    if session is None:
        session = gateway.create_session(
            Order(
                purchase_id=bought.purchase_id,
                amount_minor=bought.price_minor,
                currency=bought.currency,
                description=describe(bought),
                return_url=back,
                email=current.email,
            )
        )
        with store.writing() as connection:
            _record(
                connection,
                bought.purchase_id,
                "opened",
                reference=f"opened:{gateway.name}:{session.session_id}",
                session=session,
                detail="",
                occurred_at=at,
                now=at,
                who=who,
            )
    return session.url or back


def describe(bought: Purchase) -> str:
    """What is bought, in one line, for the gateway's page and the receipt."""
    text = f"{bought.name}: {_plain(bought.credits)} credits"
    if bought.bonus_credits:
        text += f" + {_plain(bought.bonus_credits)} bonus"
    return text


def fulfil(
    store: Store, gateway: Gateway, session: Session, *, now: datetime | None = None
) -> Outcome:
    """Give the credits of a purchase whose checkout is paid, once, whoever calls how often.

    ``session`` is what the gateway itself said, never what a browser brought. Credits come only
    for the right amount in the right currency; anything else is recorded as ``mismatched`` and
    gives nothing. A checkout that is over is recorded as ``expired``; one that is completed but
    not paid stays pending. All of it is one transaction.
    """
    bought = get_purchase(store, session.purchase_id) if session.purchase_id else None
    if bought is None or bought.gateway != gateway.name:
        return "unknown"
    if bought.paid_at is not None:
        return "already"
    if not session.is_paid:
        if not session.is_over:
            return "pending"
        if bought.state != "expired":
            record_expired(store, bought, "the checkout was not paid", now=now)
        return "expired"
    at = max(now or datetime.now(UTC), bought.recorded_at)
    who = f"gateway {gateway.name}"
    wrong = _mismatch(bought, session)
    if wrong:
        with store.writing() as connection:
            _record(
                connection,
                bought.purchase_id,
                "mismatched",
                reference=f"mismatched:{gateway.name}:{session.session_id}",
                session=session,
                detail=wrong,
                occurred_at=at,
                now=at,
                who=who,
            )
        return "mismatched"
    zone = get_account(store, bought.account_id, now=at).current.time_zone
    with store.writing() as connection:
        is_new = _record(
            connection,
            bought.purchase_id,
            "paid",
            reference=f"paid:{bought.purchase_id}",
            session=session,
            detail="",
            occurred_at=at,
            now=at,
            who=who,
        )
        if not is_new:
            return "already"
        for values in _lots(bought, at, zone, who):
            insert_lot(connection, values)
    return "granted"


def get_purchase(store: Store, purchase_id: str) -> Purchase | None:
    """A purchase with its events, or None."""
    with store.reading() as connection:
        found = read_purchases(connection, purchase.c.purchase_id == purchase_id)
    return found[0] if found else None


def purchase_history(store: Store, account_id: str) -> list[Purchase]:
    """The purchases of an account, the newest first, with all that a receipt shows."""
    with store.reading() as connection:
        found = read_purchases(connection, purchase.c.account_id == account_id)
    return found[::-1]


def pending_purchases(store: Store) -> list[Purchase]:
    """Purchases of which nobody knows yet whether they are paid, the oldest first."""
    settled = sa.select(payment_event.c.purchase_id).where(
        payment_event.c.kind.in_(["paid", "expired", "mismatched"])
    )
    with store.reading() as connection:
        return read_purchases(connection, purchase.c.purchase_id.not_in(settled))


def has_paid_purchases(store: Store) -> bool:
    """Whether anything was ever paid."""
    query = sa.select(payment_event.c.payment_event_id).where(payment_event.c.kind == "paid")
    with store.reading() as connection:
        return connection.execute(query.limit(1)).one_or_none() is not None


def record_expired(
    store: Store, bought: Purchase, detail: str, *, now: datetime | None = None
) -> None:
    """Note that a purchase will not be paid any more."""
    at = max(now or datetime.now(UTC), bought.recorded_at)
    with store.writing() as connection:
        _record(
            connection,
            bought.purchase_id,
            "expired",
            reference=f"expired:{bought.purchase_id}",
            session=None,
            detail=detail,
            occurred_at=at,
            now=at,
            who=f"gateway {bought.gateway}",
        )


def record_reversal(
    connection: sa.Connection,
    purchase_id: str,
    kind: str,
    *,
    reference: str,
    amount_minor: int,
    currency: str,
    detail: str,
    occurred_at: datetime,
    now: datetime,
    who: str,
) -> bool:
    """Note in a writing transaction that money went back; False if that is known already."""
    row = insert_once(
        connection,
        payment_event,
        {
            "reference": reference,
            "purchase_id": purchase_id,
            "kind": kind,
            "session_id": None,
            "amount_minor": amount_minor,
            "currency": currency,
            "detail": detail[:500],
            "occurred_at": occurred_at,
            "recorded_at": now,
            "recorded_by": who,
        },
        "reference",
    )
    return row is not None


def read_purchases(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[Purchase]:
    """Purchases with their events, in the order in which they were recorded."""
    query = (
        sa.select(purchase, credit_package.c.name)
        .join(credit_package, credit_package.c.offer_id == purchase.c.offer_id)
        .where(where)
        .order_by(purchase.c.purchase_number)
    )
    rows = connection.execute(query).all()
    within = sa.select(purchase.c.purchase_id).where(where)
    events: dict[str, list[PaymentEvent]] = {}
    for event in connection.execute(
        sa.select(payment_event)
        .where(payment_event.c.purchase_id.in_(within))
        .order_by(payment_event.c.payment_event_id)
    ):
        events.setdefault(event.purchase_id, []).append(
            PaymentEvent(
                event.kind,
                event.session_id,
                event.amount_minor,
                event.currency,
                event.detail,
                event.occurred_at,
            )
        )
    return [_purchase(row, events.get(row.purchase_id, ())) for row in rows]


def _mismatch(bought: Purchase, session: Session) -> str | None:
    """What is wrong with a paid session, or None."""
    opened = [event.session_id for event in bought.events if event.kind == "opened"]
    if opened and session.session_id not in opened:
        return f"paid in the checkout {session.session_id}, which was not opened for it"
    paid = (session.amount_minor, session.currency)
    if paid != (bought.price_minor, bought.currency):
        return (
            f"paid {session.amount_minor} {session.currency or '?'} (minor units), "
            f"asked for {bought.price_minor} {bought.currency}; no credits were given"
        )
    return None


def _lots(bought: Purchase, at: datetime, zone: str, who: str) -> Iterable[dict[str, Any]]:
    """The lots that a paid purchase gives."""
    common = {
        "account_id": bought.account_id,
        "priority": DEFAULT_PRIORITY,
        "effective_at": at,
        "purchase_id": bought.purchase_id,
        "recorded_at": at,
        "recorded_by": who,
    }
    yield {
        **common,
        "reference": f"purchase:{bought.purchase_id}:credits",
        "kind": "purchased",
        "credits": bought.credits,
        "expires_at": expiry(at, bought.validity_days, zone),
        "paid_minor": bought.price_minor,
        "currency": bought.currency,
        "reason": f"purchase {bought.number}: {bought.name}",
    }
    if bought.bonus_credits:
        yield {
            **common,
            "reference": f"purchase:{bought.purchase_id}:bonus",
            "kind": "promotional",
            "credits": bought.bonus_credits,
            "expires_at": expiry(at, bought.bonus_validity_days, zone),
            "paid_minor": None,
            "currency": None,
            "reason": f"bonus of purchase {bought.number}: {bought.name}",
        }


def _record(
    connection: sa.Connection,
    purchase_id: str,
    kind: str,
    *,
    reference: str,
    session: Session | None,
    detail: str,
    occurred_at: datetime,
    now: datetime,
    who: str,
) -> bool:
    """Append an event unless it is known; whether it is new."""
    row = insert_once(
        connection,
        payment_event,
        {
            "reference": reference,
            "purchase_id": purchase_id,
            "kind": kind,
            "session_id": session.session_id if session else None,
            "amount_minor": session.amount_minor if session else None,
            "currency": session.currency[:3] or None if session else None,
            "detail": detail[:500],
            "occurred_at": occurred_at,
            "recorded_at": now,
            "recorded_by": who,
        },
        "reference",
    )
    return row is not None


def _purchase(row: sa.Row[Any], events: Iterable[PaymentEvent]) -> Purchase:
    return Purchase(
        number=row.purchase_number,
        purchase_id=row.purchase_id,
        account_id=row.account_id,
        offer_id=row.offer_id,
        name=row.name,
        credits=row.credits,
        bonus_credits=row.bonus_credits,
        currency=row.currency,
        price_minor=row.price_minor,
        validity_days=row.validity_days,
        bonus_validity_days=row.bonus_validity_days,
        gateway=row.gateway,
        recorded_at=row.recorded_at,
        recorded_by=row.recorded_by,
        events=tuple(events),
    )


def _reversed(events: Iterable[PaymentEvent]) -> int:
    return sum(
        event.amount_minor or 0 for event in events if event.kind in ("refunded", "charged_back")
    )


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():,f}"
