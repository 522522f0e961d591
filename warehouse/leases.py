"""A reader's lease: while it is held, upkeep spares the snapshots that it names.

A lease is a file under ``<home>/leases``. It ends with its ``with`` block, with its process, or
when nothing was heard of it for a day.
"""

import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from warehouse.settings import Settings

LEASE_LIFE = timedelta(days=1)
"""A lease that was not renewed for so long counts for nothing."""


@dataclass(frozen=True)
class Lease:
    """Who reads which snapshots, and when it was last heard of (an aware time)."""

    file: Path
    host: str
    pid: int
    marts_snapshot: int
    raw_snapshot: int
    heartbeat_at: datetime

    def renew(self, now: datetime | None = None) -> None:
        """Say that the reader still reads; do so at least once a day."""
        content = {
            "host": self.host,
            "pid": self.pid,
            "marts_snapshot": self.marts_snapshot,
            "raw_snapshot": self.raw_snapshot,
            "heartbeat_at": (now or datetime.now(UTC)).isoformat(),
        }
        draft = self.file.with_suffix(".draft")
        draft.write_text(json.dumps(content))
        draft.replace(self.file)


@contextmanager
def lease(settings: Settings, *, marts_snapshot: int, raw_snapshot: int) -> Iterator[Lease]:
    """Hold a lease on two snapshots while the block runs."""
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    held = Lease(
        file=folder / f"{uuid.uuid4().hex}.json",
        host=socket.gethostname(),
        pid=os.getpid(),
        marts_snapshot=marts_snapshot,
        raw_snapshot=raw_snapshot,
        heartbeat_at=datetime.now(UTC),
    )
    held.renew()
    try:
        yield held
    finally:
        held.file.unlink(missing_ok=True)


def leases(settings: Settings, now: datetime | None = None) -> tuple[list[Lease], list[Path]]:
    """The leases that count, and the files of those that do not. Removes nothing."""
    now = now or datetime.now(UTC)
    live: list[Lease] = []
    stale: list[Path] = []
    for file in sorted(_folder(settings).glob("*.json")):
        found = _read(file)
        if found is not None and _is_live(found, now):
            live.append(found)
        elif file.exists():
            stale.append(file)
    return live, stale


def remove_stale_leases(settings: Settings, now: datetime | None = None) -> int:
    """Remove the files of leases that do not count; returns how many."""
    _, stale = leases(settings, now)
    for file in stale:
        file.unlink(missing_ok=True)
    return len(stale)


def _folder(settings: Settings) -> Path:
    return settings.home / "leases"


def _read(file: Path) -> Lease | None:
    try:
        content = json.loads(file.read_text())
        return Lease(
            file=file,
            host=str(content["host"]),
            pid=int(content["pid"]),
            marts_snapshot=int(content["marts_snapshot"]),
            raw_snapshot=int(content["raw_snapshot"]),
            heartbeat_at=datetime.fromisoformat(content["heartbeat_at"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_live(found: Lease, now: datetime) -> bool:
    if now - found.heartbeat_at > LEASE_LIFE:
        return False
    return found.host != socket.gethostname() or _is_running(found.pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
