"""The outbox: messages wait in the store until the other side has taken them.

A message is written with the change of state that it tells, in one transaction. Who sends claims
it for a while; a claim whose sender died runs out and somebody else sends. Only a kill between the
other side's acceptance and our record can repeat a message, and it has the same Message-ID then.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from billing.once import insert_once
from billing.schema import alert_transition, outbox_event, outbox_message
from billing.store import Store
from warehouse.errors import MeterhouseError

LEASE = timedelta(minutes=10)
BATCH = 10
"""Messages of one claim; sending them must not take as long as the lease."""

MOST_A_DAY = 200
"""Mails beside alerts that an account can cause in 24 hours: invitations, copies, tests."""

FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=3)

_LOG = logging.getLogger("meterhouse.alerts")


class Refused(Exception):
    """The other side will never take this message; trying again would change nothing."""


@dataclass(frozen=True)
class Message:
    """A message to one recipient by ``mail`` or ``webhook``; ``content`` is text or JSON."""

    reference: str
    account_id: str
    channel: str
    recipient: str
    subject: str
    content: str
    html: str | None = None
    outbox_id: int = 0
    message_id: str = ""
    recorded_at: datetime | None = None


@dataclass(frozen=True)
class Delivered:
    """How many messages were sent, failed for now, and were given up."""

    sent: int
    failed: int
    given_up: int


def put(
    connection: sa.Connection,
    message: Message,
    transition_id: int | None,
    domain: str,
    at: datetime,
) -> bool:
    """Write a message unless its reference is there already; whether it was written."""
    digest = sha256(message.reference.encode()).hexdigest()[:40]
    values = {
        "reference": message.reference,
        "account_id": message.account_id,
        "transition_id": transition_id,
        "channel": message.channel,
        "recipient": message.recipient,
        "message_id": f"<{digest}@{domain}>",
        "subject": message.subject,
        "content": message.content,
        "html": message.html,
        "recorded_at": at,
    }
    return insert_once(connection, outbox_message, values, "reference") is not None


def deliver(
    store: Store,
    send: Callable[[Message], None],
    clock: Callable[[], datetime] | None = None,
    lease: timedelta = LEASE,
) -> Delivered:
    """Send all that is due. ``send`` raises Refused for never, an OSError for not now."""
    now = clock or (lambda: datetime.now(UTC))
    counts = {"sent": 0, "failed": 0, "given_up": 0}
    while claimed := _claim(store, now(), lease):
        lease_ends = now() + lease / 2
        for message, number, attempt in claimed:
            if now() > lease_ends:
                break  # somebody else may soon take them
            kind, detail, until = _try(send, message, attempt, now)
            counts[kind] += 1
            _record(store, message.outbox_id, number + 1, kind, attempt, until, detail, now())
    return Delivered(**counts)


def _try(
    send: Callable[[Message], None],
    message: Message,
    attempt: int,
    now: Callable[[], datetime],
) -> tuple[str, str, datetime | None]:
    try:
        send(message)
    except Refused as error:
        _LOG.error("message %s to %s is refused: %s", message.outbox_id, message.recipient, error)
        return "given_up", str(error)[:500], None
    except OSError as error:
        _LOG.warning("message %s cannot be sent now: %s", message.outbox_id, error)
        wrote = message.recorded_at
        if wrote is not None and now() - wrote > GIVE_UP_AFTER:
            return "given_up", str(error)[:500], None
        return "failed", str(error)[:500], now() + wait_after(attempt)
    return "sent", "", None


def wait_after(attempt: int) -> timedelta:
    """How long to wait after the n-th failure: a minute, doubled each time, at most an hour."""
    return min(FIRST_WAIT * (1 << min(attempt - 1, 10)), LONGEST_WAIT)


def history(
    store: Store,
    account_id: str | None = None,
    limit: int | None = 200,
    *,
    prefix: str = "",
    without: Sequence[str] = (),
) -> list[sa.Row[Any]]:
    """Messages and what became of them, the newest first; those whose references so begin.

    ``without`` are beginnings of rules whose messages are left out.
    """
    newest = _newest()
    query = (
        sa.select(
            outbox_message,
            newest.c.kind,
            newest.c.attempt,
            newest.c.until,
            newest.c.detail,
            newest.c.recorded_at.label("event_at"),
        )
        .outerjoin(newest, newest.c.outbox_id == outbox_message.c.outbox_id)
        .order_by(outbox_message.c.outbox_id.desc())
        .limit(limit)
    )
    if account_id is not None:
        query = query.where(outbox_message.c.account_id == account_id)
    if prefix:
        query = query.where(outbox_message.c.reference.startswith(prefix, autoescape=True))
    for rule in without:
        told = sa.select(alert_transition.c.transition_id).where(
            alert_transition.c.rule_key.startswith(rule, autoescape=True)
        )
        query = query.where(
            sa.or_(
                outbox_message.c.transition_id.is_(None),
                outbox_message.c.transition_id.not_in(told),
            )
        )
    with store.reading() as connection:
        return list(connection.execute(query).all())


@dataclass(frozen=True)
class Waiting:
    """How full the outbox is: messages sent, given up, waiting, and since when the oldest waits."""

    sent: int
    given_up: int
    waiting: int
    oldest_at: datetime | None


def waiting(store: Store) -> Waiting:
    """How full the outbox is now."""
    ended = outbox_event.c.kind.in_(("sent", "given_up"))
    counts = sa.select(
        outbox_event.c.kind, sa.func.count(sa.distinct(outbox_event.c.outbox_id))
    ).group_by(outbox_event.c.kind)
    over = sa.select(outbox_event.c.outbox_id).where(ended)
    left = sa.select(sa.func.count(), sa.func.min(outbox_message.c.recorded_at)).where(
        outbox_message.c.outbox_id.not_in(over)
    )
    with store.reading() as connection:
        kinds: Sequence[Any] = connection.execute(counts.where(ended)).all()
        rest: Any = connection.execute(left).one()
    by_kind = {row[0]: row[1] for row in kinds}
    return Waiting(by_kind.get("sent", 0), by_kind.get("given_up", 0), rest[0], rest[1])


def references(store: Store, prefix: str) -> list[str]:
    """The references of messages, whatever became of them, that begin with ``prefix``."""
    column = outbox_message.c.reference
    query = sa.select(column).where(column.startswith(prefix, autoescape=True))
    with store.reading() as connection:
        return list(connection.execute(query).scalars())


def _newest_number() -> sa.ScalarSelect[Any]:
    other = outbox_event.alias()
    return (
        sa.select(sa.func.max(other.c.number))
        .where(other.c.outbox_id == outbox_event.c.outbox_id)
        .correlate(outbox_event)
        .scalar_subquery()
    )


def _newest() -> sa.Subquery:
    """The newest event of each message."""
    return sa.select(outbox_event).where(outbox_event.c.number == _newest_number()).subquery()


def _claim(store: Store, at: datetime, lease: timedelta) -> list[tuple[Message, int, int]]:
    """Claim the oldest messages that are due: the message, its event's number, the attempt."""
    latest = (
        sa.select(sa.func.max(outbox_event.c.number))
        .where(outbox_event.c.outbox_id == outbox_message.c.outbox_id)
        .scalar_subquery()
    )
    waits = (
        sa.select(sa.literal(1))
        .where(
            outbox_event.c.outbox_id == outbox_message.c.outbox_id,
            outbox_event.c.kind.in_(("sent", "given_up"))
            | ((outbox_event.c.number == _newest_number()) & (outbox_event.c.until > at)),
        )
        .exists()
    )
    tried = (
        sa.select(sa.func.coalesce(sa.func.max(outbox_event.c.attempt), 0))
        .where(outbox_event.c.outbox_id == outbox_message.c.outbox_id)
        .scalar_subquery()
    )
    query = (
        sa.select(outbox_message, latest.label("latest"), tried.label("tried"))
        .where(~waits)
        .order_by(outbox_message.c.outbox_id)
        .limit(BATCH)
    )
    with store.reading() as connection:
        if connection.execute(query.limit(1)).first() is None:
            return []
    with store.writing() as connection:
        rows = connection.execute(query).all()
        found = []
        for row in rows:
            number = (row.latest or 0) + 1
            _insert(connection, row.outbox_id, number, "claimed", row.tried + 1, at + lease, "", at)
            found.append((_message(row), number, row.tried + 1))
    return found


