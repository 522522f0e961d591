"""Errors that are meant for the person at the keyboard."""


class MeterhouseError(Exception):
    """Something the user can mend; the message says what happened and what to do.

    The command line prints the message alone, without a traceback, and exits with 1.
    """
