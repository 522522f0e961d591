"""The audit log: who did what, in which account, from where. For admins of the platform."""

import csv
import io
import json
from datetime import UTC, date, datetime, time, timedelta

import streamlit as st

from app import context, formats
from app.gate import Gate
from app.markup import Child, Column, badge, empty, figure, heading, named, tag
from app.markup import table as draw_table
from app.views.parts import card, live_line, watch, write
from billing.audit import OUTCOMES, AuditEvent, AuditFilter

SHOWN = 50
MOST_EXPORTED = 100_000
_BADGES = {"allowed": "good", "refused": "bad", "failed": "warn"}


def draw() -> None:
    """Draw the page."""
    gate = context.open_gate()
    write(tag("h1", "Audit log"))
    gate.require_staff("audit log")
    if not gate.has_store():
        write(empty("Nothing was done yet", "The log begins with the operational store."))
        watch(gate.publication)
        return
    write(live_line(datetime.now(UTC)))
    wanted = _filters(gate)
    count = gate.audit_count(wanted)
    with card("audit", fills=False):
        write(heading("What was done", f"{formats.plural(count, 'row')}, the newest first, UTC"))
        if not count:
            write(
                empty("Nothing was done yet", "Whoever signs in, buys or changes is told of here.")
                if wanted == AuditFilter()
                else empty("Nothing matches", "No row of the log is as filtered. Widen a filter.")
            )
        else:
            pages = (count + SHOWN - 1) // SHOWN
            page = 1
            if pages > 1:
                page = int(st.number_input("Page", 1, pages, key="audit-page", width=140))
            found = gate.audit_events(wanted, limit=SHOWN, offset=(page - 1) * SHOWN)
            columns = [
                Column("When"),
                Column("Who"),
                Column("What"),
                Column("Account"),
                Column("Details", is_wide_only=True),
            ]
            write(draw_table(columns, [_row(event) for event in found]))
            st.download_button(
                "Export as CSV",
                data=lambda: audit_csv(gate.export_audit(wanted, MOST_EXPORTED)),
                file_name="audit-log.csv",
                mime="text/csv",
                on_click="ignore",
                icon=":material/download:",
                key="audit-csv",
            )
    watch(gate.publication)


def _filters(gate: Gate) -> AuditFilter:
    with st.container(key="audit-filters", horizontal=True, vertical_alignment="bottom"):
        actor = st.text_input("Who", key="audit-actor", placeholder="an address", width=190)
        action = st.selectbox(
            "What",
            gate.audit_actions(),
            index=None,
            placeholder="Everything",
            key="audit-action",
            width=180,
        )
        account = st.text_input("Account", key="audit-account", placeholder="an id", width=130)
        outcomes = st.multiselect(
            "Outcome", OUTCOMES, key="audit-outcome", placeholder="All", width=170
        )
        first = st.date_input("From", None, key="audit-first", format="YYYY-MM-DD", width=150)
        last = st.date_input("To", None, key="audit-last", format="YYYY-MM-DD", width=150)
    return AuditFilter(
        actor.strip().lower(),
        action or "",
        account.strip(),
        tuple(outcomes),
        _midnight(first) if isinstance(first, date) else None,
        _midnight(last) + timedelta(days=1) if isinstance(last, date) else None,
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _row(event: AuditEvent) -> list[Child]:
    details = ", ".join(f"{name}: {value}" for name, value in event.details.items())
    return [
        figure(formats.day(event.recorded_at.date()), f"{event.recorded_at:%H:%M:%S}"),
        named(formats.clip(event.actor, 60), event.origin, event.actor),
        tag("div", event.action, " ", badge(event.outcome, _BADGES[event.outcome])),
        formats.clip(event.account_id, 60) if event.account_id else formats.DASH,
        formats.clip(details, 160) or formats.DASH,
    ]


def audit_csv(events: list[AuditEvent]) -> str:
    """The rows as CSV; a text that a spreadsheet would compute gets an apostrophe before it."""
    written = io.StringIO()
    out = csv.writer(written)
    out.writerow(["recorded_at", "actor", "action", "outcome", "account_id", "details", "origin"])
    for event in events:
        out.writerow(
            _inert(text)
            for text in (
                event.recorded_at.isoformat(),
                event.actor,
                event.action,
                event.outcome,
                event.account_id or "",
                json.dumps(dict(event.details), ensure_ascii=False),
                event.origin,
            )
        )
    return written.getvalue()


def _inert(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


if __name__ == "__main__":
    draw()
