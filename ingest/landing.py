"""The landing folder: one subfolder a source, files that arrive, grow and are loaded from there."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path

from ingest.files import modified_at
from ingest.load import FileReport
from ingest.spec_files import Specs, load_specs
from ingest.specs import SourceSpec, suggestion
from warehouse.lake import Connection, reading_head, table_exists
from warehouse.settings import Settings
from warehouse.status import Landing, Trouble


@dataclass(frozen=True)
class WaitingFile:
    """A file of the landing folder that is new or has changed since it was read."""

    source: str
    path: Path


@dataclass(frozen=True)
class Matched:
    """What paths name: ``files`` to load, and ``refused`` paths that name none.

    ``foreign`` are those of ``files`` that the spec's patterns do not match.
    """

    files: tuple[Path, ...] = ()
    foreign: frozenset[Path] = frozenset()
    refused: tuple[FileReport, ...] = ()


def matching_files(spec: SourceSpec, paths: tuple[Path, ...]) -> Matched:
    """The files that ``paths`` name; of a folder, those that the spec's patterns match.

    A path that does not exist is refused, and so is a folder without any such file.
    """
    files: list[Path] = []
    foreign: set[Path] = set()
    refused: list[FileReport] = []

    def refuse(path: Path, why: str) -> None:
        refused.append(FileReport(str(path), "failed", message=why))

    for path in paths:
        if path.is_dir():
            found = [file.absolute() for file in sorted(path.rglob("*")) if _belongs(spec, file)]
            files += found
            if not found:
                patterns = ", ".join(spec.files)
                refuse(path, f"no file here matches {patterns} (source {spec.source})")
        elif path.exists():
            files.append(path.absolute())
            if not _matches(spec, path):
                foreign.add(path.absolute())
        else:
            refuse(path, "there is no such file or folder")
    return Matched(tuple(files), frozenset(foreign), tuple(refused))


def _belongs(spec: SourceSpec, file: Path) -> bool:
    """Whether the spec's patterns match; hidden files and those still being copied do not count."""
    return not _is_passing(file) and file.is_file() and _matches(spec, file)


def _matches(spec: SourceSpec, file: Path) -> bool:
    return any(fnmatch(file.name, pattern) for pattern in spec.files)


def _is_passing(file: Path) -> bool:
    """Whether the name is that of a hidden file, or of one that is still being copied."""
    return file.name.startswith(".") or file.name.endswith((".tmp", ".part", "~"))


def look(settings: Settings) -> Landing:
    """What waits in the landing folder, what nobody will ever load from there, and why."""
    specs = load_specs(settings)
    connection = reading_head(settings, "raw")
    try:
        waiting = waiting_files(settings, connection, specs)
        absent = absent_columns(connection, specs)
    finally:
        connection.close()
    return Landing(
        waiting=tuple(str(file.path) for file in waiting),
        unclaimed=tuple(unclaimed_files(settings.landing_folder, specs)),
        broken_sources=tuple(Trouble(spec.source, spec.message) for spec in specs.broken),
        absent_columns=tuple(absent),
    )


def waiting_files(
    settings: Settings, connection: Connection | None = None, specs: Specs | None = None
) -> list[WaitingFile]:
    """What lies in the landing folder and has not been read as it is now, by source and name.

    A file that could not be read waits again once the spec of its source was changed.
    ``connection`` has ``raw`` attached; without one, the head is read through a new one.
    """
    landing = settings.landing_folder
    if not landing.is_dir():
        return []
    own = None if connection else reading_head(settings, "raw")
    try:
        read_at = _read_at(connection or own)
    finally:
        if own:
            own.close()
    known = load_specs(settings) if specs is None else specs
    waiting = []
    for source, spec in sorted(known.items()):
        for file in sorted((landing / source).rglob("*")):
            if not _belongs(spec, file):
                continue
            try:
                changed = modified_at(file).replace(tzinfo=None)
            except FileNotFoundError:
                continue
            path = file.absolute()
            before = read_at.get((source, str(path)))
            if before is None or before.changed_at != changed or before.is_stale(known, source):
                waiting.append(WaitingFile(source, path))
    return waiting


@dataclass(frozen=True)
class _Read:
    """The last time that a file was read; ``changed_at`` is None where it was left open."""

    changed_at: datetime | None
    is_failed: bool
    finished_at: datetime

    def is_stale(self, specs: Specs, source: str) -> bool:
        """Whether reading it failed, and may succeed with the spec as it is now."""
        return self.is_failed and specs.changed_at(source) > self.finished_at


def _read_at(connection: Connection | None) -> dict[tuple[str, str], _Read]:
    """The last time that each file was read, by source and path."""
    if connection is None or not table_exists(connection, "raw.main.load"):
        return {}
    rows = connection.execute(
        "select source, path, last.changed_at, last.is_failed, last.finished_at"
        " from (select source, path, arg_max({'changed_at': modified_at,"
        " 'is_failed': content_hash like 'failed:%', 'finished_at': finished_at}, load_id) as last"
        " from raw.main.load where kind = 'file' group by all)"
    ).fetchall()
    return {(source, path): _Read(*read) for source, path, *read in rows}


def unclaimed_files(landing: Path, specs: Specs) -> Iterator[Trouble]:
    """Files that no source will load, each with the reason and what to do."""
    broken = {spec.source for spec in specs.broken}
    for place in sorted(landing.iterdir()) if landing.is_dir() else ():
        if not place.is_dir():
            yield from _unclaimed(place, "it lies in no source's folder; move it into <source>/")
        elif place.name in broken:
            yield from _unclaimed(place, f"the spec of source {place.name} is broken; mend it")
        elif place.name not in specs:
            why = f"there is no source {place.name}; declare it, or move the file"
            yield from _unclaimed(place, why + suggestion(place.name, specs))
        else:
            patterns = ", ".join(specs[place.name].files)
            why = (
                f"source {place.name} takes {patterns}; rename the file, or widen `files` in the"
                " source's spec"
            )
            yield from _unclaimed(place, why, specs[place.name])


def _unclaimed(place: Path, why: str, spec: SourceSpec | None = None) -> Iterator[Trouble]:
    """The files at or below ``place`` that ``spec`` does not take."""
    for file in sorted(place.rglob("*")) if place.is_dir() else (place,):
        if _is_passing(file) or file.is_dir():
            continue
        if not file.exists():
            yield Trouble(str(file), "it is a link to nothing; mend or remove it")
        elif spec is None or not _belongs(spec, file):
            yield Trouble(str(file), why)


def absent_columns(connection: Connection, specs: Specs) -> list[Trouble]:
    """Columns that specs still read and that files lacked when they were loaded last."""
    if not table_exists(connection, "raw.main.absent_column"):
        return []
    rows = connection.execute(
        """
        select load.source, absent.column_name, count(*), max_by(load.path, load.load_id),
            max_by(absent.detail, load.load_id)
        from raw.main.absent_column as absent
        join raw.main.load as load on load.load_id = absent.load_id
        where load.load_id in (
            select max(load_id) from raw.main.load
            where kind = 'file' and rows_read > 0
            group by source, path
        )
        group by all
        order by all
        """
    ).fetchall()
    return [
        Trouble(path if count == 1 else f"{path} and {count - 1:,} more of {source}", detail)
        for source, name, count, path, detail in rows
        if source in specs and name in specs[source].needed_columns
    ]
