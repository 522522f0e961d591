"""The Usage page shows what its address asks for, and says what it could not use."""

import re
from collections.abc import Callable
from html import escape, unescape
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from app import formats
from app.long_address import shortened
from billing.accounts import add_account
from billing.saved_views import list_views, save_view
from billing.store import open_store
from tests.app.conftest import text_of
from tests.app.reporting_lake import HOSTILE, publish_head
from warehouse.lake import writing
from warehouse.publication import reading_published
from warehouse.settings import Settings

Ask = Callable[..., list[tuple]]


@pytest.fixture
def ask(published: Settings) -> Ask:
    """Asks the published lake directly, past the app."""
    connection, _ = reading_published(published)

    def asked(sql: str, *values: object) -> list[tuple]:
        return connection.execute(sql, list(values)).fetchall()

    yield asked
    connection.close()


@pytest.fixture
def usage(open_page) -> Callable[..., AppTest]:
    """Opens the Usage page at an address."""

    def opened(**address) -> AppTest:
        return open_page("usage", **address)

    return opened


def rows(app: AppTest) -> list[list[str]]:
    """The cells of the page's table, as texts, row by row."""
    body = text_of(app).rpartition("<tbody>")[2].partition("</tbody>")[0]
    return [
        [
            unescape(re.sub(r"<[^>]+>", " ", cell)).strip()
            for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)
        ]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.S)
    ]


def figures(app: AppTest) -> list[str]:
    """The totals above the table."""
    found = re.findall(r'class="mh-stat-value"[^>]*>(?:<a [^>]*>)?([^<]*)<', text_of(app))
    return [unescape(text) for text in found]


def links(app: AppTest) -> list[dict[str, list[str]]]:
    """The parameters of every link to this page."""
    found = re.findall(r'href="usage\?([^"]*)"', text_of(app))
    return [parse_qs(unescape(query)) for query in found]


HOUR = "hour(timezone('Europe/Berlin', timezone('UTC', occurred_at)))"


def address_of(app: AppTest) -> dict[str, list[str]]:
    """The parameters of the page's address."""
    found = {key: app.query_params[key] for key in app.query_params}
    return {key: [value] if isinstance(value, str) else value for key, value in found.items()}


SUMS = """
select sum(credits), count(*), count(*) filter (where status <> 'ok'), sum(total_tokens),
    sum(provider_cost_usd)
from rpt_usage_event where account_id = 'acme' and usage_date >= ? and usage_date < ?
"""


def test_the_totals_are_those_of_the_lake(usage, ask):
    app = usage(account="acme", from_="2026-11-10", to="2026-11-15")
    ((credits, events, failed, tokens, cost),) = ask(SUMS, "2026-11-10", "2026-11-15")
    assert figures(app) == [
        formats.credits(credits),
        formats.number(events),
        formats.number(failed),
        formats.compact(tokens),
        formats.usd(cost),
    ]


def test_each_total_is_compared_with_the_days_before(usage, ask):
    text = text_of(usage(account="acme", from_="2026-11-10", to="2026-11-15"))
    ((now, *_),) = ask(SUMS, "2026-11-10", "2026-11-15")
    ((before, *_),) = ask(SUMS, "2026-11-05", "2026-11-10")
    assert escape(formats.change(now, before)) in text
    assert "before: 5–9 Nov 2026" in text


def test_the_newest_operations_come_first_in_the_accounts_time(usage, ask):
    app = usage(account="acme", from_="2026-11-10", to="2026-11-15")
    expected = ask(
        "select strftime(timezone('Europe/Berlin', timezone('UTC', occurred_at)), '%H:%M:%S'),"
        " agent_id from rpt_usage_event where account_id = 'acme' and usage_date >= '2026-11-10'"
        " and usage_date < '2026-11-15' order by occurred_at desc, event_id limit 50"
    )
    shown = rows(app)
    assert len(shown) == 50
    assert [row[0][-8:] for row in shown] == [time for time, _ in expected]
    assert "times in Europe/Berlin" in text_of(app)


