"""The operational store: opening it, migrating it, reading it and writing it.

SQLite in write-ahead mode under the home by default, PostgreSQL by ``METERHOUSE_OPERATIONS_URL``.
Writers take turns (SQLite by its own lock, PostgreSQL by an advisory one), so that ids become
visible in the order in which they were given: who copied everything up to an id missed nothing.
"""

import getpass
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy.pool import NullPool

from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

HEAD_REVISION = "0011"
"""The newest migration; a test holds it to billing/migrations."""

_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
_WAIT_SECONDS = 30
_ADVISORY_KEY = 0x4D48_0003
_ACTING: ContextVar[str | None] = ContextVar("meterhouse_acting", default=None)


@dataclass(frozen=True)
class Store:
    """An open operational store. Close it, or use it in a ``with`` statement."""

    engine: sa.Engine

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that sees one consistent state; nothing it does is kept."""
        with self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that writes alone, committed at the end unless an exception ends it.

        Raises MeterhouseError when other writers hold the store for more than 30 seconds.
        """
        with self.engine.connect().execution_options(meterhouse_writes=True) as connection:
            try:
                transaction = connection.begin()
                if connection.dialect.name == "postgresql":
                    connection.execute(sa.text(f"set local lock_timeout = '{_WAIT_SECONDS}s'"))
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_KEY)))
            except sa.exc.OperationalError as error:
                reason = _first_line(error)
                if "lock" not in reason:
                    raise MeterhouseError(
                        f"the operational store cannot be written: {reason}"
                    ) from error
                raise MeterhouseError(
                    f"the operational store has been busy for more than {_WAIT_SECONDS} seconds "
                    f"({reason}); try again when its other writers are done"
                ) from error
            with transaction:
                yield connection

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ReadOnlyStore(Store):
    """A store for questions: an attempt to write is a mistake in our own code."""

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Raises RuntimeError."""
        raise RuntimeError("a question may not write: what writes passes the gate as a deed")
        yield  # a generator, as the method that it replaces


def store_exists(settings: Settings) -> bool:
    """Whether there is a store to ask: a file that was made, or a server, which is not asked."""
    url = _url(settings)
    if url.get_backend_name() != "sqlite" or not url.database:
        return True
    return Path(url.database).exists()


def place_of(settings: Settings) -> Path | str:
    """Where the store lies: its SQLite file, or the address of its PostgreSQL database."""
    url = _url(settings)
    if url.get_backend_name() == "sqlite" and url.database:
        return Path(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def open_store(settings: Settings) -> Store:
    """Open the operational store; create it and bring it up to date where needed.

    Any number of processes may do so at once. Raises MeterhouseError when it cannot be reached
    or was written by a newer Meterhouse.
    """
    url = _url(settings)
    file = Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
    try:
        if file:
            _prepare_file(file)
        store = Store(_engine(url))
    except ImportError as error:
        raise MeterhouseError(
            f"the operational store is at {url.get_backend_name()}, whose driver is missing "
            f"({error}); pip install 'meterhouse[postgres]'"
        ) from error
    except OSError as error:
        raise MeterhouseError(f"the operational store {file} cannot be written: {error}") from error
    try:
        if current_revision(store) != HEAD_REVISION:
            _migrate(store)
    except BaseException as error:
        store.close()
        if isinstance(error, sa.exc.DBAPIError):
            raise MeterhouseError(
                f"the operational store {url.render_as_string()} cannot be used: "
                f"{_first_line(error)}; check METERHOUSE_OPERATIONS_URL"
            ) from error
        raise
    return store


def current_revision(store: Store) -> str | None:
    """The store's migration, or None before the first."""
    with store.reading() as connection:
        return _revision(connection)


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Have everything that the block records be recorded by ``name`` (200 characters of it)."""
    token = _ACTING.set(name[:200])
    try:
        yield
    finally:
        _ACTING.reset(token)


def current_user() -> str:
    """Who records something: whom :func:`acting_as` names, else the login name.

    ``unknown`` where there is neither.
    """
    if name := _ACTING.get():
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("select version_num from alembic_version")).scalar()


def _migrate(store: Store) -> None:
    """Run what is missing of the history in one transaction, alone."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with store.writing() as connection:
        revision = _revision(connection)
        if revision == HEAD_REVISION:
            return
        if revision is not None and revision not in known:
            raise MeterhouseError(
                f"the operational store has revision {revision}, which this Meterhouse does not "
                "know: it was used by a newer one; upgrade this installation"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _url(settings: Settings) -> sa.URL:
    try:
        text = settings.store_url
        if text.startswith("postgres://"):
            text = text.replace("postgres://", "postgresql://", 1)
        url = sa.make_url(text)
    except sa.exc.ArgumentError as error:
        raise MeterhouseError(
            "METERHOUSE_OPERATIONS_URL is no database URL; write "
            "sqlite:////folder/operations.sqlite or postgresql://user@host/database"
        ) from error
    backend = url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database and url.database != ":memory:":
        return url.set(database=str(Path(url.database).expanduser().absolute()))
    raise MeterhouseError(
        f"the operational store can be a SQLite file or PostgreSQL, not {url.render_as_string()}"
    )


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    engine = sa.create_engine(url, poolclass=NullPool, connect_args={"timeout": _WAIT_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: Any) -> None:
        # Without an isolation level the driver begins no transactions of its own.
        connection.isolation_level = None
        connection.execute("pragma foreign_keys = on")
        connection.execute("pragma synchronous = full")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A writer locks at once: a read that turned into a write would fail when it came late.
        writes = connection.get_execution_options().get("meterhouse_writes", False)
        connection.exec_driver_sql("begin immediate" if writes else "begin")

    return engine


def _prepare_file(file: Path) -> None:
    """Switch the database file to write-ahead mode, once, with no one else at it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and _journal_mode(file) == "wal":
        return
    with FileLock(f"{file}.lock"):
        _journal_mode(file, "wal")


def _journal_mode(file: Path, wanted: str | None = None) -> str:
    try:
        connection = sqlite3.connect(file, timeout=_WAIT_SECONDS)
        try:
            statement = f"pragma journal_mode = {wanted}" if wanted else "pragma journal_mode"
            return str(connection.execute(statement).fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise MeterhouseError(
            f"the operational store {file} cannot be opened: {error}; is it a SQLite database "
            "that you may write?"
        ) from error


def _first_line(error: sa.exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
