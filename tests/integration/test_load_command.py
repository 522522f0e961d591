"""``meterhouse load`` and ``meterhouse status`` on what goes wrong around a load."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from orchestration.commands.load import load
from orchestration.commands.quarantine import quarantine
from orchestration.commands.status import doctor, status
from tests.integration.loading_lab import event, lines
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

SPEC = "source: {}\nformat: {}\nfields:\n" + "".join(
    f"  {name}: {name}\n" for name in ("event_id", "agent_id", "category", "occurred_at", "model")
)
SPEC += "defaults: {{account_id: acme}}\n"


class Home:
    """A home with a folder of specs and the commands that work on it."""

    def __init__(self, settings: Settings) -> None:
        assert settings.sources
        self.sources = settings.sources
        self.landing = settings.landing_folder

    def write(self, path: str, content: bytes) -> Path:
        """A file of the landing folder."""
        file = self.landing / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def spec(self, source: str, log_format: str, more: str = "") -> None:
        """Declare a source."""
        text = SPEC.format(source, log_format) + more
        (self.sources / f"{source}.yaml").write_text(text)

    def load(self, *arguments: object) -> tuple[dict[str, Any], Result]:
        """What ``load --json`` counts, and how it ended."""
        commands = click.Group(commands=[load])
        done = CliRunner().invoke(commands, ["load", "--json", *map(str, arguments)])
        return json.loads(done.stdout), done

    def quarantine(self, *arguments: str) -> Result:
        """How ``quarantine`` ended."""
        return CliRunner().invoke(click.Group(commands=[quarantine]), ["quarantine", *arguments])

    def status(self) -> dict[str, Any]:
        """What ``status --json`` says."""
        commands = click.Group(commands=[status])
        found = json.loads(CliRunner().invoke(commands, ["status", "--json"]).stdout)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    (tmp_path / "specs").mkdir()
    settings = Settings(home=tmp_path / "home", sources=tmp_path / "specs", memory="1GB")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    return Home(settings)


def test_a_missing_path_is_told_and_the_other_files_load(home: Home, tmp_path: Path) -> None:
    good = tmp_path / "good.txt"
    good.write_bytes(lines(event()))
    counts, done = home.load("--source", "meterhouse", tmp_path / "gone.ndjson", good)
    assert counts["read"] == 1
    assert counts["files"] == {"loaded": 1, "skipped": 0, "unfinished": 0, "failed": 1}
    assert "good.txt: its name matches none of *.ndjson, *.jsonl" in counts["warnings"][0]
    assert isinstance(done.exception, MeterhouseError)
    assert "gone.ndjson: there is no such file or folder" in str(done.exception)


def test_a_broken_spec_stops_its_own_source_alone(home: Home) -> None:
    home.spec("shop", "ndjson", "fromat: csv\n")
    home.write("meterhouse/a.ndjson", lines(event()))
    assert home.load("--source", "meterhouse", home.landing / "meterhouse")[1].exit_code == 0
    home.write("meterhouse/b.ndjson", lines(event("e2")))
    counts, done = home.load()
    assert (counts["read"], done.exit_code) == (1, 0)
    assert "did you mean format?" in home.status()["broken_sources"][0]["message"]
    shop = home.write("shop/a.ndjson", lines(event("e3")))
    home.write("meterhouse/c.ndjson", lines(event("e4")))
    counts, done = home.load()
    assert counts["read"] == 1
    assert "did you mean format?" in str(done.exception)
    assert str(shop.parent) in str(done.exception)
    assert home.status()["unclaimed_files"] == [
        {"name": str(shop), "message": "the spec of source shop is broken; mend it"}
    ]


def test_an_absent_column_stands_in_the_status_until_the_spec_is_mended(home: Home) -> None:
    home.spec("shop", "ndjson")
    home.write("shop/a.ndjson", lines(event(modle="gpt")))
    counts, done = home.load()
    assert (counts["read"], done.exit_code) == (1, 0)
    assert "column 'model' is not in the file; did you mean 'modle'?" in counts["warnings"][0]
    (told,) = home.status()["absent_columns"]
    assert told["name"].endswith("shop/a.ndjson")
    assert "column 'model'" in told["message"]
    home.spec("shop", "ndjson", "optional: [model]\n")
    assert home.status()["absent_columns"] == []


def test_a_refused_file_is_read_again_once_the_spec_is_mended(home: Home) -> None:
    home.spec("shop", "csv")
    row = {k: v for k, v in event().items() if k != "credits"}
    home.write("shop/a.csv", f"{','.join(row)}\n{','.join(row.values())}\n".encode())
    counts, done = home.load()
    assert counts["reasons"] == {"unreadable_file": 1}
    assert "column 'model' is not in the file" in str(done.exception)
    assert home.load()[0]["read"] == 0
    home.spec("shop", "csv", "optional: [model]\n")
    assert home.status()["files_waiting"] == 1
    assert home.load()[0]["reasons"] == {"undeclared_account": 1}
    assert home.status()["rejected"] == {"undeclared_account": 1}


@pytest.mark.parametrize("is_named", [True, False])
def test_accounts_created_later_let_the_rows_that_were_held_flow_in(
    home: Home, is_named: bool
) -> None:
    file = home.write("meterhouse/a.ndjson", lines(event("e1"), event("e2", account_id="beta")))
    named = ("--source", "meterhouse", file) if is_named else ()
    assert home.load(*named)[0]["reasons"] == {"undeclared_account": 2}
    counts, done = home.load("--create-accounts", *named)
    assert counts["created_accounts"] == ["acme", "beta"]
    assert counts["replayed"] == {"read": 2, "loaded": 2}
    assert "declared with default values: acme, beta" in done.stderr
    assert "taken out of quarantine: 2 of 2 rows" in done.stderr
    assert home.status()["rejected"] == {}
    assert home.load("--create-accounts", *named)[0]["created_accounts"] == []


def test_accounts_of_a_copy_are_created_as_well(home: Home, tmp_path: Path) -> None:
    content = lines(event())
    home.load("--source", "meterhouse", home.write("meterhouse/a.ndjson", content))
    other = home.write("meterhouse/other.ndjson", lines(event("e2", account_id="beta")))
    home.load("--source", "meterhouse", other)
    copy = tmp_path / "copy.ndjson"
    copy.write_bytes(content)
    counts, _ = home.load("--create-accounts", "--source", "meterhouse", copy)
    assert counts["files"]["skipped"] == 1
    assert counts["created_accounts"] == ["acme"]
    assert home.status()["rejected"] == {"undeclared_account": 1}


def test_held_rows_are_listed_and_dismissed_for_a_noted_reason(home: Home) -> None:
    assert home.quarantine("list", "--json").stdout == "[]\n"
    rows = (event("e1", credits=-1), event("e2", credits=-2), event("e3"))
    file = home.write("meterhouse/a.ndjson", lines(*rows))
    home.load()
    listed = json.loads(home.quarantine("list", "--json", "--reason", "negative_number").stdout)
    assert listed == [
        {
            "source": "meterhouse",
            "path": str(file),
            "reason": "negative_number",
            "rows": 2,
            "first_line": 1,
            "example": "credits = -1",
        }
    ]
    told = home.quarantine("list").stdout.splitlines()
    assert told[0] == f"2 × negative_number, meterhouse: {file}, line 1: credits = -1"
    chosen = ("--reason", "negative_number", "--note", "a test run")
    assert home.quarantine("dismiss", "--source", "other", *chosen).stderr == "dismissed 0 rows\n"
    assert home.quarantine("dismiss", "--reason", "negative_number").exit_code == 2
    assert home.quarantine("dismiss", *chosen).stderr == "dismissed 2 rows\n"
    assert home.status()["rejected"] == {"undeclared_account": 1}
    assert "negative_number" not in home.quarantine("list").stdout
    assert home.load("--create-accounts")[0]["replayed"] == {"read": 1, "loaded": 1}
    audit = CliRunner().invoke(click.Group(commands=[doctor]), ["doctor", "--json"])
    (found,) = [each for each in json.loads(audit.stdout) if each["name"] == "load_audit"]
    assert found["verdict"] == "ok"
