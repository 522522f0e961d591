"""Books: payments of what invoices have due, balances of closed months. Both are append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UTC = sa.DateTime(timezone=True)
_TABLES = ("invoice_payment", "book_balance")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "invoice_payment",
        sa.Column("invoice_payment_id", _ID, autoincrement=True, nullable=False),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("invoice_id", _ID, nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("paid_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("invoice_payment_id", name="pk_invoice_payment"),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoice.invoice_id"], name="fk_invoice_payment_invoice_id"
        ),
        sa.UniqueConstraint("reference", name="uq_invoice_payment_reference"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_invoice_payment_invoice_id", "invoice_payment", ["invoice_id"])
    op.create_table(
        "book_balance",
        sa.Column("book_balance_id", _ID, autoincrement=True, nullable=False),
        sa.Column("invoice_id", _ID, nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        *(
            sa.Column(f"{name}_minor", sa.BigInteger(), nullable=False)
            for name in (
                "cash", "suspense", "unbilled", "tax", "deferred", "revenue", "breakage"
            )
        ),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("book_balance_id", name="pk_book_balance"),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoice.invoice_id"], name="fk_book_balance_invoice_id"
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_book_balance_account_id"),
        sa.UniqueConstraint("account_id", "month", "currency", name="uq_book_balance_account_id"),
        sqlite_autoincrement=True,
    )  # fmt: skip
    for table in _TABLES:
        _forbid_changes(table)


def downgrade() -> None:
    """Drop the tables: only for a store without payments and closed months."""
    for table in reversed(_TABLES):
        op.drop_table(table)


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
