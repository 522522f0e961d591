"""The folders of source specs: reading them, and checking all that can be known without a log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import duckdb
import yaml
from pydantic import ValidationError

from ingest.batch import CLOCK
from ingest.contract import batch_query
from ingest.files import modified_at
from ingest.specs import (
    ANCHOR,
    CONTEXT,
    FILE_NAME,
    CsvDialect,
    SourceSpec,
    columns_of,
    parser,
    quoted,
    suggestion,
)
from ingest.tables import CATEGORIES, STATUSES
from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

BUILT_IN = Path(__file__).parent / "sources"


@dataclass(frozen=True)
class BrokenSpec:
    """A spec file that cannot be used: the source that it is probably about, and the mistake."""

    source: str
    file: Path
    message: str


class Specs(dict[str, SourceSpec]):
    """The declared sources by name. Specs that are broken stand aside in ``broken``."""

    def __init__(
        self, sound: Mapping[Path, SourceSpec] | None = None, broken: Iterable[BrokenSpec] = ()
    ) -> None:
        """A broken spec also takes a sound one of its name away: nobody knows which was meant."""
        self.broken = tuple(broken)
        taken = {spec.source for spec in self.broken}
        kept = {file: spec for file, spec in (sound or {}).items() if spec.source not in taken}
        self._files = {spec.source: file for file, spec in kept.items()}
        super().__init__({spec.source: spec for spec in kept.values()})

    def changed_at(self, source: str) -> datetime:
        """When the file of a sound spec was last changed, UTC."""
        return modified_at(self._files[source]).replace(tzinfo=None)

    def find(self, source: str) -> SourceSpec:
        """The spec of one source.

        Raises MeterhouseError that tells what is broken in it, or lists the sources there are.
        """
        if source in self:
            return self[source]
        for spec in self.broken:
            if spec.source == source:
                raise MeterhouseError(spec.message)
        raise MeterhouseError(
            f"there is no source {source!r}; declared are {', '.join(sorted(self))}"
            f"{suggestion(source, self)}"
        )


def load_specs(settings: Settings) -> Specs:
    """Every declared source: those that come along and those of ``METERHOUSE_SOURCES``.

    Raises MeterhouseError when there is no such folder; a broken spec is told in ``broken``.
    """
    folders = [BUILT_IN, *([settings.sources] if settings.sources else [])]
    sound: dict[Path, SourceSpec] = {}
    broken: list[BrokenSpec] = []
    for folder in folders:
        if not folder.is_dir():
            raise MeterhouseError(f"METERHOUSE_SOURCES names no folder: {folder}")
        for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            try:
                sound[file] = read_spec(file)
            except MeterhouseError as error:
                broken.append(BrokenSpec(_named_source(file), file, str(error)))
    return Specs(sound, broken)


def _named_source(file: Path) -> str:
    """The source that a broken spec is about, by its own word or by its file's name."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        content = None
    name = content.get("source") if isinstance(content, dict) else None
    return name if isinstance(name, str) else file.stem


def read_spec(file: Path) -> SourceSpec:
    """Read and check one spec file, its expressions included.

    Raises MeterhouseError that names the file, the place in it and the mistake.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise MeterhouseError(f"{file}: it cannot be read: {error.strerror}") from error
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
    _check_optional(spec, file)
    _check_constants(spec, file)
    return spec


def _described(problem: object) -> str:
    assert isinstance(problem, dict)
    place = ".".join(str(part) for part in problem["loc"]) or "the spec"
    if problem["type"] == "extra_forbidden":
        name = str(problem["loc"][-1])
        known = [*SourceSpec.model_fields, *CsvDialect.model_fields]
        return f"{place}: there is no such setting{suggestion(name, known)}"
    return f"{place}: {str(problem['msg']).removeprefix('Value error, ')}"


def _check_expressions(spec: SourceSpec, file: Path) -> None:
    """Bind every expression against a table of the log's columns, so that a typo shows at once."""
    named = [*spec.fields.items(), *((f"identity {i + 1}", e) for i, e in enumerate(spec.identity))]
    for field, expression in named:
        try:
            columns = columns_of(expression)
            if columns == (expression,):
                continue
            typed = [f"null::varchar as {quoted(name)}" for name in columns if name not in CONTEXT]
            typed += [f"null::varchar as {FILE_NAME}", f"null::timestamp as {ANCHOR}"]
            parser().execute(
                f"explain select ({expression})::varchar from (select {', '.join(typed)})"
            )
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise MeterhouseError(
                f"{file}: fields.{field}: {expression!r} is no DuckDB expression: {reason}"
            ) from error


def _check_optional(spec: SourceSpec, file: Path) -> None:
    for name in spec.optional:
        if name not in spec.columns:
            raise MeterhouseError(
                f"{file}: optional: no expression reads a column {name!r}"
                f"{suggestion(name, spec.columns)}"
            )


_SOUND = {
    "event_id": "'event'",
    "account_id": "'account'",
    "agent_id": "'agent'",
    "category": "'llm'",
    "occurred_at": "'2020-01-01'",
}


def _check_constants(spec: SourceSpec, file: Path) -> None:
    """Judge what holds for every row, defaults and constant expressions, by the contract itself."""
    constants = {name: text for name, text in spec.fields.items() if not columns_of(text)}
    if not constants and not spec.defaults:
        return
    sound = {name: text for name, text in _SOUND.items() if name not in spec.defaults}
    row = f"(select 0 as ordinal, null::bigint as known_occurrence, '' as {FILE_NAME})"
    probes = (
        spec.model_copy(update={"fields": sound, "identity": ()}),
        spec.model_copy(update={"fields": _SOUND | constants, "defaults": {}, "identity": ()}),
    )
    for place, probe in zip(("defaults", "fields"), probes, strict=True):
        query = batch_query(probe, row, CLOCK, in_order=False)
        reason, detail = _verdict(query)
        if reason:
            name, _, value = str(detail).partition(" = ")
            raise MeterhouseError(
                f"{file}: {place}.{name}: every row would be rejected as {reason}"
                f"{_hint(name, value)}"
            )


@cache
def _verdict(query: str) -> tuple[str | None, str | None]:
    """Reason and detail of the one row of a batch query (20 ms, so each is asked once)."""
    row = parser().execute(f"select reason, detail from ({query})").fetchone()
    assert row is not None
    return row[0], row[1]


def _hint(name: str, value: str) -> str:
    known = {"category": CATEGORIES, "status": STATUSES}.get(name)
    if known is None:
        return f": {value!r}" if value else ""
    return f": {value!r} is none of {', '.join(known)}{suggestion(value, known)}"
