"""Two small lakes, built row by row, in which every check passes."""

import atexit
import shutil
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from ingest.tables import ensure_tables
from warehouse.lake import Connection, attach, current_snapshot, writing
from warehouse.publication import Publication, publish
from warehouse.settings import Settings

RAW_LOAD_ID = 3
PUBLISHED_AT = datetime(2026, 11, 4, 12, tzinfo=UTC)

_RAW = """
insert into raw.main.load (
    load_id, kind, source, path, content_hash, size_bytes, line_count,
    rows_read, rows_loaded, rows_duplicate, rows_rejected, started_at, finished_at
)
values
    (1, 'operations', 'operations', 'store', '', 0, 0, 2, 2, 0, 0,
        '2026-11-03 09:00', '2026-11-03 09:00'),
    (2, 'file', 'logs', '/landing/logs/a.jsonl', 'a', 900, 9, 9, 7, 1, 1,
        '2026-11-03 10:00', '2026-11-03 10:00'),
    (3, 'file', 'logs', '/landing/logs/b.jsonl', 'b', 300, 3, 3, 3, 0, 0,
        '2026-11-03 11:00', '2026-11-03 11:00');
insert into raw.main.account_term values
    (1, 1, 'acme', '2026-01-01', 'Acme', 'UTC', 'EUR', null, 'prepaid', null, '2026-11-03 09:00'),
    (1, 2, 'blue', '2026-01-01', 'Blue', 'UTC', 'USD', null, 'prepaid', null, '2026-11-03 09:00');
insert into raw.main.usage_event
select load_id, line_number, 'logs', event_id, revision, is_withdrawn, hash('logs', event_id),
    account_id, 'agent', category, model, occurred_at, cast(occurred_at as date),
    100, credits, input_tokens, 0, 0, output_tokens, status, null, null, null
from (values
    (2, 1, 'e1', 0, false, 'acme', 'llm', 'm', timestamp '2026-11-02 10:00', 1.5, 100, 10, 'ok'),
    (2, 2, 'e2', 0, false, 'acme', 'sql', null, timestamp '2026-11-02 11:00', 0, 0, 0, 'ok'),
    (2, 3, 'e3', 0, false, 'blue', 'llm', 'm', timestamp '2026-11-02 12:00', null, 50, 5, 'ok'),
    (2, 4, 'e4', 0, false, 'blue', 'llm', 'm', timestamp '2026-11-02 13:00', null, 7, 0, 'error'),
    (2, 5, 'e5', 0, false, 'acme', 'llm', 'm', timestamp '2026-11-02 14:00', 2, 20, 2, 'ok'),
    (2, 6, 'e7', 0, false, 'acme', 'sql', null, timestamp '2026-11-02 15:00', 0, 0, 0, 'ok'),
    (2, 8, 'e8', 0, false, 'blue', 'llm', 'm', timestamp '2026-11-02 16:00', 10, 40, 4, 'ok'),
    (3, 1, 'e5', 1, false, 'acme', 'llm', 'm', timestamp '2026-11-03 08:00', 2.25, 20, 2, 'ok'),
    (3, 2, 'e6', 0, false, 'acme', 'llm', 'm', timestamp '2026-11-03 09:00', 3, 30, 3, 'ok'),
    (3, 3, 'e6', 1, true, 'acme', 'llm', 'm', timestamp '2026-11-03 09:00', 3, 30, 3, 'ok')
) as event (load_id, line_number, event_id, revision, is_withdrawn, account_id, category, model,
    occurred_at, credits, input_tokens, output_tokens, status);
insert into raw.main.usage_supersession values
    (3, 'logs', 'e5', hash('logs', 'e5'), 0, '2026-11-02', 1),
    (3, 'logs', 'e6', hash('logs', 'e6'), 0, '2026-11-03', 1);
insert into raw.main.usage_quarantine values
    (2, 9, 'logs', '/landing/logs/a.jsonl', 'unknown_category', 'category = poetry',
        'acme', 'e9', '2026-11-02 15:00', null, '{"event_id": "e9"}');
"""

