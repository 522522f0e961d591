"""The lakes for one question or two: what the command line, the sweep and the webhooks read.

The app keeps its connections open and shares them; here each question opens and closes its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.burn_down import Usage
from billing.live_usage import read_usage
from warehouse.lake import Connection, reading_head, table_exists
from warehouse.locks import Lake
from warehouse.publication import Publication, latest_publication, reading_published
from warehouse.settings import Settings


class OpenLake:
    """Answers queries at the head and at publications on connections that it keeps for a while."""

    def __init__(self, settings: Settings) -> None:
        """Opens nothing before the first question."""
        self._settings = settings
        self._connections: dict[Publication | None, Connection] = {}

    def publication(self) -> Publication | None:
        """The published pointer, or None before the first publication."""
        return latest_publication(self._at(None))

    def has_table(self, table: str) -> bool:
        """Whether ``catalog.schema.table`` exists at the head."""
        return table_exists(self._at(None), table)

    def head_rows(self, lake: Lake, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query at the head that reads nothing but ``lake``."""
        return self._at(None).execute(sql).fetchall()

    def rows(
        self,
        sql: str,
        parameters: Mapping[str, Any],
        *,
        publication: Publication | None = None,
    ) -> list[tuple[Any, ...]]:
        """The rows of a query with named parameters, at ``publication`` or else at the head."""
        return self._at(publication).execute(sql, dict(parameters) or None).fetchall()

    def close(self) -> None:
        """Close every connection."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _at(self, publication: Publication | None) -> Connection:
        if publication not in self._connections:
            self._connections[publication] = (
                reading_published(self._settings, publication)[0]
                if publication
                else reading_head(self._settings)
            )
        return self._connections[publication]


@contextmanager
def open_lake(settings: Settings) -> Iterator[OpenLake]:
    """Both lakes of an instance, until the block ends; they need not exist."""
    lake = OpenLake(settings)
    try:
        yield lake
    finally:
        lake.close()


@dataclass(frozen=True)
class LakeUsage:
    """What accounts used, settled and pending (``billing.lots.UsageSums``)."""

    settings: Settings

    def between(self, account_id: str, borders: Sequence[datetime]) -> list[Usage]:
        """Credits used before the last of ``borders``, summed up between them."""
        with open_lake(self.settings) as lake:
            return read_usage(lake, lake.publication(), account_id, borders).all_usage()