def test_pages_follow_each_other_without_a_gap(usage, ask):
    ((events,),) = ask(
        "select count(*) from rpt_usage_event where account_id = 'tokyo'"
        " and usage_date >= '2026-11-01' and usage_date < '2026-11-08'"
    )
    address = {"account": "tokyo", "from_": "2026-11-01", "to": "2026-11-08", "sort": "credits"}
    pages = -(-events // 50)
    assert pages > 2
    first, second = usage(**address), usage(**address, page="2")
    assert f"51–100 of {formats.number(events)}" in text_of(second)
    assert rows(first) != rows(second)
    last = usage(**address, page=str(pages))
    assert len(rows(last)) == events - 50 * (pages - 1)


def test_a_page_that_is_not_there_is_the_last_one(usage):
    app = usage(account="tokyo", from_="2026-11-01", to="2026-11-08", page="9999")
    assert "There is no page 9,999" in text_of(app)
    assert address_of(app)["page"] != ["9999"]


@pytest.mark.parametrize(
    ("sort", "column", "order"),
    [
        ("-credits", 6, "credits desc"),
        ("credits", 6, "credits"),
        ("-execution_time", 4, "execution_ms desc nulls last"),
        ("-tokens", 5, "total_tokens desc"),
    ],
)
def test_the_table_is_sorted_as_the_address_says(usage, ask, sort, column, order):
    app = usage(account="acme", from_="2026-11-10", to="2026-11-11", sort=sort)
    expected = ask(
        "select credits, execution_ms, total_tokens from rpt_usage_event where account_id = 'acme'"
        f" and usage_date = '2026-11-10' order by {order} limit 50"
    )
    write = {
        6: lambda row: formats.credits(row[0]),
        4: lambda row: formats.duration(row[1]),
        5: lambda row: formats.number(row[2]),
    }[column]
    assert [row[column] for row in rows(app)] == [write(row) for row in expected]
    assert 'aria-sort="' in text_of(app)


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        (
            {"agent": ["research-agent", "translator"]},
            "agent_id in ('research-agent', 'translator')",
        ),
        ({"category": "image"}, "category = 'image'"),
        ({"model": "gpt-5.2"}, "model = 'gpt-5.2'"),
        ({"status": ["error", "cancelled"]}, "status <> 'ok'"),
        ({"rating": "rated"}, "rating_status = 'rated'"),
        ({"hour": "9"}, f"{HOUR} = 9"),
        ({"tag": "team:blue"}, "(tags ->> 'team') = 'blue'"),
        ({"q": "PT-5.2"}, "contains(model, 'pt-5.2')"),
    ],
)
def test_each_filter_narrows_totals_and_table(usage, ask, filters, condition):
    app = usage(account="acme", from_="2026-11-10", to="2026-11-12", **filters)
    ((events,),) = ask(
        "select count(*) from rpt_usage_event where account_id = 'acme'"
        f" and usage_date >= '2026-11-10' and usage_date < '2026-11-12' and {condition}"
    )
    assert events > 0
    assert figures(app)[1] == formats.number(events)
    assert len(rows(app)) == min(events, 50)
    assert "Clear all" in text_of(app)


def test_a_chip_takes_its_filter_off_and_leaves_the_others(usage):
    app = usage(account="acme", range="7d", agent=["translator", "qa-tester"], q="gpt")
    text = text_of(app)
    href = re.search(r'href="usage\?([^"]*)"[^>]*aria-label="Remove agent translator"', text)
    left = parse_qs(unescape(href[1]))
    assert (left["agent"], left["q"], left["range"]) == (["qa-tester"], ["gpt"], ["7d"])
    clear = re.search(r'href="usage\?([^"]*)" class="mh-to mh-clear"', text)
    assert parse_qs(unescape(clear[1])) == {"account": ["acme"], "range": ["7d"]}


def test_what_is_chosen_goes_into_the_address(usage):
    app = usage(account="acme", page="2", range="7d")
    app.multiselect(key="usage-agents").set_value(["translator"]).run()
    assert address_of(app) == {"account": ["acme"], "range": ["7d"], "agent": ["translator"]}
    app.text_input(key="usage-text").set_value(" gpt ").run()
    app.selectbox(key="usage-range").select("last-month").run()
    assert not app.exception
    assert address_of(app) == {
        "account": ["acme"],
        "range": ["last-month"],
        "agent": ["translator"],
        "q": ["gpt"],
    }


