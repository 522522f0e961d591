"""What has no period is told again after its end was told, though it fires again within a day."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.alerts.machine import Past, Reading, step

START = datetime(2026, 11, 23, 10, tzinfo=UTC)


def told(changes: list[tuple[float, str]], *, tells_end: bool) -> list[tuple[float, str]]:
    """Which readings of a low balance, (hours, state), are told."""
    past, found = Past(), []
    for hours, state in changes:
        at = START + timedelta(hours=hours)
        reading = Reading(
            "low_balance:a", "now", "a", "Low", state, Decimal(1), Decimal(2), True, tells_end
        )
        change = step(past, reading, at)
        if change is not None:
            past = past.after(state, change.is_told, at)
            if change.is_told:
                found.append((hours, state))
    return found


def test_the_last_word_is_not_that_it_ended_while_it_goes_on() -> None:
    again = [
        (0, "firing"),
        (1, "ok"),
        (2, "firing"),
        (23, "firing"),
        (24, "firing"),
        (99, "firing"),
    ]
    assert told(again, tells_end=True) == [(0, "firing"), (1, "ok"), (24, "firing")]


def test_no_data_in_between_neither_tells_nor_loses_it() -> None:
    gap = [(0, "firing"), (1, "ok"), (2, "firing"), (25, "no_data"), (26, "firing"), (27, "firing")]
    assert told(gap, tells_end=True) == [(0, "firing"), (1, "ok"), (26, "firing")]


@pytest.mark.parametrize("tells_end", [True, False])
def test_what_flaps_is_told_to_fire_at_most_once_a_day(tells_end: bool) -> None:
    flaps = [(n / 4, "ok" if n % 2 else "firing") for n in range(4 * 72)]
    fired = [hours for hours, state in told(flaps, tells_end=tells_end) if state == "firing"]
    assert fired == [0, 24, 48]
