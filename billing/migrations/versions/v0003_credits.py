"""Credits: members, packages, purchases and payments, grants and voids. All are append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EXACT = sa.Numeric(24, 12).with_variant(sa.String(26), "sqlite")
_UTC = sa.DateTime(timezone=True)
_TABLES = (
    "member",
    "credit_package",
    "purchase",
    "payment_event",
    "webhook_receipt",
    "credit_grant",
    "credit_void",
)


def upgrade() -> None:
    """Create the tables, and the price of overage in an account's terms."""
    op.add_column("account_term", sa.Column("overage_price", _EXACT))
    op.create_table(
        "member",
        sa.Column("member_id", _ID, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("role", sa.String(16)),
        *_recorded(),
        sa.PrimaryKeyConstraint("member_id", name="pk_member"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_member_account_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_member_account_id", "member", ["account_id"])
    op.create_table(
        "credit_package",
        sa.Column("offer_id", _ID, autoincrement=True, nullable=False),
        sa.Column("package_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        *_offered(),
        sa.Column("is_offered", sa.Boolean(), nullable=False),
        sa.Column("effective_from", _UTC, nullable=False),
        *_recorded(),
        sa.PrimaryKeyConstraint("offer_id", name="pk_credit_package"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_credit_package_package_id", "credit_package", ["package_id"])
    op.create_table(
        "purchase",
        sa.Column("purchase_number", _ID, autoincrement=True, nullable=False),
        sa.Column("purchase_id", sa.String(36), nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("offer_id", _ID, nullable=False),
        *_offered(),
        sa.Column("gateway", sa.String(32), nullable=False),
        sa.Column("request_key", sa.String(64), nullable=False),
        *_recorded(),
        sa.PrimaryKeyConstraint("purchase_number", name="pk_purchase"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_purchase_account_id"),
        sa.ForeignKeyConstraint(
            ["offer_id"], ["credit_package.offer_id"], name="fk_purchase_offer_id"
        ),
        sa.UniqueConstraint("purchase_id", name="uq_purchase_purchase_id"),
        sa.UniqueConstraint("request_key", name="uq_purchase_request_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_purchase_account_id", "purchase", ["account_id"])
    op.create_table(
        "payment_event",
        sa.Column("payment_event_id", _ID, autoincrement=True, nullable=False),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("purchase_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("session_id", sa.String(200)),
        sa.Column("amount_minor", sa.BigInteger()),
        sa.Column("currency", sa.String(3)),
        sa.Column("detail", sa.String(500), nullable=False),
        sa.Column("occurred_at", _UTC, nullable=False),
        *_recorded(),
        sa.PrimaryKeyConstraint("payment_event_id", name="pk_payment_event"),
        sa.ForeignKeyConstraint(
            ["purchase_id"], ["purchase.purchase_id"], name="fk_payment_event_purchase_id"
        ),
        sa.UniqueConstraint("reference", name="uq_payment_event_reference"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_payment_event_purchase_id", "payment_event", ["purchase_id"])
    op.create_table(
        "webhook_receipt",
        sa.Column("receipt_id", _ID, autoincrement=True, nullable=False),
        sa.Column("gateway", sa.String(32), nullable=False),
        sa.Column("event_id", sa.String(200)),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("detail", sa.String(500), nullable=False),
        sa.Column("body_hash", sa.String(64), nullable=False),
        sa.Column("received_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("receipt_id", name="pk_webhook_receipt"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_receipt_event_id", "webhook_receipt", ["event_id"])
    op.create_table(
        "credit_grant",
        sa.Column("grant_id", _ID, autoincrement=True, nullable=False),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("credits", _EXACT, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("effective_at", _UTC, nullable=False),
        sa.Column("expires_at", _UTC),
        sa.Column("purchase_id", sa.String(36)),
        sa.Column("paid_minor", sa.BigInteger()),
        sa.Column("currency", sa.String(3)),
        sa.Column("reason", sa.String(500), nullable=False),
        *_recorded(),
        sa.PrimaryKeyConstraint("grant_id", name="pk_credit_grant"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_credit_grant_account_id"),
        sa.ForeignKeyConstraint(
            ["purchase_id"], ["purchase.purchase_id"], name="fk_credit_grant_purchase_id"
        ),
        sa.UniqueConstraint("reference", name="uq_credit_grant_reference"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_credit_grant_account_id", "credit_grant", ["account_id"])
    op.create_table(
        "credit_void",
        sa.Column("void_id", _ID, autoincrement=True, nullable=False),
        sa.Column("grant_id", _ID, nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("voided_at", _UTC, nullable=False),
        sa.Column("refunded_minor", sa.BigInteger()),
        sa.Column("receivable_minor", sa.BigInteger()),
        sa.Column("currency", sa.String(3)),
        sa.Column("reason", sa.String(500), nullable=False),
        *_recorded(),
        sa.PrimaryKeyConstraint("void_id", name="pk_credit_void"),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["credit_grant.grant_id"], name="fk_credit_void_grant_id"
        ),
        sa.UniqueConstraint("grant_id", name="uq_credit_void_grant_id"),
        sqlite_autoincrement=True,
    )
    for table in _TABLES:
        _forbid_changes(table)


def downgrade() -> None:
    """Drop the tables: only for a store without any credits."""
    for table in reversed(_TABLES):
        op.drop_table(table)
    op.drop_column("account_term", "overage_price")


def _recorded() -> list[sa.Column[object]]:
    return [
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
    ]


def _offered() -> list[sa.Column[object]]:
    """What is offered, and later bought."""
    return [
        sa.Column("credits", _EXACT, nullable=False),
        sa.Column("bonus_credits", _EXACT, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("validity_days", sa.Integer()),
        sa.Column("bonus_validity_days", sa.Integer()),
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
