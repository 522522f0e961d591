"""DuckDB extensions, loaded from their pinned wheels without network and without a copy."""

import importlib.util
from collections.abc import Iterable
from pathlib import Path

import duckdb

from warehouse.errors import MeterhouseError

_WHEELS = {
    "ducklake": "duckdb_extension_ducklake",
    "sqlite_scanner": "duckdb_extension_sqlite_scanner",
    "postgres_scanner": "duckdb_extension_postgres_scanner",
}


def extension_file(name: str) -> Path:
    """Path of the extension's binary inside its wheel.

    Raises MeterhouseError when the wheel is missing or was made for another DuckDB.
    """
    package = _WHEELS[name]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        wheel = package.replace("_", "-")
        raise MeterhouseError(
            f"the DuckDB extension {name} is not installed; "
            f"pip install {wheel}=={duckdb.__version__}"
        )
    folder = Path(spec.submodule_search_locations[0]) / "extensions" / f"v{duckdb.__version__}"
    file = folder / f"{name}.duckdb_extension"
    if not file.exists():
        raise MeterhouseError(
            f"the wheel of the DuckDB extension {name} does not fit DuckDB {duckdb.__version__}; "
            "install both in the version that requirements.lock names"
        )
    return file


_checked: set[str] = set()


def are_checked(names: Iterable[str]) -> bool:
    """Whether DuckDB checked the signatures of these extensions in this process already."""
    return _checked.issuperset(names)


def load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension straight from its wheel.

    An engine hashes the whole file to check its signature, 35 MB and 0.12 s each; one check a
    process is enough.
    """
    connection.execute(f"load '{extension_file(name)}'")
    _checked.add(name)
