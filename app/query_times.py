"""How long the questions to lakes and store take, as ``/metrics`` tells it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import sqlalchemy as sa
from prometheus_client import Histogram

Place = Literal["published", "head", "store"]

durations = Histogram(
    "meterhouse_query_duration_seconds",
    "From a question to its rows, by where it was asked; what a cache answered is not in it.",
    ["place"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    registry=None,
)


@contextmanager
def timed(place: Place) -> Iterator[None]:
    """Count the block as one question, also when it fails."""
    began = time.perf_counter()
    try:
        yield
    finally:
        durations.labels(place).observe(time.perf_counter() - began)


def time_store(engine: sa.Engine) -> None:
    """Count every statement of a store's engine from now on."""

    def began(*arguments: Any) -> None:
        arguments[4].meterhouse_began = time.perf_counter()

    def ended(*arguments: Any) -> None:
        taken = time.perf_counter() - arguments[4].meterhouse_began
        durations.labels("store").observe(taken)

    sa.event.listen(engine, "before_cursor_execute", began)
    sa.event.listen(engine, "after_cursor_execute", ended)
