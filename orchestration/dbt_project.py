"""The dbt project as Dagster and the command line see it: where it lies, its manifest."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtProject

from warehouse.errors import MeterhouseError
from warehouse.settings import ROOT

DBT = Path(sys.executable).with_name("dbt")
"""The dbt executable of this environment, found without an activated one."""

_PROJECT_FILES = ("dbt_project.yml", "profiles.yml")


DAYS = dg.DailyPartitionsDefinition(start_date="2020-01-01", end_offset=1)
"""UTC days of the marts."""


class Translator(DagsterDbtTranslator):
    """What dbt's nodes are to Dagster.

    Staging models are ephemeral and no assets: a test on one depends on the source behind it.
    Models that are rebuilt by days have daily partitions.
    """

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        """The asset of a dbt node, of its source where it is ephemeral."""
        node = manifest["nodes"].get(unique_id, {})
        if node.get("config", {}).get("materialized") == "ephemeral":
            unique_id = min(node["depends_on"]["nodes"], key=lambda name: "source." not in name)
        spec = super().get_asset_spec(manifest, unique_id, project)
        if node.get("config", {}).get("incremental_strategy") == "replace_days":
            return spec.replace_attributes(partitions_def=DAYS)
        return spec


def dbt_project() -> DbtProject:
    """The project at the root, with its manifest written if it is missing or out of date."""
    project = DbtProject(project_dir=ROOT, profiles_dir=ROOT)
    if is_stale(project.manifest_path, project_files()):
        _parse(project.manifest_path)
    return project


def project_files() -> Iterable[Path]:
    """Every file that dbt reads."""
    yield from (ROOT / name for name in _PROJECT_FILES)
    yield from (file for file in (ROOT / "dbt_project").rglob("*") if file.is_file())


def is_stale(manifest: Path, sources: Iterable[Path]) -> bool:
    """Whether the manifest is missing or older than one of the files it was made of."""
    if not manifest.exists():
        return True
    made_at = manifest.stat().st_mtime
    return any(file.stat().st_mtime > made_at for file in sources)


def _parse(manifest: Path) -> None:
    done = subprocess.run(
        [str(DBT), "--quiet", "parse", "--no-partial-parse"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not manifest.exists():
        raise MeterhouseError(f"dbt cannot read the project:\n{done.stdout}{done.stderr}")


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for child processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
