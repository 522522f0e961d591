"""``python tether.py COMMAND…``: runs a command that ends with whoever asked for it.

Standard input is a pipe that the asking process holds open. When it ends, killed or not, the pipe
closes, and the whole process group of the command is ended: politely, then firmly. The supervisor
starts this file as a script in a session of its own; it imports nothing but Python's own modules.
"""

import os
import signal
import subprocess
import sys
import threading
import time

POLITE_SECONDS = 2.0


def main() -> int:
    """Run the command; its exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave_to_the_command)
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as command:
        threading.Thread(target=_end_with_the_pipe, daemon=True).start()
        status = command.wait()
    return status if status >= 0 else 128 - status


def _leave_to_the_command(*_: object) -> None:
    """Signals reach the whole group; what to do is the command's decision."""


def _end_with_the_pipe() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(POLITE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
