"""From a plain piece of a file to a relation of text columns, one row a record, in file order."""

import csv
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb

from ingest.files import LineIndex, Piece, UnreadableFileError
from ingest.specs import SourceSpec, nearest, quoted
from ingest.tables import ordinal_of
from warehouse.lake import Connection

SAMPLE_BYTES = 1 << 20
"""How far into a JSON log its keys are looked at."""

MAX_LINE_BYTES = 32 << 20
"""Longest line that is read; a longer one makes its file unreadable.

DuckDB reads JSON in buffers of twice this size. Smaller ones hold fewer rows than a row group of
a table, and putting them together again in the file's order takes a quarter longer.
"""


@dataclass(frozen=True)
class BrokenLine:
    """A line that is no record of its format at all."""

    line_number: int
    raw_text: str
    detail: str


class Records:
    """The records of one piece.

    ``relation`` is a select with the spec's columns as text, in file order. Whoever reads a CSV
    or Parquet piece keeps it in the temporary table ``log``, where raw texts are taken from.
    """

    def __init__(self, connection: Connection, spec: SourceSpec, piece: Piece) -> None:
        self._connection = connection
        self._spec = spec
        self._piece = piece
        self._index: LineIndex | None = None
        self.relation, self._is_line_based = _relation(connection, spec, piece.path)

    @property
    def index(self) -> LineIndex:
        """Where the lines of the piece begin (a scan of the file, made when first asked for)."""
        if self._index is None:
            self._index = LineIndex(self._piece.path)
        return self._index

    @cached_property
    def keys(self) -> frozenset[str]:
        """Keys of the records at the beginning of a JSON piece, up to where all needed are seen."""
        found: set[str] = set()
        with self._piece.path.open("rb") as file:
            for line in file.readlines(SAMPLE_BYTES):
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(record, dict):
                    found |= record.keys()
                if found.issuperset(self._spec.needed_columns):
                    break
        return frozenset(found)

    def absent_columns(self) -> set[str]:
        """Needed columns that no row of a JSON piece has; a CSV or Parquet file is refused then.

        Behind the first MiB a column counts as there only where a row has a value in it.
        """
        lacking = sorted(set(self._spec.needed_columns) - self.keys) if self._spec.is_json else []
        if not lacking or self._piece.path.stat().st_size <= SAMPLE_BYTES:
            return set(lacking)
        counts = ", ".join(f"count({quoted(name)})" for name in lacking)
        rows = f"select {counts} from ({json_lines(self._piece.path, lacking)})"
        found = self._connection.execute(rows).fetchone() or ()
        return {name for name, count in zip(lacking, found, strict=True) if not count}

    def broken_lines(self) -> list[BrokenLine]:
        """Lines that the CSV reader had to leave out; JSON's show up as rows without any value."""
        if self._spec.format != "csv":
            return []
        rows = self._connection.execute(
            "select line, any_value(csv_line), string_agg(distinct error_message, '; ')"
            " from reject_errors group by line order by line"
        ).fetchall()
        self._connection.execute("drop table reject_errors; drop table reject_scans")
        before = self._piece.lines_before
        return [BrokenLine(before + line, text or "", message) for line, text, message in rows]

    def check_count(self, rows: int) -> None:
        """Make sure that no line was lost between file and table.

        Raises UnreadableFileError otherwise.
        """
        if not self._spec.is_json:
            return
        if rows != self._piece.newline_count and rows != len(self.index):
            raise UnreadableFileError(
                f"{len(self.index)} lines were read as {rows} records; "
                "the file is not one JSON object a line"
            )

    def line_numbers(self, rows: int, broken: Sequence[BrokenLine]) -> list[int] | None:
        """Line number of each record, or None where it is its ordinal + 1 (+ the lines before)."""
        if not self._is_line_based:
            return None
        if self._spec.format == "csv":
            taken = {line.line_number - self._piece.lines_before for line in broken}
            free = [int(n) for n in self.index.numbers[1:] if int(n) not in taken]
            if len(free) == rows:
                return [self._piece.lines_before + n for n in free]
            return [self._piece.lines_before + n + 2 for n in range(rows)]
        if rows == self._piece.newline_count:
            return None
        return [self._piece.lines_before + int(n) for n in self.index.numbers]

    def raw_texts(self, ordinals: Sequence[int]) -> list[str]:
        """Raw text of records: the line of a JSON log, else the record's columns as JSON."""
        if self._spec.is_json:
            return self.index.texts(ordinals)
        columns = ", ".join(f"{_text(name)}, {quoted(name)}" for name in self._spec.columns)
        rows = self._connection.execute(
            f"select ordinal, cast(json_object({columns}) as varchar)"
            f" from (select *, {ordinal_of('log')} as ordinal from log)"
            " where ordinal in (select unnest(?))",
            [list(ordinals)],
        ).fetchall()
        by_ordinal = dict(rows)
        return [by_ordinal[ordinal] for ordinal in ordinals]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def json_lines(path: Path, columns: Sequence[str]) -> str:
    """The select that reads a file of one JSON object a line, every column as text."""
    typed = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in columns)
    return (
        f"select * from read_json({_text(str(path))}, format = 'newline_delimited',"
        f" records = 'true', ignore_errors = true, maximum_object_size = {MAX_LINE_BYTES},"
        f" compression = 'uncompressed', columns = {{{typed}}})"
    )


