"""The Overview shows what the lake holds, for whatever its address asks."""

import re
from html import escape, unescape
from urllib.parse import parse_qs

import pytest

from app import formats
from tests.app.conftest import text_of
from tests.app.reporting_lake import HOSTILE, make_raw_lake, make_store, publish_head
from warehouse.lake import writing
from warehouse.publication import reading_published
from warehouse.settings import Settings


@pytest.fixture
def month(published: Settings):
    """November of acme, as the lake has it."""
    connection, _ = reading_published(published)
    result = connection.execute(
        "select * from rpt_overview_month where account_id = 'acme' and month = '2026-11-01'"
    )
    names = [column[0] for column in result.description]
    row = result.fetchone()
    connection.close()
    return dict(zip(names, row, strict=True))


def test_the_figures_are_those_of_the_lake(open_page, month):
    text = text_of(open_page(account="acme"))
    for shown in (
        formats.credits(month["credits"]),
        formats.credits(month["projected_credits"]),
        formats.usd(month["provider_cost_usd"]),
        formats.compact(month["events"]),
        formats.compact(month["total_tokens"]),
        formats.change(month["credits"], month["previous_credits_to_date"]),
        formats.credits(month["previous_credits_to_date"]),
        f"{formats.number(month['unpriced_events'])} unpriced",
    ):
        assert escape(shown) in text


def test_the_projection_has_its_range_its_record_and_the_day_credits_run_out(open_page, month):
    text = text_of(open_page(account="acme"))
    low, high = month["projected_low_credits"], month["projected_high_credits"]
    assert f"{formats.credits(low)} – {formats.credits(high)}" in text
    assert "Credits run out about 20 Dec 2026" in text
    assert "16–27 Dec 2026" in text
    assert "The last 12 projections were off by" in text
    assert "rough estimate" in text_of(open_page(account="mallory"))


def test_categories_models_and_agents_are_those_of_the_lake(open_page, published):
    text = text_of(open_page(account="acme"))
    connection, _ = reading_published(published)
    rows = connection.execute(
        "select label, credits, share from rpt_overview_category"
        " where account_id = 'acme' and month = '2026-11-01'"
    ).fetchall()
    models = connection.execute(
        "select coalesce(model_name, model) from rpt_overview_model"
        " where account_id = 'acme' and month = '2026-11-01' order by credits desc"
    ).fetchall()
    agents = connection.execute(
        "select agent_id from rpt_overview_agent"
        " where account_id = 'acme' and month = '2026-11-01' order by credits desc limit 8"
    ).fetchall()
    connection.close()
    assert len(rows) == 8
    for label, credits, share in rows:
        assert f">{label}<" in text
        assert f"{formats.share(share)} · {formats.credits(credits)}" in text
    positions = [text.index(f">{name}<") for (name,) in models]
    assert positions == sorted(positions), "the dearest model comes first"
    for (agent,) in agents:
        assert f">{agent}<" in text


def test_it_says_how_fresh_the_data_are_and_what_is_not_settled(open_page):
    text = text_of(open_page(account="acme"))
    assert "data as of 23 Nov 2026, 15:12 CET" in text
    assert "Settled · snapshot" in text
    assert "41 operations not settled yet · 2.05 credits logged" in text


def _usage_links(text: str) -> list[dict[str, list[str]]]:
    """The parameters of every link to the Usage page."""
    return [parse_qs(unescape(query)) for query in re.findall(r'href="usage\?([^"]*)"', text)]


def test_every_figure_leads_to_the_usage_behind_it(open_page):
    links = _usage_links(text_of(open_page(account="acme", month="2026-10")))
    month = {"account": ["acme"], "from": ["2026-10-01"], "to": ["2026-11-01"]}
    for more in (
        {},
        {"group": ["day"]},
        {"group": ["model"]},
        {"group": ["agent"]},
        {"status": ["error", "cancelled"]},
        {"category": ["music"]},
        {"model": ["house-blend-7b"]},
        {"agent": ["invoice-reader"]},
        {"from": ["2026-09-01"], "to": ["2026-10-01"]},
    ):
        assert month | more in links, more
    assert all(link["account"] == ["acme"] for link in links)


