"""What each page asks: rows as dataclasses, questions as constants, figures gathered in one."""
