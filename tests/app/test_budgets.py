"""The Budgets page: a budget is tried on the past, saved, shown, and a test message arrives."""

import email
import email.policy

from billing.budgets.stored import list_budgets
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
    press(page, "Remove")
    with open_store(stocked) as store:
        assert list_budgets(store) == []


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
