"""What the assets need while a run lasts: dbt, and the process that runs the checks."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource
from packaging.version import Version

from expectations.runner import PreparedRunner
from warehouse.settings import load_settings


class Dbt(DbtCliResource):
    """Dagster's dbt, without what it does before each run and we have no use for: 3 s of CPU."""

    @property
    def _cli_version(self) -> Version:
        """Dbt's version, from its package and not from a ``dbt --version`` of its own."""
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        """No adapter: we fetch no row counts and columns through Dagster."""
        return None


@dg.resource
def checker() -> Iterator[PreparedRunner]:
    """The process that runs the expectations, to be asked once. It starts with the run, and so is
    warm by the time dbt has built what is to be checked; it ends with the run in any case.
    """
    with PreparedRunner(load_settings()) as runner:
        yield runner
