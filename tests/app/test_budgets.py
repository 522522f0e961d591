"""The Budgets page: a budget is tried on the past, saved, shown, and a test message arrives."""

import email
import email.policy
from datetime import UTC, datetime

from billing.alerts.rules import rules_of
from billing.budgets.budget import make_budget
from billing.budgets.stored import add_budget, budget_history, list_budgets
from billing.store import open_store
from tests.app.conftest import text_of


def fill(page, **values):
    for key, value in values.items():
        page.text_input(key=f"budget-{key}").set_value(value)


def press(page, label):
    next(button for button in page.button if button.label == label).click()
    return page.run()


def test_a_budget_is_tried_saved_shown_and_removed(stocked, open_page) -> None:
    page = open_page("budgets", stocked, account="acme")
    assert "No budgets yet" in text_of(page)
    fill(page, name="Team <b>", limit="500", to="ann@acme.example")
    press(page, "Try on the past")
    assert not page.exception
    assert "It would have told" in text_of(page)
    with open_store(stocked) as store:
        assert list_budgets(store) == []
    press(page, "Save")
    assert not page.exception
    with open_store(stocked) as store:
        (saved,) = list_budgets(store, "acme")
    assert (saved.name, saved.recipients) == ("Team <b>", ("ann@acme.example",))
    assert "Team &lt;b&gt;" in text_of(page) and "<b>" not in text_of(page)
    page.selectbox(key="budget-chosen-1").set_value(saved.budget_id)
    page.run()
    limit = page.text_input(key=f"budget-limit-of-{saved.budget_id}-1")
    assert limit.value == "500"
    limit.set_value("750")
    press(page, "Save")
    assert not page.exception
    with open_store(stocked) as store:
        (changed,) = list_budgets(store, "acme")
        assert len(budget_history(store, saved.budget_id)) == 2
    assert (changed.limit_amount, changed.recipients) == (750, saved.recipients)
    page.selectbox(key="budget-chosen-2").set_value(saved.budget_id)
    page.run()
    press(page, "Remove")
    with open_store(stocked) as store:
        assert list_budgets(store) == []


def test_alerts_of_the_account_are_switched_and_moved(stocked, open_page) -> None:
    page = open_page("budgets", stocked, account="acme")
    page.toggle(key="rule-weekly_report-on").set_value(False)
    page.text_input(key="rule-runway-threshold").set_value("30")
    page.text_input(key="rule-spike-to").set_value("a@b.example; c@d.example")
    press(page, "Save alerts")
    assert not page.exception
    with open_store(stocked) as store:
        rules = rules_of(store, "acme")
    assert not rules["weekly_report"].is_on
    assert rules["runway"].threshold == 30
    assert rules["spike"].recipients == ("a@b.example", "c@d.example")
    assert not rules["low_balance"].recorded_by
    page.text_input(key="rule-runway-threshold").set_value("-1")
    press(page, "Save alerts")
    assert "cannot be negative" in text_of(page)


def test_a_webhook_without_a_secret_is_refused(stocked, open_page) -> None:
    page = open_page("budgets", stocked, account="acme")
    fill(page, name="x", limit="5", webhook="https://customer.example/x")
    press(page, "Save")
    assert "METERHOUSE_ALERT_WEBHOOK_SECRET" in text_of(page)


def test_overview_names_the_budget_that_the_month_had(stocked, open_page) -> None:
    made = make_budget("acme", name="M", limit="3000")
    with open_store(stocked) as store:
        add_budget(store, made, now=datetime(2026, 11, 2, tzinfo=UTC))
    assert "budget, 100.00 a day" in text_of(open_page("overview", stocked, account="acme"))
    october = open_page("overview", stocked, account="acme", month="2026-10")
    assert "a day" in text_of(october) and "budget" not in text_of(october)


def test_what_cannot_be_a_budget_is_said(stocked, open_page) -> None:
    page = open_page("budgets", stocked, account="acme")
    fill(page, name="x", limit="0")
    press(page, "Save")
    assert "must be above 0" in text_of(page)
    fill(page, limit="5", actual="80, 80")
    press(page, "Save")
    assert "80 % is there twice" in text_of(page)


def test_a_test_message_arrives(stocked, open_page) -> None:
    page = open_page("budgets", stocked, account="acme")
    page.text_input(key="budget-test-to").set_value("ann@acme.example")
    press(page, "Send a test message")
    assert not page.exception
    (file,) = stocked.mail_folder.glob("*.eml")
    mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert mail["To"] == "ann@acme.example"
    assert "sent" in text_of(page)
