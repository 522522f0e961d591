"""What dbt needs to know of the lakes: a plugin that dbt-duckdb calls for its connection.

With it a bare ``dbt build`` goes through the same settings, extensions, lock and attachments
as Meterhouse itself. ``METERHOUSE_RAW_SNAPSHOT`` pins the raw lake; without it, its head is read.
"""

import atexit
import os
from contextlib import ExitStack
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from warehouse.errors import MeterhouseError
from warehouse.lake import attach, catalog_exists, engine_config, prepare_engine, writing
from warehouse.locks import writer_lock
from warehouse.publication import ensure_meta_tables
from warehouse.settings import load_settings

RAW_SNAPSHOT = "METERHOUSE_RAW_SNAPSHOT"


class Plugin(BasePlugin):
    """Holds the builder's lock while dbt's connection lives, and attaches both lakes to it."""

    def initialize(self, config: dict[str, Any]) -> None:
        """Take nothing yet: ``dbt parse`` needs no lake."""
        self._settings = load_settings()

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Hand DuckDB its memory limit and extension folder."""
        self._settings.extension_folder.mkdir(parents=True, exist_ok=True)
        config.update(engine_config(self._settings))

    def configure_connection(self, conn: Any) -> None:
        """Attach ``raw`` read-only and ``marts`` for writing, under the builder's lock."""
        settings = self._settings
        if not catalog_exists(settings, "raw"):
            raise MeterhouseError(
                f"there is no usage in {settings.home} yet; run `meterhouse load` or `meterhouse sample`"
            )
        held = ExitStack()
        held.enter_context(writer_lock(settings, "marts"))
        atexit.register(held.close)
        with writing(settings, "marts") as connection:
            ensure_meta_tables(connection)
        prepare_engine(conn, settings)
        pinned = os.environ.get(RAW_SNAPSHOT)
        attach(conn, settings, "raw", snapshot=int(pinned) if pinned else None)
        attach(conn, settings, "marts", read_only=False)
