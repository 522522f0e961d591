"""Loading: a file becomes rows of ``usage_event``, rows of quarantine and one row of audit.

One transaction a file: all of it is there, or nothing. For every file, rows read = loaded +
duplicate + rejected.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow as pa

from ingest.batch import ORDINAL, fill_batch, mend_rows, number_lines
from ingest.files import (
    KnownFile,
    Piece,
    Prepared,
    UnfinishedFileError,
    UnreadableFileError,
    content_hash,
    modified_at,
    prepare,
)
from ingest.merge import merge_batch
from ingest.readers import BrokenLine, Records, absence, json_lines
from ingest.specs import SourceSpec
from ingest.tables import ensure_tables, next_load_id, ordinal_of
from warehouse.errors import MeterhouseError
from warehouse.lake import Connection
from warehouse.settings import Settings


class Accounts(Protocol):
    """Which accounts are declared. The operational store stands behind it."""

    def declared(self) -> Collection[str]:
        """Ids of all declared accounts."""

    def declare(self, account_ids: Sequence[str]) -> Collection[str]:
        """Declare accounts with default values; those of ``account_ids`` that now exist."""


@dataclass(frozen=True)
class FileReport:
    """What became of one file. ``read == loaded + duplicate + rejected``, always.

    ``outcome``: ``loaded``, ``skipped`` (same content before), ``unfinished`` (still being
    written, to be read later) or ``failed`` (``message`` says why). ``warnings`` tell
    what is odd about a file that was loaded all the same.
    """

    path: str
    outcome: str
    load_id: int | None = None
    read: int = 0
    loaded: int = 0
    duplicate: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    message: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadReport:
    """What became of several files, with their sums."""

    files: tuple[FileReport, ...]
    created_accounts: tuple[str, ...] = ()

    @property
    def read(self) -> int:
        """Rows read."""
        return sum(file.read for file in self.files)

    @property
    def loaded(self) -> int:
        """New events, corrections and withdrawals."""
        return sum(file.loaded for file in self.files)

    @property
    def duplicate(self) -> int:
        """Rows that were there already, and older revisions."""
        return sum(file.duplicate for file in self.files)

    @property
    def rejected(self) -> int:
        """Rows held in quarantine."""
        return sum(file.rejected for file in self.files)

    @property
    def reasons(self) -> dict[str, int]:
        """Rejected rows by reason."""
        counted: Counter[str] = Counter()
        for file in self.files:
            counted.update(file.reasons)
        return dict(sorted(counted.items()))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about files that were loaded."""
        return tuple(f"{file.path}: {text}" for file in self.files for text in file.warnings)

    @property
    def failures(self) -> tuple[FileReport, ...]:
        """Files that could not be read at all."""
        return tuple(file for file in self.files if file.outcome == "failed")


Progress = Callable[[str, Connection], AbstractContextManager[None]]
"""Shows progress while a file (its name) is read through a connection."""

BadFile = (UnreadableFileError, duckdb.InvalidInputException, duckdb.ConversionException)
"""Errors that speak of the file's content, not of the lake."""


MENDED_BY_OTHERS = ("undeclared_account", "future_time")
"""Reasons that go away without a change of the log or its spec; replayed at every load."""

OPEN_QUARANTINE = """
    select held.*
    from raw.main.usage_quarantine as held
    anti join raw.main.usage_quarantine_release as release
        on release.quarantine_load_id = held.load_id
        and release.quarantine_line_number = held.line_number
"""
"""Rejected rows that were not replayed since."""


NEWEST_LOAD = """
    select max(load_id) from raw.main.load
    where kind = 'file' and rows_read > 0 and source = ? and path = ?
"""
"""The load that last read rows of a file."""

Absent = dict[str, str]
"""Columns that no row of a JSON log has, each with what to say of it."""


