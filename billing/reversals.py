"""Money that goes back: refunds and chargebacks, posted to the lots of their purchase.

A refund takes at most the unspent credits, money in proportion. A chargeback voids the rest and
books what was spent as owed. Each is posted once, however often the gateway reports it.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from billing import grants
from billing.gateways.protocol import Gateway, Reversal
from billing.grants import end_lot, get_lot, list_lots, post_refund, read_lots, state_of
from billing.lots import (
    Ending,
    Lot,
    LotState,
    UsageSums,
    owed_after_chargeback,
    refund_of_credits,
    refund_of_money,
    spent_of,
    unspent_value,
)
from billing.purchases import Purchase, get_purchase, record_reversal
from billing.schema import credit_grant
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

_ATTEMPTS = 5


@dataclass(frozen=True)
class Posted:
    """What posting a reversal did: ``posted``, ``already`` or ``unknown``, and a remark."""

    outcome: Literal["posted", "already", "unknown"]
    remark: str = ""


def refund_lot(
    store: Store,
    gateway: Gateway,
    usage: UsageSums,
    grant_id: int,
    credits: Decimal | None = None,
    *,
    reason: str,
    actor: str | None = None,
    now: datetime | None = None,
) -> Lot:
    """Refund the unspent part of a lot, or ``credits`` of it, and pay its money back.

    Where a gateway was paid, it pays back first, with a key that makes that happen once; then the
    lot is ended. If this is interrupted in between, the gateway's webhook or the sweep
    completes it. Cash that came another way is only recorded. Returns the lot as it ended.

    Raises MeterhouseError for an unknown, ended or spent lot, one without cash, more credits than
    are unspent; GatewayError where the gateway does not pay back: then nothing has changed.
    """
    at, who = now or datetime.now(UTC), actor or current_user()
    lot = get_lot(store, grant_id)
    planned = refund_of_credits(lot, state_of(store, usage, lot, at).unspent, credits)
    bought = get_purchase(store, lot.purchase_id) if lot.purchase_id else None
    if bought is None or lot.currency is None:
        return grants.refund(store, usage, grant_id, credits, reason=reason, actor=who, now=at).lot
    if bought.gateway != gateway.name or bought.session_id is None:
        raise MeterhouseError(
            f"the lot {grant_id} was paid through {bought.gateway}, which is not set up here"
        )
    made = gateway.refund(
        bought.session_id,
        planned.refunded_minor,
        lot.currency,
        f"refund:{grant_id}:{planned.refunded_minor}",
        reason,
    )
    posted = replace(made, detail=made.detail or reason)
    post_reversal(store, gateway.name, usage, posted, actor=who, now=at)
    return get_lot(store, grant_id)


def post_reversal(
    store: Store,
    gateway_name: str,
    usage: UsageSums,
    reversal: Reversal,
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> Posted:
    """Post a refund or chargeback to the lots of its purchase, once, in one transaction.

    More money back than the unspent part is worth takes all of it, and what is above that is
    named in the payment's event. The bonus of a purchase ends with the last of what was paid.
    """
    bought = get_purchase(store, reversal.purchase_id) if reversal.purchase_id else None
    if bought is None or bought.gateway != gateway_name:
        return Posted("unknown")
    at = max(now or datetime.now(UTC), bought.recorded_at)
    who = actor or f"gateway {gateway_name}"
    for _ in range(_ATTEMPTS):
        lots = list_lots(store, bought.account_id)
        states = spent_of(lots, usage, bought.account_id, at)
        mine = [lot for lot in lots if lot.purchase_id == bought.purchase_id]
        posted = _post(store, bought, reversal, mine, states, at, who)
        if posted:
            return posted
    raise MeterhouseError(f"the lots of purchase {bought.number} change all the time; try again")


def _post(
    store: Store,
    bought: Purchase,
    reversal: Reversal,
    lots: list[Lot],
    states: dict[int, LotState],
    at: datetime,
    who: str,
) -> Posted | None:
    """Post on these lots; None when they changed meanwhile."""
    with store.writing() as connection:
        if read_lots(connection, credit_grant.c.purchase_id == bought.purchase_id) != lots:
            return None
        paid_lot = next((x for x in lots if x.paid_minor is not None and not x.ending), None)
        amount, remark = _amount(bought, reversal, paid_lot, states)
        is_new = record_reversal(
            connection,
            bought.purchase_id,
            reversal.kind,
            reference=f"{reversal.kind}:{bought.gateway}:{reversal.reversal_id}",
            amount_minor=amount,
            currency=bought.currency,
            detail="; ".join(filter(None, [reversal.detail, remark])),
            occurred_at=reversal.occurred_at,
            now=at,
            who=who,
        )
        if not is_new:
            return Posted("already")
        why = f"{reversal.kind.replace('_', ' ')}: {reversal.detail or reversal.reversal_id}"[:500]
        ends_bonus = reversal.kind == "charged_back"
        if paid_lot is not None:
            unspent = states[paid_lot.grant_id].unspent
            if reversal.kind == "charged_back":
                owed = owed_after_chargeback(paid_lot, unspent, amount)
                ending = Ending("chargeback", at, amount, owed, bought.currency, why, who)
                end_lot(connection, paid_lot, ending, at, "charged back")
            else:
                planned = refund_of_money(paid_lot, unspent, amount)
                post_refund(connection, paid_lot, planned, why, who, at, paid_back=amount)
                ends_bonus = not planned.remainder_credits
        cause = "chargeback" if reversal.kind == "charged_back" else "refund"
        for lot in lots:
            is_bonus = lot.paid_minor is None and not lot.ending
            if ends_bonus and is_bonus and states[lot.grant_id].unspent > 0:
                ending = Ending(cause, at, None, None, None, why, who)
                end_lot(connection, lot, ending, at, "ended")
    return Posted("posted", remark)


def _amount(
    bought: Purchase, reversal: Reversal, lot: Lot | None, states: dict[int, LotState]
) -> tuple[int, str]:
    """Minor units that went back in the purchase's currency, and what should be said of them."""
    left = bought.price_minor - bought.refunded_minor
    if reversal.currency != bought.currency:
        said = f"the bank took {reversal.amount_minor} {reversal.currency} (minor units)"
        return left, f"{said}; taken for the whole payment"
    if reversal.kind == "charged_back":
        return reversal.amount_minor, ""
    value = unspent_value(lot, states[lot.grant_id].unspent) if lot else 0
    beyond = reversal.amount_minor - value
    return reversal.amount_minor, (
        f"{beyond} minor units more than the unspent credits are worth" if beyond > 0 else ""
    )
