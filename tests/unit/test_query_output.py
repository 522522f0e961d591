"""What `meterhouse sql` prints."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

from orchestration.commands.query import as_json, as_text


def test_json_is_an_array_of_objects_with_decimals_and_times_as_strings() -> None:
    rows = [(Decimal("0.000000001"), datetime(2026, 1, 2, 3, 4, 5), date(2026, 1, 2), None, 7)]
    assert json.loads(as_json(["credits", "at", "day", "model", "events"], rows)) == [
        {
            "credits": "0.000000001",
            "at": "2026-01-02T03:04:05",
            "day": "2026-01-02",
            "model": None,
            "events": 7,
        }
    ]


def test_text_keeps_every_digit() -> None:
    assert as_text(Decimal("1E-9")) == "0.000000001"
    assert as_text(Decimal("12345678901234567890.123456789")) == "12345678901234567890.123456789"
    assert as_text(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00+00:00"
    assert as_text(None) == ""
