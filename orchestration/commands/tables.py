"""Tables on standard output, whole: on a screen as in a pipe."""

from rich.console import Console
from rich.table import Table

UNBOUNDED = 100_000
"""Characters that a line of a table may take: no value is cut."""


def print_table(table: Table) -> None:
    """Print a table with every value as it is; brackets and colons in one mean nothing."""
    Console(width=UNBOUNDED, markup=False, emoji=False).print(table)
