"""The landing folder: which files are taken, and what is said of the others."""

from pathlib import Path

from ingest.landing import matching_files, unclaimed_files
from ingest.spec_files import BrokenSpec, Specs, load_specs
from ingest.specs import SourceSpec
from warehouse.settings import Settings


def spec(source: str, *files: str) -> SourceSpec:
    expressions = dict.fromkeys(("event_id", "account_id", "agent_id", "category"), "x")
    return SourceSpec(
        source=source, format="csv", files=files, fields=expressions | {"occurred_at": "x"}
    )


def test_a_path_that_is_not_there_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "empty").mkdir()
    paths = (tmp_path / "gone.csv", tmp_path / "a.csv", tmp_path / "empty")
    matched = matching_files(spec("shop", "*.csv"), paths)
    assert matched.files == (tmp_path / "a.csv",)
    assert [(Path(file.path).name, file.message) for file in matched.refused] == [
        ("gone.csv", "there is no such file or folder"),
        ("empty", "no file here matches *.csv (source shop)"),
    ]


def test_a_file_that_is_named_is_taken_whatever_its_name(tmp_path: Path) -> None:
    for name in ("a.csv", "b.txt"):
        (tmp_path / name).touch()
    named = matching_files(spec("shop", "*.csv"), (tmp_path / "a.csv", tmp_path / "b.txt"))
    assert named.files == (tmp_path / "a.csv", tmp_path / "b.txt")
    assert named.foreign == {tmp_path / "b.txt"}
    assert matching_files(spec("shop", "*.csv"), (tmp_path,)).files == (tmp_path / "a.csv",)


def test_files_that_no_source_takes_are_told_with_what_to_do(tmp_path: Path) -> None:
    for name in ("shop/a.csv", "shop/b.txt", "shop/c.csv.tmp", "shpo/a.csv", "torn/a.csv", "d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "shop" / "gone.csv").symlink_to(tmp_path / "nowhere")
    sound = {Path("shop.yaml"): spec("shop", "*.csv")}
    specs = Specs(sound, [BrokenSpec("torn", Path("torn.yaml"), "torn.yaml: this is not YAML")])
    told = {
        str(Path(each.name).relative_to(tmp_path)): each.message
        for each in unclaimed_files(tmp_path, specs)
    }
    assert told == {
        "d.csv": "it lies in no source's folder; move it into <source>/",
        "shop/b.txt": "source shop takes *.csv; rename the file, or widen `files` in the source's"
        " spec",
        "shop/gone.csv": "it is a link to nothing; mend or remove it",
        "shpo/a.csv": "there is no source shpo; declare it, or move the file; did you mean shop?",
        "torn/a.csv": "the spec of source torn is broken; mend it",
    }


def test_a_landing_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    specs = load_specs(Settings(home=tmp_path))
    assert list(unclaimed_files(tmp_path / "landing", specs)) == []
