"""A seeded generator of realistic usage, for demos, tests and benchmarks.

DuckDB makes every row (``sample_data/*.sql``), so that the size is free; the CSV files beside the
SQL say which accounts there are, what character their agents have, which models they use and
which spikes happened. The same SampleSpec gives the same bytes.

A sample that is not *clean* carries defects in known numbers (late, repeated, corrected, moved,
withdrawn and broken rows); the SampleManifest says what a correct load makes of every file.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from warehouse.errors import MeterhouseError

DATA = Path(__file__).parent / "sample_data"

UNDECLARED_ACCOUNT = "bluepeak-travel"
"""An account that some broken rows name and that no sample declares."""

UNRATED_MODEL = "aurora-music-beta"
"""A model that is logged without credits and that no rate card prices."""

SLICE_EVENTS = 400_000
"""Events that are made at once: what bounds the memory."""

LATE_FILE = "sample-late.ndjson"
SINGLE_FILE = "sample.ndjson"


@dataclass(frozen=True)
class SampleSpec:
    """What to generate.

    ``events`` counts usage events, each once; repeated, broken and corrected rows come on top.
    They happen in the ``days`` before ``until`` (UTC, whole seconds). ``clean`` leaves every defect
    out. ``single_file`` writes one file, not one a month and one of late rows. ``lean`` leaves
    sessions, request hashes and tags out (about 240 bytes a line in place of 350).
    Raises MeterhouseError when a number makes no sense.
    """

    seed: int = 7
    accounts: int = 12
    days: int = 400
    events: int = 300_000
    until: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    clean: bool = False
    single_file: bool = False
    lean: bool = False

    def __post_init__(self) -> None:
        for name, least in (("accounts", 1), ("days", 1), ("events", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise MeterhouseError(f"a sample needs {name} of at least {least}")
        if self.until.tzinfo is None or self.until.microsecond:
            raise MeterhouseError("a sample ends at a whole second with a time zone")
        object.__setattr__(self, "until", self.until.astimezone(UTC))

    @property
    def start(self) -> datetime:
        """When the first day begins, UTC."""
        return self.until - timedelta(days=self.days)

    @property
    def defects(self) -> dict[str, int]:
        """How many rows of each kind of defect are wanted; few events may leave room for fewer."""
        if self.clean:
            return {}
        return {
            kind: max(least, self.events // one_in) for kind, (least, one_in) in _DEFECTS.items()
        }


# kind of defect: (at least so many, one in so many events)
_DEFECTS = {
    "late": (4, 500),
    "moved": (2, 10_000),
    "withdrawn": (2, 6_000),
    "corrected": (4, 2_500),
    "outdated": (2, 20_000),
    "conflicting": (2, 15_000),
    "repeated": (4, 1_500),
    "repeated_late": (3, 2_500),
    "truncated": (3, 25_000),
    "unknown_category": (3, 25_000),
    "negative_credits": (3, 25_000),
    "missing_time": (3, 25_000),
    "future_time": (2, 50_000),
    "undeclared_account": (5, 12_000),
}

_LATE = (
    "late",
    "moved",
    "withdrawn",
    "corrected",
    "outdated",
    "conflicting",
    "repeated_late",
)
"""Kinds that put a row into the late file."""

REASONS = {
    "truncated": "unreadable_line",
    "unknown_category": "unknown_category",
    "negative_credits": "negative_number",
    "missing_time": "missing_field",
    "future_time": "future_time",
    "undeclared_account": "undeclared_account",
    "conflicting": "conflicting_duplicate",
}
"""Kind of defect: the reason code for which the loader rejects the row."""


@dataclass(frozen=True)
class SampleAccount:
    """An account of a sample and its terms."""

    account_id: str
    name: str
    time_zone: str
    currency: str
    email: str
    plan: str


@dataclass(frozen=True)
class SampleSpike:
    """Days (of the account, both inclusive) on which an agent used far more, and why."""

    account_id: str
    agent_id: str
    first_day: date
    last_day: date
    cause: str


@dataclass(frozen=True)
class SampleFile:
    """One file, and what a correct load makes of it after all files before it."""

    path: Path
    rows: int
    loaded: int
    duplicate: int
    rejected: dict[str, int]
    """Reason code: rows."""


@dataclass(frozen=True)
class SampleUsage:
    """The current events of one account, category and model once every file is loaded.

    ``credits`` is the sum of the logged ones. Of events without logged credits, ``unlogged_events``
    succeeded (with the units that a rate card may price) and ``failed_events`` did not.
    """

    account_id: str
    category: str
    model: str | None
    events: int
    credits: Decimal
    unlogged_events: int
    unlogged_execution_ms: int
    unlogged_input_tokens: int
    unlogged_output_tokens: int
    failed_events: int


@dataclass(frozen=True)
class SampleManifest:
    """What was written and what must come of it. Files are meant to be loaded in their order."""

    spec: SampleSpec
    files: tuple[SampleFile, ...]
    usage: tuple[SampleUsage, ...]
    spikes: tuple[SampleSpike, ...]
    defects: dict[str, int]
    """Kind of defect: rows."""
    withdrawn_event_ids: tuple[str, ...]
    moved_events: dict[str, tuple[date, date]]
    """Event id: the UTC day it left and the one it went to."""
    undeclared_events: int
    """Rows that flow in once UNDECLARED_ACCOUNT is declared."""
    undeclared_credits: Decimal
    unrated_events: int
    """Events of UNRATED_MODEL that succeeded: nothing says what they cost."""

    @property
    def rows(self) -> int:
        """Rows in all files: loaded + duplicate + rejected."""
        return sum(file.rows for file in self.files)

    @property
    def loaded(self) -> int:
        """Rows that a correct load accepts."""
        return sum(file.loaded for file in self.files)

    @property
    def duplicate(self) -> int:
        """Rows that a correct load counts as duplicates."""
        return sum(file.duplicate for file in self.files)

    @property
    def rejected(self) -> dict[str, int]:
        """Rows that a correct load rejects, by reason code."""
        found: dict[str, int] = {}
        for file in self.files:
            for reason, rows in file.rejected.items():
                found[reason] = found.get(reason, 0) + rows
        return dict(sorted(found.items()))

    @property
    def events(self) -> dict[str, int]:
        """Account: current events."""
        return _added((usage.account_id, usage.events) for usage in self.usage)

    @property
    def logged_credits(self) -> dict[str, Decimal]:
        """Account: exact sum of the credits that the log gives for its current events."""
        return _added((usage.account_id, usage.credits) for usage in self.usage)

    def as_json(self) -> dict[str, Any]:
        """The manifest for JSON: decimals as strings, times in ISO 8601."""
        plain = asdict(self)
        plain |= {
            "rows": self.rows,
            "loaded": self.loaded,
            "duplicate": self.duplicate,
            "rejected": self.rejected,
            "events": self.events,
            "logged_credits": self.logged_credits,
        }
        text: dict[str, Any] = json.loads(json.dumps(plain, default=_json_text, ensure_ascii=False))
        return text


def sample_accounts(spec: SampleSpec) -> tuple[SampleAccount, ...]:
    """The accounts of a sample, in a fixed order."""
    with _engine("1GB", None) as connection:
        _plan(connection, spec)
        return _accounts(connection)


def sample_spikes(spec: SampleSpec) -> tuple[SampleSpike, ...]:
    """The spikes that lie within a sample."""
    with _engine("1GB", None) as connection:
        _plan(connection, spec)
        return _spikes(connection)


def write_sample(
    spec: SampleSpec, folder: Path, *, memory: str = "2GB", threads: int | None = None
) -> SampleManifest:
    """Write the files of a sample into ``folder`` and say what must come of them.

    Every file appears whole (it is written under a hidden name first). ``memory`` and ``threads``
    bound the engine, not the result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _engine(memory, threads, folder) as connection:
        _plan(connection, spec)
        _pick_defects(connection, spec)
        files = list(_write_files(connection, spec, folder))
        return SampleManifest(
            spec=spec,
            files=tuple(files),
            usage=_usage(connection),
            spikes=_spikes(connection),
            defects=dict(
                _rows(
                    connection,
                    "select kind, count(*) from defect group by all order by kind",
                )
            ),
            withdrawn_event_ids=tuple(
                row[0]
                for row in _rows(
                    connection,
                    "select event_id from defect where kind = 'withdrawn' order by all",
                )
            ),
            moved_events={
                event_id: (old, new)
                for event_id, old, new in _rows(
                    connection,
                    "select event_id, occurred_at::date, moved_to::date from defect"
                    " where kind = 'moved' order by all",
                )
            },
            undeclared_events=_rows(
                connection,
                "select count(*) from defect where kind = 'undeclared_account'",
            )[0][0],
            undeclared_credits=_rows(
                connection,
                "select coalesce(sum(credits), 0)::decimal(38, 9) from defect"
                " where kind = 'undeclared_account'",
            )[0][0],
            unrated_events=_rows(
                connection,
                "select coalesce(sum(unlogged_events), 0)::bigint from usage where model = ?",
                [UNRATED_MODEL],
            )[0][0],
        )


