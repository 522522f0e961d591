"""Invoices: issuers, billing profiles, tax rates, what was issued. All are append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EXACT = sa.Numeric(24, 12).with_variant(sa.String(26), "sqlite")
_UTC = sa.DateTime(timezone=True)
_TABLES = (
    "issuer",
    "billing_profile",
    "tax_rate",
    "invoice",
    "invoice_line",
    "invoice_document",
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "issuer",
        sa.Column("issuer_row_id", _ID, autoincrement=True, nullable=False),
        sa.Column("issuer_id", sa.String(32), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        *_recorded(),
        sa.PrimaryKeyConstraint("issuer_row_id", name="pk_issuer"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_issuer_issuer_id", "issuer", ["issuer_id"])
    op.create_table(
        "billing_profile",
        sa.Column("profile_id", _ID, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("issuer_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("street", sa.String(300), nullable=False),
        sa.Column("postcode", sa.String(20), nullable=False),
        sa.Column("city", sa.String(100), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("tax_id", sa.String(32)),
        sa.Column("tax_treatment", sa.String(16), nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("buyer_reference", sa.String(100)),
        *_recorded(),
        sa.PrimaryKeyConstraint("profile_id", name="pk_billing_profile"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_billing_profile_account_id"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_billing_profile_account_id", "billing_profile", ["account_id"])
    op.create_table(
        "tax_rate",
        sa.Column("tax_rate_id", _ID, autoincrement=True, nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("percent", _EXACT, nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        *_recorded(),
        sa.PrimaryKeyConstraint("tax_rate_id", name="pk_tax_rate"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "invoice",
        sa.Column("invoice_id", _ID, autoincrement=True, nullable=False),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("issuer_id", sa.String(32), nullable=False),
        sa.Column("series", sa.String(16), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(64), nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("issue_date", sa.Date(), nullable=False),
        sa.Column("corrects", sa.String(64)),
        *_amounts("net", "tax", "gross", "paid", "rounding", "due"),
        sa.Column("raw_load_id", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        *_recorded(),
        sa.PrimaryKeyConstraint("invoice_id", name="pk_invoice"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_invoice_account_id"),
        sa.UniqueConstraint("reference", name="uq_invoice_reference"),
        sa.UniqueConstraint("number", name="uq_invoice_number"),
        sa.UniqueConstraint("issuer_id", "series", "year", "sequence", name="uq_invoice_issuer_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_invoice_account_id", "invoice", ["account_id"])
    op.create_table(
        "invoice_line",
        sa.Column("invoice_line_id", _ID, autoincrement=True, nullable=False),
        sa.Column("invoice_id", _ID, nullable=False),
        sa.Column("line_number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("is_correction", sa.Boolean(), nullable=False),
        sa.Column("credits", _EXACT, nullable=False),
        sa.Column("unit_price", _EXACT),
        *_amounts("net", "gross", "paid"),
        sa.Column("tax_category", sa.String(2), nullable=False),
        sa.Column("tax_percent", _EXACT, nullable=False),
        sa.PrimaryKeyConstraint("invoice_line_id", name="pk_invoice_line"),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoice.invoice_id"], name="fk_invoice_line_invoice_id"
        ),
        sa.UniqueConstraint("invoice_id", "line_number", name="uq_invoice_line_invoice_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "invoice_document",
        sa.Column("invoice_id", _ID, nullable=False),
        sa.Column("pdf", sa.LargeBinary(), nullable=False),
        sa.Column("pdf_hash", sa.String(64), nullable=False),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("invoice_id", name="pk_invoice_document"),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoice.invoice_id"], name="fk_invoice_document_invoice_id"
        ),
    )
    for table in _TABLES:
        _forbid_changes(table)


def downgrade() -> None:
    """Drop the tables: only for a store without any invoice."""
    for table in reversed(_TABLES):
        op.drop_table(table)


def _recorded() -> list[sa.Column[object]]:
    return [
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
    ]


def _amounts(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(f"{name}_minor", sa.BigInteger(), nullable=False) for name in names]


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
