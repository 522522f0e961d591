"""Terms take over at the start of a month, in the account's days, and keep what was changed."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.terms import Term, changed_terms, default_start, split_at, standing_terms
from billing.validation import BEGINNING

FIRST = Term(BEGINNING, "Acme", "UTC", "USD", None, "prepaid", term_id=1)
MONTHS = [date(2026, month, 1) for month in range(1, 13)]


def recorded(terms: list[Term], new: list[Term]) -> list[Term]:
    """``terms`` with ``new`` recorded after them."""
    start = max(term.term_id for term in terms) + 1
    return terms + [replace(term, term_id=start + index) for index, term in enumerate(new)]


def on(terms: list[Term], month: date) -> Term:
    """The term that holds in ``month``."""
    return [term for term in standing_terms(terms) if term.effective_from <= month][-1]


def test_of_one_start_the_term_recorded_last_counts() -> None:
    again = replace(FIRST, name="Acme Ltd", term_id=2)
    assert standing_terms([again, FIRST]) == [again]


def test_a_term_takes_over_at_midnight_in_the_zone_of_the_term_before_it() -> None:
    auckland = replace(FIRST, time_zone="Pacific/Auckland")
    later = replace(auckland, effective_from=date(2026, 6, 1), time_zone="America/Lima", term_id=2)
    before, after = datetime(2026, 5, 31, 11, 59, tzinfo=UTC), datetime(2026, 5, 31, 12, tzinfo=UTC)
    assert split_at([auckland, later], before) == (auckland, [later])
    assert split_at([auckland, later], after) == (later, [])


def test_an_account_without_a_term_is_an_error() -> None:
    with pytest.raises(ValueError, match="without a term"):
        split_at([], datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("field", "start"),
    [
        ("name", date(2026, 12, 1)),
        ("email", date(2026, 12, 1)),
        ("time_zone", date(2027, 1, 1)),
        ("currency", date(2027, 1, 1)),
        ("plan", date(2027, 1, 1)),
    ],
)
def test_contacts_change_this_month_and_the_rest_next_month_in_the_accounts_days(
    field: str, start: date
) -> None:
    tokyo = replace(FIRST, time_zone="Asia/Tokyo")
    already_december_there = datetime(2026, 11, 30, 15, 30, tzinfo=UTC)
    assert default_start(field, tokyo, already_december_there) == start


def test_a_change_that_changes_nothing_records_nothing() -> None:
    assert changed_terms([FIRST], {"plan": "prepaid"}, date(2026, 5, 1)) == []


def test_a_change_before_the_first_term_is_an_error() -> None:
    late = replace(FIRST, effective_from=date(2026, 1, 1))
    with pytest.raises(ValueError, match="no term holds"):
        changed_terms([late], {"plan": "postpaid"}, date(2025, 12, 1))


def test_a_new_name_does_not_fall_back_when_a_later_term_begins() -> None:
    terms = recorded([FIRST], changed_terms([FIRST], {"plan": "postpaid"}, date(2026, 12, 1)))
    terms = recorded(terms, changed_terms(terms, {"name": "Zenith"}, date(2026, 11, 1)))
    assert on(terms, date(2026, 10, 1)).name == "Acme"
    assert (on(terms, date(2026, 11, 1)).name, on(terms, date(2026, 11, 1)).plan) == (
        "Zenith",
        "prepaid",
    )
    assert (on(terms, date(2026, 12, 1)).name, on(terms, date(2026, 12, 1)).plan) == (
        "Zenith",
        "postpaid",
    )


def test_a_change_ends_where_a_later_term_had_changed_the_same_field() -> None:
    terms = recorded([FIRST], changed_terms([FIRST], {"plan": "postpaid"}, date(2026, 9, 1)))
    terms = recorded(
        terms, changed_terms(terms, {"plan": "prepaid_with_overage"}, date(2026, 6, 1))
    )
    assert on(terms, date(2026, 8, 1)).plan == "prepaid_with_overage"
    assert on(terms, date(2026, 9, 1)).plan == "postpaid"


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["Acme", "Zenith"]),
        "time_zone": st.sampled_from(["UTC", "Asia/Tokyo"]),
        "email": st.sampled_from([None, "a@b.example"]),
        "plan": st.sampled_from(["prepaid", "postpaid"]),
    },
)


@given(st.lists(st.tuples(CHANGES, st.sampled_from(MONTHS)), max_size=6))
def test_after_any_history_a_change_holds_from_its_month_and_nothing_before_it_moves(
    history: list[tuple[dict[str, Any], date]],
) -> None:
    terms = [FIRST]
    for changes, month in history:
        before = {earlier: on(terms, earlier) for earlier in MONTHS if earlier < month}
        unchanged = [
            field
            for field in ("name", "time_zone", "currency", "email", "plan")
            if field not in changes
        ]
        was = {later: on(terms, later) for later in MONTHS if later >= month}
        terms = recorded(terms, changed_terms(terms, changes, month))
        assert all(on(terms, earlier) == term for earlier, term in before.items())
        assert all(getattr(on(terms, month), field) == changes[field] for field in changes)
        for later, term in was.items():
            assert [getattr(on(terms, later), f) for f in unchanged] == [
                getattr(term, f) for f in unchanged
            ]
        assert changed_terms(terms, changes, month) == []
