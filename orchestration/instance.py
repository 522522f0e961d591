"""Dagster's own state, under the home."""

from pathlib import Path

import dagster as dg
from filelock import FileLock

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
    """The folder of Dagster's state, with its configuration and its databases.

    Dagster makes its databases as it first opens them, and two processes that do so at once
    leave one that neither can open again. So they are made here, by one process at a time.
    """
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "prepare.lock"):
        config = home / "dagster.yaml"
        if not config.exists():
            draft = home / "dagster.yaml.draft"
            draft.write_text(_CONFIG, encoding="utf-8")
            draft.replace(config)
        dg.DagsterInstance.from_config(str(home)).dispose()
    return home


def dagster_instance(settings: Settings) -> dg.DagsterInstance:
    """The instance whose runs the Dagster page shows; close it after use."""
    return dg.DagsterInstance.from_config(str(prepare_dagster_home(settings)))
