"""Budgets and alerts: budgets, rules, changes of state, the outbox. All are append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EXACT = sa.Numeric(24, 12).with_variant(sa.String(26), "sqlite")
_UTC = sa.DateTime(timezone=True)
_TABLES = ("budget", "alert_rule", "alert_transition", "outbox_message", "outbox_event")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "budget",
        sa.Column("budget_row_id", _ID, autoincrement=True, nullable=False),
        sa.Column("budget_id", sa.BigInteger(), nullable=False),
        sa.Column("definition", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("part", sa.String(200)),
        sa.Column("unit", sa.String(16), nullable=False),
        sa.Column("limit_amount", _EXACT, nullable=False),
        sa.Column("rolling_days", sa.Integer()),
        sa.Column("actual_percents", sa.JSON(), nullable=False),
        sa.Column("projected_percents", sa.JSON(), nullable=False),
        *_told(),
        sa.Column("is_enforced", sa.Boolean(), nullable=False),
        sa.Column("is_removed", sa.Boolean(), nullable=False),
        *_recorded(),
        sa.PrimaryKeyConstraint("budget_row_id", name="pk_budget"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_budget_account_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "alert_rule",
        sa.Column("alert_rule_row_id", _ID, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("is_on", sa.Boolean(), nullable=False),
        sa.Column("threshold", _EXACT, nullable=False),
        *_told(),
        *_recorded(),
        sa.PrimaryKeyConstraint("alert_rule_row_id", name="pk_alert_rule"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_alert_rule_account_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "alert_transition",
        sa.Column("transition_id", _ID, autoincrement=True, nullable=False),
        sa.Column("reference", sa.String(400), nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("rule_key", sa.String(300), nullable=False),
        sa.Column("period_key", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("is_told", sa.Boolean(), nullable=False),
        sa.Column("title", sa.String(500), nullable=False),
        sa.Column("amount", sa.String(40)),
        sa.Column("limit_amount", sa.String(40)),
        sa.Column("occurred_at", _UTC, nullable=False),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("transition_id", name="pk_alert_transition"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_alert_transition_account_id"
        ),
        sa.UniqueConstraint("reference", name="uq_alert_transition_reference"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alert_transition_period_key", "alert_transition", ["period_key"])
    op.create_table(
        "outbox_message",
        sa.Column("outbox_id", _ID, autoincrement=True, nullable=False),
        sa.Column("reference", sa.String(800), nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("transition_id", _ID),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("recipient", sa.String(2000), nullable=False),
        sa.Column("message_id", sa.String(200), nullable=False),
        sa.Column("subject", sa.String(500), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("html", sa.Text()),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("outbox_id", name="pk_outbox_message"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_outbox_message_account_id"
        ),
        sa.ForeignKeyConstraint(
            ["transition_id"],
            ["alert_transition.transition_id"],
            name="fk_outbox_message_transition_id",
        ),
        sa.UniqueConstraint("reference", name="uq_outbox_message_reference"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_message_transition_id", "outbox_message", ["transition_id"])
    op.create_table(
        "outbox_event",
        sa.Column("outbox_event_id", _ID, autoincrement=True, nullable=False),
        sa.Column("outbox_id", _ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("until", _UTC),
        sa.Column("detail", sa.String(500), nullable=False),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("outbox_event_id", name="pk_outbox_event"),
        sa.ForeignKeyConstraint(
            ["outbox_id"], ["outbox_message.outbox_id"], name="fk_outbox_event_outbox_id"
        ),
        sa.UniqueConstraint("outbox_id", "number", name="uq_outbox_event_outbox_id"),
        sqlite_autoincrement=True,
    )
    for table in _TABLES[:4]:
        op.create_index(f"ix_{table}_account_id", table, ["account_id"])
    for table in _TABLES:
        _forbid_changes(table)


def downgrade() -> None:
    """Drop the tables: only for a store without any budgets."""
    for table in reversed(_TABLES):
        op.drop_table(table)


def _told() -> list[sa.Column[object]]:
    """Who is told."""
    return [
        sa.Column("recipients", sa.JSON(), nullable=False),
        sa.Column("webhook_url", sa.String(2000)),
        sa.Column("tells_end", sa.Boolean(), nullable=False),
    ]


def _recorded() -> list[sa.Column[object]]:
    return [
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
    ]


def _forbid_changes(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for action in ("update", "delete"):
            op.execute(
                f"create trigger {table}_no_{action} before {action} on {table} "
                f"begin select raise(abort, '{table} is append-only'); end"
            )
        return
    op.execute(
        f"create trigger {table}_append_only before update or delete or truncate on {table}"
        " for each statement execute function refuse_change_of_append_only()"
    )
