"""Source specs: a log format is declared in YAML, not coded.

A spec names the format, the files, and for each field of a usage event a DuckDB expression over
the columns of the log. ``docs/sources.md`` shows how to write one.
"""

import difflib
import json
import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Literal
from zoneinfo import available_timezones

import duckdb
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

EVENT_FIELDS = (
    "event_id",
    "account_id",
    "agent_id",
    "category",
    "model",
    "occurred_at",
    "execution_ms",
    "credits",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "status",
    "session_id",
    "request_hash",
    "tags",
    "revision",
    "withdrawn",
)
"""What a spec may map, in the order of the canonical log."""

REQUIRED_FIELDS = ("event_id", "account_id", "agent_id", "category", "occurred_at")

FILE_NAME = "file_name"
ANCHOR = "anchor"
CONTEXT = {FILE_NAME, ANCHOR}


class CsvDialect(BaseModel):
    """How a CSV file separates and quotes its values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', min_length=1, max_length=1)


class SourceSpec(BaseModel):
    """One declared source.

    ``fields`` maps fields of EVENT_FIELDS to DuckDB expressions. They see every column of the log
    as text, ``file_name`` (without folder) and, where declared, ``anchor`` (a timestamp).
    ``defaults`` gives the value of a field where its expression is null or missing.
    ``identity`` names the expressions that identify a row of a log without ids.
    ``optional`` lists the columns that a file may lack.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    description: str = ""
    format: Literal["ndjson", "json", "csv", "parquet"]
    files: tuple[str, ...] = ("*",)
    time_zone: str = "UTC"
    anchor: datetime | None = None
    csv: CsvDialect = CsvDialect()
    fields: dict[str, str] = Field(min_length=1)
    defaults: dict[str, str | int | float | bool] = {}
    identity: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, zone: str) -> str:
        if zone not in _zones():
            raise ValueError(f"{zone!r} is no IANA time zone{suggestion(zone, _zones())}")
        return zone

    @field_validator("fields", "defaults")
    @classmethod
    def _fields_are_known(cls, mapping: dict[str, str]) -> dict[str, str]:
        for name in mapping:
            if name not in EVENT_FIELDS:
                raise ValueError(
                    f"{name!r} is no field of a usage event{suggestion(name, EVENT_FIELDS)}"
                )
        return mapping

    @model_validator(mode="after")
    def _required_fields_are_there(self) -> "SourceSpec":
        if "event_id" in self.defaults:
            raise ValueError("a default event_id would make all rows one event")
        given = {*self.fields, *self.defaults}
        if self.identity:
            if "event_id" in given:
                raise ValueError("give either the field event_id or identity columns, not both")
            given.add("event_id")
        missing = [name for name in REQUIRED_FIELDS if name not in given]
        if missing:
            raise ValueError(
                f"no expression for {', '.join(missing)}; a usage event needs "
                f"{', '.join(REQUIRED_FIELDS)} (identity columns stand for event_id)"
            )
        return self

    @property
    def has_ids(self) -> bool:
        """Whether the log itself names its events."""
        return not self.identity

    @property
    def is_json(self) -> bool:
        """Whether a record is a JSON object (of a line, or of an array)."""
        return self.format in ("ndjson", "json")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the log that the expressions read, in a fixed order."""
        found: dict[str, None] = {}
        for expression in (*self.fields.values(), *self.identity):
            found.update(dict.fromkeys(columns_of(expression)))
        return tuple(name for name in found if name not in CONTEXT)

    @property
    def needed_columns(self) -> tuple[str, ...]:
        """The columns that every file must have."""
        return tuple(name for name in self.columns if name not in self.optional)

    @property
    def credit_columns(self) -> tuple[str, ...]:
        """The columns of the log from which the credits are taken."""
        expression = self.fields.get("credits")
        return columns_of(expression) if expression else ()


@cache
def _zones() -> frozenset[str]:
    """IANA time zones: reading their list takes 20 ms."""
    return frozenset(available_timezones())


def suggestion(name: str, known: Iterable[object]) -> str:
    """What was probably meant by ``name``, ready to be put behind a sentence; or nothing."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def nearest(name: str, known: Iterable[object]) -> str | None:
    """The one of ``known`` that is most like ``name``, if any is."""
    by_lower = {str(item).lower(): str(item) for item in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@cache
def parser() -> duckdb.DuckDBPyConnection:
    """An empty DuckDB that knows how to read an expression."""
    return duckdb.connect(":memory:", config={"threads": 1})


@cache
def columns_of(expression: str) -> tuple[str, ...]:
    """Names of the columns that an expression reads. Raises duckdb.Error when it does not parse."""
    row = (
        parser()
        .execute("select json_serialize_sql(?)", [f"select ({expression}) from log"])
        .fetchone()
    )
    tree = json.loads(row[0]) if row else {}
    if tree.get("error"):
        raise duckdb.ParserException(tree.get("error_message", "it does not parse"))
    found: dict[str, None] = {}

    def walk(node: object, bound: frozenset[str]) -> None:
        if isinstance(node, list):
            for item in node:
                walk(item, bound)
        elif isinstance(node, dict):
            if node.get("class") == "COLUMN_REF":
                name = node["column_names"][0]
                if name not in bound:
                    found[name] = None
                return
            if node.get("class") == "LAMBDA":
                parameters = re.findall(
                    r'"column_names": ?\["([^"]+)"', json.dumps(node.get("lhs"))
                )
                bound = bound | frozenset(parameters)
                walk(node.get("expr"), bound)
                return
            for value in node.values():
                walk(value, bound)

    walk(tree["statements"][0]["node"]["select_list"], frozenset())
    return tuple(found)