def test_the_notice_of_unrated_usage_leads_to_it(open_page):
    links = _usage_links(text_of(open_page(account="tokyo")))
    assert any(link.get("rating") == ["unrated"] for link in links)


def test_a_hostile_name_stays_one_value_of_a_link(open_page):
    links = _usage_links(text_of(open_page(account="mallory")))
    assert {HOSTILE, '" onmouseover="x()'} <= {
        link["agent"][0] for link in links if "agent" in link
    }


def test_dates_come_without_a_time_of_midnight(open_page):
    assert "00:00" not in text_of(open_page(account="acme"))


def test_a_complete_month_shows_its_total_and_no_projection(open_page):
    text = text_of(open_page(account="acme", month="2026-10"))
    assert "Credits used in October" in text
    assert "Projected" not in text
    assert "run rate" not in text


def test_usage_without_a_rate_is_shown_with_what_it_may_be_worth(open_page):
    text = text_of(open_page(account="tokyo"))
    assert "312 operations without a rate" in text
    assert "3.20 to 18.40 credits" in text
    assert "without a rate" not in text_of(open_page(account="acme"))


def test_unrated_usage_whose_worth_is_unknown_says_so(open_page, own_lake):
    with writing(own_lake, "marts") as connection:
        connection.execute(
            "update marts.main.rpt_overview_month set exposure_high_credits = null"
            " where account_id = 'tokyo'"
        )
        publish_head(connection, 1)
    text = text_of(open_page(settings=own_lake, account="tokyo"))
    assert "What they are worth is not known" in text


def test_a_model_without_a_price_is_marked_and_costs_no_zero(open_page):
    text = text_of(open_page(account="acme"))
    assert "no price" in text
    assert "$0.00" not in text


def test_a_month_without_credits_shows_categories_by_operations(open_page, own_lake):
    with writing(own_lake, "marts") as connection:
        for model in ("month", "daily", "category", "model", "agent", "agent_daily"):
            connection.execute(f"update marts.main.rpt_overview_{model} set credits = 0")
        for model in ("category", "model", "agent"):
            connection.execute(f"update marts.main.rpt_overview_{model} set share = 0")
        publish_head(connection, 1)
    text = text_of(open_page(settings=own_lake, account="acme"))
    assert ">operations<" in text
    assert "Operations a day" in text
    assert "usual for the weekday" not in text


def test_usage_without_any_rate_has_no_credits_rather_than_none(open_page, own_lake):
    with writing(own_lake, "marts") as connection:
        for model in ("month", "category", "model", "agent"):
            connection.execute(
                f"update marts.main.rpt_overview_{model}"
                " set credits = 0, unrated_events = events - 1 where account_id = 'acme'"
            )
        connection.execute("update marts.main.rpt_overview_daily set credits = 0")
        connection.execute("update marts.main.rpt_overview_agent_daily set credits = 0")
        publish_head(connection, 1)
    text = text_of(open_page(settings=own_lake, account="acme"))
    assert "No rate yet for" in text
    assert "no rate yet" in text
    assert "Operations a day" in text
    for table in re.findall(r"<table.*?</table>", text, re.DOTALL):
        cells = re.findall(r"<td[^>]*>(.*?)</td>", table, re.DOTALL)
        assert formats.DASH in cells
        assert "0" not in cells
    assert "Operations a day over 30 days" in text


@pytest.mark.parametrize(
    "address",
    [
        {"account": "nobody"},
        {"account": "acme' or '1'='1"},
        {"account": "<script>alert(1)</script>"},
        {"account": ""},
        {"account": "acme", "month": "2026-13"},
        {"account": "acme", "month": "1999-01"},
        {"account": "acme", "month": "November 2026"},
        {"account": "acme", "month": "$x"},
        {"month": "2026-11-01T00:00:00"},
        {"account": "x" * 5000},
    ],
)
def test_an_address_that_asks_in_vain_falls_back_with_a_note(open_page, address):
    app = open_page(**address)
    text = text_of(app)
    assert "There is no account" in text or "has no usage in" in text
    assert "<script>alert" not in text
    assert app.selectbox(key="account").value in {"acme", "tokyo", "mallory"}


