"""What dbt needs to know of the lakes: a plugin that dbt-duckdb calls for its connection.

With it a bare ``dbt build`` goes through the same settings, extensions, lock and attachments
as Meterhouse itself. ``METERHOUSE_RAW_SNAPSHOT`` pins the raw lake; without it, its head is read.
"""

import atexit
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.factory import FACTORY
from dbt_common.exceptions import DbtRuntimeError

from warehouse.errors import MeterhouseError
from warehouse.lake import (
    RAW_SNAPSHOT,
    attach,
    catalog_exists,
    engine_config,
    prepare_engine,
    writing,
)
from warehouse.locks import writer_lock
from warehouse.parents import end_with_parent
from warehouse.publication import ensure_meta_tables
from warehouse.settings import load_settings


class Plugin(BasePlugin):
    """Holds the builder's lock while dbt's engine lives, and attaches both lakes to it."""

    def initialize(self, config: dict[str, Any]) -> None:
        """Take nothing yet: ``dbt parse`` needs no lake. A lock held by a parent goes with it."""
        end_with_parent()
        self._settings = load_settings()

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Hand DuckDB its memory limit."""
        config.update(engine_config(self._settings))

    def configure_connection(self, conn: Any) -> None:
        """Attach ``raw`` read-only and ``marts`` for writing, under the builder's lock.

        Raises DbtRuntimeError, which dbt shows without a traceback, when nothing was loaded yet
        or another builder is at work.
        """
        try:
            self._attach_both(conn)
        except MeterhouseError as error:
            raise DbtRuntimeError(str(error)) from error

    def _attach_both(self, conn: Any) -> None:
        settings = self._settings
        if not catalog_exists(settings, "raw"):
            raise MeterhouseError(
                f"there is no usage in {settings.home} yet; "
                "run `meterhouse load` or `meterhouse sample`"
            )
        held = ExitStack()
        try:
            held.enter_context(writer_lock(settings, "marts"))
            prepare_engine(conn, settings)
            with writing(settings, "marts") as connection:
                ensure_meta_tables(connection)
            pinned = os.environ.get(RAW_SNAPSHOT)
            attach(conn, settings, "raw", snapshot=int(pinned) if pinned else None)
            attach(conn, settings, "marts", read_only=False)
        except BaseException:
            held.close()
            raise
        _at_the_end_of_this_invocation(held.close)


def _at_the_end_of_this_invocation(let_go: Callable[[], None]) -> None:
    """Close dbt's engine and then call ``let_go`` when dbt cleans up its connections.

    dbt-duckdb keeps an in-memory engine until the process ends. In a process that invokes dbt
    more than once it would stay attached to the lakes as they were, and keep the lock.
    """
    atexit.register(let_go)
    adapter = FACTORY.adapters.get(DuckDBConnectionManager.TYPE)
    if adapter is None:
        return
    manager = adapter.connections
    clean_up = manager.cleanup_all

    def clean_up_and_close() -> None:
        manager.cleanup_all = clean_up
        clean_up()
        environment, DuckDBConnectionManager._ENV = DuckDBConnectionManager._ENV, None
        if environment is not None:
            environment.close()
        let_go()
        atexit.unregister(let_go)

    manager.cleanup_all = clean_up_and_close
