"""Tests of the app's pages, without a browser."""