def test_a_good_address_gets_no_note_and_stays(open_page):
    app = open_page(account="tokyo", month="2026-10")
    assert "There is no account" not in text_of(app)
    assert app.selectbox(key="account").value == "tokyo"
    assert app.selectbox(key="month").value == "2026-10"
    assert app.query_params == {"account": "tokyo", "month": "2026-10"}


def test_what_is_chosen_goes_into_the_address(open_page):
    app = open_page(account="acme")
    app.selectbox(key="month").select("2026-09").run()
    assert not app.exception
    assert app.query_params == {"account": "acme", "month": "2026-09"}
    assert "Credits used in September" in text_of(app)


def test_changing_the_account_keeps_the_month_where_it_has_usage(open_page):
    app = open_page(account="acme", month="2026-10")
    app.selectbox(key="account").select("tokyo").run()
    assert app.selectbox(key="month").value == "2026-10"
    app.selectbox(key="account").select("mallory").run()
    assert app.selectbox(key="month").value == "2026-11"
    assert not app.exception


def test_hostile_names_stay_text(open_page):
    text = text_of(open_page(account="mallory"))
    assert "<script>" not in text
    assert escape(HOSTILE) in text
    assert "&quot; onmouseover=&quot;x()" in text


def test_an_account_without_usage_says_so(open_page):
    text = text_of(open_page(account="idle"))
    assert "Idle Instruments has no usage yet" in text


def test_a_month_without_usage_says_so(open_page, own_lake):
    with writing(own_lake, "marts") as connection:
        connection.execute("delete from marts.main.rpt_overview_month where month = '2026-09-01'")
        publish_head(connection, 1)
    text = text_of(open_page(settings=own_lake, account="acme", month="2026-09"))
    assert "No usage in September 2026" in text


def test_before_anything_is_loaded_it_leads_to_the_first_own_source(open_page, tmp_path):
    text = text_of(open_page(settings=Settings(home=tmp_path / "new")))
    assert "<h1>Welcome</h1>" in text
    assert "meterhouse sample" in text
    assert "1. Say what the log looks like" in text


def test_before_the_first_refresh_it_says_to_refresh(open_page, tmp_path):
    settings = Settings(home=tmp_path / "raw")
    make_raw_lake(settings)
    make_store(settings)
    text = text_of(open_page(settings=settings))
    assert "no refresh has built" in text
    assert "meterhouse sample" not in text


def test_without_accounts_it_says_how_to_declare_one(open_page, own_lake):
    with writing(own_lake, "marts") as connection:
        connection.execute("delete from marts.main.rpt_account")
        publish_head(connection, 1)
    text = text_of(open_page(settings=own_lake))
    assert "There are no accounts yet" in text
    assert "meterhouse accounts add" in text


def test_a_new_publication_shows_at_the_next_run(open_page, own_lake):
    app = open_page(settings=own_lake, account="acme")
    assert "4,242.42" not in text_of(app)
    with writing(own_lake, "marts") as connection:
        connection.execute(
            "update marts.main.rpt_overview_month set credits = 4242.42"
            " where account_id = 'acme' and month = '2026-11-01'"
        )
        app.run()
        assert "4,242.42" not in text_of(app), "what is not published is not shown"
        publish_head(connection, 1)
    app.run()
    assert "4,242.42" in text_of(app)


def test_unusable_settings_are_told_without_a_traceback(open_page, monkeypatch):
    monkeypatch.setenv("METERHOUSE_MEMORY", "a lot")
    text = text_of(open_page())
    assert "METERHOUSE_MEMORY" in text
