"""The incidents' section of Insights: what was unusual, what it came from, what was expected."""

from dataclasses import replace
from datetime import timedelta

import streamlit as st

from app import context, formats, theme
from app.deeds import MARK_INCIDENT
from app.gate import Account, Gate
from app.insights_address import InsightsView
from app.insights_address import link as insights_link
from app.markup import (
    Bar,
    Child,
    Column,
    Html,
    Row,
    badge,
    bars,
    fields,
    figure,
    heading,
    link,
    named,
    notice,
    table,
    tag,
)
from app.queries.insights_incidents import (
    DAYS_SHOWN,
    ShownIncident,
    parts_of,
    severity_name,
    shown_from,
    with_marks,
)
from app.usage_address import UsageView
from app.usage_address import link as usage_link
from app.views.parts import card, write
from billing.incidents import LONGEST_REASON, PARTS, Incident, mark_days
from warehouse.errors import MeterhouseError
from warehouse.usage.selection import Selection

INCIDENTS_SHOWN = 8

_TITLES = {
    "volume": "More calls",
    "size": "Longer calls",
    "price": "Dearer calls",
    "mix": "A switch",
    "new_agent": "A new agent",
    "errors": "Failures and retries",
}
_SEVERITIES = {"mild": "quiet", "strong": "warn", "extreme": "bad"}


def draw(gate: Gate, account: Account, view: InsightsView) -> None:
    """Draw the account's incidents, and the one that the address names in full."""
    last = account.last_usage_date
    first = min(shown_from(last), view.incident or last)
    reader = gate.enter(account.account_id)
    found = with_marks(reader, context.incidents(gate, account.account_id, first, last))
    with card("incidents", fills=False):
        write(heading("Incidents", f"unusual days of the last {DAYS_SHOWN}"))
        if not found:
            write(
                tag(
                    "p",
                    "Nothing unusual. A day shows here once it lies far above its own weekday, "
                    "for which four weeks of usage are needed.",
                    class_="mh-soft",
                )
            )
            return
        chosen = _chosen(found, view)
        rows = [_row(account, each, view, each is chosen) for each in found]
        columns = [
            Column("When"),
            Column("What"),
            Column("Above expected", True),
            Column("How far", is_wide_only=True),
        ]
        write(table(columns, rows[:INCIDENTS_SHOWN]))
        if rows[INCIDENTS_SHOWN:]:
            with st.expander(f"{len(rows) - INCIDENTS_SHOWN} more"):
                write(table(columns, rows[INCIDENTS_SHOWN:]))
        _detail(gate, account, chosen)


def title(incident: Incident) -> str:
    """An incident in a few words: its cause, and who drove it."""
    return " · ".join(text for text in (_TITLES[incident.cause], _driver(incident)) if text)


def explanation(incident: Incident) -> Html:
    """What an incident came from: its parts as bars, those that made it less in grey."""
    colours = theme.palette(st.context.theme.type)
    return bars(
        [
            Bar(
                PARTS[part.cause].capitalize() if part.credits > 0 else _less(part.cause),
                abs(part.credits),
                f"{'' if part.credits > 0 else '−'}{formats.credits(abs(part.credits))}",
                colours.spike if part.credits > 0 else colours.faded,
                f"{formats.credits(part.credits)} of the "
                f"{formats.credits(incident.excess_credits)} credits above what was expected",
            )
            for part in parts_of(incident)
        ]
    )


def usage_behind(account: Account, incident: Incident) -> str:
    """The address of the usage of an incident's days, by whoever drove it."""
    only = (incident.driver_id,)
    selection = Selection(
        incident.first_date,
        incident.last_date + timedelta(days=1),
        time_zone=account.time_zone,
        agents=only if incident.driver == "agent" else (),
        models=only if incident.driver == "model" else (),
        categories=only if incident.driver == "category" else (),
    )
    return usage_link(account.account_id, UsageView(selection))


def _driver(incident: Incident) -> str | None:
    """Who drove it; None of the account as a whole."""
    if incident.driver == "account":
        return None
    name = formats.clip(incident.driver_id, 60)
    return f"to {name}" if incident.cause == "mix" else name