# --- the engine and the plan ----------------------------------------------------------------


@contextmanager
def _engine(
    memory: str, threads: int | None, folder: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    config: dict[str, Any] = {"memory_limit": memory}
    if threads:
        config["threads"] = threads
    spill = folder / f".spill-{os.getpid()}" if folder else None
    if spill:
        config["temp_directory"] = str(spill)
    connection = duckdb.connect(":memory:", config=config)
    try:
        connection.execute("set timezone = 'UTC'")
        yield connection
    finally:
        connection.close()
        if spill:
            shutil.rmtree(spill, ignore_errors=True)


def _plan(connection: duckdb.DuckDBPyConnection, spec: SampleSpec) -> None:
    for table in ("account", "agent", "mix", "spike"):
        connection.execute(
            f"create temp table base_{table} as"
            f" select row_number() over () - 1 as position, * from {_csv(table)}"
        )
    for table in ("rhythm", "model"):
        connection.execute(f"create temp table {table} as from {_csv(table)}")
    variables: dict[str, Any] = {
        "seed": spec.seed,
        "accounts": spec.accounts,
        "days": spec.days,
        "events": spec.events,
        "is_lean": spec.lean,
        "start_at": spec.start.replace(tzinfo=None),
        "until_at": spec.until.replace(tzinfo=None),
        "base_accounts": _rows(connection, "select count(*) from base_account")[0][0],
    }
    for name, value in variables.items():
        connection.execute(f"set variable {name} = ?", [value])
    connection.execute(
        "set variable identity = hash(?, ?, ?, ?, ?)",
        [spec.seed, spec.accounts, spec.days, spec.events, spec.until.isoformat()],
    )
    connection.execute(_sql("plan"))
    connection.execute(_sql("line"))


def _csv(name: str) -> str:
    return f"read_csv('{_quoted(DATA / f'{name}.csv')}', header = true, sample_size = -1)"


def _sql(name: str) -> str:
    return (DATA / f"{name}.sql").read_text(encoding="utf-8")


def _accounts(connection: duckdb.DuckDBPyConnection) -> tuple[SampleAccount, ...]:
    return tuple(
        SampleAccount(*row)
        for row in _rows(
            connection,
            "select account_id, name, time_zone, currency, email, plan"
            " from account order by account_no",
        )
    )


def _spikes(connection: duckdb.DuckDBPyConnection) -> tuple[SampleSpike, ...]:
    return tuple(
        SampleSpike(*row)
        for row in _rows(
            connection,
            "select account_id, agent_id, first_day, last_day, cause from spike"
            " order by first_day, account_id, agent_id",
        )
    )


# --- defects --------------------------------------------------------------------------------


def _pick_defects(connection: duckdb.DuckDBPyConnection, spec: SampleSpec) -> None:
    """Make the table ``defect``: the events that something happens to, at most one thing each."""
    wanted = spec.defects
    connection.execute("create temp table wanted (kind varchar, place integer, wanted bigint)")
    for place, (kind, number) in enumerate(wanted.items()):
        connection.execute("insert into wanted values (?, ?, ?)", [kind, place, number])
    # the first event of a cell stands for it; late ones must be recent, moved ones have room
    limit = 5 * sum(wanted.values()) + 100 if wanted else 0
    connection.execute(
        "create or replace temp view chosen as"
        " (select local_day, agent_no, 0::bigint as number from cell"
        "   where local_day >= getvariable('until_at')::date - 40"
        f"  order by hash(getvariable('seed'), 'recent', first_event_no) limit {limit})"
        " union "
        "(select local_day, agent_no, 0::bigint from cell"
        f"  order by hash(getvariable('seed'), 'any', first_event_no) limit {limit})"
    )
    connection.execute(
        f"""
        create temp table candidate as
        select
            *,
            occurred_at >= cast(getvariable('until_at') as timestamp) - interval 38 days
                as is_recent,
            hash(getvariable('seed'), 'defect', event_no) as lot,
        from ({_sql("event")})
        where status = 'ok' and credits > 0
          and occurred_at < cast(getvariable('until_at') as timestamp) - interval 2 days
        """
    )
    connection.execute(
        """
        create temp table defect as
        with late as (
            select *, 'late' as kind
            from candidate
            where is_recent
            order by lot
            limit (select coalesce(sum(wanted), 0) from wanted where kind = 'late')
        ),
        ranked as (
            select
                candidate.*,
                row_number() over (order by occurred_at < cast(getvariable('start_at') as timestamp)
                    + interval 7 days, lot) as place,
            from candidate
            anti join late using (event_no)
        ),
        ranges as (
            select
                kind,
                sum(wanted) over (order by place) - wanted as after_place,
                sum(wanted) over (order by place) as until_place,
            from wanted
            where kind <> 'late'
        ),
        others as (
            select ranked.* exclude (place), ranges.kind
            from ranked
            inner join ranges
                on ranked.place > ranges.after_place
                and ranked.place <= ranges.until_place
        )
        select
            *,
            case
                when kind = 'moved'
                    then occurred_at - to_hours(cast(24 + lot % 96 as bigint))
            end as moved_to,
            case
                when kind in ('corrected', 'outdated') and lot % 3 > 0
                    then cast(round(credits * 0.5, 6) as decimal(18, 9))
                when kind in ('corrected', 'outdated')
                    then cast(round(credits * 1.25, 6) as decimal(18, 9))
                when kind = 'conflicting'
                    then cast(credits + 1 as decimal(18, 9))
            end as other_credits,
        from (from late union all by name from others)
        where kind <> 'moved'
            or occurred_at >= cast(getvariable('start_at') as timestamp) + interval 7 days
        """
    )


# --- files ----------------------------------------------------------------------------------

_LINE = """
    log_line(
        event_id, account_id, agent_id, category, model, occurred_at, execution_ms, credits,
        input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, status, session_id,
        request_hash, tags_text, {revision}, {withdrawn}
    )
"""

_CLEAN_LINES = f"select {_LINE.format(revision=0, withdrawn=False)} as line from event"

_SLICE = """
    create or replace temp table row as
    with marked as (
        select event.*, coalesce(defect.kind, 'none') as kind
        from event
        left join (select event_no, kind from defect) as defect
            on event.event_no = defect.event_no
    ),
    more as (
        select * replace (
            case when kind = 'repeated' then event_id else left(md5(event_id), 16) end as event_id
        )
        from marked
        where kind in (
            'repeated', 'truncated', 'unknown_category', 'negative_credits', 'missing_time',
            'future_time', 'undeclared_account'
        )
    )
    select *, 0 as copy from marked where kind <> 'late'
    union all
    select *, 1 from more
"""

_SLICE_LINES = f"""
    select
        case
            when copy = 1 and kind = 'truncated' then left(line, length(line) * 3 // 5)
            else line
        end
            as line,
    from (
        select copy, kind, event_no, sort_at, {_LINE.format(revision=0, withdrawn=False)} as line
        from (
            select
                * replace (
                    case
                        when copy = 1 and kind = 'unknown_category' then 'hologram'
                        else category
                    end
                        as category,
                    case when copy = 1 and kind = 'negative_credits' then -credits else credits end
                        as credits,
                    case when copy = 1 and kind = 'undeclared_account' then '{UNDECLARED_ACCOUNT}'
                        else account_id end as account_id,
                    case
                        when copy = 1 and kind = 'missing_time' then null
                        when copy = 1 and kind = 'future_time' then timestamp '2099-12-31 23:59:59'
                        else occurred_at
                    end as occurred_at
                ),
                occurred_at as sort_at,
            from row
        )
    )
    order by sort_at, event_no, copy
"""

_LATE_LINES = f"""
    select {_LINE.format(revision="revision", withdrawn="is_withdrawn")} as line
    from (
        select *, 0 as revision, false as is_withdrawn, 0 as part
        from defect where kind in ('late', 'repeated_late')
        union all
        select * replace (coalesce(moved_to, occurred_at) as occurred_at), 1, kind = 'withdrawn', 1
        from defect where kind in ('moved', 'withdrawn')
        union all
        select * replace (other_credits as credits), 1, false, 2
        from defect where kind in ('corrected', 'outdated')
        union all
        select *, 0, false, 3 from defect where kind = 'outdated'
        union all
        select * replace (other_credits as credits), 0, false, 4
        from defect where kind = 'conflicting'
    )
    order by part > 2, lot, part
"""


def _write_files(
    connection: duckdb.DuckDBPyConnection, spec: SampleSpec, folder: Path
) -> Iterator[SampleFile]:
    """Write month by month, and the late rows last; adds up the table ``usage`` meanwhile."""
    connection.execute(
        "create temp table usage as"
        " select * from (" + _USAGE.format(events=_nothing()) + ") limit 0"
    )
    slices = _slices(connection, spec)
    names = list(dict.fromkeys(name for name, _, _ in slices))
    for name in names:
        target = folder / name
        part = folder / f".{name}.part"
        part.unlink(missing_ok=True)
        rows = loaded = duplicate = 0
        rejected: dict[str, int] = {}
        for _, since, before in (piece for piece in slices if piece[0] == name):
            _make_events(connection, since, before)
            connection.execute("insert into usage " + _USAGE.format(events="event"))
            if spec.clean:
                count = _rows(connection, "select count(*) from event")[0][0]
                loaded += count
                rows += count
                _append(connection, _CLEAN_LINES, part)
                continue
            connection.execute(_SLICE)
            for kind, copy, count in _rows(
                connection,
                "select kind, copy, count(*) from row group by all order by all",
            ):
                rows += count
                if copy == 0:
                    loaded += count
                elif kind == "repeated":
                    duplicate += count
                else:
                    rejected[REASONS[kind]] = rejected.get(REASONS[kind], 0) + count
            _append(connection, _SLICE_LINES, part)
        is_last = name == names[-1]
        if is_last and spec.single_file and not spec.clean:
            late = _late_file(connection, part)
            rows, loaded, duplicate = (
                rows + late.rows,
                loaded + late.loaded,
                duplicate + late.duplicate,
            )
            for reason, count in late.rejected.items():
                rejected[reason] = rejected.get(reason, 0) + count
        os.replace(part, target)
        yield SampleFile(target, rows, loaded, duplicate, dict(sorted(rejected.items())))
    if not spec.clean and not spec.single_file:
        part = folder / f".{LATE_FILE}.part"
        part.unlink(missing_ok=True)
        late = _late_file(connection, part)
        if late.rows:
            os.replace(part, folder / LATE_FILE)
            yield SampleFile(
                folder / LATE_FILE,
                late.rows,
                late.loaded,
                late.duplicate,
                late.rejected,
            )
        else:
            part.unlink(missing_ok=True)


def _slices(
    connection: duckdb.DuckDBPyConnection, spec: SampleSpec
) -> list[tuple[str, datetime, datetime]]:
    """File name and UTC range [since, before) of what is made at once, in order."""
    days = _rows(
        connection,
        "select local_day, sum(event_count)::bigint from cell group by all order by local_day",
    )
    per_day = dict(days)
    pieces: list[tuple[str, datetime, datetime]] = []
    since = spec.start
    size = 0
    while since < spec.until:
        name = SINGLE_FILE if spec.single_file else f"sample-{since:%Y-%m}.ndjson"
        before = since
        size = 0
        while before < spec.until and before.month == since.month:
            size += per_day.get(before.date(), 0)
            if size > SLICE_EVENTS and before > since:
                break
            midnight = datetime(before.year, before.month, before.day, tzinfo=UTC)
            before = min(midnight + timedelta(days=1), spec.until)
        pieces.append((name, since, before))
        since = before
    return pieces


def _make_events(connection: duckdb.DuckDBPyConnection, since: datetime, before: datetime) -> None:
    """Make the table ``event``: every event of [since, before) in the order of time."""
    connection.execute(
        "create or replace temp view chosen as"
        " select local_day, agent_no, unnest(range(event_count)) as number from cell"
        f" where local_day between date '{since:%Y-%m-%d}' - 1 and date '{before:%Y-%m-%d}' + 1"
    )
    connection.execute(
        f"create or replace temp table event as select * from ({_sql('event')})"
        f" where occurred_at >= timestamp '{since:%Y-%m-%d %H:%M:%S}'"
        f" and occurred_at < timestamp '{before:%Y-%m-%d %H:%M:%S}'"
        " order by occurred_at, event_no"
    )


def _late_file(connection: duckdb.DuckDBPyConnection, part: Path) -> SampleFile:
    """Append the late rows to ``part`` and say what becomes of them."""
    kinds: dict[str, int] = dict(
        _rows(connection, "select kind, count(*) from defect group by all order by kind")
    )
    number = {kind: kinds.get(kind, 0) for kind in _LATE}
    _append(connection, _LATE_LINES, part)
    loaded = sum(number[kind] for kind in ("late", "moved", "withdrawn", "corrected", "outdated"))
    duplicate = number["repeated_late"] + number["outdated"]
    conflicting = number["conflicting"]
    return SampleFile(
        path=part,
        rows=loaded + duplicate + conflicting,
        loaded=loaded,
        duplicate=duplicate,
        rejected={REASONS["conflicting"]: conflicting} if conflicting else {},
    )


def _append(connection: duckdb.DuckDBPyConnection, lines: str, file: Path) -> None:
    """Append the rows of a query of one text column to a file, a line each."""
    piece = file.with_name(file.name + ".piece")
    connection.execute(
        f"copy ({lines}) to '{_quoted(piece)}'"
        " (format csv, header false, quote '', escape '', delimiter '\x01')"
    )
    if not file.exists():
        os.replace(piece, file)
        return
    with file.open("ab") as target, piece.open("rb") as source:
        shutil.copyfileobj(source, target, 1 << 22)
    piece.unlink()


# --- what must come of it -------------------------------------------------------------------

_USAGE = """
    select
        account_id,
        category,
        model,
        count(*) as events,
        coalesce(sum(credits), 0)::decimal(38, 9) as credits,
        count(*) filter (credits is null and status = 'ok') as unlogged_events,
        coalesce(sum(execution_ms) filter (credits is null and status = 'ok'), 0)::bigint
            as unlogged_execution_ms,
        coalesce(sum(input_tokens) filter (credits is null and status = 'ok'), 0)::bigint
            as unlogged_input_tokens,
        coalesce(sum(output_tokens) filter (credits is null and status = 'ok'), 0)::bigint
            as unlogged_output_tokens,
        count(*) filter (credits is null and status <> 'ok') as failed_events,
    from {events}
    group by account_id, category, model
"""


def _nothing() -> str:
    """An empty relation with the columns of the table ``event``."""
    return "(select * from defect limit 0)"


def _usage(connection: duckdb.DuckDBPyConnection) -> tuple[SampleUsage, ...]:
    """What is current after every file: all events, less the withdrawn, with corrected credits."""
    return tuple(
        SampleUsage(*row)
        for row in _rows(
            connection,
            """
            with everything as (
                select * from usage
                union all
                select account_id, category, model, -1, -credits, 0, 0, 0, 0, 0
                from defect where kind = 'withdrawn'
                union all
                select account_id, category, model, 0, other_credits - credits, 0, 0, 0, 0, 0
                from defect where kind in ('corrected', 'outdated')
            )
            select
                account_id,
                category,
                model,
                sum(events)::bigint,
                sum(credits)::decimal(38, 9),
                sum(unlogged_events)::bigint,
                sum(unlogged_execution_ms)::bigint,
                sum(unlogged_input_tokens)::bigint,
                sum(unlogged_output_tokens)::bigint,
                sum(failed_events)::bigint,
            from everything
            group by all
            order by account_id, category, model nulls first
            """,
        )
    )


# --- small things ---------------------------------------------------------------------------


def _rows(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    return connection.execute(query, list(parameters)).fetchall()


def _added(pairs: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    sums: dict[str, Any] = {}
    for key, value in pairs:
        sums[key] = sums[key] + value if key in sums else value
    return dict(sorted(sums.items()))


def _json_text(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
