"""Dagster definitions and the command line; the one package that knows all others."""
