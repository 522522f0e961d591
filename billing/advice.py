"""Decisions on advice: accepting one starts a measurement, withdrawing it ends it.

Advice itself is made in the marts, every day anew. What was advised and what it is measured by is
therefore kept with the decision.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import sqlalchemy as sa

from billing.schema import account, advice_decision
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError


@dataclass(frozen=True)
class Advised:
    """What was advised, and what it is measured by.

    ``baseline_quantity`` is what ``baseline_units`` went with in the days of the advice: credits,
    or calls of repeated requests. Category and model are None for an agent as a whole.
    """

    advice_id: str
    kind: str
    agent_id: str
    category: str | None
    model: str | None
    candidate_model: str | None
    baseline_units: int
    baseline_quantity: Decimal
    saved_credits_month: Decimal


@dataclass(frozen=True)
class Acceptance:
    """An advice that was accepted and not withdrawn."""

    decision_id: int
    account_id: str
    advised: Advised
    accepted_at: datetime
    accepted_by: str


def acceptances(store: Store, account_id: str | None = None) -> list[Acceptance]:
    """What is accepted now, of an account or of all, the newest first."""
    with store.reading() as connection:
        return _acceptances(connection, account_id)


def accept_advice(
    store: Store,
    account_id: str,
    advised: Advised,
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> Acceptance:
    """Accept an advice; one that is accepted already stays as it is.

    Raises MeterhouseError for an account that is not declared.
    """
    with store.writing() as connection:
        if not connection.scalar(sa.select(account.c.id).where(account.c.id == account_id)):
            raise MeterhouseError(f"there is no account {account_id} to accept advice for")
        standing = _standing(connection, account_id, advised.advice_id)
        if standing is not None:
            return standing
        _record(connection, account_id, advised, "accepted", actor, now)
        accepted = _standing(connection, account_id, advised.advice_id)
        assert accepted is not None
        return accepted


def withdraw_advice(
    store: Store,
    account_id: str,
    advice_id: str,
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> Acceptance:
    """End the measurement of an accepted advice, and return what was accepted.

    Raises MeterhouseError where it is not accepted.
    """
    with store.writing() as connection:
        standing = _standing(connection, account_id, advice_id)
        if standing is None:
            raise MeterhouseError(
                f"advice {advice_id} of account {account_id} is not accepted; "
                "`meterhouse advice list` shows what is"
            )
        _record(connection, account_id, standing.advised, "withdrawn", actor, now)
        return standing


def _record(
    connection: sa.Connection,
    account_id: str,
    advised: Advised,
    decision: str,
    actor: str | None,
    now: datetime | None,
) -> None:
    connection.execute(
        sa.insert(advice_decision),
        {
            "account_id": account_id,
            "decision": decision,
            **vars(advised),
            "recorded_at": now or datetime.now(UTC),
            "recorded_by": actor or current_user(),
        },
    )


def _standing(connection: sa.Connection, account_id: str, advice_id: str) -> Acceptance | None:
    return next(
        (
            found
            for found in _acceptances(connection, account_id)
            if found.advised.advice_id == advice_id
        ),
        None,
    )


def _acceptances(connection: sa.Connection, account_id: str | None) -> list[Acceptance]:
    newest = sa.select(sa.func.max(advice_decision.c.decision_id)).group_by(
        advice_decision.c.account_id, advice_decision.c.advice_id
    )
    query = (
        sa.select(advice_decision)
        .where(advice_decision.c.decision_id.in_(newest), advice_decision.c.decision == "accepted")
        .order_by(advice_decision.c.decision_id.desc())
    )
    if account_id is not None:
        query = query.where(advice_decision.c.account_id == account_id)
    return [_acceptance(row) for row in connection.execute(query)]


def _acceptance(row: sa.Row[tuple[object, ...]]) -> Acceptance:
    values = row._mapping
    names = Advised.__dataclass_fields__
    return Acceptance(
        decision_id=values["decision_id"],
        account_id=values["account_id"],
        advised=Advised(**{name: values[name] for name in names}),
        accepted_at=values["recorded_at"],
        accepted_by=values["recorded_by"],
    )
