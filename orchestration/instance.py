"""Dagster's own state, under the home."""

from pathlib import Path

import dagster as dg

from warehouse.settings import Settings

_CONFIG = """\
# Written by Meterhouse; edit it as you like, it is not written again.
telemetry:
  enabled: false
concurrency:
  pools:
    default_limit: 1
    granularity: run
retention:
  sensor:
    purge_after_days: 2
"""


def prepare_dagster_home(settings: Settings) -> Path:
    """The folder of Dagster's state, with its configuration."""
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists():
        config.write_text(_CONFIG, encoding="utf-8")
    return home


def dagster_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance whose runs the Dagster page shows; close it after use."""
    return dg.DagsterInstance.from_config(str(prepare_dagster_home(settings)))
