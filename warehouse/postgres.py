"""Plain connections to the PostgreSQL database that holds the catalogs, where there is one."""

from typing import TYPE_CHECKING, Any

from warehouse.errors import MeterhouseError
from warehouse.settings import Settings

if TYPE_CHECKING:
    import psycopg


def connect_catalog(settings: Settings) -> "psycopg.Connection[Any]":
    """Connect to the catalogs' database, in autocommit.

    Raises MeterhouseError when the driver is missing or the server cannot be reached.
    """
    try:
        import psycopg
    except ImportError as error:
        raise MeterhouseError(
            "METERHOUSE_CATALOG_URL names PostgreSQL, whose driver is missing: "
            "pip install 'meterhouse[postgres]'"
        ) from error
    try:
        return psycopg.connect(settings.catalog_url, autocommit=True)
    except psycopg.Error as error:
        raise MeterhouseError(
            f"the catalogs' database cannot be reached ({str(error).strip()}); "
            "check METERHOUSE_CATALOG_URL and that PostgreSQL runs"
        ) from error
