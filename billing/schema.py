"""The tables of the operational store, as SQLAlchemy knows them.

``billing/migrations`` creates them; a test holds both to the same columns. Types are chosen so
that SQLite and PostgreSQL hold the same values: SQLite has no exact decimals, so they are text
there, and its times have no zone, so all are UTC.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, stored in UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """To UTC; a time without a zone is refused, since nobody knows what it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Back as an aware time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal(24,12) that is exact on every database."""

    impl = sa.Numeric(24, 12)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        """Text on SQLite, numeric elsewhere."""
        exact = sa.String(26) if dialect.name == "sqlite" else sa.Numeric(24, 12)
        return dialect.type_descriptor(exact)

    def process_bind_param(self, value: Decimal | None, dialect: sa.Dialect) -> Any:
        """Exactly twelve digits after the point."""
        if value is None or dialect.name != "sqlite":
            return value
        return f"{value:.12f}"

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Decimal | None:
        """Back as a Decimal."""
        return None if value is None else Decimal(value)


_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

account = sa.Table(
    "account",
    metadata,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
)

account_term = sa.Table(
    "account_term",
    metadata,
    sa.Column("term_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("effective_from", sa.Date, nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("time_zone", sa.String(64), nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("email", sa.String(254)),
    sa.Column("plan", sa.String(32), nullable=False),
    sa.Column("overage_price", ExactDecimal),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "account_id"),
    sqlite_autoincrement=True,
)

rate = sa.Table(
    "rate",
    metadata,
    sa.Column("rate_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("category", sa.String(32), nullable=False),
    sa.Column("model", sa.String(200)),
    sa.Column("unit", sa.String(32), nullable=False),
    sa.Column("credits_per_unit", ExactDecimal, nullable=False),
    sa.Column("effective_from", UtcDateTime, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "category"),
    sqlite_autoincrement=True,
)

saved_view = sa.Table(
    "saved_view",
    metadata,
    sa.Column("view_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("page", sa.String(32), nullable=False),
    sa.Column("name", sa.String(60), nullable=False),
    sa.Column("parameters", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.UniqueConstraint("account_id", "page", "name"),
    sqlite_autoincrement=True,
)

member = sa.Table(
    "member",
    metadata,
    sa.Column("member_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("email", sa.String(254), nullable=False),
    sa.Column("role", sa.String(16)),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "account_id"),
    sqlite_autoincrement=True,
)
"""Of one account and e-mail the newest row counts; without a role the person was removed."""

credit_package = sa.Table(
    "credit_package",
    metadata,
    sa.Column("offer_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("package_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("credits", ExactDecimal, nullable=False),
    sa.Column("bonus_credits", ExactDecimal, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("price_minor", sa.BigInteger, nullable=False),
    sa.Column("validity_days", sa.Integer),
    sa.Column("bonus_validity_days", sa.Integer),
    sa.Column("is_offered", sa.Boolean, nullable=False),
    sa.Column("effective_from", UtcDateTime, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "package_id"),
    sqlite_autoincrement=True,
)
"""Dated offers of packages; of one package and currency the newest that has begun counts."""

purchase = sa.Table(
    "purchase",
    metadata,
    sa.Column("purchase_number", _Id, primary_key=True, autoincrement=True),
    sa.Column("purchase_id", sa.String(36), nullable=False, unique=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("offer_id", _Id, sa.ForeignKey("credit_package.offer_id"), nullable=False),
    sa.Column("credits", ExactDecimal, nullable=False),
    sa.Column("bonus_credits", ExactDecimal, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("price_minor", sa.BigInteger, nullable=False),
    sa.Column("validity_days", sa.Integer),
    sa.Column("bonus_validity_days", sa.Integer),
    sa.Column("gateway", sa.String(32), nullable=False),
    sa.Column("request_key", sa.String(64), nullable=False, unique=True),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "account_id"),
    sqlite_autoincrement=True,
)
"""What was bought, as it was offered; ``request_key`` makes a double click one purchase."""

payment_event = sa.Table(
    "payment_event",
    metadata,
    sa.Column("payment_event_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("reference", sa.String(200), nullable=False, unique=True),
    sa.Column("purchase_id", sa.String(36), sa.ForeignKey("purchase.purchase_id"), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("session_id", sa.String(200)),
    sa.Column("amount_minor", sa.BigInteger),
    sa.Column("currency", sa.String(3)),
    sa.Column("detail", sa.String(500), nullable=False),
    sa.Column("occurred_at", UtcDateTime, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "purchase_id"),
    sqlite_autoincrement=True,
)
"""What happened to a purchase: opened | paid | expired | mismatched | refunded | charged_back.

``reference`` makes each happen once, however often it is reported.
"""

webhook_receipt = sa.Table(
    "webhook_receipt",
    metadata,
    sa.Column("receipt_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("gateway", sa.String(32), nullable=False),
    sa.Column("event_id", sa.String(200)),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("detail", sa.String(500), nullable=False),
    sa.Column("body_hash", sa.String(64), nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Index(None, "event_id"),
    sqlite_autoincrement=True,
)
"""Every webhook that came in: accepted | replayed | forged | unknown | ignored."""

credit_grant = sa.Table(
    "credit_grant",
    metadata,
    sa.Column("grant_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("reference", sa.String(200), nullable=False, unique=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("credits", ExactDecimal, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("effective_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("purchase_id", sa.String(36), sa.ForeignKey("purchase.purchase_id")),
    sa.Column("paid_minor", sa.BigInteger),
    sa.Column("currency", sa.String(3)),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "account_id"),
    sqlite_autoincrement=True,
)
"""Lots of credits; ``paid_minor`` is the cash paid for the lot, null where none was.

