"""Stripe Checkout: sessions, refunds and signed webhooks.

The customer pays on Stripe's page, so no card ever touches this server. A session names its
purchase in its metadata; what a webhook says about a session is asked anew, since events come
late and out of order.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import stripe

from billing.currencies import MINOR_DIGITS
from billing.gateways.protocol import (
    TOLERANCE_SECONDS,
    ForgedWebhook,
    GatewayError,
    Notice,
    Order,
    Reversal,
    Session,
    UnknownSession,
)
from warehouse.errors import MeterhouseError

PURCHASE = "meterhouse_purchase"
"""Name of the metadata that marks what is Meterhouse's."""

SESSION_EVENTS = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    }
)
REFUND_EVENTS = frozenset({"refund.created", "refund.updated"})
CHARGEBACK_EVENTS = frozenset({"charge.dispute.funds_withdrawn"})
"""Not when a dispute is opened: an inquiry takes no money."""

_DIGITS = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Digits of Stripe's smallest unit where they are not those of ISO 4217."""

Answer = TypeVar("Answer")


def to_stripe(amount_minor: int, currency: str) -> int:
    """Minor units of ISO 4217 as Stripe counts them.

    Raises MeterhouseError for an amount that Stripe cannot take.
    """
    more, fewer = _factors(currency)
    amount, rest = divmod(amount_minor * more, fewer)
    if rest or (MINOR_DIGITS[currency] == 3 and amount % 10):
        raise MeterhouseError(f"Stripe takes {currency} in larger steps than {amount_minor}")
    return amount


def from_stripe(amount: int, currency: str) -> int:
    """An amount of Stripe's in minor units of ISO 4217; a part of one is left out."""
    more, fewer = _factors(currency)
    return amount * fewer // more