def _less(cause: str) -> str:
    return {
        "volume": "Fewer calls",
        "size": "Shorter calls",
        "price": "Cheaper calls",
        "mix": "Other models",
        "new_agent": "Agents gone",
        "errors": "Fewer failures",
    }[cause]


def _chosen(found: list[ShownIncident], view: InsightsView) -> ShownIncident:
    """The incident of the address, else the newest that nobody expected."""
    for each in found:
        if view.incident and each.incident.first_date <= view.incident <= each.incident.last_date:
            return each
    return next((each for each in found if not each.is_expected), found[0])


def _row(account: Account, shown: ShownIncident, view: InsightsView, is_chosen: bool) -> Row:
    incident = shown.incident
    href = insights_link(account.account_id, replace(view, incident=incident.first_date))
    days = formats.plural(incident.days, "day")
    how_far: Child = (
        badge("expected", "good")
        if shown.is_expected
        else badge(severity_name(incident.severity), _SEVERITIES[severity_name(incident.severity)])
    )
    return Row(
        [
            named(formats.days(incident.first_date, incident.last_date), days, href=href),
            named(_TITLES[incident.cause], _driver(incident), title(incident)),
            figure(
                f"+{formats.credits(incident.excess_credits)}",
                formats.change(incident.credits, incident.expected_credits),
            ),
            how_far,
        ],
        "mh-row-chosen" if is_chosen else None,
    )


def _detail(gate: Gate, account: Account, shown: ShownIncident) -> None:
    incident = shown.incident
    left, right = st.columns([1.5, 1], gap="medium")
    with left:
        write(
            heading(
                title(incident),
                link(usage_behind(account, incident), "The usage behind it"),
            ),
            explanation(incident),
        )
    with right:
        write(
            fields(
                [
                    ("Days", formats.days(incident.first_date, incident.last_date)),
                    ("Used", f"{formats.credits(incident.credits)} credits"),
                    ("Expected", f"{formats.credits(incident.expected_credits)} credits"),
                    (
                        "How far",
                        f"{severity_name(incident.severity)}, "
                        f"{formats.number(incident.severity, 1)}× the usual range",
                    ),
                ]
            )
        )
        _marking(gate, account, shown)


def _marking(gate: Gate, account: Account, shown: ShownIncident) -> None:
    """Say what was marked, and let it be marked or taken back; a reason is asked for."""
    incident, mark = shown.incident, shown.mark
    if mark is not None:
        said = "Expected" if mark.is_expected else "Not expected"
        write(
            notice(
                "quiet",
                f"{said}: {formats.clip(mark.reason, 200)}",
                f"{mark.recorded_by}, {formats.moment(mark.recorded_at, account.time_zone)}",
                "Charts and ranges follow at the next refresh." if shown.is_waiting else None,
            )
        )
    if not gate.enter(account.account_id).may(MARK_INCIDENT):
        return
    ask = "Take the mark back" if shown.is_expected else "Mark as expected"
    key = f"{account.account_id}-{incident.first_date}-{shown.is_expected}"
    with st.popover(ask, key=f"incident-mark-{key}"):
        write(
            tag(
                "p",
                "These days count as unusual again."
                if shown.is_expected
                else "These days stop being a spike, and for thirteen weeks as much is usual.",
                class_="mh-soft",
            )
        )
        with st.form(f"incident-form-{key}", border=False):
            reason = st.text_input("Why", max_chars=LONGEST_REASON, key=f"incident-reason-{key}")
            if st.form_submit_button(ask, type="primary"):
                _mark(gate, account, shown, reason)


def _mark(gate: Gate, account: Account, shown: ShownIncident, reason: str) -> None:
    incident = shown.incident
    try:
        gate.enter(account.account_id).do(
            MARK_INCIDENT,
            lambda store, account_id: mark_days(
                store,
                account_id,
                incident.first_date,
                incident.last_date,
                is_expected=not shown.is_expected,
                reason=reason,
            ),
            first=incident.first_date,
            last=incident.last_date,
            expected=not shown.is_expected,
            reason=reason,
        )
    except MeterhouseError as error:
        write(notice("warn", formats.clip(str(error), 300)))
        return
    st.rerun()
