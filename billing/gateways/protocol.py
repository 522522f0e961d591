"""What a payment gateway does for Meterhouse, and what it says."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from warehouse.errors import MeterhouseError

TOLERANCE_SECONDS = 300
"""How old the signature of a webhook may be."""


class GatewayError(MeterhouseError):
    """The gateway cannot be reached or refuses; trying again later may help."""


class UnknownSession(GatewayError):
    """The gateway has no such session."""


class ForgedWebhook(MeterhouseError):
    """A webhook whose signature is missing, wrong or too old, or whose body makes no sense."""


@dataclass(frozen=True)
class Order:
    """What is to be paid: minor units of an ISO 4217 currency.

    The customer comes back to ``return_url`` whether they paid or not.
    """

    purchase_id: str
    amount_minor: int
    currency: str
    description: str
    return_url: str
    email: str | None


@dataclass(frozen=True)
class Session:
    """A checkout as the gateway knows it. ``is_paid`` alone says that money has moved.

    ``is_over`` means that it can no longer be paid. ``purchase_id`` is None for a session that
    is not Meterhouse's. ``url`` is where the customer pays, None once that is over.
    """

    session_id: str
    purchase_id: str | None
    is_paid: bool
    is_over: bool
    amount_minor: int
    currency: str
    url: str | None


@dataclass(frozen=True)
class Reversal:
    """Money that went back to the customer: refunded by us, or charged back by their bank.

    ``reversal_id`` is the gateway's. ``purchase_id`` is None when the payment was not for
    Meterhouse.
    """

    kind: Literal["refunded", "charged_back"]
    reversal_id: str
    purchase_id: str | None
    amount_minor: int
    currency: str
    occurred_at: datetime
    detail: str


@dataclass(frozen=True)
class Notice:
    """A webhook whose signature was right: about a session, a reversal, or nothing of ours."""

    event_id: str
    kind: str
    session_id: str | None = None
    reversal: Reversal | None = None


class Gateway(Protocol):
    """A way to pay. All methods but ``read_notice`` raise GatewayError when it does not work."""

    name: str
    signature_header: str

    def create_session(self, order: Order) -> Session:
        """Open a checkout; of one purchase always the same, however often it is asked for."""

    def retrieve_session(self, session_id: str) -> Session:
        """A checkout as it is now. Raises UnknownSession."""

    def expire_session(self, session_id: str) -> Session:
        """Close a checkout that nobody paid; returns it as it is then, paid or not."""

    def refund(
        self, session_id: str, amount_minor: int, currency: str, key: str, reason: str
    ) -> Reversal:
        """Pay money back; with the same ``key`` once."""

    def reversals_since(self, moment: datetime) -> list[Reversal]:
        """Refunds and chargebacks since ``moment``, for those whose webhooks were lost."""

    def read_notice(self, body: bytes, signature: str | None, now: datetime) -> Notice:
        """Verify a webhook and read it. Raises ForgedWebhook."""
