"""A loader that commits twice a second until it is told to stop: ``python -m … HOME``.

Each file holds new events, and a correction of one that came before. It prints how many loads it
did once standard input is closed.
"""

import random
import select
import sys
import time
from pathlib import Path

from orchestration.loading import load_files
from tests.integration.loading_lab import event, lines
from warehouse.settings import Settings

EVERY_SECONDS = 0.5


def main(home: Path) -> None:
    """Load until standard input is closed."""
    settings = Settings(home=home, memory="1GB")
    random.seed(1)
    loads = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        started = time.monotonic()
        rows = [
            event(f"busy-{loads}-{n}", occurred_at=f"2026-03-{random.randint(1, 28):02}T10:00:00Z")
            for n in range(20)
        ]
        if loads:
            corrected = f"busy-{random.randrange(loads)}-0"
            rows.append(event(corrected, credits=2, revision=loads))
        file = home / "busy" / f"{loads}.ndjson"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(lines(*rows))
        report = load_files(settings, "meterhouse", [file]).usage
        assert report.loaded == len(rows), report
        loads += 1
        time.sleep(max(0.0, EVERY_SECONDS - (time.monotonic() - started)))
    print(loads)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