def test_days_of_ones_own_are_chosen_with_both_ends_included(usage):
    from datetime import date

    app = usage(account="acme", range="7d")
    app.selectbox(key="usage-range").select("custom").run()
    app.date_input(key="usage-days").set_value((date(2026, 11, 3), date(2026, 11, 5))).run()
    assert not app.exception
    assert address_of(app)["from"] == ["2026-11-03"]
    assert address_of(app)["to"] == ["2026-11-06"]
    assert "3–5 Nov 2026" in text_of(app)


def test_the_controls_follow_an_address_that_was_changed_from_outside(usage):
    app = usage(account="acme", range="7d", agent="translator")
    app.query_params["agent"] = "qa-tester"
    app.query_params["status"] = "error"
    app.run()
    assert app.multiselect(key="usage-agents").value == ["qa-tester"]
    assert "Remove status Failed" in text_of(app)


def test_a_tag_can_be_typed_and_nonsense_is_told(usage):
    app = usage(account="acme", range="7d")
    app.multiselect(key="usage-tags").set_value(["team=blue", "nonsense"]).run()
    assert not app.exception
    assert address_of(app)["tag"] == ["team:blue"]
    assert "“nonsense” is no tag" in text_of(app)


@pytest.mark.parametrize(
    ("group", "by"),
    [
        ("agent", "agent_id"),
        ("category", "category"),
        ("model", "model"),
        ("day", "usage_date"),
        ("hour", HOUR),
        ("agent,day", "agent_id, usage_date"),
        (
            "hour,category",
            f"{HOUR}, category",
        ),
    ],
)
def test_groups_add_up_and_each_leads_to_its_operations(usage, ask, group, by):
    app = usage(account="acme", from_="2026-11-10", to="2026-11-13", group=group)
    expected = ask(
        f"select {by}, sum(credits) as c, count(*) as n from rpt_usage_event"
        " where account_id = 'acme' and usage_date >= '2026-11-10' and usage_date < '2026-11-13'"
        f" group by {by}"
    )
    keys = group.count(",") + 1
    shown = rows(app)
    assert sorted(row[keys + 1] for row in shown) == sorted(
        formats.credits(row[-2]) for row in expected
    )
    href = re.search(r'href="usage\?([^"]*)"[^>]*class="mh-to mh-row-link', text_of(app))
    inside = parse_qs(unescape(href[1]))
    assert "group" not in inside
    there = usage(**{f"{key}_" if key == "from" else key: v for key, v in inside.items()})
    assert figures(there)[:2] == [shown[0][keys + 1], shown[0][keys + 2]]


def test_an_operation_opens_with_price_tags_and_line(usage, ask):
    ((event_id, day, credits, line, path),) = ask(
        "select event_id, usage_date_utc, credits, line_number, load_path"
        " from rpt_usage_event_detail where account_id = 'acme' and rating_status = 'rated'"
        " and tags is not null order by event_id limit 1"
    )
    app = usage(account="acme", event=f"{day}/meterhouse/{event_id}", sort="-credits")
    text = text_of(app)
    for shown in (
        event_id,
        path,
        formats.number(line),
        formats.exact(credits),
        "From the rate card",
        "Rate for an output token",
        "0.00001",
        "release 0.2.3",
        "team",
    ):
        assert escape(shown) in text, shown
    assert {"account": ["acme"], "range": ["month"], "sort": ["-credits"]} in links(app)


def test_an_operation_of_another_account_is_not_there(usage, ask):
    ((event_id, day),) = ask(
        "select event_id, usage_date_utc from rpt_usage_event where account_id = 'tokyo' limit 1"
    )
    assert event_id in text_of(usage(account="tokyo", event=f"{day}/meterhouse/{event_id}"))
    text = text_of(usage(account="acme", event=f"{day}/meterhouse/{event_id}"))
    assert "There is no such operation" in text
    assert "Rate card" not in text


def test_unrated_operations_say_what_they_may_be_worth(usage, ask):
    app = usage(account="tokyo", rating="unrated", range="month")
    assert figures(app)[1] == "312"
    assert "unrated" in rows(app)[-1][6]
    ((event_id, day),) = ask(
        "select event_id, usage_date_utc from rpt_usage_event where rating_status = 'unrated'"
        " limit 1"
    )
    text = text_of(usage(account="tokyo", event=f"{day}/meterhouse/{event_id}"))
    assert "It may be worth 0.0100 to 0.0600 credits" in text