class StripeGateway:
    """Stripe's API with a secret key; ``api_base`` is another address in tests."""

    name = "stripe"
    signature_header = "Stripe-Signature"

    def __init__(self, *, secret_key: str, webhook_secret: str, api_base: str) -> None:
        stripe.enable_telemetry = False
        self._webhook_secret = webhook_secret
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=2,
            http_client=stripe.RequestsClient(timeout=20),
        )

    def create_session(self, order: Order) -> Session:
        """Open a Checkout Session; the purchase's id is the idempotency key."""
        metadata = {PURCHASE: order.purchase_id}
        params: dict[str, Any] = {
            "mode": "payment",
            "client_reference_id": order.purchase_id,
            "metadata": metadata,
            "payment_intent_data": {"metadata": metadata},
            "success_url": order.return_url,
            "cancel_url": order.return_url,
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": order.currency.lower(),
                        "unit_amount": to_stripe(order.amount_minor, order.currency),
                        "product_data": {"name": order.description},
                    },
                }
            ],
        }
        if order.email:
            params["customer_email"] = order.email
        options: Any = {"idempotency_key": order.purchase_id}
        sessions = self._client.v1.checkout.sessions
        return _session(_asked(lambda: sessions.create(params=params, options=options)))  # type: ignore[arg-type]

    def retrieve_session(self, session_id: str) -> Session:
        """The session as Stripe has it."""
        return _session(_asked(lambda: self._client.v1.checkout.sessions.retrieve(session_id)))

    def expire_session(self, session_id: str) -> Session:
        """Expire an open session; one that was completed meanwhile comes back as it is."""
        try:
            return _session(_asked(lambda: self._client.v1.checkout.sessions.expire(session_id)))
        except GatewayError:
            return self.retrieve_session(session_id)

    def refund(
        self, session_id: str, amount_minor: int, currency: str, key: str, reason: str
    ) -> Reversal:
        """Refund a part of the session's payment."""
        found = _asked(lambda: self._client.v1.checkout.sessions.retrieve(session_id))
        session = _plain(found)
        params: Any = {
            "payment_intent": session["payment_intent"],
            "amount": to_stripe(amount_minor, currency),
            "metadata": {**(session.get("metadata") or {}), "reason": reason[:500]},
        }
        options: Any = {"idempotency_key": key}
        made = _asked(lambda: self._client.v1.refunds.create(params=params, options=options))
        reversal = self._reversal("refunded", _plain(made))
        if reversal is None:
            raise GatewayError("Stripe did not make the refund; look it up in Stripe's dashboard")
        return reversal

    def reversals_since(self, moment: datetime) -> list[Reversal]:
        """From Stripe's list of events, which reaches 30 days back."""
        params: Any = {
            "types": sorted(REFUND_EVENTS | CHARGEBACK_EVENTS),
            "created": {"gte": int(moment.timestamp())},
            "limit": 100,
        }
        listed = _asked(lambda: self._client.v1.events.list(params=params))
        found = []
        for event in _asked(lambda: list(listed.auto_paging_iter())):
            notice = self._notice(_plain(event))
            if notice.reversal:
                found.append(notice.reversal)
        return found

    def read_notice(self, body: bytes, signature: str | None, now: datetime) -> Notice:
        """Verify with the webhook's secret, then read."""
        try:
            stripe.WebhookSignature.verify_header(
                body, signature, self._webhook_secret, TOLERANCE_SECONDS
            )
            event = json.loads(body)
        except (stripe.SignatureVerificationError, ValueError) as error:
            raise ForgedWebhook(str(error).partition("\n")[0][:300]) from error
        if not isinstance(event, dict) or not isinstance(event.get("id"), str):
            raise ForgedWebhook("the body is no event")
        return self._notice(event)

    def _notice(self, event: dict[str, Any]) -> Notice:
        kind = str(event.get("type"))
        about = (event.get("data") or {}).get("object") or {}
        if kind in SESSION_EVENTS and PURCHASE in (about.get("metadata") or {}):
            return Notice(event["id"], kind, session_id=str(about["id"]))
        if kind in REFUND_EVENTS:
            return Notice(event["id"], kind, reversal=self._reversal("refunded", about))
        if kind in CHARGEBACK_EVENTS:
            return Notice(event["id"], kind, reversal=self._reversal("charged_back", about))
        return Notice(event["id"], kind)

    def _reversal(self, kind: Any, about: dict[str, Any]) -> Reversal | None:
        """A refund or dispute; None when no money moved or the payment is none of ours."""
        if kind == "refunded" and about.get("status") not in ("succeeded", "pending"):
            return None
        intent = about.get("payment_intent")
        if not intent:
            return None
        params: Any = {"payment_intent": intent, "limit": 1}
        listed = _asked(lambda: self._client.v1.checkout.sessions.list(params=params))
        sessions = _plain(listed)["data"]
        purchase = (sessions[0].get("metadata") or {}).get(PURCHASE) if sessions else None
        if not purchase:
            return None
        currency = str(about["currency"]).upper()
        return Reversal(
            kind=kind,
            reversal_id=str(about["id"]),
            purchase_id=str(purchase),
            amount_minor=from_stripe(int(about["amount"]), currency),
            currency=currency,
            occurred_at=datetime.fromtimestamp(int(about["created"]), UTC),
            detail=str((about.get("metadata") or {}).get("reason") or about.get("reason") or ""),
        )


def _factors(currency: str) -> tuple[int, int]:
    """By what to multiply and by what to divide to come from ISO 4217 to Stripe."""
    shift = _DIGITS.get(currency, MINOR_DIGITS[currency]) - MINOR_DIGITS[currency]
    return int(10 ** max(shift, 0)), int(10 ** max(-shift, 0))


def _session(found: Any) -> Session:
    values = _plain(found)
    currency = str(values.get("currency") or "").upper()
    total = values.get("amount_total")
    return Session(
        session_id=str(values["id"]),
        purchase_id=(values.get("metadata") or {}).get(PURCHASE),
        is_paid=values.get("payment_status") == "paid",
        is_over=values.get("status") == "expired",
        amount_minor=from_stripe(int(total), currency) if total and currency else 0,
        currency=currency,
        url=values.get("url"),
    )


def _plain(found: Any) -> dict[str, Any]:
    """Stripe's object as a dictionary."""
    return dict(found.to_dict()) if hasattr(found, "to_dict") else dict(found)


def _asked(question: Callable[[], Answer]) -> Answer:
    """The answer of Stripe's API, its errors as ours. A key never stands in them."""
    try:
        return question()
    except stripe.InvalidRequestError as error:
        if error.http_status == 404:
            raise UnknownSession(f"Stripe does not know it: {error.user_message}") from error
        raise GatewayError(f"Stripe refuses: {error.user_message}") from error
    except stripe.AuthenticationError as error:
        raise GatewayError("Stripe refuses METERHOUSE_STRIPE_SECRET_KEY") from error
    except stripe.StripeError as error:
        raise GatewayError(f"Stripe does not answer: {error.user_message or error}") from error
