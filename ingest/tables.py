"""The tables of the raw lake. Every row carries the ``load_id`` of its batch; rows are only added.

Timestamps are UTC without a zone.
"""

from weakref import WeakSet

from warehouse.errors import MeterhouseError
from warehouse.lake import Connection

CATEGORIES = ("llm", "sql", "text", "document", "image", "video", "sound", "music")
STATUSES = ("ok", "error", "cancelled")

TABLES: dict[str, str] = {
    # One row a file (or replay, or sync of another kind): the audit of a batch.
    "load": """
        load_id bigint not null,
        kind varchar not null,              -- file | replay | dismissal | operations | prices
        source varchar not null,
        path varchar not null,
        content_hash varchar not null,      -- sha256 of the bytes that were read
        size_bytes bigint not null,
        line_count bigint not null,         -- lines of the file so far
        rows_read bigint not null,
        rows_loaded bigint not null,
        rows_duplicate bigint not null,
        rows_rejected bigint not null,
        started_at timestamp not null,
        finished_at timestamp not null,
        modified_at timestamp               -- of the file when it was read
    """,
    # One row a column that the spec reads and no row of a JSON log had.
    "absent_column": """
        load_id bigint not null,
        column_name varchar not null,
        detail varchar not null             -- the same for people
    """,
    # One row an accepted revision of a usage event.
    "usage_event": """
        load_id bigint not null,
        line_number bigint not null,        -- in the file that load_id names
        source varchar not null,
        event_id varchar not null,
        revision bigint not null,
        is_withdrawn boolean not null,
        identity_hash ubigint not null,     -- IDENTITY_HASH of (source, event_id)
        account_id varchar not null,
        agent_id varchar not null,
        category varchar not null,
        model varchar,
        occurred_at timestamp not null,
        usage_date_utc date not null,       -- the partition is its month
        execution_ms decimal(18, 3),
        credits decimal(18, 9),
        input_tokens bigint,
        cache_read_tokens bigint,
        cache_write_tokens bigint,
        output_tokens bigint,
        status varchar not null,
        session_id varchar,
        request_hash varchar,
        tags varchar                        -- a JSON object
    """,
    # One row an accepted revision that a higher one replaced: where the old row lies.
    "usage_supersession": """
        load_id bigint not null,            -- of the batch that brought the higher revision
        source varchar not null,
        event_id varchar not null,
        identity_hash ubigint not null,
        revision bigint not null,           -- the replaced one
        usage_date_utc date not null,       -- the day of the replaced one
        superseded_by bigint not null       -- the higher revision
    """,
    # One row a rejected row of a file.
    "usage_quarantine": """
        load_id bigint not null,
        line_number bigint not null,
        source varchar not null,
        path varchar not null,
        reason varchar not null,
        detail varchar not null,
        account_id varchar,
        event_id varchar,
        occurred_at timestamp,
        occurrence bigint,                  -- n-th equal row of its file, for logs without ids
        raw_text varchar not null
    """,
    # One row a quarantined row that was replayed, dismissed, or whose file was read since.
    "usage_quarantine_release": """
        load_id bigint not null,            -- of the replay, dismissal or file
        quarantine_load_id bigint not null,
        quarantine_line_number bigint not null
    """,
    # One row a recorded term of an account; of one effective_from the highest term_id counts.
    "account_term": """
        load_id bigint not null,
        term_id bigint not null,
        account_id varchar not null,
        effective_from date not null,       -- first day of a month, in the account's days
        name varchar not null,
        time_zone varchar not null,
        currency varchar not null,
        email varchar,
        plan varchar not null,
        overage_price decimal(24, 12),      -- of one credit beyond the lots, in the currency
        recorded_at timestamp not null
    """,
    # One row a recorded rate of the platform's rate card.
    "rate": """
        load_id bigint not null,
        rate_id bigint not null,
        category varchar not null,
        model varchar,                      -- null: every model of the category without its own
        unit varchar not null,              -- call | second | input_token | cache_read_token | …
        credits_per_unit decimal(24, 12) not null,
        effective_from timestamp not null,
        recorded_at timestamp not null
    """,
    # One row a dated offer of a credit package; prices are minor units of the currency.
    "credit_package": """
        load_id bigint not null,
        offer_id bigint not null,
        package_id varchar not null,
        name varchar not null,
        credits decimal(24, 12) not null,
        bonus_credits decimal(24, 12) not null,
        currency varchar not null,
        price_minor bigint not null,
        validity_days bigint,               -- null: the credits never expire
        bonus_validity_days bigint,
        is_offered boolean not null,
        effective_from timestamp not null,
        recorded_at timestamp not null
    """,
    # One row a purchase, paid or not.
    "purchase": """
        load_id bigint not null,
        purchase_number bigint not null,
        purchase_id varchar not null,
        account_id varchar not null,
        offer_id bigint not null,
        credits decimal(24, 12) not null,
        bonus_credits decimal(24, 12) not null,
        currency varchar not null,
        price_minor bigint not null,
        validity_days bigint,
        bonus_validity_days bigint,
        gateway varchar not null,
        recorded_at timestamp not null
    """,
    # One row something that happened to a purchase, once however often it was reported.
    "payment_event": """
        load_id bigint not null,
        payment_event_id bigint not null,
        reference varchar not null,
        purchase_id varchar not null,
        kind varchar not null,              -- opened | paid | expired | mismatched | refunded | …
        session_id varchar,
        amount_minor bigint,
        currency varchar,
        detail varchar not null,
        occurred_at timestamp not null,
        recorded_at timestamp not null
    """,
    # One row a lot of credits that was granted to an account.
    "credit_grant": """
        load_id bigint not null,
        grant_id bigint not null,
        reference varchar not null,
        account_id varchar not null,
        kind varchar not null,              -- promotional | purchased | adjustment | refund
        credits decimal(24, 12) not null,
        priority bigint not null,           -- 0 to 100, lower burns first
        effective_at timestamp not null,
        expires_at timestamp,               -- exclusive; null: never
        purchase_id varchar,
        paid_minor bigint,                  -- cash paid for the lot; null: none
        currency varchar,
        reason varchar not null,
        recorded_at timestamp not null
    """,
    # One row a lot that ended before its time.
    "credit_void": """
        load_id bigint not null,
        void_id bigint not null,
        grant_id bigint not null,
        cause varchar not null,             -- void | refund | chargeback
        voided_at timestamp not null,
        refunded_minor bigint,              -- cash given back for the unspent part
        receivable_minor bigint,            -- cash owed for the spent part after a chargeback
        currency varchar,
        reason varchar not null,
        recorded_at timestamp not null
    """,
    # One row a mark: days of an account (inclusive) that are expected to be unusual, or no longer.
    "incident_mark": """
        load_id bigint not null,
        mark_id bigint not null,
        account_id varchar not null,
        first_date date not null,
        last_date date not null,
        is_expected boolean not null,       -- false takes an earlier mark back
        reason varchar not null,
        recorded_at timestamp not null
    """,
    # One row a decision on an advice; of one advice the highest decision_id counts.
    "advice_decision": """
        load_id bigint not null,
        decision_id bigint not null,
        account_id varchar not null,
        advice_id varchar not null,
        decision varchar not null,          -- accepted | withdrawn
        kind varchar not null,
        agent_id varchar not null,
        category varchar,                   -- null: the agent as a whole
        model varchar,
        candidate_model varchar,
        baseline_units bigint not null,     -- what it was measured by before, as dbt says
        baseline_quantity decimal(24, 12) not null,
        saved_credits_month decimal(24, 12) not null,
        recorded_at timestamp not null
    """,
    # One row an issued invoice or credit note; a note's amounts are negative. Minor units.
    "invoice": """
        load_id bigint not null,
        invoice_id bigint not null,
        reference varchar not null,
        issuer_id varchar not null,
        series varchar not null,            -- invoice | credit_note
        year bigint not null,
        sequence bigint not null,           -- gapless within issuer, series and year
        number varchar not null,
        account_id varchar not null,
        month date not null,
        currency varchar not null,
        issue_date date not null,
        corrects varchar,                   -- number of the invoice that a note corrects
        net_minor bigint not null,
        tax_minor bigint not null,
        gross_minor bigint not null,
        paid_minor bigint not null,
        rounding_minor bigint not null,
        due_minor bigint not null,
        raw_load_id bigint not null,        -- the highest batch that it counts
        content_hash varchar not null,
        recorded_at timestamp not null
    """,
    # One row a line of an issued invoice or credit note.
    "invoice_line": """
        load_id bigint not null,
        invoice_line_id bigint not null,
        invoice_id bigint not null,
        line_number bigint not null,
        kind varchar not null,              -- purchase | refund | chargeback | overage | usage | …
        month date not null,
        is_correction boolean not null,
        credits decimal(24, 12) not null,
        unit_price decimal(24, 12),
        net_minor bigint not null,
        gross_minor bigint not null,
        paid_minor bigint not null,
        tax_category varchar not null,
        tax_percent decimal(24, 12) not null
    """,
    # One row a payment of what an invoice has due; negative where it was paid out on a credit note.
    "invoice_payment": """
        load_id bigint not null,
        invoice_payment_id bigint not null,
        reference varchar not null,
        invoice_id bigint not null,
        amount_minor bigint not null,
        paid_on date not null,
        reason varchar not null,
        recorded_at timestamp not null
    """,
    # One row what the ledger said of an account's lots when a month was closed: sums up to its end.
    "book_balance": """
        load_id bigint not null,
        book_balance_id bigint not null,
        invoice_id bigint not null,
        account_id varchar not null,
        month date not null,
        currency varchar not null,
        cash_minor bigint not null,
        suspense_minor bigint not null,
        unbilled_minor bigint not null,
        tax_minor bigint not null,
        deferred_minor bigint not null,
        revenue_minor bigint not null,
        breakage_minor bigint not null,
        recorded_at timestamp not null
    """,
    # One row a recorded issuer of invoices: its name, and its country, whose rates hold.
    "issuer": """
        load_id bigint not null,
        issuer_row_id bigint not null,
        issuer_id varchar not null,
        name varchar not null,
        country varchar not null,
        recorded_at timestamp not null
    """,
    # One row how an account is taxed from a month on; of one month the highest profile_id counts.
    "billing_profile": """
        load_id bigint not null,
        profile_id bigint not null,
        account_id varchar not null,
        effective_from date not null,
        issuer_id varchar not null,
        tax_treatment varchar not null,     -- standard | reverse_charge | export
        recorded_at timestamp not null
    """,
    # One row a country's standard rate from a month on; of one the highest tax_rate_id counts.
    "tax_rate": """
        load_id bigint not null,
        tax_rate_id bigint not null,
        country varchar not null,
        percent decimal(24, 12) not null,
        effective_from date not null,
        recorded_at timestamp not null
    """,
    # One row a list price of a provider, a model, a kind of token, a tier and a time of day.
    "model_price": """
        load_id bigint not null,
        release varchar not null,           -- of the package genai-prices
        provider varchar not null,
        price_model varchar not null,       -- the model's id in the price list
        token_kind varchar not null,        -- input | cache_read | cache_write | output
        usd_per_mtok decimal(24, 12) not null,
        effective_from timestamp not null,
        day_start time,                     -- UTC, inclusive; null: all day
        day_end time,                       -- UTC, exclusive
        tier_start bigint not null,         -- prompt tokens from which the price holds
        recorded_at timestamp not null
    """,
    # One row a model name seen in a log and a release: what the price list calls it.
    "model_match": """
        load_id bigint not null,
        release varchar not null,
        model varchar not null,             -- as logged
        provider varchar,                   -- null: the price list does not know it
        price_model varchar,
        model_name varchar,
        recorded_at timestamp not null
    """,
}

