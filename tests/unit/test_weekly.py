"""The weekly report: when it is due, what it says; mails whose subjects are long or hostile."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes, policy

import pytest

from app.usage_address import UsageView
from app.usage_address import link as usage_link_of_app
from billing.alerts import weekly
from billing.alerts.delivery import mail_of
from billing.alerts.figures import Balance
from billing.alerts.letters import as_html, as_text, one_line
from billing.alerts.outbox import Message, Refused
from warehouse.settings import Settings
from warehouse.usage.selection import Selection

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = ["Pacific/Auckland", "Asia/Kathmandu", "America/Los_Angeles", "UTC"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("monday", [date(2026, 3, 9), date(2026, 4, 6), date(2026, 9, 28)])
def test_a_week_is_reported_from_six_on_monday_in_the_accounts_zone(zone, monday) -> None:
    """The Mondays after clock changes of Los Angeles and Auckland."""
    six = weekly.midnight(monday, zone) + weekly.READY_AFTER
    before = six - timedelta(microseconds=1)
    last = monday - timedelta(days=7)
    assert weekly.week_to_report(six, zone, LONG_AGO) == last
    assert weekly.week_to_report(six + timedelta(days=6), zone, LONG_AGO) == last
    assert weekly.week_to_report(before, zone, LONG_AGO) == last - timedelta(days=7)


def test_a_week_that_was_over_before_the_account_was_added_is_not_reported() -> None:
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    noon = monday + timedelta(hours=12)
    assert weekly.week_to_report(noon, "UTC", monday) is None
    assert weekly.week_to_report(noon, "UTC", monday - timedelta(seconds=1)) == date(2026, 11, 16)


def report(**changes):
    given = {
        "account_id": "acme",
        "account_name": "Acme <b>",
        "first": date(2026, 11, 16),
        "agents": [
            weekly.AgentWeek("writer\nBcc: x", Decimal(90), Decimal(100)),
            weekly.AgentWeek(None, Decimal(0), Decimal(20)),
        ],
        "days": [(date(2026, 11, 9), Decimal(4)), (date(2026, 11, 16), Decimal(8))],
        "projected": (date(2026, 11, 1), Decimal("1234.567")),
        "balance": Balance(Decimal(50), Decimal(100), Decimal("12.4")),
        "spikes": [],
        "advice": [weekly.Advice("acme", "a", "cheaper_model", "writer", Decimal(7))],
    }
    return weekly.Report(**(given | changes))


def test_a_report_says_use_change_projection_balance_agents_and_advice() -> None:
    letter = weekly.letter(report(), "http://x")
    text = as_text(letter)
    view = UsageView(Selection(date(2026, 11, 16), date(2026, 11, 23), time_zone="UTC"))
    for said in (
        "Week 2026-11-16 to 2026-11-22: Acme <b>",
        "Used: 90 credits",
        "Week before: 120 credits (-25 %)",
        "Projected of November 2026: 1,234.57 credits",
        "Balance: 50 credits, lasts about 12 days",
        "  writer Bcc: x: 90 credits, before 100\n",
        "Cheaper model of writer: about 7 credits a month",
        f"http://x/{usage_link_of_app('acme', view)}",
    ):
        assert said in text
    assert "no agent" not in text and "New spikes" not in text
    html = as_html(letter)
    assert "Acme &lt;b&gt;" in html and "<b>\n" not in html
    assert "height:30px;background:#c9c9f2" in html and "height:60px;background:#5b54e8" in html


def test_a_report_without_history_leaves_out_what_is_not_known() -> None:
    bare = report(
        agents=[weekly.AgentWeek("w", Decimal(1), Decimal(0))], projected=None, balance=None
    )
    text = as_text(weekly.letter(bare, "http://x"))
    assert "Week before" not in text and "Projected" not in text and "Balance" not in text


def message(subject: str, recipient: str = "a@b.example") -> Message:
    return Message("r", "acme", "mail", recipient, subject, "text\n", "<p>", message_id="<1@b>")


@pytest.mark.parametrize("word", ["budget ", "büdget ", "予算 ", "💸"])
def test_a_long_subject_is_folded_and_read_as_it_was(word) -> None:
    title = one_line(word * 60)
    raw = mail_of(message(title), Settings()).as_bytes()
    head = raw.partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78
    assert message_from_bytes(raw, policy=policy.default)["Subject"] == title


def test_line_breaks_of_names_cannot_reach_a_header() -> None:
    hostile = "a\r\nBcc: x@y.example\u2028\x00b\u202ec"
    assert one_line(hostile) == "a Bcc: x@y.example b c"
    with pytest.raises(Refused, match="no mail can be made"):
        mail_of(message(hostile), Settings())
    with pytest.raises(Refused):
        mail_of(message("x", "a@b.example\r\nBcc: c@d.example"), Settings())
