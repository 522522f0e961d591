"""The address of Insights says what is shown, and nonsense in it is named and left out."""

import pytest

from app.insights_address import PARTS, InsightsView, link, parse, render


@pytest.mark.parametrize("part", PARTS)
def test_a_view_survives_its_address(part):
    view = InsightsView(part)
    assert parse(render(view)) == (view, [])


def test_what_cannot_be_used_is_named():
    assert parse({"part": ["moon"]}) == (InsightsView(), ["There is no part “moon”."])


def test_a_link_names_the_account_and_leaves_defaults_out():
    assert link("a&b") == "insights?account=a%26b"
    assert link("acme", InsightsView("agent")) == "insights?account=acme&part=agent"
