"""Budgets: what an account, an agent, a model or a category may use, and who is told."""
