"""The alerts that every account has: low balance, runway, spikes, and the weekly report.

They are on with these thresholds until somebody changes them; what was changed is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billing import validation
from billing.accounts import get_account
from billing.budgets.budget import addresses, web_address
from billing.schema import alert_rule as table
from billing.store import Store, current_user
from warehouse.errors import MeterhouseError

DEFAULTS = {
    "low_balance": Decimal(0),
    "runway": Decimal(14),
    "spike": Decimal(1),
    "weekly_report": Decimal(0),
}
"""Kinds and their thresholds: a balance of credits or less; fewer days of runway; an excess of
credits above what was to be expected. The weekly report has none."""


@dataclass(frozen=True)
class AlertRule:
    """How an account wants to be told. Without ``recipients`` its e-mail is."""

    account_id: str
    kind: str
    is_on: bool
    threshold: Decimal
    recipients: tuple[str, ...] = ()
    webhook_url: str | None = None
    tells_end: bool = False
    recorded_at: datetime | None = None
    recorded_by: str = ""


def rules_of(store: Store, account_id: str) -> dict[str, AlertRule]:
    """The rules of an account by kind, defaults included."""
    with store.reading() as connection:
        changed = _current(connection, account_id)
    return {kind: rule_for(changed, account_id, kind) for kind in DEFAULTS}


def all_rules(store: Store) -> dict[tuple[str, str], AlertRule]:
    """What was changed, by account and kind; whoever is not there has the defaults."""
    with store.reading() as connection:
        return _current(connection)


def rule_for(changed: dict[tuple[str, str], AlertRule], account_id: str, kind: str) -> AlertRule:
    """The rule of an account among ``changed`` ones, else the default."""
    return changed.get((account_id, kind)) or _default(account_id, kind)


def change_rule(
    store: Store,
    account_id: str,
    kind: str,
    changes: Mapping[str, Any],
    *,
    actor: str | None = None,
    now: datetime | None = None,
) -> AlertRule:
    """Change how an account is told of one kind; what is left out of ``changes`` stays.

    ``changes`` has names of :class:`AlertRule`; a ``threshold`` may be text, None leaves it.
    Raises MeterhouseError for what cannot be.
    """
    if kind not in DEFAULTS:
        raise MeterhouseError(f"{kind!a} is no kind of alert; choose one of {', '.join(DEFAULTS)}")
    get_account(store, account_id)
    given = {name: value for name, value in changes.items() if value is not None}
    with store.writing() as connection:
        before = _current(connection, account_id).get((account_id, kind)) or _default(
            account_id, kind
        )
        wanted = replace(before, **given)
        wanted = replace(
            wanted,
            threshold=_threshold(wanted.threshold),
            recipients=addresses(wanted.recipients),
            webhook_url=web_address(wanted.webhook_url),
        )
        if kind == "weekly_report" and (wanted.webhook_url or wanted.threshold):
            raise MeterhouseError("the weekly report is a mail; it has no webhook or threshold")
        if wanted == before:
            return before
        values = {name: getattr(wanted, name) for name in AlertRule.__dataclass_fields__} | {
            "recipients": list(wanted.recipients),
            "recorded_at": now or datetime.now(UTC),
            "recorded_by": actor or current_user(),
        }
        return _rule(connection.execute(sa.insert(table).returning(table), values).one())


def _threshold(given: str | Decimal) -> Decimal:
    amount = validation.exact_decimal(given, "a threshold", decimals=9)
    if amount < 0:
        raise MeterhouseError("a threshold cannot be negative; switch the alert off instead")
    return amount


def _current(
    connection: sa.Connection, account_id: str | None = None
) -> dict[tuple[str, str], AlertRule]:
    query = sa.select(table).order_by(table.c.alert_rule_row_id)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    return {(row.account_id, row.kind): _rule(row) for row in connection.execute(query)}


def _default(account_id: str, kind: str) -> AlertRule:
    return AlertRule(account_id, kind, True, DEFAULTS[kind])


def _rule(row: sa.Row[Any]) -> AlertRule:
    return AlertRule(
        row.account_id,
        row.kind,
        row.is_on,
        row.threshold,
        tuple(row.recipients),
        row.webhook_url,
        row.tells_end,
        row.recorded_at,
        row.recorded_by,
    )
