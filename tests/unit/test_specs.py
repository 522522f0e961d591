"""Source specs: what they accept, and how they say what is wrong."""

from pathlib import Path

import pytest

from ingest.specs import EVENT_FIELDS, find_spec, load_specs, read_spec
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

SPEC = """
source: shop
format: ndjson
fields:
  event_id: id
  account_id: customer ->> '$.id'
  agent_id: bot
  category: "'llm'"
  occurred_at: happened_at
"""


def spec_file(folder: Path, text: str) -> Path:
    file = folder / "shop.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def error_of(folder: Path, text: str) -> str:
    with pytest.raises(MeterhouseError) as caught:
        read_spec(spec_file(folder, text))
    return str(caught.value)


def test_the_columns_of_a_log_are_those_that_its_expressions_read(tmp_path: Path) -> None:
    assert read_spec(spec_file(tmp_path, SPEC)).columns == ("id", "customer", "bot", "happened_at")


def test_a_lambda_parameter_is_no_column(tmp_path: Path) -> None:
    text = SPEC + "  tags: \"list_transform(['a'], lambda x: x || bot)::varchar\"\n"
    assert read_spec(spec_file(tmp_path, text)).columns == ("id", "customer", "bot", "happened_at")


def test_a_mistyped_setting_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    error = error_of(tmp_path, SPEC.replace("format:", "fromat:"))
    assert "shop.yaml" in error
    assert "did you mean format?" in error


def test_a_mistyped_field_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    error = error_of(tmp_path, SPEC + "  output_token: out\n")
    assert "'output_token' is no field of a usage event; did you mean output_tokens?" in error


def test_a_missing_required_field_is_named(tmp_path: Path) -> None:
    error = error_of(tmp_path, SPEC.replace("  agent_id: bot\n", ""))
    assert "no expression for agent_id" in error


def test_a_broken_expression_is_named_with_its_field(tmp_path: Path) -> None:
    assert "fields.agent_id" in error_of(tmp_path, SPEC.replace("bot", "bot ||"))
    assert "fields.agent_id" in error_of(tmp_path, SPEC.replace("bot", "upperr(bot)"))


def test_an_unknown_time_zone_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    error = error_of(tmp_path, SPEC + "time_zone: Europe/Berln\n")
    assert "did you mean Europe/Berlin?" in error


def test_ids_and_identity_columns_exclude_each_other(tmp_path: Path) -> None:
    error = error_of(tmp_path, SPEC + "identity: [id]\n")
    assert "either the field event_id or identity columns" in error


def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path) -> None:
    assert "is a mapping" in error_of(tmp_path, "- a\n- b\n")
    assert "not YAML" in error_of(tmp_path, "a: [b\n")


def test_an_unknown_source_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        MeterhouseError, match=r"did you mean meterhouse\?.*declared are .*exgentic"
    ):
        find_spec(load_specs(Settings(home=tmp_path)), "meterhous")


def test_specs_of_the_users_folder_come_besides_the_built_in_ones(tmp_path: Path) -> None:
    spec_file(tmp_path, SPEC)
    specs = load_specs(Settings(home=tmp_path, sources=tmp_path))
    assert {"shop", "meterhouse", "exgentic", "claude_code", "lightcap", "azure-llm-2023"} <= set(
        specs
    )


def test_a_folder_of_specs_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MeterhouseError, match="METERHOUSE_SOURCES"):
        load_specs(Settings(home=tmp_path, sources=tmp_path / "nowhere"))


def test_the_canonical_log_maps_every_field_to_its_own_name(tmp_path: Path) -> None:
    fields = find_spec(load_specs(Settings(home=tmp_path)), "meterhouse").fields
    assert fields == {name: name for name in EVENT_FIELDS}
