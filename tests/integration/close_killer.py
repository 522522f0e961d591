"""Closes October again and again and kills it at random, then lets it end.

``python -m tests.integration.close_killer HOME KILLS SEED`` prints how many kills hit a close that
was not done. Each close is a child process that has everything imported.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from billing.invoices.closing import close
from billing.invoices.rendering import render_missing
from billing.store import open_store
from tests.integration.invoice_lab import NOW, OCTOBER
from warehouse.settings import Settings


def run_close(home: Path, begun: int) -> None:
    settings = Settings(home=home, threads=1, memory="500MB")
    with open_store(settings) as store:
        os.write(begun, b"x")
        close(settings, store, OCTOBER, now=NOW, actor="closer")
        render_missing(settings, store, now=NOW)


def main(home: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    hit = 0
    for attempt in range(kills + 1):
        reads, writes = os.pipe()
        child = os.fork()
        if not child:
            try:
                run_close(home, writes)
            except BaseException as error:
                print(error, file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        os.close(writes)
        os.read(reads, 1)
        os.close(reads)
        if attempt < kills:
            time.sleep(chance.random() * 0.8)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        hit += os.WIFSIGNALED(status)
        if attempt == kills and status:
            sys.exit("the last close failed")
    print(hit)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
