"""Decisions on advice: accepted or withdrawn, with what is measured from then on. Append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EXACT = sa.Numeric(24, 12).with_variant(sa.String(26), "sqlite")
_UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create advice_decision."""
    op.create_table(
        "advice_decision",
        sa.Column("decision_id", _ID, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("advice_id", sa.String(32), nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("category", sa.String(32)),
        sa.Column("model", sa.Text()),
        sa.Column("candidate_model", sa.Text()),
        sa.Column("baseline_units", sa.BigInteger(), nullable=False),
        sa.Column("baseline_quantity", _EXACT, nullable=False),
        sa.Column("saved_credits_month", _EXACT, nullable=False),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name="pk_advice_decision"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_advice_decision_account_id"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_advice_decision_account_id", "advice_decision", ["account_id"])


def downgrade() -> None:
    """Drop advice_decision."""
    op.drop_table("advice_decision")
