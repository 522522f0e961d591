"""Backups of a home: catalogs, Parquet files and operational store, checked and restored."""
