"""``meterhouse status``, ``doctor`` and ``upkeep``: how things stand, and keeping them so."""

import json

import click
import sqlalchemy as sa

from warehouse.doctor import Finding, StoreCredits, StoreTerms, examine
from warehouse.settings import Settings, load_settings
from warehouse.status import Status
from warehouse.status import status as read_status
from warehouse.upkeep import UpkeepReport, tidy

SHOWN_FILES = 5
MARKS = {"ok": "ok", "warning": "warning", "problem": "PROBLEM"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def status(as_json: bool) -> None:
    """Show what is published, pending, waiting, rejected and failing."""
    from ingest.landing import look

    settings = load_settings()
    found = read_status(settings, look(settings))
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
        return
    for name, value in status_lines(found):
        click.echo(f"{name:14} {value}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Examine whether lakes, store and published pointer agree; exits with 1 if they do not."""
    settings = load_settings()
    findings = examine(settings, store_terms(settings), store_credits=store_credits(settings))
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(finding_line(finding))
    if any(finding.verdict == "problem" for finding in findings):
        context.exit(1)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def upkeep(as_json: bool) -> None:
    """Compact both lakes, expire old snapshots, remove files that nothing needs any more."""
    report = tidy(load_settings())
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
        return
    for line in upkeep_lines(report):
        click.echo(line)


def store_terms(settings: Settings) -> StoreTerms:
    """How many account terms the operational store holds; a store not made yet holds none."""
    from billing.schema import account_term
    from billing.store import open_store, store_exists

    if not store_exists(settings):
        return StoreTerms(0, 0)
    query = sa.select(account_term.c.term_id)
    with open_store(settings) as store, store.reading() as connection:
        ids = [int(row.term_id) for row in connection.execute(query)]
    return StoreTerms(len(ids), max(ids, default=0))


def store_credits(settings: Settings) -> StoreCredits:
    """The lots and purchases of the operational store; a store not made yet holds none."""
    from billing.schema import credit_grant, purchase
    from billing.store import open_store, store_exists

    if not store_exists(settings):
        return StoreCredits({}, {})
    grants = sa.select(credit_grant.c.grant_id, credit_grant.c.credits)
    purchases = sa.select(purchase.c.purchase_number, purchase.c.price_minor)
    with open_store(settings) as store, store.reading() as connection:
        return StoreCredits(
            {row.grant_id: row.credits for row in connection.execute(grants)},
            {row.purchase_number: row.price_minor for row in connection.execute(purchases)},
        )


def status_lines(found: Status) -> list[tuple[str, str]]:
    """The status as pairs of a name and a text, for people."""
    plain = found.as_dict()
    published = "nothing yet"
    if found.published_snapshot is not None:
        published = (
            f"snapshot {found.published_snapshot} at {plain['published_at']}, "
            f"loads up to {found.published_load_id}"
        )
    lines = [
        ("published", published),
        ("newest event", _newest(plain)),
        ("last load", plain["last_load_at"] or "none"),
        ("pending", f"{found.pending_events:,} events of {found.pending_loads:,} loads"),
        ("files waiting", _listed(found.landing.waiting)),
        ("rejected rows", _counted(found.rejected)),
        ("checked", plain["checked_at"] or "never"),
    ]
    for kind, troubles in (
        ("unclaimed", found.landing.unclaimed),
        ("broken source", found.landing.broken_sources),
        ("absent column", found.landing.absent_columns),
    ):
        lines += [(kind, f"{each.name}: {each.message}") for each in troubles[:SHOWN_FILES]]
        if len(troubles) > SHOWN_FILES:
            lines.append((kind, f"{len(troubles) - SHOWN_FILES} more; see `status --json`"))
    lines += [
        (
            "failing check" if check.is_blocking else "warning",
            f"{check.check_name}: {check.message}",
        )
        for check in (*found.errors, *found.warnings)
    ]
    return lines


def finding_line(finding: Finding) -> str:
    """One finding of the doctor, for people."""
    return f"{MARKS[finding.verdict]:8} {finding.name}: {finding.message}"


def upkeep_lines(report: UpkeepReport) -> list[str]:
    """What upkeep did, for people."""
    lines = [
        f"{lake.lake}: {lake.files_merged} files merged, {lake.rows_flushed} rows moved to files, "
        f"{lake.snapshots_expired} snapshots expired ({lake.snapshots_kept} kept), "
        f"{lake.old_files_removed + lake.orphaned_files_removed} files removed"
        for lake in report.lakes
    ]
    if report.stale_leases_removed:
        lines.append(f"{report.stale_leases_removed} stale leases removed")
    return lines or ["there is no lake yet"]


def _newest(plain: dict[str, str | None]) -> str:
    shown, loaded = plain["newest_event_at"], plain["newest_loaded_event_at"]
    if shown is None and loaded is None:
        return "none"
    return f"{shown or 'none'} published, {loaded or 'none'} loaded"


def _listed(files: tuple[str, ...]) -> str:
    if not files:
        return "none"
    names = ", ".join(files[:SHOWN_FILES])
    more = len(files) - SHOWN_FILES
    return f"{len(files)}: {names}" + (f" and {more} more" if more > 0 else "")


def _counted(rejected: dict[str, int]) -> str:
    if not rejected:
        return "none"
    reasons = ", ".join(f"{count:,} × {reason}" for reason, count in rejected.items())
    return f"{sum(rejected.values()):,}: {reasons}"
