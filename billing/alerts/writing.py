"""From what was judged to the messages of the outbox: one a recipient, one a webhook."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from billing.accounts import Account
from billing.alerts import figures, messages, weekly
from billing.alerts.letters import Letter, as_html, as_text
from billing.alerts.machine import Reading, Transition
from billing.alerts.outbox import Message
from billing.incidents import PARTS, Incident
from billing.live_usage import Lake
from warehouse.publication import Publication
from warehouse.settings import Settings


@dataclass(frozen=True)
class Judged:
    """A reading, with what a message needs to look up: a budget's period, or an incident."""

    reading: Reading
    recipients: tuple[str, ...]
    webhook_url: str | None
    ask: figures.Ask | None = None
    missing_events: int = 0
    incident: Incident | None = None


def change_messages(
    settings: Settings,
    lake: Lake,
    publication: Publication | None,
    accounts: Mapping[str, Account],
    judged: Judged,
    change: Transition,
) -> list[Message]:
    """The messages of a change; none where nobody is to be told."""
    if not change.is_told or publication is None:
        return []
    account = accounts[change.reading.account_id]
    facts = _facts(settings, lake, publication, account, judged)
    found = _mails(
        change.reference, account.account_id, judged.recipients, messages.letter(change, facts)
    )
    if judged.webhook_url:
        found.append(
            Message(
                f"{change.reference}|webhook",
                account.account_id,
                "webhook",
                judged.webhook_url,
                messages.subject(change, facts),
                messages.payload(change, facts),
            )
        )
    return found


def report_messages(
    settings: Settings, report: weekly.Report, recipients: Sequence[str]
) -> list[Message]:
    """The mails of a weekly report."""
    reference = weekly.reference_of(report.account_id, report.first)
    letter = weekly.letter(report, settings.public_url)
    return _mails(reference, report.account_id, recipients, letter)


def _mails(
    reference: str, account_id: str, recipients: Sequence[str], letter: Letter
) -> list[Message]:
    text, html = as_text(letter), as_html(letter)
    return [
        Message(f"{reference}|mail|{to}", account_id, "mail", to, letter.title, text, html)
        for to in recipients
    ]


def _facts(
    settings: Settings, lake: Lake, publication: Publication, account: Account, judged: Judged
) -> messages.Facts:
    name, base, account_id = account.current.name, settings.public_url, account.account_id
    if judged.incident is not None:
        return _spike_facts(base, name, judged.incident)
    if judged.ask is None:
        is_runway = judged.reading.rule_key.startswith("runway:")
        link = f"{base}/credits?account={account_id}"
        return messages.Facts(name, "days" if is_runway else "credits", link)
    budget, period = judged.ask
    days, drivers = figures.daily(lake, publication, judged.ask)
    return messages.Facts(
        name,
        "USD" if budget.unit == "usd" else "credits",
        messages.usage_link(base, account_id, budget, period),
        days,
        drivers,
        judged.missing_events,
        budget.limit_amount,
    )


def _spike_facts(base: str, name: str, incident: Incident) -> messages.Facts:
    until = incident.last_date + timedelta(days=1)
    link = messages.days_link(
        base, incident.account_id, incident.first_date, until, incident.driver, incident.driver_id
    )
    parts = {
        "volume": incident.volume_credits,
        "size": incident.size_credits,
        "price": incident.price_credits,
        "mix": incident.mix_credits,
        "new_agent": incident.new_agent_credits,
        "errors": incident.error_credits,
    }
    ranked = sorted(((PARTS[cause], part) for cause, part in parts.items()), key=lambda p: -p[1])
    return messages.Facts(
        name, "credits above what was expected", link, parts=[p for p in ranked if p[1] > 0]
    )
