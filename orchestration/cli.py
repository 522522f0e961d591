"""The console command ``meterhouse``: thin, one module a topic in ``orchestration.commands``."""

import logging
import sys
from contextlib import suppress

import click

from orchestration.commands.accounts import accounts
from orchestration.commands.advice import advice
from orchestration.commands.backtest import backtest
from orchestration.commands.backup import backup, relocate, restore
from orchestration.commands.budgets import alerts, budgets
from orchestration.commands.credits import credits
from orchestration.commands.dagster import dagster
from orchestration.commands.export import export
from orchestration.commands.incidents import incidents
from orchestration.commands.invoices import invoices
from orchestration.commands.load import load, replay
from orchestration.commands.members import members
from orchestration.commands.quarantine import quarantine
from orchestration.commands.query import sql
from orchestration.commands.rates import rates
from orchestration.commands.refresh import refresh
from orchestration.commands.sample import sample
from orchestration.commands.status import doctor, status, upkeep
from orchestration.commands.up import up
from orchestration.commands.watch import watch
from warehouse.errors import MeterhouseError
from warehouse.logs import configure_logging, secrets_of
from warehouse.settings import load_settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="meterhouse")
def meterhouse() -> None:
    """Billing and usage warehouse for AI platforms."""
    # A command says itself which settings cannot be used; asking for its help needs none.
    with suppress(MeterhouseError):
        configure_logging(load_settings())


for command in (
    accounts,
    advice,
    alerts,
    backtest,
    backup,
    budgets,
    credits,
    dagster,
    doctor,
    export,
    incidents,
    invoices,
    load,
    members,
    quarantine,
    rates,
    refresh,
    relocate,
    replay,
    restore,
    sample,
    sql,
    status,
    up,
    upkeep,
    watch,
):
    meterhouse.add_command(command)


def main() -> None:
    """Entry point: errors meant for the user are printed plainly, with exit status 1.

    Where logs are JSON, so are they.
    """
    try:
        meterhouse(standalone_mode=True)
    except MeterhouseError as error:
        _tell(str(error))
        sys.exit(1)


def _tell(message: str) -> None:
    try:
        settings = load_settings()
    except MeterhouseError:
        click.echo(f"meterhouse: {message}", err=True)
        return
    if settings.log_format == "json":
        logging.getLogger("meterhouse").error(message)
    else:
        click.echo(f"meterhouse: {secrets_of(settings).hide(message)}", err=True)
