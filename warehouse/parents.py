"""Children that do not outlive their parent, however it ended: it may hold a lock for them."""

import os
import threading
import time
from collections.abc import Mapping

PARENT = "METERHOUSE_PARENT"
"""Set for a child process to the id of the process that waits for it."""

LOOK_SECONDS = 0.5


def as_parent() -> dict[str, str]:
    """The variable for a child that this process starts and waits for."""
    return {PARENT: str(os.getpid())}


def end_with_parent(environment: Mapping[str, str] = os.environ) -> None:
    """End this process at once when the parent that ``environment`` names is gone.

    Nothing happens where it names none. What was not committed yet is lost, as with the parent.
    """
    if parent := environment.get(PARENT):
        threading.Thread(target=_watch, args=(int(parent),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(1)
