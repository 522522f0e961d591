"""The tables of invoices in the operational store. All are append-only."""

import sqlalchemy as sa

from billing.schema import ExactDecimal, UtcDateTime, metadata

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

issuer = sa.Table(
    "issuer",
    metadata,
    sa.Column("issuer_row_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("issuer_id", sa.String(32), nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "issuer_id"),
    sqlite_autoincrement=True,
)
"""Who issues invoices and how they look; of one issuer the newest row counts."""

billing_profile = sa.Table(
    "billing_profile",
    metadata,
    sa.Column("profile_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("effective_from", sa.Date, nullable=False),
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
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "account_id"),
    sqlite_autoincrement=True,
)
"""Whom an account's invoices name, by month; of one month the newest row counts."""

tax_rate = sa.Table(
    "tax_rate",
    metadata,
    sa.Column("tax_rate_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("country", sa.String(2), nullable=False),
    sa.Column("percent", ExactDecimal, nullable=False),
    sa.Column("effective_from", sa.Date, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sqlite_autoincrement=True,
)
"""Standard rates of countries, from a month on; of one month the newest row counts."""

invoice = sa.Table(
    "invoice",
    metadata,
    sa.Column("invoice_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("reference", sa.String(200), nullable=False, unique=True),
    sa.Column("issuer_id", sa.String(32), nullable=False),
    sa.Column("series", sa.String(16), nullable=False),
    sa.Column("year", sa.Integer, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("number", sa.String(64), nullable=False, unique=True),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("month", sa.Date, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("issue_date", sa.Date, nullable=False),
    sa.Column("corrects", sa.String(64)),
    sa.Column("net_minor", sa.BigInteger, nullable=False),
    sa.Column("tax_minor", sa.BigInteger, nullable=False),
    sa.Column("gross_minor", sa.BigInteger, nullable=False),
    sa.Column("paid_minor", sa.BigInteger, nullable=False),
    sa.Column("rounding_minor", sa.BigInteger, nullable=False),
    sa.Column("due_minor", sa.BigInteger, nullable=False),
    sa.Column("raw_load_id", sa.BigInteger, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.UniqueConstraint("issuer_id", "series", "year", "sequence"),
    sa.Index(None, "account_id"),
    sqlite_autoincrement=True,
)
"""Issued invoices and credit notes (``series``: invoice | credit_note), a note's amounts negative.

``reference`` makes each exist once, however often its month is closed. ``content`` is everything
that the document shows, as JSON.
"""

invoice_line = sa.Table(
    "invoice_line",
    metadata,
    sa.Column("invoice_line_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("invoice_id", _Id, sa.ForeignKey("invoice.invoice_id"), nullable=False),
    sa.Column("line_number", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("month", sa.Date, nullable=False),
    sa.Column("is_correction", sa.Boolean, nullable=False),
    sa.Column("credits", ExactDecimal, nullable=False),
    sa.Column("unit_price", ExactDecimal),
    sa.Column("net_minor", sa.BigInteger, nullable=False),
    sa.Column("gross_minor", sa.BigInteger, nullable=False),
    sa.Column("paid_minor", sa.BigInteger, nullable=False),
    sa.Column("tax_category", sa.String(2), nullable=False),
    sa.Column("tax_percent", ExactDecimal, nullable=False),
    sa.UniqueConstraint("invoice_id", "line_number"),
    sqlite_autoincrement=True,
)
"""Lines of issued invoices and credit notes (``billing.invoices.charges.Line``)."""

invoice_document = sa.Table(
    "invoice_document",
    metadata,
    sa.Column("invoice_id", _Id, sa.ForeignKey("invoice.invoice_id"), primary_key=True),
    sa.Column("pdf", sa.LargeBinary, nullable=False),
    sa.Column("pdf_hash", sa.String(64), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
)
"""The document of an invoice, rendered once from its content; ``pdf_hash`` is its SHA-256."""

invoice_payment = sa.Table(
    "invoice_payment",
    metadata,
    sa.Column("invoice_payment_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("reference", sa.String(200), nullable=False, unique=True),
    sa.Column("invoice_id", _Id, sa.ForeignKey("invoice.invoice_id"), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("paid_on", sa.Date, nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Column("recorded_by", sa.String(200), nullable=False),
    sa.Index(None, "invoice_id"),
    sqlite_autoincrement=True,
)
"""Money that came for what an invoice had due, in minor units of its currency.

Negative where it was paid out on a credit note. ``reference`` is the bank's: each exists once.
"""

book_balance = sa.Table(
    "book_balance",
    metadata,
    sa.Column("book_balance_id", _Id, primary_key=True, autoincrement=True),
    sa.Column("invoice_id", _Id, sa.ForeignKey("invoice.invoice_id"), nullable=False),
    sa.Column("account_id", sa.String(128), sa.ForeignKey("account.id"), nullable=False),
    sa.Column("month", sa.Date, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("cash_minor", sa.BigInteger, nullable=False),
    sa.Column("suspense_minor", sa.BigInteger, nullable=False),
    sa.Column("unbilled_minor", sa.BigInteger, nullable=False),
    sa.Column("tax_minor", sa.BigInteger, nullable=False),
    sa.Column("deferred_minor", sa.BigInteger, nullable=False),
    sa.Column("revenue_minor", sa.BigInteger, nullable=False),
    sa.Column("breakage_minor", sa.BigInteger, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("account_id", "month", "currency"),
    sqlite_autoincrement=True,
)
"""What the ledger said of an account's lots when a month was closed: sums up to the month's end.

Kept with the invoice, so that the books of a closed month never change. ``unbilled_minor`` is owed
after chargebacks, ``tax_minor`` the tax in payments, ``suspense_minor`` cash of months whose tax
nobody knew.
"""
