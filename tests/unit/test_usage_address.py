"""The Usage page's address is read back as it was written, and nothing in it is an error."""

from dataclasses import replace
from datetime import date, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.usage_address import (
    MOST_DAYS,
    MOST_VALUES,
    RATING_LABELS,
    STATUS_LABELS,
    EventKey,
    Known,
    Range,
    UsageView,
    default_view,
    link,
    parse,
    parse_tag,
    previous,
    render,
    tag_id,
)
from warehouse.usage.selection import Dimension, Selection, Sort

TODAY = date(2026, 11, 23)
AGENTS = ("writer", "<b>&=bold", "a,b", "naïve ☃", "' or 1=1 --", "%3A:")
KNOWN = Known(
    today=TODAY,
    time_zone="Europe/Berlin",
    agents=frozenset(AGENTS),
    categories=frozenset({"llm", "sql", "image"}),
    models=frozenset({"gpt-5", "(none)", "azure/DeepSeek V3"}),
    last_month=date(2026, 11, 1),
)

texts = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(
    lambda text: text.strip() == text
)
days = st.dates(date(1970, 1, 1), date(2190, 1, 1))


def some(values):
    return st.lists(st.sampled_from(sorted(values)), unique=True, max_size=4).map(tuple)


@st.composite
def views(draw) -> UsageView:
    """Any view that the page can show."""
    chosen = draw(st.sampled_from([None, *Range]))
    if chosen is None:
        first = draw(days)
        until = first + timedelta(days=draw(st.integers(1, MOST_DAYS)))
    else:
        first, until = chosen.days(TODAY)
    selection = Selection(
        first,
        until,
        agents=draw(some(AGENTS)),
        categories=draw(some(KNOWN.categories)),
        models=draw(some(KNOWN.models)),
        statuses=draw(some(STATUS_LABELS)),
        tags=tuple(draw(st.lists(st.tuples(texts, texts), unique=True, max_size=3))),
        text=draw(st.one_of(st.just(""), texts)),
        ratings=draw(some(RATING_LABELS)),
        hours=tuple(draw(st.lists(st.integers(0, 23), unique=True, max_size=3))),
        time_zone="Europe/Berlin",
    )
    event = st.builds(EventKey, days, texts.filter(lambda text: "/" not in text), texts)
    return UsageView(
        selection,
        chosen,
        sort=draw(st.sampled_from(Sort)),
        is_descending=draw(st.booleans()),
        group=tuple(draw(st.lists(st.sampled_from(Dimension), unique=True, max_size=2))),
        page=draw(st.integers(1, 10_000_000)),
        event=draw(st.one_of(st.none(), event)),
    )


@given(views())
def test_a_view_is_read_back_as_it_was_written(view):
    address = urlsplit(link("acme", view)).query
    assert parse(parse_qs(address), KNOWN) == (view, ())


@given(views())
def test_what_is_put_into_the_address_is_what_a_link_holds(view):
    written = {
        key: [value] if isinstance(value, str) else value for key, value in render(view).items()
    }
    assert {"account": ["acme"], **written} == parse_qs(urlsplit(link("acme", view)).query)


KEYS = (
    *("from", "to", "range", "agent", "category", "model", "status", "rating", "hour"),
    *("tag", "q", "sort", "group", "page", "event", "x"),
)
keys = st.sampled_from(KEYS)
garbage = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "",
            "0",
            "-1",
            "1e999",
            "NaN",
            "²",
            "2026-02-30",
            "9999-12-31",
            "0001-01-01",
            "2026-11-01",
            "2026-W10",
            "' or 1=1; drop table x --",
            "<script>alert(1)</script>",
            "a" * 5_000,
            "\x00",
            "\ud800",
            "agent,day,hour",
            "2026-11-01//",
            "2026-11-01/a/\ud800",
            "a:\ud800",
            "://",
            "$x {{ y }} %s %n",
        ]
    ),
)


@given(st.dictionaries(keys, st.lists(garbage, max_size=4), max_size=10))
def test_whatever_an_address_holds_gives_a_view_that_is_written_and_read_again(parameters):
    view, remarks = parse(parameters, KNOWN)
    assert view.selection.first < view.selection.until
    assert len(remarks) <= 6
    assert all(len(remark) < 300 for remark in remarks)
    assert parse(parse_qs(urlsplit(link("acme", view)).query), KNOWN) == (view, ())
    previous(view, TODAY)


def read(**parameters) -> tuple[UsageView, tuple[str, ...]]:
    return parse({key.strip("_"): list(values) for key, values in parameters.items()}, KNOWN)


def test_an_empty_address_is_the_month_that_runs():
    view, remarks = read()
    assert (view.selection.first, view.selection.until) == (date(2026, 11, 1), date(2026, 12, 1))
    assert view.range is Range.MONTH
    assert remarks == ()


def test_an_account_without_usage_this_month_opens_at_its_last_month():
    view = default_view(replace(KNOWN, last_month=date(2026, 4, 1)))
    assert (view.selection.first, view.selection.until) == (date(2026, 4, 1), date(2026, 5, 1))
    assert view.range is None


@pytest.mark.parametrize(
    ("chosen", "first", "until"),
    [
        (Range.TODAY, "2026-11-23", "2026-11-24"),
        (Range.WEEK, "2026-11-17", "2026-11-24"),
        (Range.MONTH, "2026-11-01", "2026-12-01"),
        (Range.LAST_MONTH, "2026-10-01", "2026-11-01"),
        (Range.DAYS_30, "2026-10-25", "2026-11-24"),
        (Range.DAYS_90, "2026-08-26", "2026-11-24"),
    ],
)
def test_a_range_moves_with_the_calendar(chosen, first, until):
    assert [str(day) for day in chosen.days(TODAY)] == [first, until]


