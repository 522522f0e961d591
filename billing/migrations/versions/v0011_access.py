"""Access: the audit log, and invitations of members. Both are append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UTC = sa.DateTime(timezone=True)
_TABLES = ("audit_event", "member_invitation")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "audit_event",
        sa.Column("audit_id", _ID, autoincrement=True, nullable=False),
        sa.Column("reference", sa.String(200)),
        sa.Column("actor", sa.String(254), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("account_id", sa.String(128)),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("origin", sa.String(300), nullable=False),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name="pk_audit_event"),
        sa.UniqueConstraint("reference", name="uq_audit_event_reference"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_event_account_id", "audit_event", ["account_id"])
    op.create_index("ix_audit_event_actor", "audit_event", ["actor"])
    op.create_table(
        "member_invitation",
        sa.Column("invitation_id", _ID, autoincrement=True, nullable=False),
        sa.Column("account_id", sa.String(128), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("role", sa.String(16)),
        sa.Column("expires_at", _UTC),
        sa.Column("recorded_at", _UTC, nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("invitation_id", name="pk_member_invitation"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_member_invitation_account_id"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_member_invitation_account_id", "member_invitation", ["account_id"])
    op.create_index("ix_member_invitation_email", "member_invitation", ["email"])
    for table in _TABLES:
        _forbid_changes(table)


def downgrade() -> None:
    """Drop the tables: the log of who did what goes with them."""
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