``reference`` makes each exist once, however often it is asked for.
"""

credit_void = sa.Table(
    "credit_void",
    metadata,
    sa.Column("void_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("grant_id", _Id, sa.ForeignKey("credit_grant.grant_id"), nullable=False, unique=True),
    sa.Column("cause", sa.String(16), nullable=False),
    sa.Column("voided_at", UtcDateTime, nullable=False),
    sa.Column("refunded_minor", sa.BigInteger),
    sa.Column("receivable_minor", sa.BigInteger),
    sa.Column("currency", sa.String(3)),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sqlite_autoincrement=True,
)
"""The end of a lot before its time: by a void, a refund or a chargeback.

``refunded_minor`` is the cash that left the lot. After a refund of a part another lot goes on, and
its ``paid_minor`` is in there too: what the customer got is the difference. A chargeback takes
the payment back; the part of it that was spent is owed, ``receivable_minor``.
"""

incident_mark = sa.Table(
    "incident_mark",
    metadata,
    sa.Column("mark_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("first_date", sa.Date, nullable=False),
    sa.Column("last_date", sa.Date, nullable=False),
    sa.Column("is_expected", sa.Boolean, nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "account_id"),
    sqlite_autoincrement=True,
)
"""Days of an account, both inclusive, that are expected to be unusual, or no longer.

Of the marks that hold for a day the newest counts.
"""

advice_decision = sa.Table(
    "advice_decision",
    metadata,
    sa.Column("decision_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("advice_id", sa.String(32), nullable=False),
    sa.Column("decision", sa.String(16), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("agent_id", sa.Text, nullable=False),
    sa.Column("category", sa.String(32)),
    sa.Column("model", sa.Text),
    sa.Column("candidate_model", sa.Text),
    sa.Column("baseline_units", sa.BigInteger, nullable=False),
    sa.Column("baseline_quantity", ExactDecimal, nullable=False),
    sa.Column("saved_credits_month", ExactDecimal, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "account_id"),
    sqlite_autoincrement=True,
)
"""Decisions on advice, accepted or withdrawn; of one advice the newest row counts.

A row holds what was advised and what it is measured by, because advice is made anew every day.
"""

budget = sa.Table(
    "budget",
    metadata,
    sa.Column("budget_row_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("budget_id", sa.BigInteger, nullable=False),
    sa.Column("definition", sa.Integer, nullable=False),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("scope", sa.String(16), nullable=False),
    sa.Column("part", sa.String(200)),
    sa.Column("unit", sa.String(16), nullable=False),
    sa.Column("limit_amount", ExactDecimal, nullable=False),
    sa.Column("rolling_days", sa.Integer),
    sa.Column("actual_percents", sa.JSON, nullable=False),
    sa.Column("projected_percents", sa.JSON, nullable=False),
    sa.Column("recipients", sa.JSON, nullable=False),
    sa.Column("webhook_url", sa.String(2000)),
    sa.Column("tells_end", sa.Boolean, nullable=False),
    sa.Column("is_enforced", sa.Boolean, nullable=False),
    sa.Column("is_removed", sa.Boolean, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "account_id"),
    sqlite_autoincrement=True,
)
"""Budgets as they were recorded; of one ``budget_id`` the newest row counts.

``definition`` grows when what is measured changes: a new limit has alerts of its own.
"""

alert_rule = sa.Table(
    "alert_rule",
    metadata,
    sa.Column("alert_rule_row_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("is_on", sa.Boolean, nullable=False),
    sa.Column("threshold", ExactDecimal, nullable=False),
    sa.Column("recipients", sa.JSON, nullable=False),
    sa.Column("webhook_url", sa.String(2000)),
    sa.Column("tells_end", sa.Boolean, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "account_id"),
    sqlite_autoincrement=True,
)
"""What an account changed of the alerts that every account has; the newest row of a kind counts."""

alert_transition = sa.Table(
    "alert_transition",
    metadata,
    sa.Column("transition_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("reference", sa.String(400), nullable=False, unique=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("rule_key", sa.String(300), nullable=False),
    sa.Column("period_key", sa.String(32), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("is_told", sa.Boolean, nullable=False),
    sa.Column("title", sa.String(500), nullable=False),
    sa.Column("amount", sa.String(40)),
    sa.Column("limit_amount", sa.String(40)),
    sa.Column("occurred_at", UtcDateTime, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Index(None, "account_id"),
    sa.Index(None, "period_key"),
    sqlite_autoincrement=True,
)
"""Changes of state (ok | firing | no_data) of a rule in a period, numbered from 1.

``reference`` names rule, period and number, so that of two evaluations at once one is stored.
"""

outbox_message = sa.Table(
    "outbox_message",
    metadata,
    sa.Column("outbox_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("reference", sa.String(800), nullable=False, unique=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("transition_id", _Id, sa.ForeignKey("alert_transition.transition_id")),
    sa.Column("channel", sa.String(16), nullable=False),
    sa.Column("recipient", sa.String(2000), nullable=False),
    sa.Column("message_id", sa.String(200), nullable=False),
    sa.Column("subject", sa.String(500), nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("html", sa.Text),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Index(None, "account_id"),
    sa.Index(None, "transition_id"),
    sqlite_autoincrement=True,
)
"""Messages to be sent by mail or webhook, one a recipient, as they were written."""

outbox_event = sa.Table(
    "outbox_event",
    metadata,
    sa.Column("outbox_event_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("outbox_id", _Id, sa.ForeignKey("outbox_message.outbox_id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("until", UtcDateTime),
    sa.Column("detail", sa.String(500), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("outbox_id", "number"),
    sqlite_autoincrement=True,
)
"""What became of a message: claimed | sent | failed | given_up, the newest counts.

``until`` ends the lease of a claim, and the wait after a failure.
"""
