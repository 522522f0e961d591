"""Data health shows the staff what arrived, what was held back and what was checked."""

import re
from datetime import date
from html import escape

import pytest

from app.mending import REASONS, declare_commands, mending_of
from app.queries.data_health import SourceDay, strip_of
from ingest import contract
from tests.app.conftest import text_of
from tests.app.reporting_lake import FAILED_CHECKS, HOSTILE, make_raw_lake, publish_head
from warehouse.lake import writing
from warehouse.settings import Settings


@pytest.fixture
def page(open_page):
    return open_page("data health")


def test_loads_stand_newest_first_with_their_counts(page):
    text = text_of(page)
    loads = [int(found) for found in re.findall(r"<tr><td[^>]*>(\d+)</td>", text)]
    assert loads == [8, 7, 6, 5, 4, 3, 2, 1]
    for count in ("97,120", "96,880", "231"):
        assert f">{count}</td>" in text
    assert "pending" in text
    assert "published" in text


def test_rejected_rows_are_counted_by_reason_without_those_replayed(page):
    labels = [expander.label for expander in page.expander]
    assert "**Account not declared** · 2 rows" in labels, "two of four were replayed"
    assert "**Unreadable line** · 2 rows" in labels
    assert ">8 rows<" in text_of(page)


def test_each_reason_says_how_to_mend_it(page):
    text = text_of(page)
    assert "meterhouse accounts add zenith" in text
    assert "apex" not in text, "its rows were replayed"
    assert escape(mending_of("unreadable_line").advice) in text


def test_raw_text_is_escaped_and_cut(page):
    text = text_of(page)
    assert "<script>" not in text
    assert escape(HOSTILE) in text
    assert "x" * 1000 not in text
    assert "more characters" in text


def test_checks_that_fail_come_first(page):
    text = text_of(page)
    assert "no day is missing" in text
    assert "0 errors, 1 warning of 6 checks" in text
    assert text.index("no day is missing") < text.index("unique_fct_usage")


def test_an_error_of_the_last_refresh_stands_above_its_warnings(open_page, own_lake):
    with writing(own_lake, "marts") as connection:
        connection.execute("create table marts.main.newer as select 1 as one")
        publish_head(connection, 1, FAILED_CHECKS)
    text = text_of(open_page("data health", settings=own_lake))
    assert "1 error, 1 warning of 2 checks" in text
    assert text.index("credits_are_conserved") < text.index("no day is missing")
    assert "blocks publishing" in text


def test_sources_show_their_freshness_and_missing_days(page):
    text = text_of(page)
    for source in ("meterhouse", "claude_code", "exgentic"):
        assert f">{source}<" in text
    assert "3 days" in text


def test_what_is_pending_is_told(page):
    text = text_of(page)
    assert "46 rows" in text
    assert "in 1 load since then" in text


def test_before_anything_is_loaded_it_says_which_commands_to_run(open_page, tmp_path):
    text = text_of(open_page("data health", settings=Settings(home=tmp_path / "new")))
    assert "meterhouse sample" in text


def test_before_the_first_refresh_loads_and_rejected_rows_are_there_already(open_page, tmp_path):
    make_raw_lake(Settings(home=tmp_path / "raw"))
    text = text_of(open_page("data health", settings=Settings(home=tmp_path / "raw")))
    assert "Nothing is published yet" in text
    assert "97,120" in text
    assert "No refresh has run its checks yet" in text


def test_every_reason_of_the_loader_has_a_mending():
    assert set(REASONS) == set(contract.REASONS)


def test_a_reason_that_is_new_here_is_shown_under_its_own_code():
    assert mending_of("odd_smell").title == "Odd smell"


def test_an_account_id_in_a_command_is_quoted_for_the_shell():
    (command,) = declare_commands(["x; rm -rf ~"])
    assert command.endswith("'x; rm -rf ~'")


def test_a_missing_day_is_one_between_days_with_events():
    days = [
        SourceDay("s", date(2026, 11, 20), 5),
        SourceDay("s", date(2026, 11, 22), 7),
        SourceDay("other", date(2026, 11, 21), 1),
    ]
    strip = strip_of(days, "s", date(2026, 11, 23))
    assert len(strip) == 30
    assert [events for _, events in strip[-5:]] == [0, 5, None, 7, 0]
