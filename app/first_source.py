"""The way from an empty house to the first own usage: what is done, and what comes next. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app import formats
from app.mending import declare_commands

State = Literal["done", "next", "later", "trouble"]

EXAMPLE = """source: shop
format: csv                       # ndjson, json, csv or parquet; .gz and .zst as well
files: ["usage_*.csv"]
fields:                           # a DuckDB expression over the log's columns, each as text
  event_id: request_id
  account_id: customer
  agent_id: coalesce(bot, 'none')
  category: case when kind = 'chat' then 'llm' else kind end
  occurred_at: started
  credits: credits"""
"""A source that is not ours, as it is declared."""

OWN_FORMAT = (
    '{"event_id": "e1", "account_id": "acme", "agent_id": "writer", "category": "llm",\n'
    ' "occurred_at": "2026-11-01T10:00:00Z", "model": "gpt-5", "credits": 1.25}'
)
"""A line of the format that needs no declaration."""


@dataclass(frozen=True)
class OwnLoads:
    """What was loaded from files that are no sample; ids are 0 where there are none."""

    loads: int
    sources: Sequence[str]
    first_load_id: int
    rows_read: int
    rows_loaded: int
    rows_duplicate: int
    rows_rejected: int
    sample_loads: int


@dataclass(frozen=True)
class Found:
    """How far a house is. ``specs`` are the files of ``sources_folder``, None where none is set.

    ``accounts`` are declared ones that are no sample's, ``undeclared`` those of held rows.
    ``failing`` names the checks that block publishing.
    """

    sources_folder: str | None
    has_folder: bool
    specs: Sequence[str]
    landing: str
    accounts: Sequence[str]
    undeclared: Sequence[str]
    loads: OwnLoads
    built_load_id: int
    published_load_id: int
    failing: Sequence[str]

    @property
    def is_published(self) -> bool:
        """Whether own usage is shown on the pages."""
        return 0 < self.loads.first_load_id <= self.published_load_id

    @property
    def is_sample_alone(self) -> bool:
        """Whether all usage here was made up."""
        return self.loads.sample_loads > 0 and not self.loads.loads


@dataclass(frozen=True)
class Step:
    """One step: what it is, how it stands in words, and the commands that do it."""

    title: str
    state: State
    told: str
    commands: Sequence[str] = ()


def steps(found: Found) -> list[Step]:
    """The steps in their order; the first that is not done is the next one."""
    made = [_declared(found), _accounts(found), _loaded(found), _built(found), _published(found)]
    shown: list[Step] = []
    for step in made:
        waits = any(each.state in ("next", "trouble") for each in shown)
        is_later = waits and step.state == "next"
        shown.append(Step(step.title, "later", step.told, step.commands) if is_later else step)
    return shown


def _declared(found: Found) -> Step:
    title = "Say what the log looks like"
    if found.sources_folder and not found.has_folder:
        return Step(
            title,
            "trouble",
            f"METERHOUSE_SOURCES names no folder: {found.sources_folder}. Make it, or name one.",
            (f"mkdir -p {found.sources_folder}",),
        )
    if found.specs:
        return Step(title, "done", f"Declared: {', '.join(found.specs)}.")
    if found.loads.loads:
        return Step(title, "done", f"Read as {', '.join(found.loads.sources)}.")
    folder = found.sources_folder or "/data/sources"
    return Step(
        title,
        "next",
        "A log with one JSON object a line in our own names needs nothing: go on with the next "
        "step. Another format is declared by a file, not coded.",
        (
            "# a line of our own format:",
            OWN_FORMAT,
            "",
            f"# or {folder}/shop.yaml, with METERHOUSE_SOURCES={folder}:",
            EXAMPLE,
        ),
    )


def _accounts(found: Found) -> Step:
    title = "Declare who used it"
    if found.undeclared:
        return Step(
            title,
            "trouble",
            f"Usage of {formats.plural(len(found.undeclared), 'account')} waits until it is "
            "declared; it then flows in by itself.",
            declare_commands(found.undeclared),
        )
    if found.accounts:
        more = len(found.accounts) - 5
        named = ", ".join(found.accounts[:5]) + (f" and {more} more" if more > 0 else "")
        return Step(title, "done", f"Declared: {named}.")
    return Step(
        title,
        "next",
        "Accounts have a name, a time zone, a currency and an address. Loading with "
        "--create-accounts declares those it finds, with default values.",
        (
            'meterhouse accounts add acme --name "Acme Ltd" --time-zone Europe/Berlin '
            "--currency EUR --email billing@acme.example",
        ),
    )


def _loaded(found: Found) -> Step:
    title, loads = "Load it", found.loads
    if loads.loads and not loads.rows_loaded:
        return Step(
            title,
            "trouble",
            f"No row of {formats.plural(loads.rows_read, 'row')} could be loaded: "
            f"{formats.number(loads.rows_rejected)} were rejected. Data health says why, with "
            "examples.",
            ("meterhouse quarantine list", "meterhouse replay --source shop"),
        )
    if loads.loads:
        return Step(
            title,
            "done",
            f"{formats.plural(loads.loads, 'file')} of {', '.join(loads.sources)}: read "
            f"{formats.number(loads.rows_read)} = loaded {formats.number(loads.rows_loaded)} + "
            f"duplicate {formats.number(loads.rows_duplicate)} + rejected "
            f"{formats.number(loads.rows_rejected)}.",
        )
    return Step(
        title,
        "next",
        "A file in the landing folder of its source is loaded by itself while meterhouse up or "
        "watch runs; a command loads it now. Each row is counted: loaded, duplicate or rejected.",
        (
            f"cp usage.ndjson {found.landing}/meterhouse/",
            "meterhouse load --source meterhouse usage.ndjson",
        ),
    )


def _built(found: Found) -> Step:
    title, first = "Build it", found.loads.first_load_id
    if 0 < first <= max(found.built_load_id, found.published_load_id):
        return Step(title, "done", "Figures were built of it.")
    return Step(
        title,
        "next",
        "A refresh builds the days that are touched, checks them and publishes them. With "
        "meterhouse up Dagster does so by itself.",
        ("meterhouse refresh",),
    )


def _published(found: Found) -> Step:
    title = "Publish it"
    if found.is_published:
        return Step(title, "done", "Every blocking check passed; the pages show it.")
    if found.failing and 0 < found.loads.first_load_id <= found.built_load_id:
        return Step(
            title,
            "trouble",
            f"Blocked by {', '.join(found.failing)}. What was good stays published; Data health "
            "shows what failed.",
            ("meterhouse status", "meterhouse refresh"),
        )
    return Step(title, "next", "It is published once every blocking check of the refresh passed.")
