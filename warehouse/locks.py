"""One writer a lake: the lock that loader and builder hold while they write.

A SQLite catalog is guarded by a file lock under the home (let go by the kernel when its
process dies), a PostgreSQL catalog by an advisory lock in that database, so that writers on
several machines exclude each other too.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from filelock import FileLock, Timeout

from warehouse.errors import MeterhouseError
from warehouse.postgres import connect_catalog
from warehouse.settings import Settings

Lake = Literal["raw", "marts"]
WRITERS: dict[Lake, str] = {"raw": "loader", "marts": "builder"}


class LakeBusy(MeterhouseError):
    """Another process holds the lock."""


HELD_BY_PARENT = "METERHOUSE_LOCK_HELD"
"""Set for a child process to the lake whose lock its parent holds for it."""


@contextmanager
def writer_lock(settings: Settings, lake: Lake) -> Iterator[None]:
    """Hold the lake's writer lock; re-entrant within a process.

    Raises LakeBusy when another process still holds it after ``settings.lock_timeout``
    seconds.
    """
    if os.environ.get(HELD_BY_PARENT) == lake:
        yield
        return
    if settings.catalog_url:
        with _advisory_lock(settings, lake):
            yield
        return
    folder = settings.home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{lake}.lock", thread_local=False, is_singleton=True)
    try:
        lock.acquire(timeout=settings.lock_timeout)
    except Timeout as error:
        raise _busy(settings, lake) from error
    try:
        yield
    finally:
        lock.release()


_ADVISORY_KEYS: dict[Lake, int] = {"raw": 0x4D48_0001, "marts": 0x4D48_0002}
_held_here: dict[str, int] = {}


@contextmanager
def _advisory_lock(settings: Settings, lake: Lake) -> Iterator[None]:
    if _held_here.get(lake):
        _held_here[lake] += 1
        try:
            yield
        finally:
            _held_here[lake] -= 1
        return
    with connect_catalog(settings) as connection:
        from psycopg.errors import LockNotAvailable

        connection.execute(
            "select set_config('lock_timeout', %s, false)",
            [f"{int(settings.lock_timeout * 1000)}ms"],
        )
        try:
            connection.execute("select pg_advisory_lock(%s)", [_ADVISORY_KEYS[lake]])
        except LockNotAvailable as error:
            raise _busy(settings, lake) from error
        _held_here[lake] = 1
        try:
            yield
        finally:
            _held_here[lake] = 0


def _busy(settings: Settings, lake: Lake) -> LakeBusy:
    return LakeBusy(
        f"another {WRITERS[lake]} has been writing the {lake} lake for more than "
        f"{settings.lock_timeout:g} seconds; wait for it, or raise METERHOUSE_LOCK_TIMEOUT"
    )
