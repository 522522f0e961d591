"""The contract of a usage event, as SQL: typed fields, and for a broken row the reason.

Pure text: nothing here runs a query. The input relation has the columns of the log as text,
``file_name``, ``anchor``, ``ordinal`` and ``known_occurrence``; the output has one row an input
row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.specs import EVENT_FIELDS, REQUIRED_FIELDS, SourceSpec, quoted
from ingest.tables import CATEGORIES, IDENTITY_HASH, STATUSES

MAX_TEXT = 1000
"""Longest id, name or hash of an event, in bytes."""

MAX_COUNT = 10**12
"""Largest number of tokens, and largest revision."""

_TEXT_FIELDS = ("event_id", "account_id", "agent_id", "model", "session_id", "request_hash")
_TOKEN_FIELDS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")

STORED = (
    "source",
    "event_id",
    "revision",
    "is_withdrawn",
    "identity_hash",
    "account_id",
    "agent_id",
    "category",
    "model",
    "occurred_at",
    "usage_date_utc",
    "execution_ms",
    "credits",
    *_TOKEN_FIELDS,
    "status",
    "session_id",
    "request_hash",
    "tags",
)
"""Columns of ``usage_event`` that the contract yields, in the table's order."""

CONTENT = tuple(
    name
    for name in STORED
    if name not in ("source", "event_id", "revision", "identity_hash", "usage_date_utc")
)
"""What makes two rows of one identity and revision the same row."""

REASONS: dict[str, str] = {
    "unreadable_line": "The line is not in the declared format; mend it and load the file again.",
    "truncated_line": "The file ended within this line; append the rest and load it again.",
    "unreadable_file": "The file as a whole cannot be read; write it again, or mend the spec.",
    "failed_expression": "The spec's expression for a field fails on the row; mend one of the two.",
    "missing_field": "A required field is empty; mend the log or the source spec.",
    "invalid_text": "A name or id is an object, a list, or longer than 1,000 bytes.",
    "invalid_time": "occurred_at is no time; mend the log or the expression in the source spec.",
    "time_out_of_range": "occurred_at lies before the year 2000; mend the log's clock.",
    "future_time": "occurred_at lies in the future; replayed by itself once that time has come.",
    "unknown_category": "Map the category in the source spec, then run `meterhouse replay`.",
    "unknown_status": "Map the status to ok, error or cancelled, then run `meterhouse replay`.",
    "invalid_number": "A number is no finite number of its kind; mend the log or the source spec.",
    "negative_number": "A number is below zero; credits go back by a grant, not by usage.",
    "number_out_of_range": "A number is too large to be true; mend the log or the source spec.",
    "invalid_tags": "tags is no JSON object; mend the log or the source spec.",
    "undeclared_account": "Declare it with `meterhouse accounts add`; the usage then flows in.",
    "conflicting_duplicate": "The same event came before with other content; the first counts. "
    "A correction needs a higher revision.",
}
"""Every reason for which a row is held back, and what mends it."""


@dataclass(frozen=True)
class Clock:
    """The span of times that an event may have, as SQL timestamps (UTC)."""

    earliest: str
    latest: str


