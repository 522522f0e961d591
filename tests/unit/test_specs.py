"""Source specs: what they accept, and how they say what is wrong."""

import re
from pathlib import Path

import pytest

from ingest.spec_files import load_specs, read_spec
from ingest.specs import EVENT_FIELDS
from warehouse.errors import MeterhouseError
from warehouse.settings import ROOT, Settings

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
        MeterhouseError, match=r"'meterhous'; declared are .*exgentic.*; did you mean meterhouse\?$"
    ):
        load_specs(Settings(home=tmp_path)).find("meterhous")


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
    fields = load_specs(Settings(home=tmp_path)).find("meterhouse").fields
    assert fields == {name: name for name in EVENT_FIELDS}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("defaults: {status: okay}", "defaults.status: every row would be rejected as unknown_"),
        ("defaults: {status: okay}", "'okay' is none of ok, error, cancelled; did you mean ok?"),
        ("defaults: {credits: -1}", "defaults.credits: every row would be rejected as negative_"),
        ("defaults: {credits: .nan}", "rejected as invalid_number"),
        ("defaults: {input_tokens: 1.5}", "rejected as invalid_number: '1.5'"),
        ("defaults: {tags: none}", "rejected as invalid_tags"),
        ("defaults: {event_id: e}", "would make all rows one event"),
    ],
)
def test_a_default_that_no_event_may_have_is_refused(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert expected in error_of(tmp_path, SPEC + text)


def test_a_constant_that_no_event_may_have_is_refused(tmp_path: Path) -> None:
    error = error_of(tmp_path, SPEC.replace("'llm'", "'ilm'"))
    assert "fields.category: every row would be rejected as unknown_category" in error
    assert "did you mean llm?" in error


def test_the_example_of_the_readme_is_a_sound_spec(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(source: shop.*?)```", readme, re.DOTALL)
    assert "tokens_in" in read_spec(spec_file(tmp_path, example)).needed_columns


def test_sound_defaults_are_taken(tmp_path: Path) -> None:
    text = "defaults: {status: error, credits: 0.5, input_tokens: 7, withdrawn: false, tags: '{}'}"
    assert read_spec(spec_file(tmp_path, SPEC + text)).defaults["credits"] == 0.5


def test_an_optional_column_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    error = error_of(tmp_path, SPEC + "optional: [happend_at]\n")
    assert "no expression reads a column 'happend_at'; did you mean happened_at?" in error
    spec = read_spec(spec_file(tmp_path, SPEC + "optional: [bot]\n"))
    assert spec.needed_columns == ("id", "customer", "happened_at")


def test_a_broken_spec_leaves_the_other_sources(tmp_path: Path) -> None:
    spec_file(tmp_path, SPEC.replace("format:", "fromat:"))
    (tmp_path / "torn.yaml").write_text("a: [b\n")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    specs = load_specs(Settings(home=tmp_path, sources=tmp_path))
    assert "meterhouse" in specs
    assert [spec.source for spec in specs.broken] == ["gone", "shop", "torn"]
    with pytest.raises(MeterhouseError, match="did you mean format?"):
        specs.find("shop")


def test_a_broken_spec_does_not_bring_the_one_back_that_it_replaces(tmp_path: Path) -> None:
    spec_file(tmp_path, SPEC.replace("source: shop", "source: exgentic").replace("bot", "bot ||"))
    with pytest.raises(MeterhouseError, match="fields.agent_id"):
        load_specs(Settings(home=tmp_path, sources=tmp_path)).find("exgentic")
