"""What a backup folder holds: sets of databases, and the Parquet files that they share.

::

    lake/raw/…  lake/marts/…     Parquet files; they never change, so every set uses the same
    20261126T090000Z/            one set: the databases as they were at one time
        raw.sqlite  marts.sqlite     or catalogs.dump, of PostgreSQL
        operations.sqlite            or operations.dump
        backup.json                  what belongs to it; written last

A set without ``backup.json`` is one that was not finished, and counts for nothing.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from warehouse.errors import MeterhouseError

FORMAT = 1
MANIFEST = "backup.json"
CATALOG_DUMP = "catalogs.dump"
STORE_FILE = "operations.sqlite"
STORE_DUMP = "operations.dump"

Engine = Literal["sqlite", "postgresql"]
Figures = Mapping[str, Mapping[str, str]]
"""Of each table the number of rows and the sums of its decimal columns, as texts."""

_NAME = re.compile(r"\d{8}T\d{6}Z")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class StoredFile:
    """A file of a backup: its path within the backup folder, its bytes and its SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What one set is: when and where it was made, its files, and the figures in it.

    Times are ISO texts in UTC. ``snapshots`` are those that the figures are of.
    """

    format: int
    started_at: str
    finished_at: str
    home: str
    catalogs: Engine
    store: Engine | None
    snapshots: Mapping[str, int]
    figures: Figures
    files: tuple[StoredFile, ...]

    def write(self, file: Path) -> None:
        """Write it whole or not at all."""
        draft = file.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as out:
            json.dump(asdict(self), out, indent=1, sort_keys=True)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)


@dataclass(frozen=True)
class BackupSet:
    """One set of a backup folder."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """The folder of its databases."""
        return self.folder / self.name

    @property
    def is_finished(self) -> bool:
        """Whether it was made to its end."""
        return (self.path / MANIFEST).exists()

    def manifest(self) -> Manifest:
        """What belongs to it. Raises MeterhouseError when that cannot be read."""
        file = self.path / MANIFEST
        try:
            content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise MeterhouseError(
                    f"{file} has format {content['format']}, this Meterhouse reads {FORMAT}; "
                    "use the version that made the backup"
                )
            files = tuple(StoredFile(**each) for each in content.pop("files"))
            return Manifest(**content, files=files)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MeterhouseError(
                f"{file} cannot be read ({error}); take another set of this backup"
            ) from error


def set_name(now: datetime) -> str:
    """The name of a set begun at an aware time: it sorts by time."""
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def sets_of(folder: Path) -> list[BackupSet]:
    """The sets of a backup folder, finished or not, the oldest first."""
    if not folder.is_dir():
        return []
    return [
        BackupSet(folder, path.name)
        for path in sorted(folder.iterdir())
        if path.is_dir() and _NAME.fullmatch(path.name)
    ]


def find_set(folder: Path, name: str | None = None) -> BackupSet:
    """The named set, or the newest finished one. Raises MeterhouseError when there is none."""
    known = sets_of(folder)
    if name is not None:
        found = [each for each in known if each.name == name]
        if not found:
            listed = ", ".join(each.name for each in known) or "none"
            raise MeterhouseError(f"{folder} has no set {name}; there are: {listed}")
        if not found[0].is_finished:
            raise MeterhouseError(
                f"the set {name} of {folder} was never finished; take another, or back up again"
            )
        return found[0]
    finished = [each for each in known if each.is_finished]
    if finished:
        return finished[-1]
    if known:
        raise MeterhouseError(
            f"{folder} holds half a backup, begun at {known[-1].name} and never finished; run "
            f"`meterhouse backup {folder}` again: what was copied is not copied twice"
        )
    raise MeterhouseError(f"{folder} holds no backup; make one with `meterhouse backup {folder}`")


def digest_of(file: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def copy_file(source: Path, target: Path) -> str:
    """Copy a file so that it is there whole, and on disk, or not at all; returns its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.part")
    digest = hashlib.sha256()
    with source.open("rb") as content, draft.open("wb") as out:
        while block := content.read(_BLOCK):
            digest.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(target)
    return digest.hexdigest()


def stored(folder: Path, file: Path) -> StoredFile:
    """The entry of a file that lies in a backup folder."""
    return StoredFile(file.relative_to(folder).as_posix(), file.stat().st_size, digest_of(file))


def total_size(files: Iterable[StoredFile]) -> int:
    """Bytes of files."""
    return sum(file.size for file in files)
