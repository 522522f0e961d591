"""The bench of the pages: what its visitors click on, and how its figures are put together."""

import json

import pytest

from benchmarks import pages
from benchmarks.pages import Opening, crowd_of, new_events, quantile, summarised
from benchmarks.visitors import Click, Tally, links_of

MARKUP = (
    '<a href="usage?account=a&amp;group=day" class="mh-to mh-row">Days</a>'
    '<a href="?account=a&amp;page=2" class="mh-to">Next</a>'
    '<a href="./?account=b" class="mh-to">Overview</a>'
    '<a href="receipts/1.pdf" class="mh-to">Receipt</a>'
    '<a href="https://elsewhere.example/usage" class="mh-to">Out</a>'
    '<a href="usage">An ordinary link</a>'
)


def test_visitors_follow_only_links_between_the_apps_pages() -> None:
    assert links_of([MARKUP], {"", "usage", "credits"}, "credits") == [
        ("usage", "account=a&group=day"),
        ("credits", "account=a&page=2"),
        ("", "account=b"),
    ]


def test_what_happened_to_several_visitors_is_one_tally() -> None:
    whole = Tally()
    for number in (1, 2):
        whole.add(Tally([Click("usage", number)], ["oh"] * (number - 1), number, 10 * number))
    assert [click.seconds for click in whole.clicks] == [1, 2]
    assert (whole.errors, whole.renewals, whole.received_bytes) == (["oh"], 3, 30)


def test_a_quantile_is_the_nearest_rank() -> None:
    assert quantile(list(range(1, 21)), 0.95) == 19
    assert quantile([7.0], 0.95) == 7


def test_a_crowd_has_the_largest_memory_and_the_clicks_of_each_page() -> None:
    clicks = [Click("", 0.1), Click("", 0.3), Click("usage", 0.2)]
    figures = [
        {"process_resident_memory_bytes": memory, "process_cpu_seconds_total": cpu}
        for memory, cpu in ((100.0, 1.0), (150.0, 4.0))
    ]
    found = crowd_of(2, Tally(clicks), [2], [120.0, 190.0], 6.0, *figures)
    assert (found.before_bytes, found.peak_bytes, found.after_bytes) == (100, 190, 150)
    assert (found.clicks, found.p50_ms, found.p95_ms) == (3, 200, 300)
    assert (found.refreshes, found.cpu_share, found.cpu_ms_a_click) == (2, 0.5, 1000)
    assert found.by_page == {"/": (2, 300), "/usage": (1, 200)}
    with pytest.raises(RuntimeError, match="nobody got an answer"):
        crowd_of(2, Tally(errors=["gone"]), [0], [], 6.0, *figures)


def test_a_page_stands_beside_hello_and_bare_queries() -> None:
    openings = [Opening(2.0, 10, 0.5), Opening(4.0, 12, 0.6), Opening(3.0, 12, 0.3)]
    found = summarised(openings, [Opening(1.5, 0, 0.0)], bare=0.25)
    assert (found["seconds"], found["queries"], found["to_hello"]) == (3.0, 12, 2.0)
    assert found["share_of_queries"] == pytest.approx(0.15)
    assert found["queries_to_bare"] == 2.0
    assert summarised(openings, openings, None)["queries_to_bare"] is None


def test_events_that_arrive_meanwhile_are_new_each_time() -> None:
    lines = [new_events(number, ["a", "b"]).splitlines() for number in (1, 2)]
    ids = {json.loads(line)["event_id"] for line in lines[0] + lines[1]}
    assert len(ids) == 2 * pages.NEW_EVENTS
    assert {json.loads(line)["account_id"] for line in lines[0]} == {"a", "b"}
