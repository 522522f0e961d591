"""Rows as CSV to open in a spreadsheet, with every digit."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Columns and rows as CSV; times are UTC and end in Z, None is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(cell(value) for value in row)
    return text.getvalue()


def cell(value: Any) -> str:
    """A value as text; what a spreadsheet might run as a formula has a ``'`` before it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.replace(tzinfo=None).isoformat()}Z"
    if isinstance(value, Decimal):
        return f"{value:f}"
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in tuple("=+-@\t\r\n") else text