def test_reversed_dates_are_exchanged_with_a_remark():
    view, remarks = read(from_=["2026-11-20"], to=["2026-11-10"])
    assert (view.selection.first, view.selection.until) == (date(2026, 11, 10), date(2026, 11, 20))
    assert "its ends were exchanged" in remarks[0]


def test_equal_dates_are_that_day():
    view, remarks = read(from_=["2026-11-20"], to=["2026-11-20"])
    assert view.selection.until == date(2026, 11, 21)
    assert "held no day" in remarks[0]


def test_one_date_alone_gets_another():
    assert read(from_=["2026-11-20"])[0].selection.until == date(2026, 11, 24)
    assert read(from_=["2027-01-05"])[0].selection.until == date(2027, 1, 6)
    assert read(to=["2026-11-20"])[0].selection.first == date(2026, 10, 21)


def test_a_range_of_centuries_is_cut():
    view, remarks = read(from_=["1970-01-01"], to=["2199-12-31"])
    assert view.selection.days == MOST_DAYS
    assert "at most five years" in remarks[0]


def test_dates_count_before_a_range():
    view, remarks = read(range=["7d"], from_=["2026-11-01"], to=["2026-11-02"])
    assert view.range is None
    assert "the dates count" in remarks[0]


def test_unknown_values_are_named_and_the_known_ones_stay():
    view, remarks = read(agent=["ghost", "writer", "<b>x</b>"], model=["no such"])
    assert view.selection.agents == ("writer",)
    assert view.selection.models == ()
    assert remarks == (
        "This account has no agents “ghost”, “<b>x</b>”.",
        "This account has no model “no such”.",
    )


def test_ten_thousand_agents_give_one_short_remark():
    view, remarks = read(agent=[f"agent-{number}" for number in range(10_000)])
    assert view.selection.agents == ()
    assert len(remarks) == 1
    assert "and 9,997 more" in remarks[0]


def test_more_known_agents_than_a_filter_takes_are_cut_with_a_remark():
    many = [f"agent-{number}" for number in range(10_000)]
    view, remarks = parse({"agent": many}, replace(KNOWN, agents=frozenset(many)))
    assert view.selection.agents == tuple(many[:MOST_VALUES])
    assert "10,000 agents were asked for" in remarks[0]


@pytest.mark.parametrize(
    ("parameters", "remark"),
    [
        ({"from_": ["yesterday"]}, "is no date for “from”"),
        ({"range": ["eternity"]}, "There is no range “eternity”"),
        ({"status": ["broken"]}, "no status “broken”"),
        ({"hour": ["24"]}, "is no hour from 0 to 23"),
        ({"tag": ["nothing"]}, "is no tag"),
        ({"sort": ["name; drop table x"]}, "cannot be sorted by"),
        ({"group": ["colour"]}, "cannot be grouped by “colour”"),
        ({"group": ["agent,day,model"]}, "model was left out"),
        ({"page": ["0"]}, "There is no page “0”"),
        ({"page": ["1e9"]}, "There is no page “1e9”"),
        ({"page": ["-3"]}, "There is no page “-3”"),
        ({"event": ["e-17"]}, "names no operation"),
        ({"event": ["2026-99-01/meterhouse/e-17"]}, "names no operation"),
        ({"q": ["x" * 300]}, "cut to its first 200"),
        ({"page": ["2", "3"]}, "given more than once"),
    ],
)
def test_what_cannot_be_used_is_remarked(parameters, remark):
    assert remark in " ".join(read(**parameters)[1])


def test_many_remarks_are_cut_short():
    _, remarks = read(tag=[f"bad{number}" for number in range(500)], hour=["x"] * 500, page=["x"])
    assert len(remarks) == 6
    assert remarks[-1] == "More of the address was ignored."


def test_a_month_that_runs_is_compared_with_the_same_days_of_the_one_before():
    before = previous(read(range=["month"])[0], TODAY)
    assert (before.first, before.until) == (date(2026, 10, 1), date(2026, 10, 24))


def test_whole_months_are_compared_with_whole_months():
    before = previous(read(from_=["2026-02-01"], to=["2026-04-01"])[0], TODAY)
    assert (before.first, before.until) == (date(2025, 12, 1), date(2026, 2, 1))


def test_the_end_of_march_is_compared_with_all_of_february_and_no_more():
    before = previous(read(from_=["2026-03-01"], to=["2026-04-01"])[0], date(2026, 3, 30))
    assert (before.first, before.until) == (date(2026, 2, 1), date(2026, 3, 1))


def test_other_days_are_compared_with_as_many_before():
    before = previous(read(from_=["2026-11-10"], to=["2026-11-13"], agent=["writer"])[0], TODAY)
    assert (before.first, before.until) == (date(2026, 11, 7), date(2026, 11, 10))
    assert before.agents == ("writer",)


def test_a_filter_leads_to_the_first_page_and_closes_the_event():
    view = replace(read(page=["7"])[0], event=EventKey(TODAY, "meterhouse", "e"))
    narrowed = view.narrowed(agents=("writer",))
    assert (narrowed.page, narrowed.event) == (1, None)
    assert narrowed.cleared().selection.agents == ()


def test_a_tag_is_written_with_its_colons_told_apart():
    assert tag_id("a:b=c%", "d:e") == "a%3Ab%3Dc%25:d:e"
    assert parse_tag("a%3Ab%3Dc%25:d:e") == ("a:b=c%", "d:e")
    assert parse_tag("team=blue") == ("team", "blue")
    assert parse_tag("=x") is None
