"""How long the questions to lakes and store take, as ``/metrics`` tells it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import sqlalchemy as sa
from prometheus_client import Counter, Histogram

Place = Literal["published", "head", "store"]

durations = Histogram(
    "meterhouse_query_duration_seconds",
    "From a question to its rows, by where it was asked; what a cache answered is not in it.",
    ["place"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    registry=None,
)

busy_seconds = Counter(
    "meterhouse_query_busy_seconds",
    "Seconds in which at least one question was being answered; several at once count once.",
    registry=None,
)


class _Busy:
    """How many questions are being answered, and since when there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._questions = 0
        self._since = 0.0

    def begin(self) -> float:
        """One more, from the time that is returned on."""
        now = time.perf_counter()
        with self._lock:
            if not self._questions:
                self._since = now
            self._questions += 1
        return now

    def end(self, place: Place, began: float) -> None:
        """One less."""
        now = time.perf_counter()
        durations.labels(place).observe(now - began)
        with self._lock:
            self._questions -= 1
            if not self._questions:
                busy_seconds.inc(max(now - self._since, 0.0))


_busy = _Busy()


@contextmanager
def timed(place: Place) -> Iterator[None]:
    """Count the block as one question, also when it fails."""
    began = _busy.begin()
    try:
        yield
    finally:
        _busy.end(place, began)


def time_store(engine: sa.Engine) -> None:
    """Count every statement of a store's engine from now on."""

    def began(*arguments: Any) -> None:
        arguments[4].meterhouse_began = _busy.begin()

    def ended(*arguments: Any) -> None:
        end(arguments[4])

    def failed(error: sa.engine.ExceptionContext) -> None:
        end(error.execution_context)

    def end(statement: Any) -> None:
        since = getattr(statement, "meterhouse_began", None)
        if since is not None:  # else it failed before it began, or while its rows were fetched
            statement.meterhouse_began = None
            _busy.end("store", since)

    sa.event.listen(engine, "before_cursor_execute", began)
    sa.event.listen(engine, "after_cursor_execute", ended)
    sa.event.listen(engine, "handle_error", failed)