def test_pending_operations_stand_on_top_and_say_so(usage):
    app = usage(account="acme", range="today")
    shown = rows(app)
    assert [row[-1] for row in shown[:5]] == ["not settled"] * 5
    assert shown[5][0] == "36 more operations not settled yet"
    assert "41 operations not settled yet · 2.05 credits logged" in text_of(app)


def test_pending_operations_follow_the_filters(usage):
    assert "not settled" not in text_of(usage(account="acme", range="today", agent="translator"))
    assert "not settled" not in text_of(usage(account="acme", range="last-month"))


@pytest.mark.parametrize("account", ["tokyo", "mallory"])
def test_nothing_of_another_account_is_shown(usage, account):
    text = text_of(usage(account=account, range="90d", group="agent"))
    assert "research-agent" not in text
    assert "invoice-reader" not in text


HOSTILE_VALUES = [
    "' or '1'='1",
    "<script>alert(1)</script>",
    "$account_id",
    "x" * 5_000,
    "\u202egnp",
    "%00",
    "a:b:c",
    "{{ x }}",
    "2026-02-31",
    "-1",
]


@pytest.mark.parametrize("value", HOSTILE_VALUES)
def test_nonsense_in_every_parameter_shows_the_page_with_remarks(usage, value):
    names = (
        *("from_", "to", "range", "agent", "category", "model", "status", "rating", "hour"),
        *("tag", "q", "sort", "group", "page", "event", "whatever"),
    )
    for address in (dict.fromkeys(names, value), {n: [value] * 3 for n in names[:-2]}):
        app = usage(account="acme", **address)
        text = text_of(app)
        assert "Not all of this address could be used." in text or "no such operation" in text
        assert "<script>" not in text


def test_hundreds_of_unknown_agents_are_one_remark(usage):
    app = usage(account="acme", range="7d", agent=[f"agent-{n}" for n in range(900)], cut="1")
    assert "and 897 more" in text_of(app)
    assert "The address was too long" in text_of(app)
    assert address_of(app) == {"account": ["acme"], "range": ["7d"]}


def test_ten_thousand_agents_show_the_page(usage):
    app = usage(account="acme", range="7d", agent=[f"agent-{n}" for n in range(10_000)])
    assert "Operations" in text_of(app)


def test_an_address_that_is_too_long_to_be_read_is_led_to_its_beginning():
    assert shortened("a=1&" * 899 + "b=2") is None
    query = shortened("&".join(f"agent=agent-{n}" for n in range(4_000)))
    assert query.count("&") == 899
    assert query.startswith("agent=agent-0&agent=agent-1&")
    assert query.endswith("&agent=agent-898&cut=1")


def test_an_unknown_account_is_told_and_another_shown(usage):
    text = text_of(usage(account="nobody"))
    assert "There is no account “nobody”" in text


def test_hostile_names_and_tags_stay_text(usage, ask):
    app = usage(account="mallory", range="month")
    assert "<script>" not in text_of(app)
    assert escape(HOSTILE) in text_of(app)
    ((event_id, day),) = ask(
        "select event_id, usage_date_utc from rpt_usage_event where account_id = 'mallory' limit 1"
    )
    text = text_of(usage(account="mallory", event=f"{day}/meterhouse/{event_id}"))
    assert "<script>" not in text
    assert escape(HOSTILE) in text
    grouped = text_of(usage(account="mallory", range="month", group="agent,model"))
    assert "<script>" not in grouped


def test_where_nothing_matches_it_says_what_to_do(usage):
    text = text_of(usage(account="acme", from_="2026-11-10", to="2026-11-11", q="zzzz"))
    assert "No operation matches in 10 Nov 2026" in text
    assert "Clear all filters" in text
    text = text_of(usage(account="acme", from_="2025-01-01", to="2025-02-01"))
    assert "No usage in 1–31 Jan 2025" in text
    assert "Look at all days" in text


