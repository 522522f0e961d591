"""Logging of every command, the app and the loader: one form, and no secrets in it.

Secrets are taken out of the finished line, so that neither an argument, a traceback nor a library
brings one in: the values of settings and variables that are secret, and what looks like one.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO
from urllib.parse import quote

from warehouse.settings import Settings

HIDDEN = "***"
SHORTEST = 4
"""A shorter value is not looked for: it would blank out half of every line."""

_SECRET_NAME = re.compile(r"(SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|_KEY(_ID)?$|_DSN$)", re.I)
_SHAPES = (
    (re.compile(r"(://[^\s:/@]*:)[^\s/@]+(@)"), rf"\g<1>{HIDDEN}\g<2>"),
    (re.compile(r"(?i)\b(password=)('[^']*'|\S+)"), rf"\g<1>{HIDDEN}"),
    (re.compile(r"(?i)\b((?:bearer|basic) )[\w.~+/=-]{4,}"), rf"\g<1>{HIDDEN}"),
    (re.compile(r"\b((?:sk|rk)_(?:live|test)_|whsec_)\w+"), rf"\g<1>{HIDDEN}"),
)
"""A secret whoever brought it: passwords in addresses, tokens of requests, Stripe's keys."""

_PLAIN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class Secrets:
    """Hides secrets in texts."""

    def __init__(self, values: Iterable[str]) -> None:
        """``values`` are what must not be seen, also as it stands in JSON or in an address."""
        forms = {
            form
            for value in values
            if len(value) >= SHORTEST
            for form in (
                value,
                json.dumps(value)[1:-1],
                json.dumps(value, ensure_ascii=False)[1:-1],
                repr(value)[1:-1],
                quote(value, safe=""),
            )
        }
        longest_first = sorted(forms, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def hide(self, text: str) -> str:
        """The text with every secret in it replaced."""
        if self._values:
            text = self._values.sub(HIDDEN, text)
        for shape, shown in _SHAPES:
            text = shape.sub(shown, text)
        return text

    def hide_in(self, value: Any) -> Any:
        """The same in every text of a value that JSON can hold; what else there is becomes one."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, Mapping):
            return {str(key): self.hide_in(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.hide_in(each) for each in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.hide(str(value))


def secrets_of(settings: Settings, environment: Mapping[str, str] | None = None) -> Secrets:
    """The secrets that this process knows.

    These are the settings that do not show themselves (``repr=False``), the passwords in addresses
    of databases, and every variable whose name says that it holds a secret.
    """
    environment = os.environ if environment is None else environment
    values = [
        str(getattr(settings, name))
        for name, field in type(settings).model_fields.items()
        if not field.repr
    ]
    for url in (settings.catalog_url, settings.operations_url):
        values += re.findall(r"://[^\s:/@]*:([^\s/@]+)@", url)
    values += [value for name, value in environment.items() if _SECRET_NAME.search(name)]
    return Secrets(values)


class TextLines(logging.Formatter):
    """A line for people: time, level, message."""

    def __init__(self, secrets: Secrets) -> None:
        """``secrets`` are hidden."""
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The finished line."""
        return self._secrets.hide(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, exception, and extra fields."""

    def __init__(self, secrets: Secrets) -> None:
        """``secrets`` are hidden."""
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The finished line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        line |= {
            name: value
            for name, value in vars(record).items()
            if name not in _PLAIN_ATTRIBUTES and name not in line
        }
        return json.dumps(self._secrets.hide_in(line), ensure_ascii=False)


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, of which there is one."""


def formatter_of(settings: Settings) -> logging.Formatter:
    """The form that ``METERHOUSE_LOG_FORMAT`` asks for."""
    secrets = secrets_of(settings)
    return JsonLines(secrets) if settings.log_format == "json" else TextLines(secrets)


def configure_logging(
    settings: Settings, stream: TextIO | None = None, level: int = logging.INFO
) -> None:
    """Log this process to ``stream`` (standard error) from here on, in the settings' form.

    Libraries that print by handlers of their own keep them, in the same form.
    """
    formatter = formatter_of(settings)
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for before in [each for each in root.handlers if isinstance(each, _Handler)]:
        root.removeHandler(before)
    root.addHandler(handler)
    logging.getLogger("meterhouse").setLevel(level)
    for logger in logging.root.manager.loggerDict.values():
        for own in getattr(logger, "handlers", ()):
            own.setFormatter(formatter)