def batch_query(spec: SourceSpec, relation: str, clock: Clock, *, in_order: bool) -> str:
    """The select that types every row of ``relation`` and gives ``reason`` where one is broken.

    Columns: those of STORED, then ``occurrence`` (n-th equal row of a log without ids),
    ``is_inexact`` (credits whose digits a double may have lost), ``reason`` and ``detail``.
    ``relation`` also has ``known_occurrence``, null but for a replayed row. ``in_order`` sorts by
    ``ordinal``, where the relation does not come in file order by itself.
    """
    tried = "".join(f",\n        {_tried(spec, name)} as v_{name}" for name in _computed(spec))
    texts = ",\n        ".join(f"{_text(spec, name)} as {name}" for name in EVENT_FIELDS)
    source = f"""
    select
        ordinal,
        {texts},
        {_failed(spec)} as failed,
        {_inexact(spec)} as is_inexact,
        {_occurrence(spec)} as occurrence
    from (select *{tried} from {relation})"""
    typed = f"""
    select
        *,
        {_time(spec)} as t_occurred_at,
        {_whole("revision")} as n_revision,
        try_cast(withdrawn as boolean) as b_withdrawn,
        {_decimal("execution_ms", 3)} as n_execution_ms,
        {_decimal("credits", 9)} as n_credits,
        {", ".join(f"{_whole(name)} as n_{name}" for name in _TOKEN_FIELDS)}
    from ({source})"""
    judged = f"""
    select
        *,
        {"event_id" if spec.has_ids else "event_id || ':' || occurrence"} as id,
        {_reason(spec, clock)} as verdict
    from ({typed})"""
    return f"""
select
    {_literal(spec.source)} as source,
    id as event_id,
    coalesce(n_revision, 0) as revision,
    coalesce(b_withdrawn, false) as is_withdrawn,
    {IDENTITY_HASH.format(source=_literal(spec.source), event_id="id")} as identity_hash,
    account_id,
    agent_id,
    category,
    model,
    t_occurred_at as occurred_at,
    cast(t_occurred_at as date) as usage_date_utc,
    n_execution_ms as execution_ms,
    n_credits as credits,
    {", ".join(f"n_{name} as {name}" for name in _TOKEN_FIELDS)},
    coalesce(status, 'ok') as status,
    session_id,
    request_hash,
    nullif(tags, '{{}}') as tags,
    occurrence,
    coalesce(is_inexact, false) as is_inexact,
    verdict.reason as reason,
    verdict.detail as detail
from ({judged})
{"order by ordinal" if in_order else ""}"""


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "'true'" if value else "'false'"
    return "'" + str(value).replace("'", "''") + "'"


def _text(spec: SourceSpec, name: str) -> str:
    """The field as text, blank as null, with the spec's default."""
    if name == "event_id" and not spec.has_ids:
        return _identity(spec)
    expression = spec.fields.get(name)
    default = spec.defaults.get(name)
    if expression is None:
        return "cast(null as varchar)" if default is None else _literal(default)
    value = f"v_{name}.value" if name in _computed(spec) else quoted(expression)
    text = f"nullif({value}, '')"
    return text if default is None else f"coalesce({text}, {_literal(default)})"


def _computed(spec: SourceSpec) -> list[str]:
    """Fields that are more than a column of the log."""
    return [name for name, expression in spec.fields.items() if expression not in spec.columns]


def _tried(spec: SourceSpec, name: str) -> str:
    """The field's expression in a struct, which is null as a whole if the expression fails."""
    return f"try({{'value': cast(({spec.fields[name]}) as varchar)}})"


def _failed(spec: SourceSpec) -> str:
    """The first field whose expression failed on the row."""
    whens = " ".join(f"when v_{name} is null then '{name}'" for name in _computed(spec))
    return f"case {whens} end" if whens else "cast(null as varchar)"


def _inexact(spec: SourceSpec) -> str:
    """Whether a double may have lost digits of the credits that rounding to nine decimals needs.

    DuckDB reads a JSON number as the shortest text of its double. Below a million that text rounds
    like the number itself, unless it lies just on a tie (its tenth decimal is a 5, and the last);
    from a million on a double keeps fewer than nine decimals. Credits that are computed from
    several columns, or by a factor, are read again whenever a column has many digits.
    """
    if not spec.is_json or not spec.credit_columns:
        return "false"
    tests = []
    for text in map(quoted, spec.credit_columns):
        is_long = f"strlen({text}) > 9 and contains({text}, '.')"
        if "credits" not in _computed(spec):
            point = f"strpos({text}, '.')"
            on_a_tie = f"strlen({text}) - {point} = 10 and suffix({text}, '5')"
            is_long += f" and ({point} > 7 or {on_a_tie})"
        tests.append(f"{text} is not null and ({is_long} or contains(lower({text}), 'e'))")
    return " or ".join(f"({test})" for test in tests)


def _identity(spec: SourceSpec) -> str:
    """What identifies a row of a log without ids, before its occurrence."""
    parts = ", chr(31), ".join(f"coalesce(cast(({e}) as varchar), '')" for e in spec.identity)
    return f"md5(concat({parts}))"


def _occurrence(spec: SourceSpec) -> str:
    if spec.has_ids:
        return "cast(null as bigint)"
    equal = f"row_number() over (partition by {_identity(spec)} order by ordinal)"
    return f"coalesce(known_occurrence, {equal})"


