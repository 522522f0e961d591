"""Runs the migrations on the connection that ``billing.store`` hands over, in its transaction."""

from alembic import context

from billing import access_schema, invoice_schema  # noqa: F401 - their tables belong to the metadata
from billing.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
)
context.run_migrations()
