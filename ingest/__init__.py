"""Usage logs, price lists and operational tables, into the raw lake."""
