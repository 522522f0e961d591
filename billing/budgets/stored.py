"""Budgets in the operational store: adding, changing, removing, listing. Nothing is overwritten."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billing.accounts import get_account
from billing.budgets.budget import Budget, make_budget
from billing.schema import budget as table
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

MOST_BUDGETS = 200
"""Budgets that an account may have."""

_STORED = tuple(
    name
    for name in Budget.__dataclass_fields__
    if name not in ("budget_id", "definition", "recorded_at", "recorded_by")
)
_LISTS = ("actual_percents", "projected_percents", "recipients")
CHANGEABLE = tuple(
    name for name in _STORED if name not in ("account_id", "is_removed", "limit_amount")
)
"""Fields that :func:`change_budget` takes, besides ``limit``."""
_CHANGED = (*CHANGEABLE, "limit_amount")


def add_budget(
    store: Store, budget: Budget, *, actor: str | None = None, now: datetime | None = None
) -> Budget:
    """Store a new budget; returns it as stored.

    Raises MeterhouseError for an unknown account, for a name that another budget of it has, and
    where it has too many.
    """
    get_account(store, budget.account_id)
    with store.writing() as connection:
        others = _current(connection, budget.account_id)
        _refuse_same_name(budget, others)
        if len(others) >= MOST_BUDGETS:
            raise MeterhouseError(f"an account has at most {MOST_BUDGETS} budgets; remove one")
        highest = connection.scalar(sa.select(sa.func.max(table.c.budget_id))) or 0
        return _insert(connection, budget, highest + 1, 1, actor, now)


def change_budget(
    store: Store,
    budget_id: int,
    changes: Mapping[str, Any],
    *,
    account_id: str | None = None,
    actor: str | None = None,
    now: datetime | None = None,
) -> Budget:
    """Change fields of a budget from now on, its period included; returns it as it is then.

    ``changes`` has names of :func:`make_budget`. Where scope, unit, limit or period change, the
    budget counts as another: it may alert anew in the period that runs. Raises MeterhouseError for
    a budget that is not there, or not of ``account_id`` where that is given.
    """
    with store.writing() as connection:
        before = _find(connection, budget_id, account_id)
        given = {name: getattr(before, name) for name in CHANGEABLE}
        given |= {"limit": before.limit_amount} | dict(changes)
        if given["rolling_days"] is not None and "projected_percents" not in changes:
            given["projected_percents"] = ()
        wanted = make_budget(before.account_id, **given)
        _refuse_same_name(
            wanted, [b for b in _current(connection, before.account_id) if b.budget_id != budget_id]
        )
        if all(getattr(wanted, name) == getattr(before, name) for name in _CHANGED):
            return before
        grown = before.definition + (wanted.measured != before.measured)
        return _insert(connection, wanted, budget_id, grown, actor, now)


def remove_budget(
    store: Store,
    budget_id: int,
    *,
    account_id: str | None = None,
    actor: str | None = None,
    now: datetime | None = None,
) -> Budget:
    """Remove a budget; its history stays. Raises MeterhouseError as :func:`change_budget`."""
    with store.writing() as connection:
        before = _find(connection, budget_id, account_id)
        removed = replace(before, is_removed=True)
        return _insert(connection, removed, budget_id, before.definition, actor, now)


def get_budget(store: Store, budget_id: int) -> Budget:
    """A budget as it is now. Raises MeterhouseError for one that is not there."""
    with store.reading() as connection:
        return _find(connection, budget_id)


def list_budgets(store: Store, account_id: str | None = None) -> list[Budget]:
    """The budgets as they are now, of one account or of all, in the order they were made."""
    with store.reading() as connection:
        return _current(connection, account_id)


def cost_rules(store: Store, account_id: str) -> list[str]:
    """What the keys of alerts begin with that are, or were, of provider cost in an account."""
    query = (
        sa.select(table.c.budget_id, table.c.definition)
        .where(table.c.account_id == account_id, table.c.unit == "usd")
        .distinct()
    )
    with store.reading() as connection:
        return [
            f"budget:{number}:{definition}:" for number, definition in connection.execute(query)
        ]


def smallest_limit(store: Store, account_id: str, at: datetime) -> Decimal | None:
    """The smallest limit of credits a calendar month that the whole account had at ``at``."""
    with store.reading() as connection:
        found = _current(connection, account_id, at)
    return min(
        (
            each.limit_amount
            for each in found
            if each.scope == "account" and each.unit == "credits" and each.rolling_days is None
        ),
        default=None,
    )


def budget_history(store: Store, budget_id: int) -> list[Budget]:
    """A budget as it was recorded each time, the oldest first, its removal included."""
    query = sa.select(table).where(table.c.budget_id == budget_id).order_by(table.c.budget_row_id)
    with store.reading() as connection:
        return [_budget(row) for row in connection.execute(query)]


def _find(connection: sa.Connection, budget_id: int, account_id: str | None = None) -> Budget:
    query = (
        sa.select(table)
        .where(table.c.budget_id == budget_id)
        .order_by(table.c.budget_row_id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None or row.is_removed or account_id not in (None, row.account_id):
        raise MeterhouseError(
            f"there is no budget {budget_id}; `meterhouse budgets list` shows all"
        )
    return _budget(row)


def _current(
    connection: sa.Connection, account_id: str | None, at: datetime | None = None
) -> list[Budget]:
    newest = sa.select(sa.func.max(table.c.budget_row_id)).group_by(table.c.budget_id)
    if account_id is not None:
        newest = newest.where(table.c.account_id == account_id)
    if at is not None:
        newest = newest.where(table.c.recorded_at < at)
    query = (
        sa.select(table)
        .where(table.c.budget_row_id.in_(newest), table.c.is_removed.is_(False))
        .order_by(table.c.budget_id)
    )
    return [_budget(row) for row in connection.execute(query)]


def _refuse_same_name(budget: Budget, others: list[Budget]) -> None:
    for other in others:
        if other.name == budget.name:
            raise MeterhouseError(
                f"{budget.account_id} has a budget named {budget.name!a} already, number "
                f"{other.budget_id}; change that one or choose another name"
            )


def _insert(
    connection: sa.Connection,
    budget: Budget,
    budget_id: int,
    definition: int,
    actor: str | None,
    now: datetime | None,
) -> Budget:
    values = {name: getattr(budget, name) for name in _STORED}
    row = connection.execute(
        sa.insert(table).returning(table),
        {
            **values,
            **{name: list(values[name]) for name in _LISTS},
            "budget_id": budget_id,
            "definition": definition,
            "recorded_at": now or datetime.now(UTC),
            "recorded_by": actor or current_user(),
        },
    ).one()
    return _budget(row)


def _budget(row: sa.Row[Any]) -> Budget:
    values = {name: getattr(row, name) for name in Budget.__dataclass_fields__}
    return Budget(**values | {name: tuple(values[name]) for name in _LISTS})
