"""Marks that days of an account are expected to be unusual."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create incident_mark."""
    op.create_table(
        "incident_mark",
        sa.Column("mark_id", _ID, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("first_date", sa.Date(), nullable=False),
        sa.Column("last_date", sa.Date(), nullable=False),
        sa.Column("is_expected", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("mark_id", name="pk_incident_mark"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_incident_mark_account_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_incident_mark_account_id", "incident_mark", ["account_id"])


def downgrade() -> None:
    """Drop incident_mark."""
    op.drop_table("incident_mark")
