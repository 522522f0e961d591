"""Invoices: what an account is charged for a month, issued once, corrected and never edited."""
