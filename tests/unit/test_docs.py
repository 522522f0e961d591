"""The documentation keeps up with the code."""

import re

from ingest.contract import REASONS
from ingest.specs import EVENT_FIELDS, CsvDialect, SourceSpec
from warehouse.settings import ROOT


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_reason_for_a_rejected_row_is_documented_with_what_mends_it() -> None:
    for reason, remedy in REASONS.items():
        assert f"| `{reason}` | {remedy} |" in text("docs/sources.md")


def test_every_setting_of_a_source_and_every_field_of_an_event_is_documented() -> None:
    sources = text("docs/sources.md")
    for name in (*SourceSpec.model_fields, *CsvDialect.model_fields, *EVENT_FIELDS):
        assert f"`{name}`" in sources, name


def test_every_make_target_says_what_it_does() -> None:
    makefile = text("Makefile")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    for target in phony[1].split():
        assert re.search(rf"^{target}:.*## \S", makefile, re.MULTILINE), target


def test_every_picture_and_page_that_the_readme_names_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", text("README.md")):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_every_decision_begins_with_a_title() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert pages
    for page in pages:
        assert page.read_text(encoding="utf-8").startswith("# "), page.name


def test_no_lock_file_names_an_address() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        assert "://" not in lock.read_text(encoding="utf-8"), lock.name
