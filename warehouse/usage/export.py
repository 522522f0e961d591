"""Exactly the selected rows of the usage log as a CSV, Parquet or Excel file.

Rows are read in pieces of some ten thousand, the oldest first, and written as they come, so
memory does not grow with their number. The file takes its name only when it is whole.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet

from warehouse.errors import MeterhouseError
from warehouse.lake import Connection
from warehouse.leases import lease
from warehouse.publication import Publication, reading_published
from warehouse.settings import Settings
from warehouse.usage.columns import COLUMNS, Column, Format, select_list
from warehouse.usage.selection import Selection
from warehouse.usage.workbook import Workbook

Progress = Callable[[float], None]
"""Called with the part that is written, from 0 to 1."""

PIECE_ROWS = 20_000
"""Rows that are read at once, unless a single hour of an account has more."""

EXPORT_MEMORY = "256MB"
"""Memory of the engine of one export."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    file: Path
    rows: int
    size_bytes: int


@dataclass(frozen=True)
class Piece:
    """Events of ``starts_at`` <= time < ``ends_at`` (UTC, without a zone), and how many."""

    starts_at: datetime
    ends_at: datetime
    rows: int


def export_usage(
    settings: Settings,
    account_id: str,
    selection: Selection,
    output: Format,
    target: Path,
    *,
    columns: Sequence[Column] = COLUMNS,
    publication: Publication | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write the selected usage of one account to ``target``, replacing what is there.

    It is read at ``publication``, the newest by default, under a lease. What ``progress`` raises
    ends the export. Nothing is left behind unless the file is whole. Raises MeterhouseError for an
    unknown account, before the first publication, and when the file cannot be written.
    """
    lean = settings.model_copy(update={"memory": EXPORT_MEMORY, "threads": 1})
    connection, publication = reading_published(lean, publication, is_kept=True)
    with (
        closing(connection),
        lease(
            settings,
            marts_snapshot=publication.marts_snapshot,
            raw_snapshot=publication.raw_snapshot,
        ),
        whole_file(target) as draft,
    ):
        connection.execute("set enable_external_file_cache = false")
        query = _Query(connection, account_id, selection, select_list(output, columns))
        pieces = query.pieces()
        rows = sum(piece.rows for piece in pieces)
        written = 0
        names = [column.name for column in columns]
        with _writer(output, draft, names, query.nothing()) as write:
            for piece in pieces:
                if progress:
                    progress(written / rows)
                write(query.read(piece))
                written += piece.rows
    if progress:
        progress(1.0)
    return Exported(target, rows, target.stat().st_size)


def file_name(account_id: str, selection: Selection, output: Format) -> str:
    """A name that says what is inside, of letters, digits, dots, dashes and underscores.

    The days are the first and the last that are inside.
    """
    last = selection.until - timedelta(days=1)
    parts = ["usage", account_id, str(selection.first)]
    if last != selection.first:
        parts += ["to", str(last)]
    for name, values in (
        ("agents", selection.agents),
        ("categories", selection.categories),
        ("models", selection.models),
        ("statuses", selection.statuses),
        ("ratings", selection.ratings),
        ("tags", tuple(f"{key}-{value}" for key, value in selection.tags)),
        ("hours", tuple(f"{hour}h" for hour in selection.hours)),
        ("texts", (selection.text,) if selection.text else ()),
    ):
        parts += values if len(values) <= 2 else [f"{len(values)}-{name}"]
    safe = [_safe(part) for part in parts]
    return f"{'_'.join(part for part in safe if part)[:150]}.{output}"


def merged(hours: list[tuple[datetime, int]], limit: int = PIECE_ROWS) -> list[Piece]:
    """Hours with their rows, in order, put together to pieces of at most ``limit`` rows.

    An hour is never cut.
    """
    pieces: list[Piece] = []
    for starts_at, rows in hours:
        ends_at = starts_at + timedelta(hours=1)
        if pieces and pieces[-1].rows + rows <= limit:
            pieces[-1] = Piece(pieces[-1].starts_at, ends_at, pieces[-1].rows + rows)
        else:
            pieces.append(Piece(starts_at, ends_at, rows))
    return pieces


class _Query:
    """The rows of one export, on a connection pinned at the published snapshot."""

    def __init__(
        self, connection: Connection, account_id: str, selection: Selection, select: str
    ) -> None:
        self._connection = connection
        account = connection.execute(
            "select time_zone from rpt_account where account_id = $account_id",
            {"account_id": account_id},
        ).fetchone()
        if account is None:
            raise MeterhouseError(f"there is no account {account_id}")
        self._zone = account[0]
        condition = selection.of_events()
        self._where = f"account_id = $account_id and ({condition.sql})"
        self._values: dict[str, Any] = {**condition.parameters, "account_id": account_id}
        self._select = select
        self._has_zone = "$export_zone" in self._select

    def pieces(self) -> list[Piece]:
        hours = self._connection.execute(
            "select date_trunc('hour', occurred_at) as hour, count(*) from rpt_usage_event"
            f" where {self._where} group by hour order by hour",
            self._values,
        ).fetchall()
        return merged(hours)

    def read(self, piece: Piece) -> pa.Table:
        last_day = (piece.ends_at - timedelta(microseconds=1)).date()
        return self._table(
            f"usage_date_utc >= date '{piece.starts_at.date()}'"
            f" and usage_date_utc <= date '{last_day}'"
            f" and occurred_at >= timestamp '{piece.starts_at}'"
            f" and occurred_at < timestamp '{piece.ends_at}'"
        )

    def nothing(self) -> pa.Table:
        """No rows, with the columns and types of the others."""
        return self._table("false")

    def _table(self, narrowed: str) -> pa.Table:
        values = dict(self._values)
        if self._has_zone:
            values["export_zone"] = self._zone
        return self._connection.execute(
            f"select {self._select} from rpt_usage_event where {self._where} and {narrowed}"
            " order by occurred_at, source, event_id",
            values,
        ).to_arrow_table()


@contextmanager
def _writer(
    output: Format, file: Path, names: Sequence[str], nothing: pa.Table
) -> Iterator[Callable[[pa.Table], None]]:
    """What takes the pieces of the result in one format; ``nothing`` has its columns."""
    if output is Format.PARQUET:
        with pa.parquet.ParquetWriter(file, nothing.schema, compression="zstd") as writer:
            yield writer.write_table
    elif output is Format.XLSX:
        with Workbook(file, "Usage", names) as book:
            yield lambda piece: _write_rows(book, piece)
    else:
        with file.open("wb") as lines:
            lines.write(f"{','.join(names)}\n".encode())
            yield lambda piece: _write_lines(lines, piece)


def _write_lines(lines: IO[bytes], piece: pa.Table) -> None:
    for chunk in piece.column(0).chunks:
        lines.write(_joined(chunk))


def _write_rows(book: Workbook, piece: pa.Table) -> None:
    for chunk in piece.column(0).chunks:
        at = 0
        while at < len(chunk):
            rows = min(book.room, len(chunk) - at)
            book.write(rows, _joined(chunk.slice(at, rows)))
            at += rows


def _joined(texts: pa.StringArray) -> memoryview:
    """The texts one after the other, as they lie in memory: nothing is copied."""
    _, offsets, characters = texts.buffers()
    is_large = pa.types.is_large_string(texts.type)
    positions = memoryview(offsets).cast("q") if is_large else memoryview(offsets).cast("i")
    return memoryview(characters)[positions[texts.offset] : positions[texts.offset + len(texts)]]


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A file beside ``target`` that takes its name at the end, and vanishes on an error."""
    draft = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        yield draft
        draft.replace(target)
    except OSError as error:
        raise MeterhouseError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


def _safe(text: str) -> str:
    """A part of a name: what is no letter or digit becomes a dash, but for a dot between them."""
    return re.sub(r"(\.(?![A-Za-z0-9])|[^A-Za-z0-9.])+", "-", text)[:40].strip("-.")
