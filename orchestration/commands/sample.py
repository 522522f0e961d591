"""``meterhouse sample``: believable usage to look at before there are real logs."""

import json
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from billing.accounts import add_account, declared_account_ids
from billing.packages import add_sample_offers
from billing.rates import add_sample_rates
from billing.sample_budgets import add_sample_budgets, sample_budgets
from billing.sample_credits import grant_sample, sample_lots, sample_overage_price
from billing.sample_invoices import declare_sample_parties
from billing.store import open_store
from ingest.sample import SampleAccount, SampleManifest, SampleSpec, sample_accounts, write_sample
from orchestration.commands.tables import print_table
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings, load_settings

SOURCE = "meterhouse"
"""The source whose landing folder takes the files."""


@click.command()
@click.option("--accounts", default=12, show_default=True, help="Number of accounts.")
@click.option("--days", default=400, show_default=True, help="Days of usage before the end.")
@click.option("--events", default=300_000, show_default=True, help="Number of usage events.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same usage.")
@click.option(
    "--until",
    metavar="DATE",
    help="Date or time (UTC unless it names a zone) at which the usage ends; now by default.",
)
@click.option("--clean", is_flag=True, help="No late, repeated, corrected or broken rows.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the files into this folder and nothing else: no accounts, no rates.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as a JSON object.")
def sample(
    accounts: int,
    days: int,
    events: int,
    seed: int,
    until: str | None,
    clean: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write sample usage into the landing folder and declare its accounts, rates, packages
    and credits.

    Load it with `meterhouse load` or let the landing folder's sensor do so. Called again it
    writes the same files.
    """
    settings = load_settings()
    now = datetime.now(UTC)
    note = sample_note(settings)
    before = None if output else _noted_spec(note)
    spec = SampleSpec(
        seed=seed,
        accounts=accounts,
        days=days,
        events=events,
        until=chosen_end(until, before, now),
        clean=clean,
    )
    if output:
        manifest = write_sample(spec, output, memory=settings.memory, threads=settings.threads)
    else:
        refuse_other_sample(spec, before, settings)
        declare(settings, sample_accounts(spec))
        note.write_text(json.dumps(spec_json(spec)) + "\n", encoding="utf-8")
        folder = settings.landing_folder / SOURCE
        manifest = write_sample(spec, folder, memory=settings.memory, threads=settings.threads)
        give_credits(settings, manifest)
    if as_json:
        click.echo(json.dumps(manifest.as_json(), indent=2, ensure_ascii=False))
    else:
        print_table(manifest_table(manifest))


def declare(settings: Settings, accounts: tuple[SampleAccount, ...]) -> None:
    """Add the sample's accounts, rates, packages and who issues invoices to whom, where missing."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with open_store(settings) as store:
        known = declared_account_ids(store)
        new = [account for account in accounts if account.account_id not in known]
        for account in new:
            add_account(
                store,
                account.account_id,
                name=account.name,
                time_zone=account.time_zone,
                currency=account.currency,
                email=account.email,
                plan=account.plan,
                overage_price=sample_overage_price(account.plan, account.currency),
                actor="meterhouse sample",
            )
        rates = add_sample_rates(store)
        packages = add_sample_offers(store, {account.currency for account in accounts})
        recipients = declare_sample_parties(store, settings.platform_name)
    click.echo(
        f"declared {len(new)} accounts, {len(rates.added)} rates, {packages} package offers and "
        f"{recipients} recipients of invoices",
        err=True,
    )


def give_credits(settings: Settings, manifest: SampleManifest) -> None:
    """Grant the sample's prepaid accounts lots that go with what they used, and set budgets."""
    spec = manifest.spec
    currencies = {
        account.account_id: account.currency
        for account in sample_accounts(spec)
        if account.plan != "postpaid"
    }
    first = spec.until - timedelta(days=spec.days)
    with open_store(settings) as store:
        count = grant_sample(
            store, sample_lots(manifest.logged_credits, currencies, first, spec.until)
        )
        budgets = add_sample_budgets(store, sample_budgets(manifest.logged_credits, spec.days))
    click.echo(f"granted {count} lots of credits, set {budgets} budgets", err=True)


def sample_note(settings: Settings) -> Path:
    """Where a home notes which sample it holds; there is none in a home without."""
    return settings.home / "sample.json"


def chosen_end(until: str | None, before: dict[str, Any] | None, now: datetime) -> datetime:
    """When the sample ends: as asked, else as the one made before, else now.

    A bare date means the end of that day. Raises MeterhouseError for a text that is no time or
    lies in the future.
    """
    if until is None:
        return datetime.fromisoformat(before["until"]) if before else now.replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(until.strip())
    except ValueError:
        raise MeterhouseError(
            f"--until {until}: write a date or a time such as 2026-11-23 or 2026-11-23T12:00:00Z"
        ) from None
    if len(until.strip()) == len("2026-11-23"):
        moment = datetime.combine(moment.date(), time(23, 59, 59), UTC)
        if moment.date() == now.date():
            moment = now
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment > now:
        raise MeterhouseError(f"--until {until} lies in the future; usage has happened already")
    return moment.astimezone(UTC).replace(microsecond=0)


def refuse_other_sample(
    spec: SampleSpec, before: dict[str, Any] | None, settings: Settings
) -> None:
    """Two samples in one home would be added up. Raises MeterhouseError when that would happen."""
    if before and before != spec_json(spec):
        raise MeterhouseError(
            f"{settings.home} holds another sample already ({_described(before)}); "
            "its usage would be added up with this one. Use another METERHOUSE_HOME, "
            "or --output to write the files elsewhere"
        )


def spec_json(spec: SampleSpec) -> dict[str, Any]:
    """What identifies a sample, for JSON."""
    return {
        "seed": spec.seed,
        "accounts": spec.accounts,
        "days": spec.days,
        "events": spec.events,
        "until": spec.until.isoformat(),
        "clean": spec.clean,
    }


def manifest_table(manifest: SampleManifest) -> Table:
    """The files, and what a correct load makes of each, with their sums."""
    table = Table(header_style="bold", show_footer=True)
    rejected = sum(manifest.rejected.values())
    table.add_column("file", footer="sum", overflow="fold")
    for name, total in (
        ("rows", manifest.rows),
        ("loaded", manifest.loaded),
        ("duplicate", manifest.duplicate),
        ("rejected", rejected),
    ):
        table.add_column(name, justify="right", footer=f"{total:,}")
    for file in manifest.files:
        numbers = (file.rows, file.loaded, file.duplicate, sum(file.rejected.values()))
        table.add_row(file.path.name, *(f"{number:,}" for number in numbers))
    return table


def _noted_spec(note: Path) -> dict[str, Any] | None:
    if not note.exists():
        return None
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        datetime.fromisoformat(found["until"])
    except (ValueError, KeyError, TypeError) as error:
        raise MeterhouseError(f"{note} cannot be read ({error}); remove it") from error
    return dict(found)


def _described(noted: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in noted.items())
