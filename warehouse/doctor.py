"""Are lakes, pointer and store in agreement? Looks at everything and changes nothing."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import duckdb

from warehouse.errors import MeterhouseError
from warehouse.lake import (
    LAKES,
    Connection,
    attach,
    catalog_exists,
    catalog_file,
    metadata_schema,
    open_engine,
    table_exists,
)
from warehouse.leases import leases
from warehouse.locks import Lake
from warehouse.publication import Publication, latest_publication
from warehouse.settings import Settings

Verdict = Literal["ok", "warning", "problem"]

ORPHAN_AGE = timedelta(days=1)
"""A younger file without an owner may be one that is being written."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, how it is, and what to do about it."""

    name: str
    verdict: Verdict
    message: str

    def as_dict(self) -> dict[str, str]:
        """The finding ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class StoreTerms:
    """What the operational store holds of account terms: how many, and the highest id."""

    count: int
    highest_id: int


@dataclass(frozen=True)
class StoreCredits:
    """What the operational store holds of credits, by the ids that only grow: the credits of each
    lot, and the price of each purchase in minor units.
    """

    grants: Mapping[int, Decimal]
    purchases: Mapping[int, int]


@dataclass(frozen=True)
class _Patient:
    """What the examinations look at; ``connection`` has the lakes that could be attached."""

    settings: Settings
    connection: Connection
    attached: frozenset[Lake]
    now: datetime

    def published(self) -> Publication | None:
        """The published pointer; raises duckdb.Error when it cannot be read."""
        return latest_publication(self.connection)


def examine(
    settings: Settings,
    store_terms: StoreTerms | None = None,
    now: datetime | None = None,
    *,
    store_credits: StoreCredits | None = None,
) -> list[Finding]:
    """Look at everything; without ``store_terms`` and ``store_credits`` the store is left out.

    An examination that breaks down is itself a problem: this function does not raise.
    """
    now = now or datetime.now(UTC)
    existing = [lake for lake in LAKES if catalog_exists(settings, lake)]
    if not existing:
        return [Finding("lakes", "ok", f"{settings.home} holds no usage yet")]
    findings: list[Finding] = []
    connection = open_engine(settings)
    try:
        attached: set[Lake] = set()
        for lake in existing:
            finding = _attach_lake(connection, settings, lake)
            findings.append(finding)
            if finding.verdict == "ok":
                attached.add(lake)
        patient = _Patient(settings, connection, frozenset(attached), now)
        for name, needed, examination in _EXAMINATIONS:
            if not needed <= attached:
                continue
            try:
                findings.extend(examination(patient))
            except (duckdb.Error, OSError) as error:
                findings.append(Finding(name, "problem", f"could not be examined: {error}"))
        if store_terms is not None and "raw" in attached:
            findings.append(_compare_terms(patient, store_terms))
        if store_credits is not None and "raw" in attached:
            findings += [
                _compare_amounts(patient, "lots", store_credits.grants, _GRANTS),
                _compare_amounts(patient, "purchases", store_credits.purchases, _PURCHASES),
            ]
    finally:
        connection.close()
    return findings


def _attach_lake(connection: Connection, settings: Settings, lake: Lake) -> Finding:
    try:
        attach(connection, settings, lake)
        connection.execute(f"select count(*) from ducklake_snapshots('{lake}')").fetchall()
    except MeterhouseError as error:
        return Finding(f"{lake}_lake", "problem", str(error))
    except duckdb.Error as error:
        return Finding(
            f"{lake}_lake",
            "problem",
            f"the {lake} lake cannot be opened: {error}; restore its catalog from a backup",
        )
    return Finding(f"{lake}_lake", "ok", f"the {lake} lake opens")


def _examine_mode(patient: _Patient) -> Iterator[Finding]:
    """A SQLite catalog is in write-ahead mode, else readers and the writer wait for each other."""
    if patient.settings.catalog_url:
        return
    for lake in sorted(patient.attached):
        file = catalog_file(patient.settings, lake)
        (mode,) = patient.connection.execute(
            f"from sqlite_query('__ducklake_metadata_{lake}', 'pragma journal_mode')"
        ).fetchall()[0]
        if mode == "wal":
            yield Finding(f"{lake}_catalog_mode", "ok", f"{file.name} is in write-ahead mode")
        else:
            yield Finding(
                f"{lake}_catalog_mode",
                "warning",
                f"{file.name} is in journal mode {mode}: readers and the writer wait for each "
                "other; stop everything and run `pragma journal_mode=wal` on it",
            )


def _examine_pointer(patient: _Patient) -> Iterator[Finding]:
    """The published snapshots can be read, and the pointer lies within what was loaded."""
    published = patient.published()
    if published is None:
        yield Finding("pointer", "ok", "nothing is published yet; run `meterhouse refresh`")
        return
    broken = []
    for lake, snapshot in (("marts", published.marts_snapshot), ("raw", published.raw_snapshot)):
        try:
            _attach_settled(patient, lake, snapshot)
            patient.connection.execute(
                f"select count(*) from duckdb_tables() where database_name = 'settled_{lake}'"
            ).fetchall()
        except duckdb.Error as error:
            broken.append(f"snapshot {snapshot} of {lake} cannot be read ({error})")
    if broken:
        yield Finding(
            "pointer",
            "problem",
            f"the published state is broken: {'; '.join(broken)}; run `meterhouse refresh`",
        )
    else:
        yield Finding(
            "pointer",
            "ok",
            f"snapshot {published.marts_snapshot} of marts and {published.raw_snapshot} of raw "
            "can be read",
        )
    newest = _number(patient.connection, "select max(load_id) from raw.main.load")
    if published.raw_load_id > newest:
        yield Finding(
            "pointer_load",
            "problem",
            f"batch {published.raw_load_id} is published, but the newest batch of raw is {newest}: "
            "the two lakes are of different times; restore both from the same backup",
        )
    else:
        yield Finding(
            "pointer_load", "ok", f"published up to batch {published.raw_load_id} of {newest}"
        )


def _examine_audit(patient: _Patient) -> Iterator[Finding]:
    """What the audit says was loaded and rejected is what lies there."""
    row = patient.connection.execute(
        """
        with audited as (
            select * from raw.main.load where kind in ('file', 'replay')
        )
        select
            (select coalesce(sum(rows_loaded), 0) from audited),
            (select count(*) from raw.main.usage_event),
            (select coalesce(sum(rows_rejected), 0) from audited),
            (select count(*) from raw.main.usage_quarantine),
            (select count(*) from audited
                where rows_read <> rows_loaded + rows_duplicate + rows_rejected)
        """
    ).fetchone()
    assert row is not None
    loaded, events, rejected, held, uneven = map(int, row)
    wrong = []
    if loaded != events:
        wrong.append(f"{loaded} rows were loaded, {events} are there")
    if rejected != held:
        wrong.append(f"{rejected} rows were rejected, {held} are in quarantine")
    if uneven:
        wrong.append(f"{uneven} batches do not add up")
    if wrong:
        yield Finding(
            "load_audit",
            "problem",
            "; ".join(wrong) + "; somebody wrote to raw past the loader: restore it from a backup",
        )
    else:
        yield Finding("load_audit", "ok", f"{events} events and {held} rejected rows, as audited")


def _examine_conservation(patient: _Patient) -> Iterator[Finding]:
    """At the published state, the daily sums = the facts = the current raw events."""
    published = patient.published()
    if published is None:
        return
    connection = patient.connection
    _attach_settled(patient, "marts", published.marts_snapshot)
    _attach_settled(patient, "raw", published.raw_snapshot)
    if not table_exists(connection, "settled_marts.main.fct_usage_daily"):
        yield Finding(
            "conservation",
            "problem",
            "the published state has no fct_usage_daily; run `meterhouse refresh`",
        )
        return
    events, credits, logged = _figures(
        connection,
        "select sum(events), sum(credits), sum(logged_credits)"
        " from settled_marts.main.fct_usage_daily",
    )
    fact_events, fact_credits, fact_logged = _figures(
        connection,
        "select count(*), sum(credits), sum(logged_credits) from settled_marts.main.fct_usage",
    )
    raw_events, raw_logged = _figures(
        connection,
        f"""
        select count(*), sum(credits)
        from settled_raw.main.usage_event
        anti join (
            select identity_hash, source, event_id, revision
            from settled_raw.main.usage_supersession
            where load_id <= {published.raw_load_id}
        ) as replaced using (identity_hash, source, event_id, revision)
        where load_id <= {published.raw_load_id} and not is_withdrawn
        """,
    )
    agree = (
        events == fact_events == raw_events
        and credits == fact_credits
        and logged == fact_logged == raw_logged
    )
    if agree:
        yield Finding("conservation", "ok", f"{events} events and {credits} credits in every layer")
    else:
        yield Finding(
            "conservation",
            "problem",
            f"events: raw {raw_events}, facts {fact_events}, daily sums {events}; logged credits: "
            f"raw {raw_logged}, facts {fact_logged}, daily sums {logged}; credits: facts "
            f"{fact_credits}, daily sums {credits}; rebuild with `meterhouse refresh --from` the "
            "first day",
        )


def _examine_credits(patient: _Patient) -> Iterator[Finding]:
    """At the published state, the lots and the ledger hold what was granted up to its batch."""
    published = patient.published()
    if published is None:
        return
    connection = patient.connection
    _attach_settled(patient, "marts", published.marts_snapshot)
    _attach_settled(patient, "raw", published.raw_snapshot)
    needed = [
        "settled_raw.main.credit_grant",
        "settled_marts.main.fct_credit_lot",
        "settled_marts.main.fct_credit_posting",
    ]
    if not all(table_exists(connection, table) for table in needed):
        yield Finding("credits", "ok", "the published state is from before there were credits")
        return
    granted = _figures(
        connection,
        "select count(*), sum(cast(credits as decimal(38, 9)))"
        f" from settled_raw.main.credit_grant where load_id <= {published.raw_load_id}",
    )
    lots = _figures(
        connection,
        "select count(*), sum(granted_credits) from settled_marts.main.fct_credit_lot",
    )
    begun = _figures(
        connection,
        "select count(*), sum(granted_credits) from settled_marts.main.fct_credit_lot"
        " where status <> 'scheduled'",
    )
    posted = _figures(
        connection,
        "select count(*), sum(credits) from settled_marts.main.fct_credit_posting"
        " where posting_kind = 'grant'",
    )
    if granted == lots and begun == posted:
        yield Finding("credits", "ok", f"{lots[1]} credits of {lots[0]} lots, as granted")
        return
    yield Finding(
        "credits",
        "problem",
        f"raw grants {granted[1]} credits in {granted[0]} lots, the marts have {lots[1]} in "
        f"{lots[0]}; {begun[1]} of them have begun, the ledger posts {posted[1]}; rebuild with "
        "`meterhouse refresh --from` the first day",
    )


def _examine_files(patient: _Patient) -> Iterator[Finding]:
    """Every file that a catalog names is there, and no other is."""
    for lake in sorted(patient.attached):
        folder = patient.settings.lake_files(lake)
        if "://" in folder:
            yield Finding(
                f"{lake}_files", "ok", f"{folder} is no folder: its files were not listed"
            )
            continue
        schema = f"__ducklake_metadata_{lake}.{metadata_schema(patient.settings, lake)}"
        named = _names(
            patient.connection,
            f"select path from {schema}.ducklake_data_file"
            f" union all select path from {schema}.ducklake_delete_file",
        )
        leaving = _names(
            patient.connection, f"select path from {schema}.ducklake_files_scheduled_for_deletion"
        )
        there = {file.name: file for file in Path(folder).rglob("*") if file.is_file()}
        missing = sorted(named - there.keys())
        if missing:
            yield Finding(
                f"{lake}_files",
                "problem",
                f"{len(missing)} of {len(named)} files that the catalog of {lake} names are gone, "
                f"such as {missing[0]}; restore {folder} from a backup",
            )
        else:
            yield Finding(f"{lake}_files", "ok", f"all {len(named)} files of {lake} are there")
        oldest = (patient.now - ORPHAN_AGE).timestamp()
        orphans = [
            name for name in there.keys() - named - leaving if there[name].stat().st_mtime < oldest
        ]
        if orphans:
            yield Finding(
                f"{lake}_orphans",
                "warning",
                f"{len(orphans)} files of {lake} belong to nothing, left by killed writers; "
                "`meterhouse upkeep` removes them",
            )


def _examine_leftovers(patient: _Patient) -> Iterator[Finding]:
    """Leases of dead readers, and what a killed loader left behind."""
    _, stale = leases(patient.settings, patient.now)
    if stale:
        yield Finding(
            "leases",
            "warning",
            f"{len(stale)} leases of readers that are gone; `meterhouse upkeep` removes them",
        )
    oldest = (patient.now - ORPHAN_AGE).timestamp()
    scratch = [
        path for path in (patient.settings.home / "tmp").glob("*") if path.stat().st_mtime < oldest
    ]
    if scratch:
        yield Finding(
            "scratch",
            "warning",
            f"{len(scratch)} leftovers of killed processes in {patient.settings.home / 'tmp'}; "
            "remove them",
        )


def _compare_terms(patient: _Patient, store: StoreTerms) -> Finding:
    if table_exists(patient.connection, "raw.main.account_term"):
        row = patient.connection.execute(
            "select count(*), coalesce(max(term_id), 0) from raw.main.account_term"
        ).fetchone()
        assert row is not None
        count, highest = int(row[0]), int(row[1])
    else:
        count, highest = 0, 0
    if (count, highest) == (store.count, store.highest_id):
        return Finding("account_terms", "ok", f"{count} account terms in the store and in raw")
    said = (
        f"the store has {store.count} account terms (highest id {store.highest_id}), "
        f"raw has {count} (highest id {highest})"
    )
    if store.highest_id > highest or (store.highest_id == highest and store.count > count):
        return Finding(
            "account_terms", "warning", f"{said}; the next `meterhouse refresh` copies them"
        )
    return Finding(
        "account_terms",
        "problem",
        f"{said}: the store is older than the lake; restore both from the same backup",
    )


_GRANTS = ("credit_grant", "grant_id", "credits")
_PURCHASES = ("purchase", "purchase_number", "price_minor")


def _compare_amounts(
    patient: _Patient, what: str, store: Mapping[int, Any], where: tuple[str, str, str]
) -> Finding:
    """The store's amounts by id and those of a raw table: the same up to what is to come.

    ``where`` names the table, its id and its amount.
    """
    table, key, amount = where
    name = f"store_{what}"
    lake = {}
    if table_exists(patient.connection, f"raw.main.{table}"):
        lake = dict(
            patient.connection.execute(f"select {key}, {amount} from raw.main.{table}").fetchall()
        )
    highest = max(lake, default=0)
    unknown = sorted(lake.keys() - store.keys())
    wrong = sorted(
        number for number, value in store.items() if number <= highest and lake.get(number) != value
    )
    if unknown:
        return Finding(
            name,
            "problem",
            f"raw has {len(unknown)} {what} that the store has not, such as number {unknown[0]}: "
            "the store is older than the lake; restore both from the same backup",
        )
    if wrong:
        return Finding(
            name,
            "problem",
            f"{len(wrong)} {what} of the store are missing in raw or have another amount there, "
            f"such as number {wrong[0]}: somebody changed one of them; restore both from the same "
            "backup",
        )
    if len(store) > len(lake):
        return Finding(
            name,
            "warning",
            f"{len(store) - len(lake)} {what} of the store are not in raw yet; the next "
            "`meterhouse refresh` copies them",
        )
    return Finding(name, "ok", f"{len(lake)} {what} in the store and in raw, of the same amounts")


_Examination = Callable[[_Patient], Iterator[Finding]]

_EXAMINATIONS: tuple[tuple[str, frozenset[Lake], _Examination], ...] = (
    ("catalog_mode", frozenset(), _examine_mode),
    ("pointer", frozenset({"raw", "marts"}), _examine_pointer),
    ("load_audit", frozenset({"raw"}), _examine_audit),
    ("conservation", frozenset({"raw", "marts"}), _examine_conservation),
    ("credits", frozenset({"raw", "marts"}), _examine_credits),
    ("files", frozenset(), _examine_files),
    ("leftovers", frozenset(), _examine_leftovers),
)


def _attach_settled(patient: _Patient, lake: Any, snapshot: int) -> None:
    """Attach a lake at its published snapshot as ``settled_<lake>``, once."""
    alias = f"settled_{lake}"
    known = patient.connection.execute(
        "select 1 from duckdb_databases() where database_name = ?", [alias]
    ).fetchone()
    if known is None:
        attach(patient.connection, patient.settings, lake, alias=alias, snapshot=snapshot)


def _number(connection: Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0] or 0) if row else 0


def _figures(connection: Connection, query: str) -> list[Any]:
    row = connection.execute(query).fetchone()
    return [value or 0 for value in row] if row else []


def _names(connection: Connection, query: str) -> set[str]:
    return {str(row[0]).rsplit("/", 1)[-1] for row in connection.execute(query).fetchall()}
