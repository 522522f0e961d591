"""``meterhouse backtest``: how far off past projections were, and how often inside their range."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal

import click
from rich.table import Table

from orchestration.commands.tables import print_table
from warehouse.errors import MeterhouseError
from warehouse.publication import reading_published
from warehouse.settings import load_settings

OVERALL = "all accounts"


@dataclass(frozen=True)
class Replay:
    """A past month as it was projected after ``elapsed_days``; credits, errors as shares."""

    account_id: str
    month: date
    elapsed_days: int
    error_share: Decimal | None
    run_rate_error_share: Decimal | None
    is_inside: bool


@dataclass(frozen=True)
class Record:
    """The projections of an account, or of all, after so many days of their months.

    Errors are mean shares of the months' totals, months without usage left out; None where there
    are no others. ``coverage`` is the share of months inside the range of 80 %.
    """

    account_id: str
    elapsed_days: int
    projections: int
    mean_error: float | None
    run_rate_error: float | None
    inside: int
    coverage: float


@click.command()
@click.option("--account", metavar="ACCOUNT", help="Only this account.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def backtest(account: str | None, as_json: bool) -> None:
    """Show how far off the projections of the last twelve months were, as they would have been
    made after 3, 10 and 20 days, and how often the month ended inside the range of 80 %.

    It is read from the published snapshot.
    """
    connection, _ = reading_published(load_settings())
    try:
        if (
            account is not None
            and not connection.execute(
                "select 1 from rpt_account where account_id = $account", {"account": account}
            ).fetchone()
        ):
            raise MeterhouseError(
                f"there is no usage of an account {account!r}: see `meterhouse accounts list`"
            )
        found = connection.execute(
            "select account_id, month, elapsed_days, error_share,"
            " abs(run_rate_credits - actual_credits) / nullif(actual_credits, 0), is_inside"
            " from rpt_insights_backtest where account_id = coalesce($account, account_id)"
            " order by account_id, elapsed_days, month",
            {"account": account},
        ).fetchall()
    finally:
        connection.close()
    replays = [Replay(*row) for row in found]
    records = records_of(replays, with_overall=account is None)
    if as_json:
        click.echo(json.dumps([asdict(record) for record in records], indent=2))
    elif not records:
        click.echo("No past month can be replayed yet: a projection needs three months before it.")
    else:
        _show(records)


def records_of(replays: Sequence[Replay], *, with_overall: bool) -> list[Record]:
    """The records by account and elapsed days; those of all accounts first."""
    groups: dict[tuple[str, int], list[Replay]] = {}
    for replay in replays if with_overall else ():
        groups.setdefault((OVERALL, replay.elapsed_days), []).append(replay)
    overall = [_record(*key, group) for key, group in sorted(groups.items())]
    groups = {}
    for replay in replays:
        groups.setdefault((replay.account_id, replay.elapsed_days), []).append(replay)
    return overall + [_record(*key, group) for key, group in sorted(groups.items())]


def _record(account_id: str, elapsed_days: int, replays: Sequence[Replay]) -> Record:
    inside = sum(replay.is_inside for replay in replays)
    return Record(
        account_id,
        elapsed_days,
        len(replays),
        _mean(replay.error_share for replay in replays),
        _mean(replay.run_rate_error_share for replay in replays),
        inside,
        inside / len(replays),
    )


def _mean(shares: Iterable[Decimal | float | None]) -> float | None:
    known = [float(share) for share in shares if share is not None]
    return sum(known) / len(known) if known else None


def _show(records: Sequence[Record]) -> None:
    table = Table(header_style="bold")
    for title in ("account", "after", "months", "off by", "run rate off by", "inside the range"):
        table.add_column(title, justify="left" if title == "account" else "right")
    for record in records:
        table.add_row(
            record.account_id,
            f"{record.elapsed_days} days",
            f"{record.projections:,}",
            _percent(record.mean_error),
            _percent(record.run_rate_error),
            f"{record.inside:,} ({_percent(record.coverage)})",
        )
    print_table(table)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