_MARTS = """
create table marts.main.fct_usage as
select source, event_id, revision, load_id, line_number, account_id, agent_id, category,
    coalesce(model, '(none)') as model, occurred_at, usage_date_utc,
    usage_date_utc as usage_date, execution_ms,
    credits as logged_credits,
    cast(case when event_id = 'e3' then 4 end as decimal(18, 9)) as card_credits,
    cast(coalesce(credits, case event_id when 'e3' then 4 when 'e4' then 0 end)
        as decimal(18, 9)) as credits,
    case when credits is not null then 'logged' when event_id = 'e3' then 'rated'
        else 'failed' end as rating_status,
    cast(null as decimal(18, 9)) as exposure_low_credits,
    cast(null as decimal(18, 9)) as exposure_high_credits,
    input_tokens, cache_read_tokens, cache_write_tokens, output_tokens,
    cast(case when model is not null then input_tokens * 0.000002 end as decimal(24, 12))
        as provider_cost_usd,
    case when model is not null then 'priced' else 'no_tokens' end as provider_cost_status,
    status, session_id, request_hash, tags
from raw.main.usage_event
where not is_withdrawn and event_id || revision not in ('e50', 'e60');
create table marts.main.fct_usage_daily as
select usage_date_utc, usage_date, account_id, agent_id, category, model, status,
    count(*) as events,
    count(*) filter (where status <> 'ok') as failed_events,
    count(*) filter (where rating_status = 'unrated') as unrated_events,
    cast(coalesce(sum(credits), 0) as decimal(38, 9)) as credits,
    cast(coalesce(sum(logged_credits), 0) as decimal(38, 9)) as logged_credits,
    cast(coalesce(sum(card_credits), 0) as decimal(38, 9)) as card_credits,
    cast(coalesce(sum(exposure_low_credits), 0) as decimal(38, 9)) as exposure_low_credits,
    cast(coalesce(sum(exposure_high_credits), 0) as decimal(38, 9)) as exposure_high_credits,
    cast(sum(input_tokens) as bigint) as input_tokens,
    cast(sum(cache_read_tokens) as bigint) as cache_read_tokens,
    cast(sum(cache_write_tokens) as bigint) as cache_write_tokens,
    cast(sum(output_tokens) as bigint) as output_tokens,
    sum(execution_ms) as execution_ms,
    cast(sum(provider_cost_usd) as decimal(38, 12)) as provider_cost_usd,
    count(*) filter (where provider_cost_status in ('unknown_model', 'no_price'))
        as unpriced_events,
    min(occurred_at) as first_occurred_at,
    max(occurred_at) as last_occurred_at
from marts.main.fct_usage
group by all;
create table marts.main.fct_usage_account_daily as
select account_id, usage_date, cast(sum(credits) as decimal(38, 9)) as credits
from marts.main.fct_usage_daily group by all;
create table marts.main.fct_credit_ledger as
with used as (
    select account_id, sum(credits) as credits from marts.main.fct_usage_daily group by all
)
select account_id, ledger_account, cast(sign * credits as decimal(38, 9)) as credits,
    cast(0 as decimal(38, 12)) as amount_minor
from used, (values ('credits:consumed', 1), ('credits:overage', -1)) as side (ledger_account, sign)
union all
select 'acme', ledger_account, credits, amount
from (values ('credits:issued', -9, 0), ('credits:lot', 9, 0), ('cash', 0, 500),
    ('deferred_revenue', 0, -500)) as entry (ledger_account, credits, amount);
create table marts.main.fct_credit_lot as
select 1 as lot_id, 'acme' as account_id, 'active' as status,
    cast(9 as decimal(38, 9)) as granted_credits, cast(0 as decimal(38, 9)) as consumed_credits,
    cast(0 as decimal(38, 9)) as forfeited_credits, cast(9 as decimal(38, 9)) as remaining_credits,
    cast(500 as decimal(38, 12)) as deferred_minor;
create table marts.main.int_credit_accounts_touched as
select distinct account_id from raw.main.usage_event;
create table marts.main.int_usage_touched_days as
select distinct usage_date_utc from raw.main.usage_event;
"""


def settings_at(home: Path) -> Settings:
    """Settings of an instance of its own, small and impatient."""
    return Settings(home=home, memory="500MB", threads=1, lock_timeout=1)


def build_raw(settings: Settings) -> int:
    """Fill the raw lake; returns its snapshot."""
    with writing(settings, "raw") as connection:
        ensure_tables(connection)
        return run(connection, _RAW, "raw")


def build_marts(settings: Settings, raw_snapshot: int) -> int:
    """Fill the marts lake from the raw lake; returns its snapshot."""
    with writing(settings, "marts") as connection:
        attach(connection, settings, "raw", snapshot=raw_snapshot)
        return run(connection, _MARTS, "marts")


def build_published(settings: Settings) -> Publication:
    """Both lakes filled, and their state published.

    With SQLite catalogs they are copied from a pair that is built once: all their rows lie in the
    catalogs, which know besides only where their files will lie.
    """
    if settings.catalog_url:
        return _build_published(settings)
    home, publication = _built_once()
    settings.home.mkdir(parents=True, exist_ok=True)
    for lake in ("raw", "marts"):
        shutil.copy(home / f"{lake}.sqlite", settings.home)
        with closing(sqlite3.connect(settings.home / f"{lake}.sqlite")) as catalog, catalog:
            catalog.execute(
                "update ducklake_metadata set value = ? where key = 'data_path'",
                [settings.lake_files(lake)],
            )
    return publication


@cache
def _built_once() -> tuple[Path, Publication]:
    home = Path(tempfile.mkdtemp(prefix="meterhouse-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    publication = _build_published(settings_at(home))
    for lake in ("raw", "marts"):
        with closing(sqlite3.connect(home / f"{lake}.sqlite")) as catalog:
            catalog.execute("pragma wal_checkpoint(truncate)")
    assert not list((home / "lake").rglob("*.parquet"))
    return home, publication


def _build_published(settings: Settings) -> Publication:
    raw_snapshot = build_raw(settings)
    marts_snapshot = build_marts(settings, raw_snapshot)
    with writing(settings, "marts") as connection:
        return publish(
            connection,
            marts_snapshot=marts_snapshot,
            raw_snapshot=raw_snapshot,
            raw_load_id=RAW_LOAD_ID,
            published_at=PUBLISHED_AT,
        )


def run(connection: Connection, statements: str, lake: str) -> int:
    """Execute statements in one transaction; returns the snapshot of ``lake`` after it."""
    connection.execute("begin")
    for statement in statements.split(";"):
        if statement.strip():
            connection.execute(statement)
    connection.execute("commit")
    return current_snapshot(connection, lake)
