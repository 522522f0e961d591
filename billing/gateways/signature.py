"""Signatures of webhooks: ``t=<unix seconds>,v1=<HMAC-SHA256 of "t.body">``, as Stripe does it."""

import hashlib
import hmac
from datetime import datetime

from billing.gateways.protocol import TOLERANCE_SECONDS, ForgedWebhook


def sign(body: bytes, secret: str, now: datetime) -> str:
    """The header that goes with ``body``."""
    timestamp = int(now.timestamp())
    return f"t={timestamp},v1={_digest(body, secret, timestamp)}"


def verify(body: bytes, header: str | None, secret: str, now: datetime) -> None:
    """Raises ForgedWebhook unless ``header`` is a signature of ``body`` of the last minutes."""
    timestamp: int | None = None
    signatures = []
    for item in (header or "").split(","):
        name, _, value = item.strip().partition("=")
        if name == "t" and value.isascii() and value.isdigit() and len(value) < 16:
            timestamp = int(value)
        elif name == "v1":
            signatures.append(value)
    if timestamp is None or not signatures:
        raise ForgedWebhook("the signature is missing")
    expected = _digest(body, secret, timestamp).encode()
    if not any(hmac.compare_digest(expected, given.encode()) for given in signatures):
        raise ForgedWebhook("the signature is wrong")
    if abs(now.timestamp() - timestamp) > TOLERANCE_SECONDS:
        raise ForgedWebhook(f"the signature is of another time ({timestamp}): sent again?")


def _digest(body: bytes, secret: str, timestamp: int) -> str:
    return hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()
