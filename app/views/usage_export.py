"""The popover that takes the selected operations away: format, progress, single-use link."""

from datetime import date, timedelta

import streamlit as st

from app import context, formats
from app.exports import LINK_SECONDS, ExportJob, start_export
from app.gate import Account, Gate
from app.markup import Html, notice, tag
from app.usage_address import UsageView, previous
from app.views.parts import write
from warehouse.errors import MeterhouseError
from warehouse.usage.columns import Format

FORMAT_LABELS = {Format.CSV: "CSV", Format.PARQUET: "Parquet", Format.XLSX: "Excel"}
_JOB = "usage-export-job"
_LOOK_SECONDS = {"waiting": 0.5, "running": 0.5, "ready": 2.0}
"""How often a job is looked at, by its state; one that is over is not."""


def draw_export(gate: Gate, account: Account, view: UsageView, today: date) -> None:
    """Draw the popover for the view that is shown."""
    with st.popover("Export", icon=":material/download:", key="usage-export"):
        chosen = view.selection
        summary = context.usage_summary(gate, account.account_id, chosen, previous(view, today))
        events = summary.totals.events
        days = formats.days(chosen.first, chosen.until - timedelta(days=1))
        write(
            tag("div", tag("b", formats.plural(events, "operation")), f" of {days}, as filtered.")
            if events
            else tag("div", "Nothing matches, so there is nothing to export.", class_="mh-soft")
        )
        output = st.segmented_control(
            "Format",
            list(FORMAT_LABELS),
            default=Format.CSV,
            required=True,
            format_func=lambda each: FORMAT_LABELS[each],
            key="usage-export-format",
            label_visibility="collapsed",
            width="stretch",
        )
        job: ExportJob | None = st.session_state.get(_JOB)
        is_busy = job is not None and job.state in ("waiting", "running")
        if st.button(
            "Make the file",
            type="primary",
            disabled=not events or is_busy,
            width="stretch",
            key="usage-export-start",
        ):
            _start(gate, account, view, Format(output or Format.CSV))
        job = st.session_state.get(_JOB)
        if job is not None and job.account_id == account.account_id:
            _follow(job)


def _start(gate: Gate, account: Account, view: UsageView, output: Format) -> None:
    """Begin an export in place of the one before, or say why it cannot be."""
    before: ExportJob | None = st.session_state.pop(_JOB, None)
    if before is not None:
        before.cancel()
    try:
        st.session_state[_JOB] = start_export(
            gate, account.account_id, view.selection, output, st.context.cookies
        )
    except MeterhouseError as error:
        write(notice("warn", "The file cannot be made", str(error)))


def _follow(job: ExportJob) -> None:
    """Show how far the job is, until its file was fetched."""
    state = job.state

    locale = formats.in_use()

    @st.fragment(run_every=_LOOK_SECONDS.get(state))
    def look() -> None:
        formats.use(locale)
        if job.state != state:
            st.rerun()
        if job.state in ("waiting", "running"):
            text = "Waiting for other exports" if job.state == "waiting" else "Writing"
            st.progress(min(job.fraction, 1.0), text=f"{text} · {job.fraction:.0%}")
            if st.button("Cancel", width="stretch", key="usage-export-cancel"):
                job.cancel()
                st.rerun()
        else:
            write(_outcome(job))

    look()


def _outcome(job: ExportJob) -> Html:
    """The link to a file that is ready, or what became of it."""
    if job.link is not None:
        size = formats.size(job.size_bytes or 0)
        minutes = int(LINK_SECONDS // 60)
        return tag(
            "div",
            tag("a", f"Download {FORMAT_LABELS[job.output]}", href=job.link, class_="mh-download"),
            tag("div", f"{formats.plural(job.rows or 0, 'row')} · {size}", class_="mh-soft"),
            tag("div", job.file_name, class_="mh-file"),
            tag("div", f"The link works once, for {minutes} minutes.", class_="mh-soft"),
            class_="mh-export",
        )
    if job.state == "failed":
        return notice("bad", "The file could not be made", job.error)
    said = {
        "fetched": "The file was fetched. Make it again for another copy.",
        "expired": "The link has expired. Make the file again.",
    }
    return tag("div", said.get(job.state, "The export was cancelled."), class_="mh-soft")
