"""Budgets, their periods, the state machine of alerts and the simulator."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.usage_address import UsageView
from app.usage_address import link as usage_link_of_app
from billing.alerts import judging
from billing.alerts.figures import Balance, Used
from billing.alerts.letters import as_html, as_text
from billing.alerts.machine import Past, Reading, step
from billing.alerts.messages import Facts, letter, subject, usage_link
from billing.alerts.outbox import wait_after
from billing.alerts.rules import AlertRule
from billing.alerts.simulation import simulate
from billing.budgets.budget import make_budget, month_period, period_of, refuse_from_customer
from billing.incidents import Incident
from warehouse.errors import MeterhouseError
from warehouse.settings import ROOT
from warehouse.usage.selection import Selection

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def budget(**changes):
    return make_budget("acme", **({"name": "Monthly", "limit": "100"} | changes))


def reading(state, *, is_standing=False, tells_end=True):
    return Reading(
        "rule", "2026-11-01", "acme", "Use", state, Decimal(80), Decimal(80), is_standing, tells_end
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limit": "0"}, "must be above 0, not 0"),
        ({"limit": "-5"}, "must be above 0"),
        ({"limit": "NaN"}, "is no number"),
        ({"actual_percents": [1001]}, "1 to 1,000 %, not 1,001 %"),
        ({"actual_percents": [0]}, "1 to 1,000 %"),
        ({"actual_percents": [80, 80]}, "80 % is there twice"),
        ({"recipients": ["nobody"]}, "is no e-mail address"),
        ({"recipients": ["a@b.example\r\nBcc: c@d.example"]}, "line break"),
        ({"name": "Monthly\r\nBcc: c@d.example"}, "line break"),
        ({"name": " "}, "name is missing"),
        ({"scope": "agent"}, "say which agent"),
        ({"part": "writer"}, "has no part"),
        ({"scope": "planet", "part": "x"}, "is no scope"),
        ({"unit": "EUR"}, "is no unit"),
        ({"rolling_days": 0}, "1 to 366"),
        ({"rolling_days": 7, "projected_percents": [100]}, "no end to project to"),
        ({"webhook_url": "http://customer.example/x"}, "no address for a webhook"),
        ({"webhook_url": "file:///etc/passwd"}, "no address for a webhook"),
        ({"webhook_url": f"https://{'a' * 64}.example/x"}, "no address for a webhook"),
        ({"webhook_url": "https://b..example/x"}, "no address for a webhook"),
        ({"webhook_url": "https://b.example/ü"}, "no address for a webhook"),
        ({"actual_percents": [], "projected_percents": []}, "needs a percent"),
    ],
)
def test_what_cannot_be_a_budget_is_refused_with_the_reason(changes, said) -> None:
    with pytest.raises(MeterhouseError, match=said):
        budget(**changes)


@pytest.mark.parametrize(
    "zone", ["Pacific/Auckland", "Asia/Kathmandu", "America/Los_Angeles", "UTC"]
)
@pytest.mark.parametrize("month", [1, 3, 4, 9, 10, 11, 12])
def test_a_month_begins_and_ends_at_the_accounts_midnights(zone, month) -> None:
    period = month_period(date(2026, month, 17))
    start, end = judging.midnight(period.first, zone), judging.midnight(period.until, zone)
    instant = timedelta(microseconds=1)
    assert period_of(budget(), judging.local_day(start, zone)) == period
    assert period_of(budget(), judging.local_day(start - instant, zone)) != period
    assert period_of(budget(), judging.local_day(end - instant, zone)) == period
    assert period_of(budget(), judging.local_day(end, zone)).first == period.until


@pytest.mark.parametrize(
    ("zone", "month", "hours"),
    [
        ("Pacific/Auckland", 4, 30 * 24 + 1),
        ("Pacific/Auckland", 9, 30 * 24 - 1),
        ("America/Los_Angeles", 3, 31 * 24 - 1),
        ("America/Los_Angeles", 11, 30 * 24 + 1),
        ("Asia/Kathmandu", 11, 30 * 24),
        ("UTC", 11, 30 * 24),
    ],
)
def test_a_run_rate_counts_the_hours_that_a_clock_change_adds_or_takes(zone, month, hours) -> None:
    period = month_period(date(2026, month, 1))
    moment = judging.midnight(period.first, zone) + timedelta(hours=72)
    assert judging.run_rate(Decimal(72), period, moment, zone) == hours
    over = judging.midnight(period.until, zone)
    assert judging.run_rate(Decimal(72), period, over, zone) == 72


def test_the_first_days_of_a_month_have_no_run_rate_and_alert_nobody() -> None:
    period = month_period(date(2026, 11, 1))
    early = judging.midnight(period.first, "UTC") + timedelta(hours=71)
    projected = judging.run_rate(Decimal(99), period, early, "UTC")
    assert projected is None
    found = judging.budget_readings(budget(), period, Used(Decimal(1), 0), projected)
    assert [each.rule_key.split(":")[3] for each in found] == ["actual"] * 3


def test_a_threshold_fires_when_it_is_reached_exactly_and_without_use_there_are_no_data() -> None:
    made = budget(actual_percents=[50, 80], projected_percents=[100])
    period = period_of(made, date(2026, 11, 10))

    def states(use, projected):
        return [each.state for each in judging.budget_readings(made, period, use, projected)]

    use = Used(Decimal(80), 0)
    assert states(use, Decimal("99.999999999")) == ["firing", "firing", "ok"]
    assert states(Used(Decimal("79.999999999"), 0), Decimal(100)) == ["firing", "ok", "firing"]
    assert states(None, None) == ["no_data"] * 3


def test_a_month_that_ended_is_judged_for_three_more_days() -> None:
    assert [p.key for p in judging.periods(budget(), date(2026, 12, 3))] == [
        "2026-11-01",
        "2026-12-01",
    ]
    assert [p.key for p in judging.periods(budget(), date(2026, 12, 4))] == ["2026-12-01"]


@pytest.mark.parametrize(
    ("told", "key"),
    [
        ([], "2026-11-15"),
        (["2026-11-17"], "2026-11-17"),
        (["2026-11-12"], "2026-11-12"),
        (["2026-11-11", "2026-11-19"], "2026-11-15"),
        (["2026-11-18", "2026-11-16"], "2026-11-16"),
    ],
)
def test_an_incident_whose_first_day_moved_is_the_one_that_was_told(told, key) -> None:
    moved = Incident(
        "acme",
        date(2026, 11, 15),
        date(2026, 11, 18),
        *(4, False, None, "volume", "account", ""),
        *[Decimal(1)] * 10,
    )
    assert judging.same_incident(moved, told) == key


def test_incidents_are_joined_as_the_marts_join_them() -> None:
    project = yaml.safe_load((ROOT / "dbt_project.yml").read_text(encoding="utf-8"))
    assert project["vars"]["spike_join_days"] == judging.JOIN_DAYS


def test_balances_are_judged_of_who_has_credits_only() -> None:
    rules = [
        AlertRule("acme", "low_balance", True, Decimal(0)),
        AlertRule("acme", "runway", True, Decimal(14)),
    ]
    short = Balance(Decimal(5), Decimal(10), Decimal("13.9"))
    found = judging.balance_readings(rules, "prepaid", short)
    assert [each.state for each in found] == ["ok", "firing"]
    assert judging.balance_readings(rules, "postpaid", short) == []
    assert judging.balance_readings(rules, "prepaid", Balance(Decimal(0), Decimal(0), None)) == []
    assert [e.state for e in judging.balance_readings(rules, "prepaid", None)] == ["no_data"] * 2


@given(st.lists(st.sampled_from(["ok", "firing", "no_data"]), max_size=30))
def test_a_period_is_told_at_most_once_that_it_fires_and_once_that_it_ends(states) -> None:
    past, told = Past(), []
    for hours, state in enumerate(states):
        at = AT + timedelta(hours=hours)
        change = step(past, reading(state), at)
        assert (change is None) == (state == past.state)
        if change:
            past = past.after(state, change.is_told, at)
            told += [state] if change.is_told else []
    first = ["firing"] if "firing" in states else []
    has_ended = "firing" in states and "ok" in states[states.index("firing") :]
    assert told == first + (["ok"] if has_ended else [])


def test_no_data_is_no_recovery_and_coming_back_from_it_tells_nothing_again() -> None:
    past = Past().after("firing", True, AT)
    gone = step(past, reading("no_data", is_standing=True), AT)
    assert gone is not None and not gone.is_told
    past = past.after("no_data", False, AT)
    later = AT + timedelta(days=9)
    back = step(past, reading("firing", is_standing=True), later)
    assert back is not None and not back.is_told


def test_what_has_no_period_is_told_anew_but_at_most_once_a_day() -> None:
    past = Past().after("firing", True, AT).after("ok", True, AT)
    soon = step(past, reading("firing", is_standing=True), AT + timedelta(hours=23))
    late = step(past, reading("firing", is_standing=True), AT + timedelta(hours=24))
    assert soon is not None and not soon.is_told
    assert late is not None and late.is_told


def test_the_wait_after_a_failure_doubles_up_to_an_hour() -> None:
    waits = [wait_after(n) // timedelta(minutes=1) for n in range(1, 9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_simulator_tells_when_and_how_long_before_the_limit() -> None:
    used = {date(2026, 10, 1) + timedelta(days=n): Decimal(5) for n in range(61)}
    made = budget(actual_percents=[50, 100], projected_percents=[100])
    found = simulate(made, used, date(2026, 10, 1), date(2026, 12, 1), "Europe/Berlin")
    assert [(a.day.isoformat(), a.title.partition(": ")[2], a.days_before) for a in found] == [
        ("2026-10-04", "projected use at 100 % of the limit", 16),
        ("2026-10-10", "actual use at 50 % of the limit", 10),
        ("2026-10-20", "actual use at 100 % of the limit", 0),
        ("2026-11-04", "projected use at 100 % of the limit", 16),
        ("2026-11-10", "actual use at 50 % of the limit", 10),
        ("2026-11-20", "actual use at 100 % of the limit", 0),
    ]


def test_a_message_escapes_names_and_leads_to_the_usage_behind_it() -> None:
    made = budget(scope="agent", part="a & <b>/ö", name="<script>")
    period = period_of(made, date(2026, 11, 10))
    (first, *_) = judging.budget_readings(made, period, Used(Decimal(60), 2), None)
    change = step(Past(), first, AT)
    assert change is not None
    view = UsageView(Selection(period.first, period.until, time_zone="UTC", agents=("a & <b>/ö",)))
    link = usage_link("http://x", "acme", made, period)
    assert link == f"http://x/{usage_link_of_app('acme', view)}"
    days = [(date(2026, 11, 1), Decimal(3)), (date(2026, 11, 2), Decimal(6))]
    facts = Facts("A <i>", "credits", link, days, [("agent", "<x>", Decimal(6), Decimal(1))], 2)
    shown = as_html(letter(change, facts))
    assert "<script>" not in shown and "<i>" not in shown and "<x>" not in shown
    assert "height:30px" in shown and "height:60px" in shown
    assert "\n" not in subject(change, facts)
    for part in ("Figure: 60 credits", "Alerts at: 50 credits", "2 operations", link, "<x>"):
        assert part in as_text(letter(change, facts))


@pytest.mark.parametrize(
    "inside",
    [
        "http://localhost:8501/x",
        "http://127.0.0.1/x",
        "https://127.0.0.2/x",
        "https://10.0.0.5/x",
        "https://192.168.1.1/x",
        "https://169.254.169.254/latest",
        "https://[::1]/x",
        "https://[fd00::1]/x",
        "https://[::ffff:10.0.0.5]/x",
        "https://2130706433/x",
        "https://0x7f000001/x",
        "https://127.1/x",
        "https://postgres/x",
        "https://app.localhost/x",
        "https://db.internal./x",
    ],
)
def test_a_customer_cannot_have_the_platform_call_its_own_network(inside: str) -> None:
    made = make_budget("acme", name="M", limit="1", webhook_url=inside)
    with pytest.raises(MeterhouseError, match="not on the internet"):
        refuse_from_customer(made)


def test_a_customer_has_budgets_of_credits_told_anywhere_on_the_internet() -> None:
    for address in (None, "https://customer.example/x", "https://93.184.216.34:8443/x"):
        refuse_from_customer(make_budget("acme", name="M", limit="1", webhook_url=address))
    cost = make_budget("acme", name="M", limit="1", unit="usd", recipients=["a@b.example"])
    with pytest.raises(MeterhouseError, match="admins of the platform"):
        refuse_from_customer(cost)
