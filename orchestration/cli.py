"""The console command ``meterhouse``: thin, one module a topic in ``orchestration.commands``."""

import sys

import click

from orchestration.commands.accounts import accounts
from orchestration.commands.advice import advice
from orchestration.commands.backtest import backtest
from orchestration.commands.budgets import alerts, budgets
from orchestration.commands.credits import credits
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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="meterhouse")
def meterhouse() -> None:
    """Billing and usage warehouse for AI platforms."""


for command in (
    accounts,
    advice,
    alerts,
    backtest,
    budgets,
    credits,
    doctor,
    export,
    incidents,
    invoices,
    load,
    members,
    quarantine,
    rates,
    refresh,
    replay,
    sample,
    sql,
    status,
    up,
    upkeep,
    watch,
):
    meterhouse.add_command(command)


def main() -> None:
    """Entry point: errors meant for the user are printed plainly, with exit status 1."""
    try:
        meterhouse(standalone_mode=True)
    except MeterhouseError as error:
        click.echo(f"meterhouse: {error}", err=True)
        sys.exit(1)
