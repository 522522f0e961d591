"""A loader that commits twice a second until it is told to stop: ``python -m … HOME``.

As the resident loader does, it keeps its engine and holds the lock only while a load runs. Each
file holds new events, and a correction of one that came before. It prints how many loads it did
once standard input is closed.
"""

import random
import select
import sys
import time
from contextlib import closing
from pathlib import Path

from billing.accounts import StoreAccounts
from billing.store import open_store
from ingest.load import Loader
from ingest.spec_files import load_specs
from tests.integration.loading_lab import event, lines
from warehouse.lake import open_engine, writing
from warehouse.settings import Settings

EVERY_SECONDS = 0.5


def main(home: Path) -> None:
    """Load until standard input is closed."""
    settings = Settings(home=home, memory="1GB")
    spec = load_specs(settings).find("meterhouse")
    random.seed(1)
    loads = 0
    (home / "busy").mkdir(exist_ok=True)
    with open_store(settings) as store, closing(open_engine(settings)) as engine:
        due = time.monotonic()
        while not select.select([sys.stdin], [], [], 0)[0]:
            rows = [
                event(f"busy-{loads}-{n}", occurred_at=f"2026-03-{day():02}T10:00:00Z")
                for n in range(20)
            ]
            if loads:
                corrected = f"busy-{random.randrange(loads)}-0"
                rows.append(event(corrected, credits=2, revision=loads))
            file = home / "busy" / f"{loads}.ndjson"
            file.write_bytes(lines(*rows))
            with writing(settings, "raw", engine) as connection:
                loader = Loader(connection, settings, StoreAccounts(store))
                report = loader.load(spec, [file])
            assert report.loaded == len(rows), report
            loads += 1
            due += EVERY_SECONDS
            time.sleep(max(0.0, due - time.monotonic()))
    print(loads)


def day() -> int:
    """A day of the month that every month has."""
    return random.randint(1, 28)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
