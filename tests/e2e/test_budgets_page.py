"""A budget made in a browser is tried on the past, saved, reached by what lands, told by mail."""

import email
import email.policy
import os
import subprocess

import pytest

from tests.integration.alerts_lab import Inbox, mail_server
from warehouse.settings import Settings

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from tests.e2e.browser import Visit
from tests.e2e.conftest import METERHOUSE, ROOT, drop

AGENT = "browser-agent"


def command(home: Settings, *arguments: str, **variables: str) -> None:
    done = subprocess.run(
        [METERHOUSE, *arguments],
        cwd=ROOT,
        env={**os.environ, "METERHOUSE_HOME": str(home.home), **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_budget_is_tried_saved_reached_and_told_by_mail(
    browser, live: str, home: Settings, account: str
) -> None:
    visit = Visit(browser).open(f"{live}/budgets?account={account}")
    page = visit.page
    page.get_by_label("Name", exact=True).fill("From the browser")
    page.get_by_label("Limit", exact=True).fill("1")
    page.get_by_role("button", name="Try on the past").click()
    editor = page.locator(".st-key-card-budget-editor")
    editor.get_by_text("It would have told").wait_for()
    assert editor.get_by_text("actual use at 50 % of the limit").count() > 0
    page.locator(".st-key-budget-scope input").click()
    page.get_by_role("option", name="Agent").click()
    page.get_by_label("Which agent, model or category").fill(AGENT)
    page.get_by_label("Limit", exact=True).fill("20")
    page.get_by_label("Alert at % of use", exact=True).fill("100")
    page.get_by_label("Alert at % of projected use", exact=True).fill("")
    page.get_by_label("Tell (addresses)", exact=True).first.fill("ann@customer.example")
    page.get_by_role("button", name="Save", exact=True).click()
    # in a month's first days it is there twice: the month before is still open
    page.locator(".st-key-card-budgets").get_by_text("From the browser").last.wait_for()
    drop(home, account, "25", agent=AGENT)
    inbox = Inbox()
    with mail_server(inbox) as port:
        mailed = {
            "METERHOUSE_SMTP_HOST": "127.0.0.1",
            "METERHOUSE_SMTP_PORT": str(port),
            "METERHOUSE_SMTP_SECURITY": "none",
        }
        command(home, "load")  # the resident loader may have been quicker
        command(home, "refresh")
        command(home, "alerts", "run", **mailed)
        command(home, "alerts", "run", **mailed)
    found = [email.message_from_bytes(raw, policy=email.policy.default) for raw in inbox.texts]
    (mail,) = [each for each in found if each["To"] == "ann@customer.example"]
    assert "From the browser: actual use at 100 % of the limit" in mail["Subject"]
    assert "Figure: 25 credits" in mail.get_body(("plain",)).get_content()
    link = f"/usage?account={account}"
    assert link in mail.get_body(("html",)).get_content()
    visit.open(f"{live}/budgets?account={account}")
    assert page.get_by_text("reached").count() > 0
    assert page.locator(".st-key-card-alert-history").get_by_text("ann@customer.example").count()
    assert visit.errors == []
    assert visit.outside_requests() == []
    page.close()