def _message(row: sa.Row[Any]) -> Message:
    return Message(**{name: getattr(row, name) for name in Message.__dataclass_fields__})


def _record(
    store: Store,
    outbox_id: int,
    number: int,
    kind: str,
    attempt: int,
    until: datetime | None,
    detail: str,
    at: datetime,
) -> None:
    try:
        with store.writing() as connection:
            _insert(connection, outbox_id, number, kind, attempt, until, detail, at)
    except sa.exc.IntegrityError:
        _LOG.warning("message %s was claimed by another while it was sent", outbox_id)


def _insert(connection: sa.Connection, *values: Any) -> None:
    names = ("outbox_id", "number", "kind", "attempt", "until", "detail", "recorded_at")
    connection.execute(sa.insert(outbox_event), dict(zip(names, values, strict=True)))


def domain_of(addresses: Sequence[str]) -> str:
    """The domain of the first address, for Message-IDs."""
    return next((a.rpartition("@")[2] for a in addresses if "@" in a), "meterhouse.invalid")


def put_test(store: Store, account_id: str, recipient: str, domain: str) -> None:
    """Write a message that tries whether messages arrive; the next run sends it."""
    at = datetime.now(UTC)
    text = "This is a test message. Alerts of your budgets arrive like this one.\n"
    message = Message(
        f"test|{account_id}|{recipient}|{at.isoformat()}",
        account_id,
        "mail",
        recipient,
        f"Test message of {account_id}",
        text,
    )
    with store.writing() as connection:
        refuse_flood(connection, account_id, at)
        put(connection, message, None, domain, at)


def refuse_flood(connection: sa.Connection, account_id: str, at: datetime) -> None:
    """Raises MeterhouseError where an account caused so many mails that somebody must be playing.

    Asked before a mail is written that a person may send as often as they click.
    """
    sent = connection.scalar(
        sa.select(sa.func.count())
        .select_from(outbox_message)
        .where(
            outbox_message.c.account_id == account_id,
            outbox_message.c.transition_id.is_(None),
            outbox_message.c.recorded_at > at - timedelta(days=1),
        )
    )
    if (sent or 0) >= MOST_A_DAY:
        raise MeterhouseError(
            f"{account_id} had {MOST_A_DAY} mails in the last 24 hours; go on later"
        )
