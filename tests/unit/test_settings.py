"""Settings: where they come from, what is refused, and that each is documented."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from warehouse.errors import MeterhouseError
from warehouse.settings import ROOT, Settings, load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"METERHOUSE_{name.upper()}", raising=False)


def documented() -> Iterator[tuple[str, str, str]]:
    """Variable, value and comment of each entry of .env.example."""
    comment = ""
    for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            comment = line.removeprefix("#").strip()
        elif "=" in line:
            name, value = line.split("=", 1)
            yield name, value.strip('"'), comment


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_setting_is_in_the_example_and_no_other() -> None:
    assert [name for name, _, _ in documented()] == [
        f"METERHOUSE_{name.upper()}" for name in Settings.model_fields
    ]


@pytest.mark.parametrize(("name", "value", "comment"), list(documented()))
def test_the_example_shows_the_description_and_the_default(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, comment: str
) -> None:
    field = name.removeprefix("METERHOUSE_").lower()
    assert comment == Settings.model_fields[field].description
    default = getattr(load_settings(), field)
    monkeypatch.setenv(name, value)
    assert getattr(load_settings(), field) == default


def test_everything_lies_under_the_home_unless_told_otherwise(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.landing_folder == tmp_path / "landing"
    assert settings.store_url == f"sqlite:///{tmp_path}/operations.sqlite"
    assert settings.lake_files("raw") == f"{tmp_path}/lake/raw/"


def test_a_data_path_may_be_a_bucket() -> None:
    assert Settings(data_path="s3://usage/lake/").lake_files("marts") == "s3://usage/lake/marts/"


def test_a_relative_home_is_one_place_wherever_we_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METERHOUSE_HOME", "here")
    settings = load_settings()
    monkeypatch.chdir("/")
    assert settings.home == tmp_path / "here"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("METERHOUSE_MEMORY", "much", "'much' is no amount of memory; write for example 4GB"),
        ("METERHOUSE_MEMORY", "-4GB", "no amount of memory"),
        ("METERHOUSE_THREADS", "0", "greater than or equal to 1"),
        ("METERHOUSE_LOCK_TIMEOUT", "soon", "valid number"),
        ("METERHOUSE_SNAPSHOT_DAYS", "0", "greater than or equal to 1"),
        ("METERHOUSE_APP_PORT", "70000", "less than or equal to 65535"),
        ("METERHOUSE_DAGSTER_PORT", "-1", "greater than or equal to 1"),
    ],
)
def test_a_bad_value_is_refused_by_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(MeterhouseError) as error:
        load_settings()
    assert name in str(error.value)
    assert said in str(error.value)


def test_all_bad_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_MEMORY", "much")
    monkeypatch.setenv("METERHOUSE_THREADS", "none")
    with pytest.raises(MeterhouseError, match="MEMORY(.|\n)*THREADS"):
        load_settings()


def test_a_child_process_gets_the_same_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METERHOUSE_MEMORY", "9GB")
    monkeypatch.setenv("ELSEWHERE", "kept")
    settings = Settings(home=tmp_path, memory="1GB", threads=2)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings
    assert settings.environment()["ELSEWHERE"] == "kept"


def test_settings_do_not_change() -> None:
    with pytest.raises(Exception, match="frozen"):
        Settings().memory = "1GB"  # type: ignore[misc]


def test_settings_are_read_anew_only_where_the_environment_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METERHOUSE_MEMORY", "1GB")
    first = load_settings()
    assert load_settings() is first
    monkeypatch.setenv("METERHOUSE_MEMORY", "2GB")
    assert load_settings().memory == "2GB"
    monkeypatch.delenv("METERHOUSE_MEMORY")
    monkeypatch.chdir(tmp_path)
    assert load_settings().home == tmp_path / "var"
