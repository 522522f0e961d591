"""The landing folder: one subfolder a source, files that arrive, grow and are loaded from there."""

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ingest.files import modified_at
from ingest.specs import SourceSpec, load_specs
from warehouse.errors import MeterhouseError
from warehouse.lake import Connection, reading_head, table_exists
from warehouse.settings import Settings


@dataclass(frozen=True)
class WaitingFile:
    """A file of the landing folder that is new or has changed since it was read."""

    source: str
    path: Path


def matching_files(spec: SourceSpec, paths: tuple[Path, ...]) -> list[Path]:
    """The files that ``paths`` name; of a folder, those that the spec's patterns match.

    Raises MeterhouseError for a path that does not exist, or a folder without any such file.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = [file for file in sorted(path.rglob("*")) if _belongs(spec, file)]
            if not found:
                patterns = ", ".join(spec.files)
                raise MeterhouseError(f"{path}: no file here matches {patterns} ({spec.source})")
            files += found
        elif path.exists():
            files.append(path)
        else:
            raise MeterhouseError(f"{path}: there is no such file or folder")
    return [file.absolute() for file in files]


def _belongs(spec: SourceSpec, file: Path) -> bool:
    """Whether the spec's patterns match; hidden files and those still being copied do not count."""
    name = file.name
    if name.startswith(".") or name.endswith((".tmp", ".part", "~")) or not file.is_file():
        return False
    return any(fnmatch(name, pattern) for pattern in spec.files)


def waiting_files(settings: Settings, connection: Connection | None = None) -> list[WaitingFile]:
    """What lies in the landing folder and has not been read as it is now, by source and name.

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
    waiting = []
    for source, spec in sorted(load_specs(settings).items()):
        for file in sorted((landing / source).rglob("*")):
            if not _belongs(spec, file):
                continue
            try:
                changed = modified_at(file).replace(tzinfo=None)
            except FileNotFoundError:
                continue
            path = file.absolute()
            if read_at.get((source, str(path))) != changed:
                waiting.append(WaitingFile(source, path))
    return waiting


def _read_at(connection: Connection | None) -> dict[tuple[str, str], object]:
    """When each file, as it was last read, had been changed; None where it was left open."""
    if connection is None or not table_exists(connection, "raw.main.load"):
        return {}
    rows = connection.execute(
        "select source, path, arg_max({'at': modified_at}, load_id).at"
        " from raw.main.load where kind = 'file' group by all"
    ).fetchall()
    return {(source, path): at for source, path, at in rows}
