"""Who goes first where processors are short: those who ask before those who build."""

import os

BACKGROUND = 5
"""Niceness of what nobody waits for: of two busy processes, the other gets three quarters."""


def give_way(pid: int) -> None:
    """Let other processes run before ``pid``, a process that has just begun.

    It cannot be taken back. A process that has ended already, or whose niceness is higher, stays
    as it is.
    """
    try:
        if os.getpriority(os.PRIO_PROCESS, pid) < BACKGROUND:
            os.setpriority(os.PRIO_PROCESS, pid, BACKGROUND)
    except ProcessLookupError:
        return
