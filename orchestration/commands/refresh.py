"""``meterhouse refresh``: build what is touched, check it, publish it."""

import json
from datetime import date, datetime

import click

from warehouse.settings import load_settings


def _day(text: datetime | None) -> date | None:
    return text.date() if text else None


@click.command()
@click.option(
    "--from",
    "from_day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First UTC day to rebuild as well, although nothing touched it.",
)
@click.option(
    "--to", "to_day", type=click.DateTime(["%Y-%m-%d"]), help="Day after the last one (exclusive)."
)
@click.option("--full-checks", is_flag=True, help="Test all history, not only the touched days.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def refresh(
    from_day: datetime | None, to_day: datetime | None, full_checks: bool, as_json: bool
) -> None:
    """Build the touched days, check them, publish them.

    Exits with 1 and the reason when a check of severity error fails; what was published before
    stays, and the next refresh does the days again.
    """
    from orchestration.refresh_job import run_refresh

    done = run_refresh(
        load_settings(), from_day=_day(from_day), to_day=_day(to_day), full_checks=full_checks
    )
    if as_json:
        click.echo(
            json.dumps(
                {
                    "published_at": done.publication.published_at.isoformat(),
                    "marts_snapshot": done.publication.marts_snapshot,
                    "raw_load_id": done.publication.raw_load_id,
                    "touched_days": done.touched_days,
                    "warnings": done.warnings,
                }
            )
        )
    else:
        for warning in done.warnings:
            click.echo(f"warning: {warning}", err=True)
        click.echo(
            f"published snapshot {done.publication.marts_snapshot} with loads up to "
            f"{done.publication.raw_load_id}, {done.touched_days} days rebuilt"
        )
