"""A raw lake of its own, a loader, and questions about what is in it."""

import json
import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ingest.load import Loader, LoadReport
from ingest.spec_files import load_specs
from warehouse.lake import Connection, writing
from warehouse.settings import Settings


class DeclaredAccounts:
    """The accounts that a test declares."""

    def __init__(self, *account_ids: str) -> None:
        self.account_ids = set(account_ids)

    def declared(self) -> Collection[str]:
        return self.account_ids

    def declare(self, account_ids: Sequence[str]) -> Collection[str]:
        self.account_ids |= set(account_ids)
        return account_ids


def event(event_id: str = "e1", **fields: Any) -> dict[str, Any]:
    """A usage event of the canonical log."""
    return {
        "event_id": event_id,
        "account_id": "acme",
        "agent_id": "writer",
        "category": "llm",
        "occurred_at": "2026-03-01T10:00:00Z",
        "credits": 1.5,
    } | fields


def lines(*rows: dict[str, Any]) -> bytes:
    """Rows as NDJSON."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


class Lab:
    """Loads files into a lake and tells what is there."""

    def __init__(self, connection: Connection, settings: Settings, folder: Path) -> None:
        self.connection = connection
        self.settings = settings
        self.folder = folder
        self.accounts = DeclaredAccounts("acme")
        self.loader = Loader(connection, settings, self.accounts)

    def write(self, content: bytes, name: str = "log.ndjson", *, quiet: bool = True) -> Path:
        """A file in the lab: written long ago, or not ``quiet`` however slow the test is."""
        path = self.folder / name
        path.write_bytes(content)
        written = 1_000_000_000 + len(content) if quiet else time.time() + 3_600
        os.utime(path, (written, written))
        return path

    def load(self, *paths: Path, source: str = "meterhouse") -> LoadReport:
        """Load files of a source."""
        return self.loader.load(load_specs(self.settings).find(source), paths)

    def load_bytes(self, content: bytes, name: str = "log.ndjson") -> LoadReport:
        """Load a file of the canonical log that has this content."""
        return self.load(self.write(content, name))

    def replay(self, *reasons: str) -> LoadReport:
        """Replay quarantined rows of the canonical log."""
        spec = load_specs(self.settings).find("meterhouse")
        return self.loader.replay(spec, reasons) if reasons else self.loader.replay(spec)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query, with ``raw.main`` as the default schema."""
        return self.connection.execute(query).fetchall()

    def current_events(self) -> list[tuple[Any, ...]]:
        """What counts now: the highest revision of each event, withdrawn ones left out."""
        return self.rows(
            """
            select event_id, revision, account_id, agent_id, category, model, occurred_at,
                usage_date_utc, credits, input_tokens, output_tokens, status, tags
            from raw.main.usage_event as event
            anti join raw.main.usage_supersession as newer
                using (source, event_id, revision)
            where not is_withdrawn
            order by event_id
            """
        )

    def reasons(self) -> list[tuple[int, str]]:
        """Line number and reason of each quarantined row."""
        return self.rows(
            "select line_number, reason from raw.main.usage_quarantine"
            " order by load_id, line_number"
        )


@contextmanager
def loading_lab(folder: Path) -> Iterator[Lab]:
    """A lab whose lake lies in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(home=folder / "home", memory="1GB")
    with writing(settings, "raw") as connection:
        yield Lab(connection, settings, folder)