def test_an_account_without_usage_says_so(usage):
    assert "Idle Instruments has no usage yet" in text_of(usage(account="idle"))


def test_before_anything_is_loaded_it_says_which_commands_to_run(open_page, tmp_path):
    text = text_of(open_page("usage", settings=Settings(home=tmp_path / "new")))
    assert "meterhouse sample" in text


def test_without_accounts_it_says_how_to_declare_one(open_page, own_lake):
    with writing(own_lake, "marts") as connection:
        connection.execute("delete from marts.main.rpt_account")
        publish_head(connection, 1)
    assert "meterhouse accounts add" in text_of(open_page("usage", settings=own_lake))


def test_changing_the_account_keeps_what_it_has_and_tells_what_not(usage):
    app = usage(account="acme", range="7d", agent="translator", category="llm")
    app.selectbox(key="account").select("tokyo").run()
    assert not app.exception
    assert address_of(app) == {"account": ["tokyo"], "range": ["7d"], "category": ["llm"]}
    assert "This account has no agent “translator”" in text_of(app)


@pytest.fixture
def kept(own_lake: Settings) -> Settings:
    """A lake of the test's own whose store declares two of its accounts."""
    with open_store(own_lake) as store:
        add_account(store, "acme")
        add_account(store, "tokyo")
    return own_lake


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [button for button in app.button if button.label == label]
    button.click().run()
    assert not app.exception
    return app


def test_a_view_is_saved_opened_renamed_and_deleted(open_page, kept):
    address = {"account": "acme", "range": "7d", "agent": "translator", "sort": "-credits"}
    app = open_page("usage", settings=kept, page="2", **address)
    (name,) = [box for box in app.text_input if box.label == "Save what is shown as"]
    name.set_value("Dear <b>ones</b>")
    press(app, "Save view")
    with open_store(kept) as store:
        (saved,) = list_views(store, "acme", "usage")
    assert saved.parameters == "range=7d&agent=translator&sort=-credits"
    text = text_of(app)
    assert "Dear &lt;b&gt;ones&lt;/b&gt;" in text
    assert {key: [value] for key, value in address.items()} in links(app)
    app.text_input(key=f"usage-view-name-{saved.view_id}").set_value("Renamed").run()
    press(app, "Rename")
    assert "Renamed" in text_of(app)
    press(app, "Delete")
    assert "Renamed" not in text_of(app)
    with open_store(kept) as store:
        assert list_views(store, "acme", "usage") == []


def test_a_name_that_is_taken_is_told(open_page, kept):
    with open_store(kept) as store:
        save_view(store, "acme", "usage", "mine", "range=7d")
    app = open_page("usage", settings=kept, account="acme")
    (name,) = [box for box in app.text_input if box.label == "Save what is shown as"]
    name.set_value("mine")
    press(app, "Save view")
    assert "there is a view “mine” already" in text_of(app)


def test_views_of_another_account_are_not_listed(open_page, kept):
    with open_store(kept) as store:
        save_view(store, "tokyo", "usage", "a secret of tokyo", "q=1")
    assert "a secret" not in text_of(open_page("usage", settings=kept, account="acme"))
    assert "a secret" in text_of(open_page("usage", settings=kept, account="tokyo"))


def test_a_saved_view_with_a_strange_address_is_a_link_like_any_other(open_page, kept):
    with open_store(kept) as store:
        save_view(store, "acme", "usage", "odd", '"><script>x</script>&account=tokyo&q=1')
    app = open_page("usage", settings=kept, account="acme")
    assert "<script>" not in text_of(app)
    assert {"account": ["tokyo"], "q": ["1"]} not in links(app)


def test_every_link_of_the_page_leads_to_this_account(usage):
    for address in ({"range": "month"}, {"range": "month", "group": "agent,day"}):
        found = links(usage(account="acme", **address))
        assert found
        assert all(link["account"] == ["acme"] for link in found)


def test_the_account_goes_along_from_page_to_page(open_page):
    app = open_page(account="tokyo", month="2026-10")
    app.switch_page("views/usage.py").run()
    assert app.selectbox(key="account").value == "tokyo"
    assert address_of(app)["account"] == ["tokyo"]
    app.switch_page("views/overview.py").run()
    assert app.selectbox(key="account").value == "tokyo"