class Loader:
    """Loads files of declared sources through a connection that may write ``raw``.

    The caller holds the loader's lock (``warehouse.lake.writing``). ``progress`` shows how a long
    read goes on.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        accounts: Accounts,
        *,
        create_accounts: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._accounts = accounts
        self._create_accounts = create_accounts
        self._progress = progress
        self._created: list[str] = []
        ensure_tables(connection)

    def load(self, spec: SourceSpec, paths: Iterable[Path]) -> LoadReport:
        """Load files one after the other; one that fails leaves the others to be loaded.

        Where accounts are to be created, those of rows that an earlier load of the same files
        held back are declared too; a replay then takes the rows in.
        """
        reports = tuple(self._load_file(spec, path) for path in paths)
        if self._create_accounts:
            self.declare_held(spec, [Path(report.path) for report in reports])
        return LoadReport(reports, self.created_accounts)

    @property
    def created_accounts(self) -> tuple[str, ...]:
        """Accounts that this loader has declared."""
        return tuple(self._created)

    def declare_held(self, spec: SourceSpec, paths: Sequence[Path]) -> None:
        """Declare the accounts of rows held for them, of these files or others of their content."""
        rows = self._connection.execute(
            f"""
            select distinct account_id from ({OPEN_QUARANTINE})
            where source = $source and reason = 'undeclared_account' and path in (
                select path from raw.main.load where source = $source and content_hash in (
                    select content_hash from raw.main.load
                    where source = $source and path in (select unnest($paths))
                )
            )
            """,
            {"source": spec.source, "paths": list(map(str, paths))},
        ).fetchall()
        held = {account for (account,) in rows} - set(self._accounts.declared())
        if held:
            self._created += sorted(self._accounts.declare(sorted(held)))

    def held_sources(self, reasons: Sequence[str]) -> list[str]:
        """Sources with open quarantined rows of these reasons."""
        rows = self._connection.execute(
            f"select distinct source from ({OPEN_QUARANTINE})"
            " where reason in (select unnest(?)) order by source",
            [list(reasons)],
        ).fetchall()
        return [source for (source,) in rows]

    def replay(self, spec: SourceSpec, reasons: Sequence[str] = MENDED_BY_OTHERS) -> LoadReport:
        """Read open quarantined rows again, those that can be accepted now.

        Each file they came from gets an audit row of kind ``replay``. Rows that would be rejected
        for the same reason again stay as they are and are not counted as read.
        """
        paths = self._connection.execute(
            f"select distinct path from ({OPEN_QUARANTINE}) where source = ?"
            " and reason in (select unnest(?)) order by path",
            [spec.source, list(reasons)],
        ).fetchall()
        reports = (self._replay_file(spec, Path(path), reasons) for (path,) in paths)
        done = tuple(report for report in reports if report is not None)
        return LoadReport(done, self.created_accounts)

    def _replay_file(
        self, spec: SourceSpec, path: Path, reasons: Sequence[str]
    ) -> FileReport | None:
        connection = self._connection
        started = self._now()
        connection.execute(
            f"""
            create or replace temp table replayed as
            select
                row_number() over (order by load_id, line_number) - 1 as ordinal,
                load_id, line_number, occurrence, reason, raw_text
            from ({OPEN_QUARANTINE})
            where source = ? and path = ? and reason in (select unnest(?))
                and (reason <> 'future_time' or occurred_at <= cast(now() as timestamp))
                and (reason <> 'undeclared_account' or account_id in (select unnest(?)))
            order by ordinal
            """,
            [spec.source, str(path), list(reasons), list(self._accounts.declared())],
        )
        found = connection.execute(
            "select raw_text, line_number from replayed order by ordinal"
        ).fetchall()
        if not found:
            return None
        texts = [text for text, _ in found]
        numbers = [number for _, number in found]
        with self._scratch() as folder, self._transaction():
            file = folder / "replay.ndjson"
            file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
            connection.execute(
                f"create or replace temp table log as {json_lines(file, spec.columns)}"
            )
            relation = (
                "(select log.*, replayed.ordinal as place, replayed.occurrence as known"
                f" from log join replayed on replayed.ordinal = {ordinal_of('log')})"
            )
            fill_batch(connection, spec, relation, path.name, ordinal="place", occurrence="known")
            number_lines(connection, 0, numbers)
            self._hold_undeclared()
            connection.execute(
                "delete from batch_rows using replayed"
                f" where replayed.ordinal = {ORDINAL} and replayed.reason = batch_rows.reason"
            )
            row = connection.execute("select count(*) from batch_rows").fetchone()
            if row is None or row[0] == 0:
                return None
            load_id = next_load_id(connection)
            connection.execute(
                f"""
                insert into raw.main.usage_quarantine_release
                select {load_id}, load_id, line_number from replayed
                where ordinal in (select {ORDINAL} from batch_rows)
                """
            )
            counts = self._merge(
                spec, path, load_id, row[0], lambda ordinals: [texts[n] for n in ordinals]
            )
            self._check_counts(path, counts)
            replayed = Prepared((), 0, f"replay:{load_id}", self._now().replace(tzinfo=UTC))
            self._audit(spec, path, replayed, started, counts, load_id, kind="replay")
        return counts.report(path, load_id)

    def _load_file(self, spec: SourceSpec, path: Path) -> FileReport:
        with self._scratch() as folder:
            try:
                prepared = self._prepare(spec, path, folder)
            except FileNotFoundError:
                return FileReport(str(path), "failed", message="the file is gone")
            except UnfinishedFileError as error:
                return FileReport(str(path), "unfinished", message=str(error))
            except UnreadableFileError as error:
                return self._record_failure(spec, path, str(error))
            except OSError as error:
                return FileReport(str(path), "failed", message=str(error))
            if prepared is None:
                return FileReport(str(path), "skipped", message="its content was loaded before")
            try:
                return self._load_prepared(spec, path, prepared, folder)
            except BadFile as error:
                return self._record_failure(spec, path, str(error).splitlines()[0])
            except FileNotFoundError:
                return FileReport(str(path), "failed", message="the file is gone")
            except duckdb.IOException as error:
                if path.exists():
                    raise
                return FileReport(str(path), "failed", message=f"the file is gone ({error})")

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        base = self._settings.home / "tmp"
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=base, prefix="load-") as folder:
            yield Path(folder)

    def _prepare(self, spec: SourceSpec, path: Path, folder: Path) -> Prepared | None:
        """The file made ready, or None if its content is in the lake already."""
        known = self._known(spec, path)
        is_lines = spec.format == "ndjson" and spec.has_ids
        prepared = prepare(
            path,
            file_format=spec.format,
            known=known,
            may_read_tail=is_lines,
            may_split=is_lines,
            folder=folder,
        )
        if not self._is_seen(spec, prepared):
            return prepared
        if prepared.cut_tail and not self._is_quarantined(path, prepared.line_count + 1):
            return prepared
        noted = self._connection.execute(
            "select 1 from raw.main.load where path = ? and content_hash = ? and modified_at = ?",
            [str(path), prepared.content_hash, prepared.modified_at.replace(tzinfo=None)],
        ).fetchone()
        if not noted:
            self._audit(spec, path, prepared, self._now(), Counts())
        return None

    def _is_seen(self, spec: SourceSpec, prepared: Prepared) -> bool:
        """Whether a file of this content was loaded. Its hash is waited for only if one may be."""
        hashes = self._connection.execute(
            "select content_hash from raw.main.load"
            " where source = ? and kind = 'file' and size_bytes = ?",
            [spec.source, prepared.size_bytes],
        ).fetchall()
        return bool(hashes) and (prepared.content_hash,) in hashes

    def _known(self, spec: SourceSpec, path: Path) -> KnownFile | None:
        row = self._connection.execute(
            "select size_bytes, content_hash, line_count from raw.main.load"
            " where source = ? and kind = 'file' and path = ? and content_hash not like 'failed:%'"
            " order by load_id desc limit 1",
            [spec.source, str(path)],
        ).fetchone()
        return KnownFile(*row) if row else None

    def _is_quarantined(self, path: Path, line_number: int) -> bool:
        return bool(
            self._connection.execute(
                "select 1 from raw.main.usage_quarantine where path = ? and line_number = ?"
                " and reason = 'truncated_line' limit 1",
                [str(path), line_number],
            ).fetchone()
        )

    @staticmethod
    def _now() -> datetime:
        return datetime.now(UTC).replace(tzinfo=None)

    def _load_prepared(
        self, spec: SourceSpec, path: Path, prepared: Prepared, folder: Path
    ) -> FileReport:
        started = self._now()
        batches = self._read_pieces(spec, path, prepared.pieces, folder)
        # Rows of a table that the running transaction made are read by one thread only, so the
        # first piece, as a rule the only one, is read before the transaction begins.
        first = next(batches, None)
        with self._transaction():
            load_id = next_load_id(self._connection)
            counts = Counts()
            absent = first.absent if first else {}
            for batch in chain([first] if first else [], batches):
                absent = {name: absent[name] for name in absent if name in batch.absent}
                counts += self._merge(spec, path, load_id, batch.rows, batch.records.raw_texts)
                counts += self._quarantine_lines(
                    spec, path, batch.broken, load_id, "unreadable_line"
                )
            if prepared.is_tail:
                absent = self._absent_before(spec, path, absent)
            self._note_absent(absent, load_id)
            self._release_read(path, prepared, load_id)
            if prepared.cut_tail:
                counts += self._hold_cut_tail(spec, path, prepared, load_id)
            self._check_counts(path, counts)
            self._audit(spec, path, prepared, started, counts, load_id)
        return counts.report(path, load_id, warnings=tuple(absent.values()))

    def _absent_before(self, spec: SourceSpec, path: Path, absent: Absent) -> Absent:
        """Those of ``absent`` that the part of the file loaded before did not have either."""
        if not absent:
            return {}
        rows = self._connection.execute(
            f"select column_name from raw.main.absent_column where load_id = ({NEWEST_LOAD})",
            [spec.source, str(path)],
        ).fetchall()
        return {name: absent[name] for (name,) in rows if name in absent}

    def _note_absent(self, absent: Absent, load_id: int) -> None:
        if absent:
            self._connection.executemany(
                "insert into raw.main.absent_column values (?, ?, ?)",
                [[load_id, name, text] for name, text in absent.items()],
            )

    @staticmethod
    def _check_counts(path: Path, counts: "Counts") -> None:
        if counts.read != counts.loaded + counts.duplicate + counts.rejected:
            raise MeterhouseError(
                f"{path}: {counts.read} rows were read, but {counts.loaded} loaded, "
                f"{counts.duplicate} duplicate and {counts.rejected} rejected; "
                "nothing of this file was loaded. Please report this."
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("begin")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")

    def _read_pieces(
        self, spec: SourceSpec, path: Path, pieces: Iterable[Piece], folder: Path
    ) -> Iterator["Batch"]:
        """Type one piece after the other into ``batch``, where each stands until the next."""
        connection = self._connection
        for piece in pieces:
            if not piece.path.stat().st_size:
                continue
            records = Records(connection, spec, piece)
            with self._progress(path.name, connection) if self._progress else nullcontext():
                if spec.is_json and spec.has_ids:
                    rows = fill_batch(connection, spec, f"({records.relation})", path.name)
                else:
                    connection.execute(f"create or replace temp table log as {records.relation}")
                    rows = fill_batch(connection, spec, "log", path.name, ordinal=ordinal_of("log"))
            broken = records.broken_lines()
            records.check_count(rows)
            number_lines(connection, piece.lines_before, records.line_numbers(rows, broken))
            if spec.is_json:
                mend_rows(connection, spec, records, path.name, folder)
            absent = records.absent_columns() if rows else set()
            texts = {name: absence([name], records.keys) for name in sorted(absent)}
            yield Batch(records, rows, broken, texts)

    def _merge(
        self,
        spec: SourceSpec,
        path: Path,
        load_id: int,
        rows: int,
        raw_texts: Callable[[Sequence[int]], list[str]],
    ) -> "Counts":
        """Take the batch into the lake, its broken rows into quarantine."""
        self._hold_undeclared()
        merged = merge_batch(self._connection, load_id)
        held = self._connection.execute(
            "select ordinal, line_number, reason, detail, account_id, event_id, occurred_at,"
            " occurrence from batch where reason is not null order by ordinal"
        ).to_arrow_table()
        reasons = Counter(held.column("reason").to_pylist())
        if held.num_rows:
            texts = raw_texts(held.column("ordinal").to_pylist())
            self._quarantine(spec, path, load_id, held, texts)
        return Counts(rows, merged.loaded, merged.duplicate, reasons)

    def _hold_undeclared(self) -> None:
        """Mark the rows of accounts that nobody declared, or declare them if so asked."""
        connection = self._connection
        found = {
            row[0]
            for row in connection.execute(
                "select distinct account_id from batch_rows where reason is null"
            ).fetchall()
        }
        undeclared = sorted(found - set(self._accounts.declared())) if found else []
        if undeclared and self._create_accounts:
            created = set(self._accounts.declare(undeclared))
            self._created += sorted(created)
            undeclared = [account for account in undeclared if account not in created]
        if undeclared:
            connection.execute(
                "update batch_rows set reason = 'undeclared_account',"
                " detail = 'account_id = ' || account_id"
                " where reason is null and account_id in (select unnest(?))",
                [undeclared],
            )

    def _quarantine(
        self, spec: SourceSpec, path: Path, load_id: int, held: pa.Table, texts: list[str]
    ) -> None:
        self._connection.register(
            "held", held.append_column("raw_text", pa.array(texts, pa.string()))
        )
        self._connection.execute(
            """
            insert into raw.main.usage_quarantine
            select ?, line_number, ?, ?, reason, coalesce(detail, ''), account_id, event_id,
                occurred_at, occurrence, raw_text
            from held
            """,
            [load_id, spec.source, str(path)],
        )
        self._connection.unregister("held")

    def _quarantine_lines(
        self, spec: SourceSpec, path: Path, lines: Sequence[BrokenLine], load_id: int, reason: str
    ) -> "Counts":
        """Hold lines of which nothing but their text is known."""
        if lines:
            self._connection.executemany(
                "insert into raw.main.usage_quarantine values"
                " (?, ?, ?, ?, ?, ?, null, null, null, null, ?)",
                [
                    [
                        load_id,
                        line.line_number,
                        spec.source,
                        str(path),
                        reason,
                        line.detail,
                        line.raw_text,
                    ]
                    for line in lines
                ],
            )
        return Counts(len(lines), reasons=Counter({reason: len(lines)} if lines else {}))

    def _hold_cut_tail(
        self, spec: SourceSpec, path: Path, prepared: Prepared, load_id: int
    ) -> "Counts":
        text = prepared.cut_tail.decode("utf-8", "backslashreplace")
        line = BrokenLine(prepared.line_count + 1, text, "the file ends within this line")
        return self._quarantine_lines(spec, path, [line], load_id, "truncated_line")

    def _release_read(self, path: Path, prepared: Prepared, load_id: int) -> None:
        """Let go what was held of the file for a fault of its bytes that is mended now.

        A line at which it ended has been read whole, or it could not be read at all before.
        """
        found = self._connection.execute(
            f"select load_id, line_number from ({OPEN_QUARANTINE}) where path = ?"
            " and (reason = 'unreadable_file' or reason = 'truncated_line' and line_number <= ?)",
            [str(path), prepared.line_count if prepared.is_tail else 0],
        ).fetchall()
        if found:
            self._connection.executemany(
                "insert into raw.main.usage_quarantine_release values (?, ?, ?)",
                [[load_id, *row] for row in found],
            )

    def _audit(
        self,
        spec: SourceSpec,
        path: Path,
        prepared: Prepared,
        started: datetime,
        counts: "Counts",
        load_id: int | None = None,
        kind: str = "file",
    ) -> None:
        """Write the file's row of ``load``; one left open keeps no time, so is looked at again."""
        changed = None if prepared.is_open else prepared.modified_at.replace(tzinfo=None)
        self._connection.execute(
            "insert into raw.main.load values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                load_id or next_load_id(self._connection),
                kind,
                spec.source,
                str(path),
                prepared.content_hash,
                prepared.size_bytes,
                prepared.line_count,
                counts.read,
                counts.loaded,
                counts.duplicate,
                counts.rejected,
                started,
                self._now(),
                changed,
            ],
        )

    def _record_failure(self, spec: SourceSpec, path: Path, message: str) -> FileReport:
        """Hold the file as one unreadable row, so that it is seen and not tried again and again."""
        started = self._now()
        if not path.exists():
            return FileReport(str(path), "failed", message="the file is gone")
        prepared = Prepared(
            pieces=(),
            size_bytes=path.stat().st_size,
            scanned=f"failed:{content_hash(path)}",
            modified_at=modified_at(path),
        )
        with self._transaction():
            load_id = next_load_id(self._connection)
            line = BrokenLine(0, "", message)
            counts = self._quarantine_lines(spec, path, [line], load_id, "unreadable_file")
            self._audit(spec, path, prepared, started, counts, load_id)
        return counts.report(path, load_id, outcome="failed", message=message)


@dataclass(frozen=True)
class Batch:
    """The piece that stands in ``batch``: how to read its lines again, its rows, broken lines,
    and the columns that none of its rows has.
    """

    records: Records
    rows: int
    broken: Sequence[BrokenLine]
    absent: Absent


@dataclass
class Counts:
    """Rows of a piece, a batch or a file by outcome."""

    read: int = 0
    loaded: int = 0
    duplicate: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """Rows with a reason."""
        return self.reasons.total()

    def __iadd__(self, other: "Counts") -> "Counts":
        self.read += other.read
        self.loaded += other.loaded
        self.duplicate += other.duplicate
        self.reasons.update(other.reasons)
        return self

    def report(
        self,
        path: Path,
        load_id: int,
        outcome: str = "loaded",
        message: str = "",
        warnings: tuple[str, ...] = (),
    ) -> FileReport:
        """These counts as the report of a file."""
        return FileReport(
            str(path),
            outcome,
            load_id,
            self.read,
            self.loaded,
            self.duplicate,
            self.rejected,
            dict(sorted(self.reasons.items())),
            message,
            warnings,
        )