_ADDED = (("account_term", "overage_price", "decimal(24, 12)"),)
"""Columns that came after the first version of their table."""

_PARTITIONS = {"usage_event": "year(usage_date_utc), month(usage_date_utc)"}
"""By month, not by day: a long load then writes a dozen files in place of hundreds, and a day is
found in them by the least and greatest day of each row group."""

IDENTITY_HASH = "hash({source}, {event_id})"
"""The expression for ``identity_hash``: DuckDB's own hash, ten times as fast as a digest."""

_PROBE = ("hash('meterhouse', 'a probe of more than sixteen bytes')", 13224399828556829409)


def check_identity_hash(connection: Connection) -> None:
    """Make sure that identities hash as they did when they were stored.

    The hash may change with DuckDB's version; what is stored must then be written anew, or known
    events would not be recognised. Raises MeterhouseError when it has changed.
    """
    expression, stored = _PROBE
    row = connection.execute(f"select {expression}").fetchone()
    if row != (stored,):
        raise MeterhouseError(
            "this DuckDB hashes identities in another way than the one that wrote the lake; "
            "install the versions of requirements.lock"
        )


_complete: WeakSet[Connection] = WeakSet()
"""Open connections on which all tables were seen."""


def ensure_tables(connection: Connection) -> None:
    """Create what is missing of the raw tables on a connection that may write ``raw``.

    It looks once for each connection, which takes up to 0.1 s.
    """
    if connection in _complete:
        return
    check_identity_hash(connection)
    found = connection.execute(
        "select table_name from duckdb_tables() where database_name = 'raw'"
    ).fetchall()
    missing = [name for name in TABLES if (name,) not in found]
    _add_columns(connection)
    if not missing:
        _complete.add(connection)
        return
    connection.execute("begin")
    connection.execute("call raw.set_option('parquet_version', '2')")
    for name in missing:
        connection.execute(f"create table raw.main.{name} ({TABLES[name]})")
        if name in _PARTITIONS:
            connection.execute(
                f"alter table raw.main.{name} set partitioned by ({_PARTITIONS[name]})"
            )
    connection.execute("commit")


def _add_columns(connection: Connection) -> None:
    """Give tables of an older Meterhouse the columns that they lack; old rows have nulls there."""
    found = connection.execute(
        "select table_name, column_name from duckdb_columns() where database_name = 'raw'"
    ).fetchall()
    for table, column, kind in _ADDED:
        if any(name == table for name, _ in found) and (table, column) not in found:
            connection.execute(f"alter table raw.main.{table} add column {column} {kind}")


def next_load_id(connection: Connection) -> int:
    """The id of the next batch. Call it under the loader's lock."""
    row = connection.execute("select coalesce(max(load_id), 0) + 1 from raw.main.load").fetchone()
    assert row is not None
    return int(row[0])


FIRST_LOCAL_ROWID = 36028797018960000
"""Where DuckDB counts the rows of a table from that was made in the running transaction."""


def ordinal_of(table: str) -> str:
    """Expression for the position, from 0, of a row of a temporary table."""
    return f"({table}.rowid % {FIRST_LOCAL_ROWID})"
