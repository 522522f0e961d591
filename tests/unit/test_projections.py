"""How past projections fared, in figures and in words."""

from datetime import date
from decimal import Decimal

import pytest

from app import charts_insights, theme
from app.queries.insights_projection import Replay, TrackRecord, nearest_replay, track_record
from app.views.insights_projection import record_text
from orchestration.commands import backtest


def replay(month: int, error: str | None, *, is_inside: bool = True, elapsed: int = 10) -> Replay:
    credits = [Decimal(value) for value in (100, 110, 90, 130, 150)]
    share = Decimal(error) if error is not None else None
    return Replay(date(2026, month, 1), elapsed, *credits, share, is_inside)


def test_a_record_is_of_one_day_of_the_months_only():
    replays = [replay(1, "0.1"), replay(2, "0.3", is_inside=False), replay(2, "0.9", elapsed=3)]
    assert track_record(replays, 10) == TrackRecord(10, 2, 1, Decimal("0.2"), Decimal("0.5"))
    assert track_record(replays, 20) is None


def test_a_month_without_usage_has_no_error_but_counts_in_the_range():
    found = track_record([replay(1, None), replay(2, "0.2")], 10)
    assert found is not None
    assert (found.projections, found.inside, found.error_share) == (2, 2, Decimal("0.2"))


@pytest.mark.parametrize(
    ("elapsed", "shown"), [(0, 3), (3, 3), (9, 3), (10, 10), (19, 10), (20, 20), (30, 20)]
)
def test_the_record_shown_is_that_of_the_last_replayed_day(elapsed, shown):
    assert nearest_replay(elapsed) == shown


def test_a_record_is_told_in_a_sentence():
    record = TrackRecord(10, 12, 10, Decimal("0.042"), None)
    assert record_text(record) == (
        "The last 12 projections were off by 4.2\u202f% on average; 10 of 12 inside the range"
    )
    assert record_text(TrackRecord(10, 1, 0, Decimal("0.5"), None)) == (
        "The last projection was off by 50.0\u202f%; 0 of 1 inside the range"
    )
    assert record_text(TrackRecord(10, 2, 2, None, None)) == (
        "The last 2 projections: 2 of 2 inside the range"
    )


def test_the_chart_has_a_row_a_month_and_says_which_were_outside():
    rows = charts_insights.replay_rows(
        [replay(1, "0.1"), replay(2, None, is_inside=False), replay(2, "0.9", elapsed=3)], 10
    )
    assert [(row["month"], row["kind"], row["error_text"]) for row in rows] == [
        ("January 2026", "inside", "10.0\u202f%"),
        ("February 2026", "outside", "–"),
    ]
    assert charts_insights.replay_chart(rows, theme.DARK).to_dict()["layer"]


def test_the_command_counts_all_accounts_first_and_then_each():
    def of(account: str, error: str | None, is_inside: bool) -> backtest.Replay:
        share = Decimal(error) if error is not None else None
        return backtest.Replay(account, date(2026, 1, 1), 3, share, Decimal("0.5"), is_inside)

    replays = [of("a", "0.1", True), of("b", "0.3", False), of("b", None, True)]
    assert backtest.records_of(replays, with_overall=True) == [
        backtest.Record(backtest.OVERALL, 3, 3, 0.2, 0.5, 2, 2 / 3),
        backtest.Record("a", 3, 1, 0.1, 0.5, 1, 1.0),
        backtest.Record("b", 3, 2, 0.3, 0.5, 1, 0.5),
    ]
    assert [each.account_id for each in backtest.records_of(replays, with_overall=False)] == [
        "a",
        "b",
    ]
    assert backtest.records_of([], with_overall=True) == []
