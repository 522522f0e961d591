"""A check, declared: which table it looks at, what it expects there and how much it matters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warn"]
Scalar = str | int


@dataclass(frozen=True)
class Check:
    """One expectation on one table of ``expectations.tables``.

    ``expectation`` is the name of a Great Expectations class and ``arguments`` are its arguments;
    ``asset_key`` is Dagster's key of the table that it guards. An ``error`` blocks publishing,
    a ``warn`` is shown.
    """

    suite: str
    name: str
    severity: Severity
    description: str
    asset_key: tuple[str, ...]
    table: str
    expectation: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """The checks of one layer; its methods declare checks on one table."""

    name: str
    asset_key: tuple[str, ...]
    table: str
    severity: Severity = "error"

    def between(
        self,
        name: str,
        description: str,
        column: str,
        low: Scalar | None = None,
        high: Scalar | None = None,
    ) -> Check:
        """Non-null values of ``column`` lie between the bounds, both inclusive."""
        arguments: dict[str, Any] = {"column": column}
        if low is not None:
            arguments["min_value"] = low
        if high is not None:
            arguments["max_value"] = high
        return self._check(name, description, "ExpectColumnValuesToBeBetween", arguments)

    def in_set(self, name: str, description: str, column: str, values: Sequence[str]) -> Check:
        """Non-null values of ``column`` are among ``values``."""
        arguments = {"column": column, "value_set": list(values)}
        return self._check(name, description, "ExpectColumnValuesToBeInSet", arguments)

    def unique(self, name: str, description: str, columns: Sequence[str]) -> Check:
        """No two rows agree in all ``columns``; keys that occur twice are counted, not their rows.

        Hashes come first: only where two are equal are keys compared. Great Expectations' own
        expectation takes three times as long.
        """
        key = ", ".join(columns)
        query = (
            f"select {key}, count(*) as times from {{batch}} where hash({key}) in"
            f" (select hash({key}) from {{batch}} group by 1 having count(*) > 1)"
            f" group by {key} having count(*) > 1"
        )
        return self.no_rows(name, description, query)

    def no_rows(self, name: str, description: str, query: str) -> Check:
        """``query``, in which ``{batch}`` stands for the table, returns nothing.

        Its columns are shown as examples when it does.
        """
        arguments = {"unexpected_rows_query": query}
        return self._check(name, description, "UnexpectedRowsExpectation", arguments)

    def none_where(
        self, name: str, description: str, condition: str, shown: Sequence[str]
    ) -> Check:
        """No row meets ``condition``; the columns ``shown`` tell which one does."""
        query = f"select {', '.join(shown)} from {{batch}} where {condition}"
        return self.no_rows(name, description, query)

    def _check(
        self, name: str, description: str, expectation: str, arguments: Mapping[str, Any]
    ) -> Check:
        return Check(
            suite=self.name,
            name=name,
            severity=self.severity,
            description=description,
            asset_key=self.asset_key,
            table=self.table,
            expectation=expectation,
            arguments=arguments,
        )


def any_blank(columns: Sequence[str]) -> str:
    """The condition under which one of the text ``columns`` is null or blank."""
    return " or ".join(f"coalesce(trim({column}), '') = ''" for column in columns)


def any_null(columns: Sequence[str]) -> str:
    """The condition under which one of ``columns`` is null."""
    return " or ".join(f"{column} is null" for column in columns)


def any_negative(columns: Sequence[str]) -> str:
    """The condition under which one of the numeric ``columns`` is below zero."""
    return " or ".join(f"{column} < 0" for column in columns)


def any_different(pairs: Sequence[tuple[str, str]]) -> str:
    """The condition under which two columns of one of ``pairs`` differ; null equals null."""
    return " or ".join(f"{left} is distinct from {right}" for left, right in pairs)


def rows_as_text(rows: Sequence[Any], shown: int = 3) -> str:
    """The first rows of a result, for a message: ``a=1, b=2; a=3, b=4; …``.

    A row is a mapping of names to values, or a plain value.
    """
    parts = [
        ", ".join(f"{name}={value}" for name, value in row.items())
        if hasattr(row, "items")
        else str(row)
        for row in rows[:shown]
    ]
    return "; ".join(parts) + ("; …" if len(rows) > shown else "")
