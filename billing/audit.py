"""The audit log: who did what, in which account, from where. Rows are added, never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from billing.access_schema import audit_event
from billing.once import insert_once
from billing.store import Store

OUTCOMES = ("allowed", "refused", "failed")
"""What became of an attempt: let through, turned away, let through and then not possible."""

LONGEST_DETAIL = 200
_LENGTHS = {"actor": 254, "action": 64, "account_id": 128, "origin": 300, "reference": 200}


@dataclass(frozen=True)
class AuditEvent:
    """A row of the log; ``account_id`` is what was asked for and need not exist."""

    audit_id: int
    actor: str
    action: str
    outcome: str
    account_id: str | None
    details: Mapping[str, str]
    origin: str
    recorded_at: datetime


@dataclass(frozen=True)
class AuditFilter:
    """Which rows are wanted; an empty field wants all. Times from ``since``, before ``until``."""

    actor: str = ""
    action: str = ""
    account_id: str = ""
    outcomes: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None


def record(
    store: Store,
    actor: str,
    action: str,
    *,
    outcome: str = "allowed",
    account_id: str | None = None,
    details: Mapping[str, Any] | None = None,
    origin: str = "",
    reference: str | None = None,
    now: datetime | None = None,
) -> bool:
    """Add a row; False where one with this ``reference`` is there already.

    Texts are cut to what fits and freed of what cannot be printed: they come from outside.
    """
    if outcome not in OUTCOMES:
        raise ValueError(f"{outcome!r} is none of {OUTCOMES}")
    values: dict[str, Any] = {
        "actor": actor,
        "action": action,
        "account_id": account_id,
        "origin": origin,
        "reference": reference,
    }
    row = {
        name: None if text is None else _clean(text, _LENGTHS[name])
        for name, text in values.items()
    } | {
        "outcome": outcome,
        "details": {
            name: _clean(str(value), LONGEST_DETAIL)
            for name, value in (details or {}).items()
            if value is not None
        },
        "recorded_at": now or datetime.now(UTC),
    }
    with store.writing() as connection:
        return insert_once(connection, audit_event, row, "reference") is not None


def is_recorded(store: Store, reference: str) -> bool:
    """Whether there is a row with this reference."""
    kept = _clean(reference, _LENGTHS["reference"])
    query = sa.select(audit_event.c.audit_id).where(audit_event.c.reference == kept)
    with store.reading() as connection:
        return connection.scalar(query) is not None


def list_events(
    store: Store, wanted: AuditFilter | None = None, *, limit: int = 100, offset: int = 0
) -> list[AuditEvent]:
    """Rows of the log as filtered, the newest first."""
    query = _filtered(sa.select(audit_event), wanted or AuditFilter())
    query = query.order_by(audit_event.c.audit_id.desc()).limit(limit).offset(offset)
    with store.reading() as connection:
        return [_event(row) for row in connection.execute(query)]


def count_events(store: Store, wanted: AuditFilter | None = None) -> int:
    """How many rows are as filtered."""
    query = _filtered(sa.select(sa.func.count()).select_from(audit_event), wanted or AuditFilter())
    with store.reading() as connection:
        return connection.scalar(query) or 0


def list_actions(store: Store) -> list[str]:
    """Every action that the log knows, by name."""
    query = sa.select(audit_event.c.action).distinct().order_by(audit_event.c.action)
    with store.reading() as connection:
        return list(connection.execute(query).scalars())


def _filtered(query: sa.Select[Any], wanted: AuditFilter) -> sa.Select[Any]:
    column = audit_event.c
    if wanted.actor:
        query = query.where(column.actor == wanted.actor)
    if wanted.action:
        query = query.where(column.action == wanted.action)
    if wanted.account_id:
        query = query.where(column.account_id == wanted.account_id)
    if wanted.outcomes:
        query = query.where(column.outcome.in_(wanted.outcomes))
    if wanted.since is not None:
        query = query.where(column.recorded_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(column.recorded_at < wanted.until)
    return query


def _event(row: sa.Row[Any]) -> AuditEvent:
    return AuditEvent(**{name: getattr(row, name) for name in AuditEvent.__dataclass_fields__})


def _clean(text: str, longest: int) -> str:
    printable = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
    return printable if len(printable) <= longest else f"{printable[: longest - 1]}…"
