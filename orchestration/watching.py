"""The resident loader: what lands is in the raw tables a second or two later.

It looks at the landing folder twice a second, without asking a lake, and loads with an engine, a
store and imports that are warm already. The loader and its lock are those of ``meterhouse load``;
the lock is held only while a load runs.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from billing.store import open_store
from ingest.files import SETTLE_SECONDS
from ingest.load import FileReport
from ingest.spec_files import load_specs
from orchestration.loading import Loaded, WarmEngine, load_landing
from warehouse.errors import MeterhouseError
from warehouse.lake import attach, catalog_exists, open_engine
from warehouse.locks import LakeBusy
from warehouse.settings import Settings

LOOK_SECONDS = 0.5
"""Between two looks at the landing folder; ten times as long as a look takes if that is more."""

AGAIN_SECONDS = 2.0
"""Before a file that has grown, or was not finished, is read again; twice as long each time that
nothing came of it."""

LONGEST_WAIT_SECONDS = 60.0
LOCK_SECONDS = 1.0
"""How long one attempt waits for another loader; in between it looks whether to stop."""

Stamp = tuple[int, int]
"""Of a file: when it was changed (nanoseconds) and how large it is."""

_log = logging.getLogger("meterhouse.watch")


@dataclass(frozen=True)
class Seen:
    """A file as it was when it was read last, and when it may be read again."""

    stamp: Stamp
    is_done: bool
    again_at: float
    tries: int = 1


def is_due(stamp: Stamp, seen: Seen | None, now: float) -> bool:
    """Whether a file has to be read: a new one at once, a changed or unfinished one in its time."""
    if seen is None:
        return True
    return (stamp != seen.stamp or not seen.is_done) and now >= seen.again_at


def note(stamp: Stamp, before: Seen | None, now: float, *, is_done: bool) -> Seen:
    """What is remembered of a file that was read as ``stamp``."""
    in_vain = not is_done and before is not None and not before.is_done and before.stamp == stamp
    tries = before.tries + 1 if in_vain and before else 1
    wait = min(AGAIN_SECONDS * 2 ** min(tries - 1, 10), LONGEST_WAIT_SECONDS)
    return Seen(stamp, is_done, now + wait, tries)


def landed(folder: Path) -> dict[Path, Stamp]:
    """Every file under ``folder`` with its stamp; nothing where there is no such folder."""
    found: dict[Path, Stamp] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_dir():
                        found |= landed(Path(entry.path))
                    elif entry.is_file():
                        stat = entry.stat()
                        found[Path(entry.path)] = (stat.st_mtime_ns, stat.st_size)
                except OSError:
                    continue
    except OSError:
        return found
    return found


@contextmanager
def only_watch(settings: Settings) -> Iterator[None]:
    """Be the one resident loader of this home. Raises MeterhouseError where there is another."""
    folder = settings.home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "watch.lock")
    try:
        lock.acquire(timeout=2)
    except Timeout:
        raise MeterhouseError(f"another `meterhouse watch` runs for {settings.home}") from None
    try:
        yield
    finally:
        lock.release()


def is_watched(settings: Settings) -> bool:
    """Whether a resident loader runs for this home on this machine."""
    file = settings.home / "locks" / "watch.lock"
    if not file.exists():
        return False
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


class Watcher:
    """Looks for files that landed and loads them, until it is told to stop."""

    def __init__(self, settings: Settings, tell: Callable[[FileReport], None]) -> None:
        """``tell`` hears of every file that was read."""
        self._settings = settings
        self._impatient = settings.model_copy(update={"lock_timeout": LOCK_SECONDS})
        self._tell = tell
        self._stopping = threading.Event()
        self._warm: WarmEngine | None = None
        self._look_seconds = 0.0
        self._seen: dict[Path, Seen] = {}
        self._specs: Mapping[Path, Stamp] = {}

    def stop(self) -> None:
        """Finish the file that is being loaded and leave."""
        self._stopping.set()

    def run(self) -> None:
        """Look and load until :meth:`stop`; an error is logged and tried again later."""
        pause, trouble = 0.0, 0
        while not self._stopping.wait(pause):
            try:
                self.look()
                pause, trouble = max(LOOK_SECONDS, 10 * self._look_seconds), 0
            except LakeBusy:
                pause = 0.0
            except Exception as error:
                trouble += 1
                pause = min(2.0**trouble, LONGEST_WAIT_SECONDS)
                is_expected = isinstance(error, MeterhouseError)
                _log.error("%s; again in %g s", error, pause, exc_info=not is_expected)
                self.close()
        self.close()

    def look(self) -> Loaded | None:
        """Look once, and load if anything is due. Raises LakeBusy while others load."""
        began = time.monotonic()
        present = landed(self._settings.landing_folder)
        self._forget_if_sources_changed()
        self._look_seconds = time.monotonic() - began
        due = [path for path, at in present.items() if is_due(at, self._seen.get(path), began)]
        if not due:
            self._seen = {path: seen for path, seen in self._seen.items() if path in present}
            self._warm_up()
            return None
        loaded = load_landing(self._impatient, warm=self._warm_up(), is_over=self._stopping.is_set)
        done = time.monotonic()
        now = time.time_ns()
        open_paths = {
            path
            for file in loaded.usage.files
            if (path := Path(file.path)) in present and not _is_done(file, present[path], now)
        }
        for path, stamp in present.items():
            seen = self._seen.get(path)
            if path in due or path in open_paths:
                self._seen[path] = note(stamp, seen, done, is_done=path not in open_paths)
        for file in loaded.usage.files:
            self._tell(file)
        return loaded

    def close(self) -> None:
        """Give engine and store back; a later look opens them again."""
        if self._warm:
            self._warm.engine.close()
            self._warm.store.close()
        self._warm = None

    def _warm_up(self) -> WarmEngine:
        """Engine and store, opened when they are first needed; attaching once loads the rest."""
        if self._warm is None:
            self._settings.home.mkdir(parents=True, exist_ok=True)
            store = open_store(self._settings)
            engine = open_engine(self._settings)
            self._warm = WarmEngine(engine, store)
            if catalog_exists(self._settings, "raw"):
                attach(engine, self._settings, "raw")
                engine.execute("detach raw")
        return self._warm

    def _forget_if_sources_changed(self) -> None:
        """A new or changed spec may make something of files that were passed over."""
        specs = landed(self._settings.sources) if self._settings.sources else {}
        if specs != self._specs:
            self._specs = specs
            self._seen.clear()
            for spec in load_specs(self._settings).broken:
                _log.error("%s", spec.message)


def _is_done(file: FileReport, stamp: Stamp, now: int) -> bool:
    """Whether a file needs no other look before it changes: its last line may be half a one."""
    if file.outcome not in ("loaded", "skipped"):
        return False
    return abs(now - stamp[0]) >= SETTLE_SECONDS * 1e9 or _ends_a_line(Path(file.path))


def _ends_a_line(path: Path) -> bool:
    try:
        with path.open("rb") as content:
            content.seek(-1, os.SEEK_END)
            return content.read(1) == b"\n"
    except OSError:
        return False
