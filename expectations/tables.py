"""The tables that checks look at: the layers in scope, and small sums of them.

They are views and tables of an in-memory database to which both lakes are attached, each pinned
at its snapshot. Nothing is written to the lakes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from expectations.vocabulary import TOKENS
from warehouse.errors import MeterhouseError
from warehouse.lake import Connection, attach, open_engine, table_exists
from warehouse.publication import latest_publication
from warehouse.settings import Settings

GAP_DAYS = 35
"""Days before the newest event in which missing days are looked for."""

OUTLIER_DAYS = 56
"""Days before the first checked day that its robust range may draw on."""


@dataclass(frozen=True)
class Scope:
    """What is checked: two pinned snapshots, and which UTC days of them.

    ``days`` None means the days that the refresh itself noted as touched. ``everything`` checks
    all days and all batches, whatever ``days`` says.
    """

    marts_snapshot: int
    raw_snapshot: int
    raw_load_id: int
    days: tuple[date, ...] | None = None
    everything: bool = False


def open_scope(settings: Settings, scope: Scope) -> Connection:
    """A connection on which every table that checks name exists.

    Raises MeterhouseError when a snapshot or a table of the lakes is missing.
    """
    connection = open_engine(settings)
    try:
        attach(connection, settings, "raw", snapshot=scope.raw_snapshot)
        attach(connection, settings, "marts", snapshot=scope.marts_snapshot)
        days = None if scope.everything else _days(connection, scope)
        published = None if scope.everything else latest_publication(connection)
        for statement in statements(
            raw_load_id=scope.raw_load_id,
            days=days,
            newest_day=_newest_day(connection),
            after_load_id=published.raw_load_id if published else 0,
            accounts=None if scope.everything or scope.days else _accounts(connection),
        ):
            connection.execute(statement)
    except duckdb.Error as error:
        connection.close()
        raise MeterhouseError(
            f"the state to check (snapshot {scope.marts_snapshot} of marts, {scope.raw_snapshot}"
            f" of raw) cannot be read: {error}; run meterhouse doctor"
        ) from error
    return connection


def statements(
    *,
    raw_load_id: int,
    days: Sequence[date] | None,
    newest_day: date,
    after_load_id: int,
    accounts: Sequence[str] | None = None,
) -> list[str]:
    """The statements that make the tables, in their order.

    ``days`` None means all days, ``accounts`` None the ledger of all accounts. Batches above
    ``after_load_id`` are audited, up to ``raw_load_id``. ``newest_day`` anchors the five weeks in
    which gaps are looked for.
    """
    in_scope = _in_days(days)
    batches = f"load_id > {after_load_id} and load_id <= {raw_load_id}"
    return [
        f"create table checked_state as select {raw_load_id} as raw_load_id",
        f"""create view raw_event as
        select * from raw.main.usage_event where load_id <= {raw_load_id} and {in_scope}""",
        _current_event("raw_current_event", raw_load_id, in_scope),
        f"""create table declared_account as
        select distinct account_id from raw.main.account_term where load_id <= {raw_load_id}""",
        f"""create view fct_usage as
        select * from marts.main.fct_usage where {in_scope}""",
        f"""create view fct_usage_daily as
        select * from marts.main.fct_usage_daily where {in_scope}""",
        "create view whole_fct_usage_daily as select * from marts.main.fct_usage_daily",
        _layer_sum(),
        _load_audit(batches),
        *_source_state(raw_load_id, newest_day),
        _rejected_share(raw_load_id),
        _daily_total(days, in_scope),
        _credit_sum(accounts),
    ]


def _days(connection: Connection, scope: Scope) -> tuple[date, ...]:
    if scope.days is not None:
        return scope.days
    if not table_exists(connection, "marts.main.int_usage_touched_days"):
        raise MeterhouseError(
            "the marts do not say which days were touched; name them with --days, or use --all"
        )
    rows = connection.execute(
        "select distinct usage_date_utc from marts.main.int_usage_touched_days order by 1"
    ).fetchall()
    return tuple(row[0] for row in rows)


def _accounts(connection: Connection) -> tuple[str, ...]:
    """The accounts whose ledger the refresh redid."""
    rows = connection.execute(
        "select account_id from marts.main.int_credit_accounts_touched order by 1"
    ).fetchall()
    return tuple(row[0] for row in rows)


def _newest_day(connection: Connection) -> date:
    row = connection.execute(
        "select max(usage_date_utc) from marts.main.fct_usage_daily"
    ).fetchone()
    return row[0] if row and row[0] else date(1970, 1, 1)


def _in_days(days: Sequence[date] | None) -> str:
    """A literal list, which lets the engine skip the files of all other days."""
    if days is None:
        return "true"
    if not days:
        return "false"
    listed = ", ".join(f"date '{day}'" for day in days)
    return f"usage_date_utc in ({listed})"


def _current_event(name: str, raw_load_id: int, in_scope: str) -> str:
    """Rows that no later revision replaced; both lie under the day of the old one."""
    return f"""create view {name} as
        select event.*
        from raw.main.usage_event as event
        anti join (
            select identity_hash, source, event_id, revision
            from raw.main.usage_supersession
            where load_id <= {raw_load_id} and {in_scope}
        ) as replaced using (identity_hash, source, event_id, revision)
        where event.load_id <= {raw_load_id} and not event.is_withdrawn and {in_scope}"""


def _layer_sum() -> str:
    tokens = ", ".join(f"sum({column}) as {column}" for column in TOKENS)
    measures: dict[str, tuple[str, ...]] = {
        "raw": ("events", "logged_credits", *TOKENS),
        "fact": _SHARED,
        "daily": _SHARED,
    }
    figures = ", ".join(
        f"coalesce({layer}_layer.{measure}, 0) as {layer}_{measure}"
        for layer, names in measures.items()
        for measure in names
    )
    sums = ", ".join(f"sum({column}) as {column}" for column in _SUMMED)
    return f"""create table layer_sum as
        with raw_layer as (
            select usage_date_utc, account_id, count(*) as events,
                sum(credits) as logged_credits, {tokens}
            from raw_current_event group by all
        ),
        fact_layer as (
            select usage_date_utc, account_id, count(*) as events,
                count(*) filter (where status <> 'ok') as failed_events,
                count(*) filter (where rating_status = 'unrated') as unrated_events, {sums}
            from fct_usage group by all
        ),
        daily_layer as (
            select usage_date_utc, account_id, sum(events) as events,
                sum(failed_events) as failed_events, sum(unrated_events) as unrated_events, {sums}
            from fct_usage_daily group by all
        )
        select usage_date_utc, account_id, {figures}
        from raw_layer
        full join fact_layer using (usage_date_utc, account_id)
        full join daily_layer using (usage_date_utc, account_id)"""


_SUMMED = (
    "credits",
    "logged_credits",
    "card_credits",
    *TOKENS,
    "provider_cost_usd",
    "execution_ms",
    "exposure_low_credits",
    "exposure_high_credits",
)
_SHARED = ("events", "failed_events", "unrated_events", *_SUMMED)


def _load_audit(batches: str) -> str:
    return f"""create table load_audit as
        with event_rows as (
            select load_id, count(*) as event_rows
            from raw.main.usage_event where {batches} group by load_id
        ),
        quarantine_rows as (
            select load_id, count(*) as quarantine_rows
            from raw.main.usage_quarantine where {batches} group by load_id
        )
        select load.load_id, load.path, load.rows_read, load.rows_loaded, load.rows_duplicate,
            load.rows_rejected, load.kind in ('file', 'replay') as brings_usage,
            coalesce(event_rows.event_rows, 0) as event_rows,
            coalesce(quarantine_rows.quarantine_rows, 0) as quarantine_rows
        from (select * from raw.main.load where {batches}) as load
        left join event_rows using (load_id)
        left join quarantine_rows using (load_id)"""


def _source_state(raw_load_id: int, newest_day: date) -> list[str]:
    recent = (
        f"usage_date_utc > date '{newest_day - timedelta(days=GAP_DAYS)}'"
        if newest_day > date(1970, 1, 1)
        else "true"
    )
    return [
        _current_event("recent_event", raw_load_id, recent),
        """create table source_day as
        select source, usage_date_utc, max(occurred_at) as newest_event_at
        from recent_event group by source, usage_date_utc""",
        f"""create table source_state as
        select day.source, max(day.newest_event_at) as newest_event_at,
            max(load.last_loaded_at) as last_loaded_at
        from source_day as day
        left join (
            select source, max(finished_at) as last_loaded_at
            from raw.main.load where load_id <= {raw_load_id} and kind = 'file' group by source
        ) as load using (source)
        group by day.source""",
        """create table source_gap as
        with bounds as (
            select source, unnest(range(min(usage_date_utc), max(usage_date_utc), interval 1 day))
                as day_at
            from source_day group by source
        )
        select source, cast(day_at as date) as missing_date
        from bounds
        where not exists (
            select 1 from source_day
            where source_day.source = bounds.source
                and source_day.usage_date_utc = cast(bounds.day_at as date)
        )
        order by source, missing_date""",
    ]


def _rejected_share(raw_load_id: int) -> str:
    return f"""create table rejected_share as
        with batch as (
            select finished_at, rows_read, rows_rejected,
                max(finished_at) over () as newest_at
            from raw.main.load where load_id <= {raw_load_id} and kind = 'file'
        ),
        counted as (
            select
                sum(rows_read) filter (where finished_at > newest_at - interval 1 day)
                    as recent_read,
                sum(rows_rejected) filter (where finished_at > newest_at - interval 1 day)
                    as recent_rejected,
                sum(rows_read) filter (where finished_at <= newest_at - interval 1 day
                    and finished_at > newest_at - interval 31 days) as earlier_read,
                sum(rows_rejected) filter (where finished_at <= newest_at - interval 1 day
                    and finished_at > newest_at - interval 31 days) as earlier_rejected
            from batch
        )
        select recent_read, recent_rejected,
            round(recent_rejected / nullif(recent_read, 0), 6) as recent_share,
            round(earlier_rejected / nullif(earlier_read, 0), 6) as earlier_share
        from counted"""


def _daily_total(days: Sequence[date] | None, in_scope: str) -> str:
    """Totals of the checked days beside the median of their weekday, ± six scaled deviations.

    The newest day is left out: it is not over yet. Fewer than four such weekdays give no range.
    """
    since = (
        f"usage_date_utc >= date '{min(days) - timedelta(days=OUTLIER_DAYS)}'" if days else in_scope
    )
    return f"""create table daily_total as
        with total as (
            select usage_date_utc, sum(credits) as credits
            from marts.main.fct_usage_daily where {since} group by usage_date_utc
        ),
        ranged as (
            select usage_date_utc, credits,
                count(*) over weekday as known_days,
                median(cast(credits as double)) over weekday as median_credits,
                mad(cast(credits as double)) over weekday as deviation,
                usage_date_utc = max(usage_date_utc) over () as is_newest
            from total
            window weekday as (
                partition by dayofweek(usage_date_utc) order by usage_date_utc
                range between interval {OUTLIER_DAYS} days preceding and interval 1 day preceding
            )
        ),
        bounded as (
            select *, greatest(6 * 1.4826 * deviation, 0.5 * median_credits) as reach from ranged
        )
        select usage_date_utc, credits, round(median_credits, 3) as median_credits,
            round(greatest(median_credits - reach, 0), 3) as low_credits,
            round(median_credits + reach, 3) as high_credits,
            known_days >= 4 and not is_newest
                and abs(cast(credits as double) - median_credits) > reach as is_outlier
        from bounded where {in_scope}"""


def _credit_sum(accounts: Sequence[str] | None) -> str:
    """Sums of usage, ledger and lots, an account a row.

    For all accounts usage is that of the UTC days; for some, the sums of their own days, which
    are sorted by account.
    """
    if accounts is None:
        usage, in_scope = "fct_usage_daily", "true"
    else:
        usage = "fct_usage_account_daily"
        listed = ", ".join("'" + account.replace("'", "''") + "'" for account in accounts)
        in_scope = f"account_id in ({listed})" if accounts else "false"
    return f"""create table credit_sum as
        with used as (
            select account_id, sum(credits) as used_credits
            from marts.main.{usage} where {in_scope} group by account_id
        ),
        entry as (
            select account_id,
                coalesce(sum(credits) filter (where ledger_account = 'credits:consumed'), 0)
                    as consumed_credits,
                coalesce(sum(credits) filter (where ledger_account = 'credits:lot'), 0)
                    as lot_credits,
                -coalesce(sum(amount_minor) filter (where ledger_account = 'deferred_revenue'), 0)
                    as lot_minor,
                sum(credits) as entry_credits, sum(amount_minor) as entry_minor
            from marts.main.fct_credit_ledger where {in_scope} group by account_id
        ),
        lot as (
            select account_id, sum(remaining_credits) as remaining_credits,
                sum(deferred_minor) as deferred_minor,
                sum(granted_credits) filter (where status <> 'scheduled') as granted_credits,
                sum(consumed_credits) as spent_credits, sum(forfeited_credits) as lost_credits
            from marts.main.fct_credit_lot where {in_scope} group by account_id
        )
        select account_id, {", ".join(f"coalesce({name}, 0) as {name}" for name in _CREDIT_SUMS)}
        from used full join entry using (account_id) full join lot using (account_id)"""


_CREDIT_SUMS = (
    "used_credits",
    "consumed_credits",
    "lot_credits",
    "lot_minor",
    "entry_credits",
    "entry_minor",
    "remaining_credits",
    "deferred_minor",
    "granted_credits",
    "spent_credits",
    "lost_credits",
)
