"""Source specs: a log format is declared in YAML, not coded.

A spec names the format, the files, and for each field of a usage event a DuckDB expression over
the columns of the log. ``docs/sources.md`` shows how to write one.
"""

import difflib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Literal
from zoneinfo import available_timezones

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

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
_CONTEXT = {FILE_NAME, ANCHOR}

BUILT_IN = Path(__file__).parent / "sources"


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
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    description: str = ""
    format: Literal["ndjson", "json", "csv", "parquet"]
    files: tuple[str, ...] = ("*",)
    time_zone: str = "UTC"
    anchor: datetime | None = None
    csv: CsvDialect = CsvDialect()
    fields: dict[str, str]
    defaults: dict[str, str | int | float | bool] = {}
    identity: tuple[str, ...] = ()

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, zone: str) -> str:
        if zone not in _zones():
            raise ValueError(f"{zone!r} is no IANA time zone{_suggestion(zone, _zones())}")
        return zone

    @field_validator("fields", "defaults")
    @classmethod
    def _fields_are_known(cls, mapping: dict[str, str]) -> dict[str, str]:
        for name in mapping:
            if name not in EVENT_FIELDS:
                raise ValueError(
                    f"{name!r} is no field of a usage event{_suggestion(name, EVENT_FIELDS)}"
                )
        return mapping

    @model_validator(mode="after")
    def _required_fields_are_there(self) -> "SourceSpec":
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
            found.update(dict.fromkeys(_columns_of(expression)))
        return tuple(name for name in found if name not in _CONTEXT)

    @property
    def credit_columns(self) -> tuple[str, ...]:
        """The columns of the log from which the credits are taken."""
        expression = self.fields.get("credits")
        return _columns_of(expression) if expression else ()


def load_specs(settings: Settings) -> dict[str, SourceSpec]:
    """Every declared source by name: those that come along and those of ``METERHOUSE_SOURCES``.

    Raises MeterhouseError that names the file, the place in it and the mistake.
    """
    folders = [BUILT_IN, *([settings.sources] if settings.sources else [])]
    specs: dict[str, SourceSpec] = {}
    for folder in folders:
        if not folder.is_dir():
            raise MeterhouseError(f"METERHOUSE_SOURCES names no folder: {folder}")
        for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            spec = read_spec(file)
            specs[spec.source] = spec
    return specs


def find_spec(specs: Mapping[str, SourceSpec], source: str) -> SourceSpec:
    """The spec of one source. Raises MeterhouseError that lists the sources there are."""
    if source not in specs:
        raise MeterhouseError(
            f"there is no source {source!r}{_suggestion(source, specs)}; "
            f"declared are {', '.join(sorted(specs))}"
        )
    return specs[source]


def read_spec(file: Path) -> SourceSpec:
    """Read and check one spec file, its expressions included."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MeterhouseError(f"{file}: this is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise MeterhouseError(f"{file}: a source spec is a mapping with source, format and fields")
    try:
        spec = SourceSpec.model_validate(content)
    except ValidationError as error:
        raise MeterhouseError(
            "\n".join(f"{file}: {_described(problem)}" for problem in error.errors())
        ) from error
    _check_expressions(spec, file)
    return spec


def _described(problem: object) -> str:
    assert isinstance(problem, dict)
    place = ".".join(str(part) for part in problem["loc"]) or "the spec"
    if problem["type"] == "extra_forbidden":
        name = str(problem["loc"][-1])
        known = [*SourceSpec.model_fields, *CsvDialect.model_fields]
        return f"{place}: there is no such setting{_suggestion(name, known)}"
    return f"{place}: {str(problem['msg']).removeprefix('Value error, ')}"


@cache
def _zones() -> frozenset[str]:
    """IANA time zones: reading their list takes 20 ms."""
    return frozenset(available_timezones())


def _suggestion(name: str, known: object) -> str:
    close = difflib.get_close_matches(name, [str(item) for item in known], n=1)  # type: ignore[attr-defined]
    return f"; did you mean {close[0]}?" if close else ""


def _check_expressions(spec: SourceSpec, file: Path) -> None:
    """Bind every expression against a table of the log's columns, so that a typo shows at once."""
    named = [*spec.fields.items(), *((f"identity {i + 1}", e) for i, e in enumerate(spec.identity))]
    for field, expression in named:
        try:
            columns = _columns_of(expression)
            if columns == (expression,):
                continue
            typed = [f"null::varchar as {quoted(name)}" for name in columns if name not in _CONTEXT]
            typed += [f"null::varchar as {FILE_NAME}", f"null::timestamp as {ANCHOR}"]
            _parser().execute(
                f"explain select ({expression})::varchar from (select {', '.join(typed)})"
            )
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise MeterhouseError(
                f"{file}: fields.{field}: {expression!r} is no DuckDB expression: {reason}"
            ) from error


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """An empty DuckDB that knows how to read an expression."""
    return duckdb.connect(":memory:", config={"threads": 1})


@cache
def _columns_of(expression: str) -> tuple[str, ...]:
    """Names of the columns that an expression reads. Raises duckdb.Error when it does not parse."""
    row = (
        _parser()
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
