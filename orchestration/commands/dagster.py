"""``meterhouse dagster``: a part of Dagster by itself, where each has a machine or container."""

import os
import sys
from pathlib import Path
from typing import Literal

import click

from warehouse.settings import ROOT, Settings, load_settings

Part = Literal["webserver", "daemon"]


@click.command()
@click.argument("part", type=click.Choice(["webserver", "daemon"]))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the webserver.")
def dagster(part: Part, host: str) -> None:
    """Run Dagster's web page or its daemon (schedules, sensors, runs) until it is stopped.

    The web page has no sign-in of its own: put it behind one before others can reach it.
    """
    from orchestration.instance import prepare_dagster_home

    settings = load_settings()
    home = prepare_dagster_home(settings)
    command = dagster_command(part, settings, host)
    os.chdir(ROOT)
    os.execve(command[0], command, settings.environment() | {"DAGSTER_HOME": str(home)})  # noqa: S606


def dagster_command(part: Part, settings: Settings, host: str) -> list[str]:
    """The program and its arguments."""
    scripts = Path(sys.executable).parent
    options = ["--workspace", str(ROOT / "workspace.yaml")]
    if settings.log_format == "json":
        options += ["--log-format", "json"]
    if part == "daemon":
        return [str(scripts / "dagster-daemon"), "run", *options]
    return [
        str(scripts / "dagster-webserver"),
        *options,
        *("--host", host),
        *("--port", str(settings.dagster_port)),
    ]
