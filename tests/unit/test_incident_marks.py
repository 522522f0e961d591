"""Marks: which one holds for an incident; what an incident came from, in the order it matters."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from app.queries.insights_incidents import parts_of, severity_name
from billing.incidents import Incident, Mark, mark_of

DAY = date(2026, 11, 6)


def mark(number: int, first: int, last: int, *, is_expected: bool = True) -> Mark:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    days = date(2026, 11, first), date(2026, 11, last)
    return Mark(number, "acme", *days, is_expected, "why", at, "ann")


def test_the_newest_mark_that_holds_for_all_days_counts() -> None:
    newest_first = [mark(3, 9, 9), mark(2, 5, 7, is_expected=False), mark(1, 5, 7)]
    found = mark_of(newest_first, DAY, date(2026, 11, 7))
    assert found is not None and found.mark_id == 2


def test_a_mark_of_some_of_the_days_leaves_the_incident_as_it_is() -> None:
    assert mark_of([mark(2, 6, 6), mark(1, 5, 8)], DAY, date(2026, 11, 7)) is None


def test_days_that_nobody_marked_have_no_mark() -> None:
    assert mark_of([mark(1, 1, 5), mark(2, 8, 9)], DAY, date(2026, 11, 7)) is None


def test_parts_come_the_greatest_first_and_nothing_is_left_out() -> None:
    zero = Decimal(0)
    incident = Incident(
        "acme", DAY, DAY, 1, False, None, "errors", "agent", "a", Decimal(3), Decimal(30),
        Decimal(10), Decimal(20), Decimal(-5), zero, Decimal(2), zero, zero, Decimal(23),
    )  # fmt: skip
    parts = parts_of(incident)
    assert [part.cause for part in parts] == ["errors", "price", "volume"]
    assert sum(part.credits for part in parts) == incident.excess_credits


@pytest.mark.parametrize(
    ("severity", "name"), [("1", "mild"), ("1.99", "mild"), ("2", "strong"), ("5", "extreme")]
)
def test_severities_have_names(severity: str, name: str) -> None:
    assert severity_name(Decimal(severity)) == name