def _time(spec: SourceSpec) -> str:
    """occurred_at as a UTC timestamp; a text without a zone is read in the spec's."""
    has_zone = (
        r"regexp_matches(occurred_at, '(Z|z|[+-]\d{2}(:?\d{2})?| [A-Za-z_]+/[A-Za-z_/+-]+)$')"
    )
    zoned = "cast(try_cast(occurred_at as timestamptz) as timestamp)"
    plain = "try_cast(occurred_at as timestamp)"
    if spec.time_zone == "UTC":
        return f"case when suffix(occurred_at, 'Z') then {plain} else {zoned} end"
    local = f"cast(timezone({_literal(spec.time_zone)}, {plain}) as timestamp)"
    return (
        f"case when suffix(occurred_at, 'Z') then {plain} "
        f"when {has_zone} and length(occurred_at) > 10 then {zoned} else {local} end"
    )


def _whole(name: str) -> str:
    """A whole number, or null: '12.0' is one, '12.5' is none."""
    exact = f"try_cast({name} as decimal(38, 9))"
    return (
        f"case when contains({name}, '.') or contains({name}, '-') "
        f"then case when {exact} = trunc({exact}) then try_cast({exact} as bigint) end "
        f"else try_cast({name} as bigint) end"
    )


def _decimal(name: str, scale: int) -> str:
    return f"try_cast({name} as decimal(18, {scale}))"


def _is_none_of(name: str, values: Sequence[str]) -> str:
    """Whether a value is not in a list. DuckDB makes a join of ``in``, which loses the order."""
    return f"not list_contains([{', '.join(map(_literal, values))}], {name})"


def _reason(spec: SourceSpec, clock: Clock) -> str:
    """The first reason that holds a row back, as a struct with the offending value."""

    def struct(reason: str, detail: str) -> str:
        return f"{{'reason': '{reason}', 'detail': {detail}}}"

    def shown(name: str) -> str:
        return f"'{name} = ' || left({name}, 200)"

    def is_negative(name: str) -> str:
        """Whether a number is below zero, also where it would be rounded to zero."""
        return f"contains({name}, '-') and try_cast({name} as double) < 0"

    def is_mapped(name: str) -> bool:
        return name in spec.fields or name in spec.defaults

    nothing = " and ".join(f"{name} is null" for name in EVENT_FIELDS if name in spec.fields)
    cases = [(nothing, struct("unreadable_line", "''"))]
    cases.append(("failed is not null", struct("failed_expression", "failed")))
    for name in REQUIRED_FIELDS:
        cases.append((f"{name} is null", struct("missing_field", f"'{name}'")))
    for name in _TEXT_FIELDS:
        if name in spec.fields:
            bad = f"strlen({name}) > {MAX_TEXT} or prefix({name}, '{{') or prefix({name}, '[')"
            cases.append((bad, struct("invalid_text", shown(name))))
    cases += [
        ("t_occurred_at is null", struct("invalid_time", shown("occurred_at"))),
        (f"t_occurred_at < {clock.earliest}", struct("time_out_of_range", shown("occurred_at"))),
        (f"t_occurred_at > {clock.latest}", struct("future_time", shown("occurred_at"))),
        (_is_none_of("category", CATEGORIES), struct("unknown_category", shown("category"))),
        (_is_none_of("status", STATUSES), struct("unknown_status", shown("status"))),
    ]
    for name in filter(is_mapped, ("credits", "execution_ms")):
        double = f"try_cast({name} as double)"
        broken = f"{name} is not null and n_{name} is null"
        finite = f"coalesce(isfinite({double}), false)"
        cases += [
            (f"{broken} and not {finite}", struct("invalid_number", shown(name))),
            (is_negative(name), struct("negative_number", shown(name))),
            (broken, struct("number_out_of_range", shown(name))),
        ]
    for name in filter(is_mapped, (*_TOKEN_FIELDS, "revision")):
        cases += [
            (f"{name} is not null and n_{name} is null", struct("invalid_number", shown(name))),
            (is_negative(name), struct("negative_number", shown(name))),
            (f"n_{name} > {MAX_COUNT}", struct("number_out_of_range", shown(name))),
        ]
    if is_mapped("withdrawn"):
        bad = "withdrawn is not null and b_withdrawn is null"
        cases.append((bad, struct("invalid_number", shown("withdrawn"))))
    if is_mapped("tags"):
        bad = "tags is not null and not (prefix(tags, '{') and json_valid(tags))"
        cases.append((bad, struct("invalid_tags", shown("tags"))))
    whens = "\n            ".join(f"when {condition} then {value}" for condition, value in cases)
    return f"case\n            {whens}\n        end"
