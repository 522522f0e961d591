"""The test bed's reporting tables are those that dbt builds, column by column."""

from pathlib import Path

import pytest
import yaml

from app.lake import LakeReader

REPORTING = Path(__file__).resolve().parents[2] / "dbt_project" / "models" / "reporting"


def _declared() -> dict[str, dict[str, str]]:
    """Those that pages read; what an export reads is tested by it."""
    models = {}
    for file in sorted(set(REPORTING.glob("rpt_*.yml")) - set(REPORTING.glob("rpt_export_*.yml"))):
        for model in yaml.safe_load(file.read_text(encoding="utf-8"))["models"]:
            models[model["name"]] = {
                column["name"]: column["data_type"].upper().replace(" ", "")
                for column in model["columns"]
            }
    return models


@pytest.mark.parametrize(("model", "columns"), _declared().items())
def test_a_reporting_table_has_the_columns_and_types_of_its_model(
    reader: LakeReader, model: str, columns: dict[str, str]
):
    described = reader.rows(f"describe marts.main.{model}", {}, publication=reader.publication())
    assert {row[0]: row[1] for row in described} == columns
