"""The dbt project's YAML against its SQL and the loader's tables; no dbt is needed."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.tables import CATEGORIES, TABLES
from warehouse.settings import ROOT

PROJECT = ROOT / "dbt_project"
MODELS = sorted(path.relative_to(PROJECT) for path in (PROJECT / "models").rglob("*.sql"))
LAYERS = {
    "staging": ("stg_",),
    "intermediate": ("int_",),
    "marts": ("dim_", "fct_"),
    "reporting": ("rpt_",),
}
AVOID = {
    "qualify": r"\bqualify\b",
    "a recursive CTE": r"\bwith\s+recursive\b",
    "an asof join": r"\basof\b",
    "* exclude": r"\*\s*exclude\b",
    "//": r"//",
    "a double-quoted identifier": r"\bas\s+\"",
    "a :: cast": r"::",
}


def described(path: Path) -> dict[str, Any]:
    """The YAML entry of a model."""
    text = (PROJECT / path).with_suffix(".yml").read_text()
    (entry,) = yaml.safe_load(text)["models"]
    assert isinstance(entry, dict)
    return entry


def sql_of(path: Path) -> str:
    """The model's SQL without comments and with every template expression cut out."""
    text = (PROJECT / path).read_text()
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}", " ", text, flags=re.DOTALL)
    text = re.sub(r"\{\{.*?\}\}", " templated ", text, flags=re.DOTALL)
    return re.sub(r"--.*", " ", text)


def entries(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(folder.rglob("*.yml")):
        for kind, found in yaml.safe_load(file.read_text()).items():
            if isinstance(found, list):
                for entry in found:
                    yield f"{file.name}: {kind} {entry['name']}", entry


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_and_each_of_its_columns_is_described(path: Path) -> None:
    entry = described(path)
    assert entry["name"] == path.stem
    assert entry["description"].strip().endswith(".")
    columns = entry["columns"]
    assert columns
    for column in columns:
        assert column.get("description", "").strip(), f"{path.stem}.{column['name']} is undescribed"


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_follows_the_house_style(path: Path) -> None:
    text = (PROJECT / path).read_text()
    assert path.stem.startswith(LAYERS[path.parts[1]])
    assert text.startswith("-- Grain: "), "a model begins with its grain"
    assert re.fullmatch(r"select \* from \w+", text.strip().splitlines()[-1])
    if path.parts[1] != "staging":
        assert "source(" not in text, "source() belongs in staging"
    for name, pattern in AVOID.items():
        assert not re.search(pattern, sql_of(path)), f"{name} belongs behind a macro"


@pytest.mark.parametrize(
    "path",
    [path for path in MODELS if path.parts[1] in ("marts", "reporting")],
    ids=lambda path: path.stem,
)
def test_a_mart_declares_the_type_of_every_column(path: Path) -> None:
    assert all(column.get("data_type") for column in described(path)["columns"])


def test_everything_else_in_the_project_is_described() -> None:
    folders = (PROJECT / "models", PROJECT / "seeds")
    bare = [
        name
        for folder in folders
        for name, entry in entries(folder)
        if not entry.get("description")
    ]
    assert not bare


def test_the_sources_are_tables_of_the_loader() -> None:
    sources = yaml.safe_load((PROJECT / "models/staging/_sources.yml").read_text())["sources"]
    raw = next(source for source in sources if source["name"] == "raw")
    assert {table["name"] for table in raw["tables"]} <= TABLES.keys()
    assert all(table["description"] for source in sources for table in source["tables"])


def test_the_seed_of_categories_agrees_with_the_loader() -> None:
    with (PROJECT / "seeds/category.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(row["category"] for row in rows) == CATEGORIES
    assert [int(row["sort_order"]) for row in rows] == list(range(1, len(CATEGORIES) + 1))


def test_the_vocabulary_of_variables_is_explained() -> None:
    semantics = (ROOT / "docs/semantics.md").read_text()
    variables = yaml.safe_load((ROOT / "dbt_project.yml").read_text())["vars"]
    explained = [name for name in variables if name.startswith(("spike_", "advice_"))]
    assert explained
    assert [name for name in explained if f"`{name}`" not in semantics] == []
