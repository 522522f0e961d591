"""The state machine of a rule in a period: ok, firing, no data. Pure functions.

A rule that was never judged is ok. It is told once a period that it fires, and once that it ended
where that is asked for. What has no period (a balance, rolling days) begins anew with each firing,
and is told at most once a day. Who was told that it ended while it fires again is told of that when
the day is over.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

State = Literal["ok", "firing", "no_data"]

PAUSE = timedelta(hours=24)
"""Least time between two messages of a rule that has no period."""


@dataclass(frozen=True)
class Reading:
    """What a rule sees in a period at one evaluation.

    ``amount`` is None where there are no data. ``limit`` is the amount at which it fires, and
    ``title`` says in words what it watches.
    """

    rule_key: str
    period_key: str
    account_id: str
    title: str
    state: State
    amount: Decimal | None
    limit: Decimal
    is_standing: bool
    tells_end: bool


@dataclass(frozen=True)
class Past:
    """What is known of a rule in a period: its state, how many changes it had, what was told."""

    state: State = "ok"
    number: int = 0
    fired_at: datetime | None = None
    is_open: bool = False
    has_ended: bool = False

    def after(self, state: State, is_told: bool, at: datetime) -> "Past":
        """The same after one more change. ``is_open``: told that it fires, not that it ended."""
        fires = is_told and state == "firing"
        ends = is_told and state == "ok"
        return Past(
            state,
            self.number + 1,
            at if fires else self.fired_at,
            fires or (self.is_open and not ends),
            self.has_ended or ends,
        )


@dataclass(frozen=True)
class Transition:
    """A change of state to be stored. ``is_told`` says whether a message goes out."""

    reading: Reading
    number: int
    is_told: bool
    at: datetime

    @property
    def reference(self) -> str:
        """What can exist once: the n-th change of a rule in a period."""
        return f"{self.reading.rule_key}|{self.reading.period_key}|{self.number}"


def step(past: Past, reading: Reading, at: datetime) -> Transition | None:
    """The change that a reading brings, or None where the state stays.

    No data is neither a firing nor its end, so coming back from it tells nothing twice.
    """
    if reading.state == past.state and not _is_owed(past, reading, at):
        return None
    if reading.state == "firing":
        is_told = (
            past.fired_at is None or at - past.fired_at >= PAUSE
            if reading.is_standing
            else past.fired_at is None
        )
        if past.state == "no_data" and past.is_open:
            is_told = False
    elif reading.state == "ok":
        is_told = reading.tells_end and past.is_open and (reading.is_standing or not past.has_ended)
    else:
        is_told = False
    return Transition(reading, past.number + 1, is_told, at)


def _is_owed(past: Past, reading: Reading, at: datetime) -> bool:
    """Whether the last word was that it ended, while it fires again and the pause is over."""
    return (
        reading.is_standing
        and reading.state == "firing"
        and not past.is_open
        and past.fired_at is not None
        and at - past.fired_at >= PAUSE
    )


def folded(changes: Iterable[tuple[State, bool, datetime]]) -> Past:
    """What is known after stored changes, in their order."""
    past = Past()
    for state, is_told, at in changes:
        past = past.after(state, is_told, at)
    return past
