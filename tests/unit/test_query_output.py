"""What `meterhouse sql` accepts and prints."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from orchestration.commands.query import as_json, as_text, one_question
from warehouse.errors import MeterhouseError


def test_json_is_an_array_of_objects_with_decimals_and_times_as_strings() -> None:
    rows = [(Decimal("0.000000001"), datetime(2026, 1, 2, 3, 4, 5), date(2026, 1, 2), None, 7)]
    assert json.loads(as_json(["credits", "at", "day", "model", "events"], rows)) == [
        {
            "credits": "0.000000001",
            "at": "2026-01-02T03:04:05",
            "day": "2026-01-02",
            "model": None,
            "events": 7,
        }
    ]


def test_text_keeps_every_digit() -> None:
    assert as_text(Decimal("1E-9")) == "0.000000001"
    assert as_text(Decimal("12345678901234567890.123456789")) == "12345678901234567890.123456789"
    assert as_text(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00+00:00"
    assert as_text(None) == ""


def test_json_writes_what_is_no_number_as_text() -> None:
    nan, infinity = float("nan"), float("inf")
    printed = as_json(["a", "b", "c"], [(nan, [1.5, -infinity], {"x": infinity})])
    assert json.loads(printed, parse_constant=pytest.fail) == [
        {"a": "nan", "b": [1.5, "-inf"], "c": {"x": "inf"}}
    ]


@pytest.mark.parametrize(
    "query",
    [
        "select 1;",
        "from usage",
        "with day as (select 1) select * from day",
        "show tables",
        "describe usage",
        "explain select 1",
        "/* why */ explain analyze select 1",
        "explain (analyze, format json) select 1",
        "pivot usage on category in ('llm', 'sql') using sum(credits)",
    ],
)
def test_a_question_is_one_statement_that_reads(query: str) -> None:
    assert one_question(query).query == query


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "there is no question"),
        ("select 1; select 2", "one SELECT at a time, this is 2 statements"),
        ("pivot usage on category using sum(credits)", "name its columns"),
        ("attach 'marts.sqlite' as marts", "only reads.*not with ATTACH"),
        ("delete from usage", "only reads.*not with DELETE"),
        ("copy usage to 'usage.csv'", "only reads.*not with COPY"),
        ("explain analyze delete from usage", "only reads.*not with DELETE"),
        ("explain analyze copy usage to 'usage.csv'", "only reads.*not with COPY"),
        ("set memory_limit = '1TB'", "only reads.*not with SET"),
        ("select * from sqlite_scan('operations.sqlite', 'account')", "the lakes alone"),
        ("from \"SQLite_query\"('marts', 'delete from t returning 1')", "the lakes alone"),
        ("explain from postgres_query('raw', 'select 1')", "the lakes alone"),
        ("selec 1", "syntax error"),
    ],
)
def test_anything_else_is_no_question(query: str, why: str) -> None:
    with pytest.raises(MeterhouseError, match=why):
        one_question(query)
