"""Webhooks of the gateways: verified, recorded, acted on once.

A webhook only says where to look; what counts is what the gateway answers when it is asked. The
receipt is written after the effect, so one that was interrupted is not taken for a replay.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from billing.gateways.protocol import ForgedWebhook, Gateway, Notice
from billing.lots import UsageSums
from billing.purchases import fulfil
from billing.reversals import post_reversal
from billing.schema import webhook_receipt
from billing.store import Store

MOST_FORGED_AN_HOUR = 200
"""Forged webhooks that are recorded in an hour: anyone can send them, and the store must not fill
up with them. More are refused all the same."""

LARGEST_BODY = 256 * 1024
"""Bytes that a webhook may have."""


@dataclass(frozen=True)
class Received:
    """What came of a webhook: the HTTP status to answer, and what was recorded.

    ``outcome`` is accepted | replayed | forged | unknown | ignored.
    """

    status: int
    outcome: str
    detail: str


def receive_webhook(
    store: Store,
    gateway: Gateway,
    usage: UsageSums,
    body: bytes,
    signature: str | None,
    *,
    now: datetime | None = None,
) -> Received:
    """Verify a webhook, act on it, and record it.

    Forged ones are answered with 400 and do nothing; replayed ones with 200 and do nothing; one
    about a purchase that is not stored with 404, so that the gateway sends it again. Raises
    GatewayError where the gateway cannot be asked: answer 500, it sends it again too.
    """
    at = now or datetime.now(UTC)
    try:
        if len(body) > LARGEST_BODY:
            raise ForgedWebhook(f"the body has more than {LARGEST_BODY} bytes")
        notice = gateway.read_notice(body, signature, at)
    except ForgedWebhook as error:
        forged = Received(400, "forged", str(error))
        _record(store, gateway.name, None, forged, body, at)
        return forged
    if _is_known(store, gateway.name, notice.event_id):
        received = Received(200, "replayed", f"{notice.kind}, known already")
    else:
        received = _act(store, gateway, usage, notice, at)
    _record(store, gateway.name, notice.event_id, received, body, at)
    return received


def _act(
    store: Store, gateway: Gateway, usage: UsageSums, notice: Notice, at: datetime
) -> Received:
    if notice.session_id:
        session = gateway.retrieve_session(notice.session_id)
        outcome: str = fulfil(store, gateway, session, now=at)
        remark = ""
    elif notice.reversal:
        posted = post_reversal(store, gateway.name, usage, notice.reversal, now=at)
        outcome, remark = posted.outcome, posted.remark
    else:
        return Received(200, "ignored", f"{notice.kind}: not about a purchase")
    detail = f"{notice.kind}: {outcome}" + (f"; {remark}" if remark else "")
    if outcome == "unknown":
        return Received(404, "unknown", f"{notice.kind}: there is no such purchase")
    return Received(200, "accepted", detail)


def _is_known(store: Store, gateway_name: str, event_id: str) -> bool:
    query = sa.select(webhook_receipt.c.receipt_id).where(
        webhook_receipt.c.event_id == event_id,
        webhook_receipt.c.gateway == gateway_name,
        webhook_receipt.c.outcome.in_(["accepted", "ignored"]),
    )
    with store.reading() as connection:
        return connection.execute(query.limit(1)).one_or_none() is not None


def _record(
    store: Store,
    gateway_name: str,
    event_id: str | None,
    received: Received,
    body: bytes,
    at: datetime,
) -> None:
    with store.writing() as connection:
        if received.outcome == "forged":
            count = connection.scalar(
                sa.select(sa.func.count()).where(
                    webhook_receipt.c.outcome == "forged",
                    webhook_receipt.c.received_at > at - timedelta(hours=1),
                )
            )
            if count is not None and count >= MOST_FORGED_AN_HOUR:
                return
        connection.execute(
            sa.insert(webhook_receipt),
            {
                "gateway": gateway_name,
                "event_id": event_id[:200] if event_id else None,
                "outcome": received.outcome,
                "detail": received.detail[:500],
                "body_hash": hashlib.sha256(body).hexdigest(),
                "received_at": at,
            },
        )
