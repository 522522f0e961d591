"""The sweep: asks the gateway for what its webhooks did not say.

A webhook may be lost and a browser closed; the sweep finds every purchase that was left pending,
and refunds and chargebacks of the last days.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billing.gateways.protocol import Gateway, GatewayError, Session, UnknownSession
from billing.lots import UsageSums
from billing.purchases import (
    Outcome,
    Purchase,
    fulfil,
    has_paid_purchases,
    pending_purchases,
    record_expired,
)
from billing.reversals import post_reversal
from billing.store import Store

EXPIRES_AFTER = timedelta(hours=24)
"""Age at which a purchase that nobody paid is closed."""

UNOPENED_AFTER = timedelta(hours=1)
"""Age at which one without a checkout is closed: its customer never had an address to pay at."""

LOOK_BACK = timedelta(days=4)
"""How far back refunds and chargebacks are looked for: a day more than webhooks are retried."""


@dataclass(frozen=True)
class Settled:
    """Numbers of purchases by what became of them, and what did not work, one line each."""

    granted: int
    expired: int
    mismatched: int
    pending: int
    reversals: int
    problems: tuple[str, ...]


def settle_pending(
    store: Store, gateway: Gateway, usage: UsageSums, now: datetime | None = None
) -> Settled:
    """Settle what is pending with ``gateway``; running it again, or twice at once, does no harm.

    What does not work for one purchase is reported and does not stop the others. Purchases made
    with the demo gateway expire once another is in use: nobody can pay them any more.
    """
    at = now or datetime.now(UTC)
    outcomes: list[Outcome] = []
    problems = []
    for bought in pending_purchases(store):
        try:
            outcomes.append(_settle(store, gateway, bought, at))
        except GatewayError as error:
            outcomes.append("pending")
            problems.append(f"purchase {bought.number}: {error}")
    reversals = 0
    if has_paid_purchases(store):
        try:
            for reversal in gateway.reversals_since(at - LOOK_BACK):
                posted = post_reversal(store, gateway.name, usage, reversal, now=at)
                reversals += posted.outcome == "posted"
        except GatewayError as error:
            problems.append(f"refunds and chargebacks: {error}")
    return Settled(
        granted=outcomes.count("granted"),
        expired=outcomes.count("expired"),
        mismatched=outcomes.count("mismatched"),
        pending=outcomes.count("pending"),
        reversals=reversals,
        problems=tuple(problems),
    )


def _settle(store: Store, gateway: Gateway, bought: Purchase, at: datetime) -> Outcome:
    age = at - bought.recorded_at
    if bought.gateway != gateway.name:
        if bought.gateway == "demo" and age > EXPIRES_AFTER:
            return _expired(store, bought, "the demo gateway is not in use any more", at)
        return "pending"
    if bought.session_id is None:
        if age > UNOPENED_AFTER:
            return _expired(store, bought, "no checkout was opened", at)
        return "pending"
    try:
        session = gateway.retrieve_session(bought.session_id)
        if _is_open(session) and age > EXPIRES_AFTER:
            session = gateway.expire_session(bought.session_id)
    except UnknownSession:
        if age > EXPIRES_AFTER:
            return _expired(store, bought, "the gateway does not know its checkout", at)
        raise
    return fulfil(store, gateway, session, now=at)


def _is_open(session: Session) -> bool:
    """Whether it can still be paid; a completed one whose payment is on its way cannot."""
    return session.url is not None and not session.is_paid


def _expired(store: Store, bought: Purchase, detail: str, at: datetime) -> Outcome:
    record_expired(store, bought, detail, now=at)
    return "expired"
