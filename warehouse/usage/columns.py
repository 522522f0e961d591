"""The columns of an exported usage log, and how each is written in each format."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Format(StrEnum):
    """What an export can be written as; the value is the name's suffix too."""

    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"


MEDIA_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    UTC_TIME = "utc_time"
    LOCAL_TIME = "local_time"


@dataclass(frozen=True)
class Column:
    """A column of an export: its name, what it holds, and the expression that gives it."""

    name: str
    kind: Kind
    expression: str


_LOCAL = "timezone($export_zone, timezone('UTC', occurred_at))"


def _columns(kind: Kind, *names: str) -> list[Column]:
    return [Column(name, kind, name) for name in names]


COLUMNS: tuple[Column, ...] = (
    Column("occurred_at", Kind.UTC_TIME, "occurred_at"),
    Column("occurred_at_local", Kind.LOCAL_TIME, _LOCAL),
    *_columns(Kind.DATE, "usage_date"),
    *_columns(Kind.TEXT, "account_id", "agent_id", "category", "model", "status"),
    *_columns(Kind.NUMBER, "execution_ms", "credits"),
    *_columns(Kind.TEXT, "rating_status"),
    *_columns(
        Kind.NUMBER,
        "logged_credits",
        "card_credits",
        "exposure_low_credits",
        "exposure_high_credits",
        "input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "output_tokens",
        "total_tokens",
        "provider_cost_usd",
    ),
    *_columns(Kind.TEXT, "provider_cost_status", "session_id", "request_hash", "tags"),
    *_columns(Kind.TEXT, "source", "event_id"),
    *_columns(Kind.NUMBER, "revision", "load_id", "line_number"),
)
"""Every column of ``rpt_usage_event`` but its partition, and the time on the account's clock."""

CUSTOMER_COLUMNS = tuple(each for each in COLUMNS if not each.name.startswith("provider_cost"))
"""Those that a customer is given: what usage costs the platform is its own business."""

FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"
"""How a text begins that a spreadsheet might run as a formula (OWASP, "CSV Injection")."""


def select_list(output: Format, columns: Sequence[Column] = COLUMNS) -> str:
    """What a query selects whose rows are written in a format.

    Parquet: the types as they are, times in UTC with a zone. The others: one column, the row as
    the file has it.
    """
    if output is Format.CSV:
        fields = " || ',' || ".join(f"coalesce({_csv_field(column)}, '')" for column in columns)
        return f"{fields} || chr(10) as line"
    if output is Format.PARQUET:
        return ", ".join(f"{_typed(column)} as {column.name}" for column in columns)
    cells = " || ".join(_cell(column) for column in columns)
    return f"'<row>' || {cells} || '</row>' as row_xml"


def defused(text: str) -> str:
    """The expression for a text that no spreadsheet takes for a formula: a quote stands before."""
    return f"case when regexp_matches({text}, '{FORMULA}') then '''' || {text} else {text} end"


def _typed(column: Column) -> str:
    if column.kind is Kind.UTC_TIME:
        return f"timezone('UTC', {column.expression})"
    return column.expression


def _csv_field(column: Column) -> str:
    """A field of a CSV file (RFC 4180): null is nothing, an empty text two quotes."""
    if column.kind is Kind.TEXT:
        text = defused(column.expression)
        quoted = f"'\"' || replace({text}, '\"', '\"\"') || '\"'"
        plain = f"{text} <> '' and not regexp_matches({text}, '[\",\\r\\n]')"
        return f"case when {plain} then {text} else {quoted} end"
    if column.kind is Kind.UTC_TIME:
        return f"strftime({column.expression}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    if column.kind is Kind.LOCAL_TIME:
        return f"strftime({column.expression}, '%Y-%m-%dT%H:%M:%S.%f')"
    return f"cast({column.expression} as varchar)"


# --- cells of a workbook ----------------------------------------------------------------------

CELL_CHARACTERS = 32_767
"""Characters that Excel takes in one cell."""

DATE_STYLE, TIME_STYLE = 1, 2
"""Positions of the styles of dates and of times in the workbook's style sheet."""

_EPOCH = "timestamp '1899-12-30'"
_EMPTY = "'<c/>'"
_ILLEGAL = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x{FFFE}\x{FFFF}]"


def _cell(column: Column) -> str:
    value = column.expression
    if column.kind is Kind.TEXT:
        return f"coalesce({_text_cell(defused(value))}, {_EMPTY})"
    if column.kind is Kind.NUMBER:
        return f"coalesce({_number_cell(value)}, {_EMPTY})"
    if column.kind is Kind.DATE:
        days = f"date_diff('day', date '1899-12-30', {value})"
        return f"coalesce('<c s=\"{DATE_STYLE}\"><v>' || {days} || '</v></c>', {_EMPTY})"
    serial = f"(epoch_us({value}) - epoch_us({_EPOCH})) / 86400000000.0"
    return f"coalesce('<c s=\"{TIME_STYLE}\"><v>' || {serial} || '</v></c>', {_EMPTY})"


def _text_cell(text: str) -> str:
    """A cell with a text in it. Excel reads ``_x000D_`` as a character: the like is escaped."""
    short = f"left({text}, {CELL_CHARACTERS})"
    clean = f"regexp_replace({short}, '{_ILLEGAL}', chr(65533), 'g')"
    literal = f"regexp_replace({clean}, '_(x[0-9A-Fa-f]{{4}}_)', '_x005F_\\1', 'g')"
    escaped = (
        f"replace(replace(replace(replace({literal},"
        " '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), chr(13), '&#13;')"
    )
    return f"'<c t=\"inlineStr\"><is><t xml:space=\"preserve\">' || {escaped} || '</t></is></c>'"


def _number_cell(value: str) -> str:
    """A number of at most fifteen digits, which Excel keeps; a longer one as text, which it also
    keeps.
    """
    number = f"'<c><v>' || {value} || '</v></c>'"
    text = f"'<c t=\"inlineStr\"><is><t>' || {value} || '</t></is></c>'"
    return f"case when {value} < 1000 or {_is_short(value)} then {number} else {text} end"


def _is_short(value: str) -> str:
    digits = f"ltrim(rtrim(replace(cast({value} as varchar), '.', ''), '0'), '0')"
    return f"length({digits}) <= 15"
