"""The tables of access in the operational store: the audit log, and invitations. Append-only."""

import sqlalchemy as sa

from billing.schema import UtcDateTime, metadata

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

audit_event = sa.Table(
    "audit_event",
    metadata,
    sa.Column("audit_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("reference", sa.String(200), unique=True),
    sa.Column("actor", sa.String(254), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("account_id", sa.String(128)),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("origin", sa.String(300), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Index(None, "account_id"),
    sa.Index(None, "actor"),
    sqlite_autoincrement=True,
)
"""Who did what, where, and from where: outcome allowed | refused | failed.

``account_id`` is what was asked for, so it need not exist. ``reference`` makes what several
sessions see at once, such as a sign-in, one row.
"""

member_invitation = sa.Table(
    "member_invitation",
    metadata,
    sa.Column("invitation_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("email", sa.String(254), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("role", sa.String(16)),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "account_id"),
    sa.Index(None, "email"),
    sqlite_autoincrement=True,
)
"""What became of invitations: invited | accepted | withdrawn; of one account and e-mail the newest
row counts. Only ``invited`` has a role and an end.
"""