def _relation(connection: Connection, spec: SourceSpec, path: Path) -> tuple[str, bool]:
    if spec.is_json:
        return json_lines(path, spec.columns), True
    if spec.format == "parquet":
        table = f"read_parquet({_text(str(path))})"
        try:
            found = connection.execute(f"describe select * from {table}").fetchall()
        except duckdb.Error as error:
            raise UnreadableFileError(str(error).splitlines()[0]) from error
        return f"select {_known(spec, [row[0] for row in found])} from {table}", False
    header = _csv_header(spec, path)
    typed = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in header)
    dialect = f"delim = {_text(spec.csv.delimiter)}, quote = {_text(spec.csv.quote)}"
    return (
        f"select {_known(spec, header)} from read_csv({_text(str(path))}, header = true,"
        f" auto_detect = false, {dialect}, escape = {_text(spec.csv.quote)},"
        f" compression = 'none', max_line_size = {MAX_LINE_BYTES},"
        f" buffer_size = {2 * MAX_LINE_BYTES}, strict_mode = true,"
        f" store_rejects = true, rejects_limit = 0, columns = {{{typed}}})"
    ), True


def _known(spec: SourceSpec, found: Sequence[str]) -> str:
    """The spec's columns as text; optional ones that this file lacks are null."""
    lacking = [name for name in spec.needed_columns if name not in found]
    if lacking:
        raise UnreadableFileError(absence(lacking, found))
    return ", ".join(
        f"cast({quoted(name) if name in found else 'null'} as varchar) as {quoted(name)}"
        for name in spec.columns
    )


def absence(lacking: Sequence[str], found: Collection[str]) -> str:
    """What to say of columns that a spec reads and a file lacks, which has those of ``found``."""
    names = ", ".join(map(repr, lacking))
    meant = [repr(near) for name in lacking if (near := nearest(name, found))]
    question = f"; did you mean {', '.join(meant)}?" if meant else "."
    return (
        f"column{'s' * (len(lacking) > 1)} {names} {'are' if len(lacking) > 1 else 'is'} not in"
        f" the file{question} What a file may lack is listed as `optional` in its source's spec"
    )


def _csv_header(spec: SourceSpec, path: Path) -> list[str]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        header = next(
            csv.reader(file, delimiter=spec.csv.delimiter, quotechar=spec.csv.quote), None
        )
    if not header:
        return list(spec.columns)
    names = [name.strip() for name in header]
    if len(set(names)) != len(names) or not all(names):
        raise UnreadableFileError("its first line is no header of distinct column names")
    if not set(names) & set(spec.columns):
        raise UnreadableFileError(
            f"its first line names none of the columns {', '.join(spec.columns)}; "
            "the source spec does not fit this file"
        )
    return names
