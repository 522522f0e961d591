"""The time zones an account may have: those that Python and the engine both know."""

import zoneinfo
from functools import cache

import duckdb


@cache
def known_zones() -> frozenset[str]:
    """Names of the IANA zones known to ``zoneinfo`` and to DuckDB's ICU alike.

    A zone that only one of them knew would abort a query, or a page, long after it was stored.
    """
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute("select name from pg_timezone_names()").fetchall()
    return frozenset(name for (name,) in rows) & zoneinfo.available_timezones()
