"""The project's SQL for tax and rounding says what the invoices' Python says."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from billing.currencies import MINOR_DIGITS
from billing.invoices.rounding import rounded
from warehouse.settings import ROOT

_MACROS = ROOT / "dbt_project" / "macros"


def sql_of(call: str) -> str:
    """What a call of a macro becomes on DuckDB."""
    numbers = (_MACROS / "engine" / "numbers.sql").read_text()
    money = "".join(
        (_MACROS / "money" / f"{name}.sql").read_text() for name in ("tax", "currencies")
    )
    quotient = "{% macro whole_quotient(n, d) %}{{ duckdb__whole_quotient(n, d) }}{% endmacro %}"
    start = numbers.index("{% macro duckdb__whole_quotient")
    stored = numbers[start : numbers.index("{%- endmacro %}", start) + len("{%- endmacro %}")]
    return Environment().from_string(f"{stored}{quotient}{money}{{{{ {call} }}}}").render()


NET_OF_TAX = sql_of("net_of_tax('amount', 'percent')")
TAX_ON = sql_of("tax_on('net', 'percent')")
FLOORED = sql_of("floored_quotient('numerator', 'divisor')")
MINOR = sql_of("minor_digits('currency')")

percents = st.decimals(0, 99, places=4)


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def value(engine: duckdb.DuckDBPyConnection, sql: str, **columns: str) -> Any:
    given_columns = ", ".join(f"{text} as {name}" for name, text in columns.items())
    row = engine.execute(f"select {sql} from (select {given_columns})").fetchone()
    assert row is not None
    return row[0]


@given(amount=st.decimals(-(10**12), 10**12, places=12), percent=percents)
def test_the_net_of_an_amount_is_rounded_half_up_on_both_sides_of_zero(
    engine: duckdb.DuckDBPyConnection, amount: Decimal, percent: Decimal
) -> None:
    found = value(
        engine,
        NET_OF_TAX,
        amount=f"cast('{amount:f}' as decimal(38, 21))" if abs(amount) < 10**12 else f"{amount:f}",
        percent=f"cast('{percent:f}' as decimal(24, 12))",
    )
    assert found == rounded(Fraction(amount) / (1 + Fraction(percent) / 100))


@given(net=st.integers(-(10**12), 10**12), percent=percents)
def test_tax_is_rounded_half_up_on_both_sides_of_zero(
    engine: duckdb.DuckDBPyConnection, net: int, percent: Decimal
) -> None:
    found = value(
        engine,
        TAX_ON,
        net=f"cast({net} as bigint)",
        percent=f"cast('{percent:f}' as decimal(24, 12))",
    )
    assert found == rounded(net * Fraction(percent) / 100)


@given(numerator=st.integers(-(10**30), 10**30), divisor=st.integers(1, 10**18))
def test_a_quotient_is_rounded_down_also_below_zero(
    engine: duckdb.DuckDBPyConnection, numerator: int, divisor: int
) -> None:
    found = value(
        engine,
        FLOORED,
        numerator=f"cast('{numerator}' as decimal(38, 0))",
        divisor=f"cast('{divisor}' as decimal(38, 0))",
    )
    assert found == numerator // divisor


def test_every_currency_has_its_digits(engine: duckdb.DuckDBPyConnection) -> None:
    rows = ", ".join(f"('{currency}')" for currency in MINOR_DIGITS)
    found = engine.execute(f"select currency, {MINOR} from (values {rows}) as of (currency)")
    assert dict(found.fetchall()) == MINOR_DIGITS
