"""Accounts with dated terms, and the rate card. Terms and rates are append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EXACT = sa.Numeric(24, 12).with_variant(sa.String(26), "sqlite")
_UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create account, account_term and rate."""
    op.create_table(
        "account",
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("created_at", _UTC, nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
    )
    op.create_table(
        "account_term",
        sa.Column("term_id", _ID, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("email", sa.String(254)),
        sa.Column("plan", sa.String(32), nullable=False),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("term_id", name="pk_account_term"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_account_term_account_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_account_term_account_id", "account_term", ["account_id"])
    op.create_table(
        "rate",
        sa.Column("rate_id", _ID, autoincrement=True, nullable=False),
        sa.Column("category", sa.String(32), nullable=False),
        sa.Column("model", sa.String(200)),
        sa.Column("unit", sa.String(32), nullable=False),
        sa.Column("credits_per_unit", _EXACT, nullable=False),
        sa.Column("effective_from", _UTC, nullable=False),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("rate_id", name="pk_rate"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_rate_category", "rate", ["category"])
    _forbid_changes("account_term")
    _forbid_changes("rate")


def downgrade() -> None:
    """Drop everything: only for a store that was never used."""
    for table in ("rate", "account_term", "account"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("drop function refuse_change_of_append_only()")


def _forbid_changes(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for action in ("update", "delete"):
            op.execute(
                f"create trigger {table}_no_{action} before {action} on {table} "
                f"begin select raise(abort, '{table} is append-only'); end"
            )
        return
    op.execute(
        "create or replace function refuse_change_of_append_only() returns trigger language plpgsql"
        " as $$ begin raise exception '% is append-only', tg_table_name; end $$"
    )
    op.execute(
        f"create trigger {table}_append_only before update or delete or truncate on {table}"
        " for each statement execute function refuse_change_of_append_only()"
    )
