"""The address of Insights says what is shown, and nonsense in it is named and left out."""

from datetime import date

import pytest

from app.insights_address import PARTS, InsightsView, link, parse, render
from app.queries.insights_projection import ELAPSED_DAYS


@pytest.mark.parametrize("elapsed", ELAPSED_DAYS)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("incident", [None, date(2026, 11, 6)])
def test_a_view_survives_its_address(part, elapsed, incident):
    view = InsightsView(part, elapsed, incident)
    assert parse(render(view)) == (view, [])


def test_what_cannot_be_used_is_named():
    assert parse({"part": ["moon"]}) == (InsightsView(), ["There is no part “moon”."])
    assert parse({"after": ["x"]}) == (InsightsView(), ["Nothing is replayed after “x” days."])
    assert parse({"incident": ["<b>"]}) == (InsightsView(), ["There is no day “<b>”."])


def test_a_link_names_the_account_and_leaves_defaults_out():
    assert link("a&b") == "insights?account=a%26b"
    assert link("acme", InsightsView("agent")) == "insights?account=acme&part=agent"
