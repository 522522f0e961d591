"""Charts on pages: made once for the same figures, and still what Vega-Lite's schema allows."""

from datetime import date, timedelta
from decimal import Decimal
from functools import partial

import altair as alt
from altair.utils import schemapi

from app import charts, charts_credits, theme
from app.queries.credits import BalanceDay
from app.views import parts

NONE = Decimal(0)


def days(count: int) -> list[BalanceDay]:
    start = date(2026, 11, 1)
    return [
        BalanceDay(start + timedelta(ahead), NONE, Decimal(1), NONE, NONE, NONE, Decimal(9 - ahead))
        for ahead in range(count)
    ]


def test_the_chart_of_a_balance_is_valid() -> None:
    rows = charts_credits.balance_rows(days(5), "all")
    assert charts_credits.balance_chart(rows, theme.LIGHT).to_dict()["layer"]


def test_a_chart_is_made_once_for_the_same_figures() -> None:
    made = []

    def chart(rows: list[charts_credits.BalanceRow], colours: theme.Palette) -> alt.LayerChart:
        made.append(len(rows))
        return charts_credits.balance_chart(rows, colours)

    def spec(count: int, colours: theme.Palette) -> dict:
        bound = partial(chart, charts_credits.balance_rows(days(count), "all"), colours)
        return parts._spec(repr(bound), bound)

    first = spec(4, theme.LIGHT)
    again = spec(4, theme.LIGHT)
    assert made == [4] and first == again
    del first["layer"]
    assert spec(4, theme.LIGHT) == again, "who changes a chart changes nobody else's"
    assert spec(5, theme.LIGHT) != again and spec(4, theme.DARK) != again
    assert made == [4, 5, 4]


def test_what_is_drawn_is_what_altair_makes_with_all_its_checks() -> None:
    month = date(2026, 11, 1)
    bound = partial(charts.trend_chart, [], month, theme.LIGHT, charts.CREDITS, Decimal(3))
    checked = bound().to_dict()
    assert parts._spec(repr(bound), bound).keys() == checked.keys()
    assert schemapi.DEBUG_MODE, "the checks are off only while a page is drawn"
