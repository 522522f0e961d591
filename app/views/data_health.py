"""Data health, for the platform's staff: what arrived, what was held back, what was checked."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePath

import streamlit as st

from app import context, formats
from app.gate import Gate
from app.markup import (
    Child,
    Column,
    Html,
    badge,
    code,
    columns_of_days,
    empty,
    figure,
    heading,
    named,
    notice,
    stat,
    table,
    tag,
    with_code,
)
from app.mending import declare_commands, mending_of
from app.queries.data_health import (
    LOADS_SHOWN,
    STRIP_DAYS,
    Check,
    DataHealth,
    Load,
    RejectedReason,
    RejectedRow,
    SourceHealth,
    UndeclaredAccount,
    strip_of,
)
from app.views.parts import card, nothing_published, row, status_line, watch, write

LOADS_AT_ONCE = 6


def render() -> None:
    """Draw the page."""
    gate = context.open_gate()
    now = datetime.now(UTC)
    write(tag("h1", "Data health"))
    if not gate.has_raw():
        write(nothing_published(gate))
        watch(gate.publication)
        return
    view = context.data_health(gate, now.date())
    mixed = f"sources as published; loads, rejected rows and checks of {formats.moment(now)}"
    write(status_line(gate, "UTC", after=[tag("span", mixed)]))
    _tiles(gate, view, now)
    if gate.publication is None:
        write(
            notice(
                "warn",
                "Nothing is published yet.",
                with_code("Run `meterhouse refresh` to build, check and publish what was loaded."),
            )
        )
    left, right = row("sources", 1.35, 1)
    with left:
        _sources(view, now)
    with right:
        _checks(view, now)
    _loads(gate, view, now)
    _rejected(view)
    watch(gate.publication)


def _tiles(gate: Gate, view: DataHealth, now: datetime) -> None:
    """Four figures: published, pending, rejected, failing."""
    publication = gate.publication
    rejected = sum(reason.rows for reason in view.reasons)
    errors = sum(not check.is_passed and check.severity == "error" for check in view.checks)
    warnings = sum(not check.is_passed and check.severity != "error" for check in view.checks)
    tiles = [
        (
            "published",
            "Published",
            formats.ago(publication.published_at, now) if publication else "never",
            f"{formats.short_moment(publication.published_at, now)} · up to load "
            f"{publication.raw_load_id}"
            if publication
            else "no refresh has passed its checks",
        ),
        (
            "pending",
            "Not settled yet",
            formats.plural(view.pending.rows_loaded, "row"),
            f"in {formats.plural(view.pending.loads, 'load')} since then"
            if view.pending.loads
            else "everything loaded is published",
        ),
        (
            "rejected",
            "Rejected, still open",
            formats.plural(rejected, "row"),
            f"for {formats.plural(len(view.reasons), 'reason')}"
            if rejected
            else "nothing held back",
        ),
        (
            "failing",
            "Failing checks",
            str(errors + warnings),
            f"{formats.plural(errors, 'error')}, {formats.plural(warnings, 'warning')} "
            f"of {formats.plural(len(view.checks), 'check')}"
            if view.checks
            else "no refresh has run yet",
        ),
    ]
    for half, pair in zip(row("tiles", 1, 1), (tiles[:2], tiles[2:]), strict=True):
        for column, (key, label, value, detail) in zip(
            half.columns(2, gap="small", wrap=False), pair, strict=True
        ):
            with column, card(key):
                write(stat(label, value, detail))


def _sources(view: DataHealth, now: datetime) -> None:
    with card("sources"):
        write(heading("Freshness by source", "as published"))
        if not view.sources:
            write(tag("p", "No source is published yet.", class_="mh-foot"))
            return
        write(
            table(
                [
                    Column("Source"),
                    Column("Newest event"),
                    Column("Last loaded", is_wide_only=True),
                    Column(f"Events, {STRIP_DAYS} days", is_wide_only=True),
                    Column("Missing days", True),
                ],
                [_source_row(source, view, now) for source in view.sources],
            )
        )


def _source_row(source: SourceHealth, view: DataHealth, now: datetime) -> list[Child]:
    strip = strip_of(view.source_days, source.source, now.date())
    missing = source.missing_days
    return [
        named(source.source, formats.plural(source.events, "event")),
        figure(
            formats.ago(source.newest_event_at, now),
            formats.short_moment(source.newest_event_at, now),
        ),
        figure(
            formats.ago(source.last_loaded_at, now),
            formats.short_moment(source.last_loaded_at, now),
        ),
        columns_of_days(
            [events for _, events in strip],
            [
                f"{formats.day(day)}: "
                + ("no events" if not events else formats.plural(events, "event"))
                for day, events in strip
            ],
        ),
        badge(formats.plural(missing, "day"), "warn") if missing else "none",
    ]


def _checks(view: DataHealth, now: datetime) -> None:
    with card("checks"):
        if not view.checks:
            write(
                heading("Checks of the last refresh"),
                tag("p", "No refresh has run its checks yet.", class_="mh-foot"),
            )
            return
        newest = max(check.checked_at for check in view.checks)
        write(heading("Checks of the last refresh", formats.ago(newest, now)))
        failing = [check for check in view.checks if not check.is_passed]
        passed = [check for check in view.checks if check.is_passed]
        failing.sort(key=lambda check: check.severity != "error")
        if failing:
            write(table([Column("Check"), Column("", True)], [_check_row(c) for c in failing]))
        else:
            write(tag("p", badge("all passed", "good"), class_="mh-foot"))
        if passed:
            with st.expander(f"{formats.plural(len(passed), 'check')} passed"):
                write(table([Column("Check"), Column("", True)], [_check_row(c) for c in passed]))


def _check_row(check: Check) -> list[Child]:
    if check.is_passed:
        state = badge("passed", "good")
    elif check.severity == "error":
        state = badge("error · blocks publishing", "bad")
    else:
        state = badge("warning", "warn")
    rows = check.failing_rows
    told = f"{check.suite} · {check.message}"
    if rows and not check.is_passed and "row" not in check.message:
        told += f" · {formats.plural(rows, 'row')}"
    return [named(check.check_name, told, f"{check.check_name}: {told}"), state]


def _loads(gate: Gate, view: DataHealth, now: datetime) -> None:
    published = gate.publication.raw_load_id if gate.publication else 0
    columns = [
        Column("Load", is_wide_only=True),
        Column("File"),
        Column("Finished", is_wide_only=True),
        Column("Read", True, is_wide_only=True),
        Column("Loaded", True),
        Column("Duplicate", True, is_wide_only=True),
        Column("Rejected", True),
        Column(""),
    ]
    rows = [_load_row(load, published, now) for load in view.loads]
    with card("loads"):
        write(heading("Loads", "newest first · read = loaded + duplicate + rejected"))
        if not rows:
            write(empty("Nothing was loaded yet"))
            return
        write(table(columns, rows[:LOADS_AT_ONCE]))
        if len(rows) > LOADS_AT_ONCE:
            more = len(rows) - LOADS_AT_ONCE
            label = f"{more} more" if len(rows) < LOADS_SHOWN else f"{more} before these"
            with st.expander(label):
                write(table(columns, rows[LOADS_AT_ONCE:]))


def _load_row(load: Load, published: int, now: datetime) -> list[Child]:
    if load.is_failed:
        state = badge("failed", "bad")
    elif load.load_id > published:
        state = badge("pending", "warn")
    else:
        state = badge("published", "good")
    return [
        str(load.load_id),
        named(_file_name(load.path), f"{load.source} · {load.kind}", load.path),
        figure(formats.ago(load.finished_at, now), formats.short_moment(load.finished_at, now)),
        formats.number(load.rows_read),
        formats.number(load.rows_loaded),
        formats.number(load.rows_duplicate),
        badge(formats.number(load.rows_rejected), "bad") if load.rows_rejected else "0",
        state,
    ]


def _rejected(view: DataHealth) -> None:
    with card("reasons"):
        write(heading("Rejected rows by reason", "open: not replayed yet"))
        if not view.reasons:
            write(tag("p", badge("none", "good"), " Every row was taken.", class_="mh-foot"))
        for position, reason in enumerate(view.reasons):
            mending = mending_of(reason.reason)
            label = f"**{formats.plain(mending.title)}** · {formats.plural(reason.rows, 'row')}"
            with st.expander(label, expanded=position == 0):
                _reason(reason, view)


def _reason(reason: RejectedReason, view: DataHealth) -> None:
    mending = mending_of(reason.reason)
    write(
        tag(
            "p",
            with_code(mending.advice),
            " ",
            tag(
                "span", f"Code {reason.reason}, from {', '.join(reason.sources)}.", class_="mh-soft"
            ),
            class_="mh-advice",
        ),
        _declare(view.undeclared) if reason.reason == "undeclared_account" else None,
    )
    for example in view.examples:
        if example.reason == reason.reason:
            write(_example(example))


def _declare(undeclared: Sequence[UndeclaredAccount]) -> Html:
    commands = declare_commands([account.account_id for account in undeclared])
    width = max((len(command) for command in commands), default=0)
    return code(
        "\n".join(
            f"{command.ljust(width)}  # {formats.plural(account.rows, 'row')}"
            for command, account in zip(commands, undeclared, strict=True)
        )
    )


def _example(example: RejectedRow) -> Html:
    cut = example.raw_length - len(example.raw_text)
    rest = f" … {formats.plural(cut, 'more character')}" if cut > 0 else ""
    return tag(
        "div",
        tag(
            "div",
            f"{_file_name(example.path)}, line {example.line_number}"
            f" · load {example.load_id} · {formats.clip(example.detail, 200)}",
            class_="mh-foot",
            title=example.path,
        ),
        code(example.raw_text + rest),
        class_="mh-example",
    )


def _file_name(path: str) -> str:
    return formats.clip(PurePath(path).name or path, 80)


if __name__ == "__main__":
    render()
