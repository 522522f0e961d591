"""Alembic's history of the operational store: one for SQLite and PostgreSQL."""
