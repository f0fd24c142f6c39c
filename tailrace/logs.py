"""What is logged: a text, and values by name beside it.

It goes to the standard library's loggers, one for each module, so that a program directs it like everything
else that it logs. What nobody has directed Python writes to the standard error, warnings alone: the standard
output is for data.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tailrace.printable import printable
from tailrace.redact import redact, redacted_field


class Event:
    """The message of a record (`logging.LogRecord.msg`): a line for people as `str`, a `text` and `fields`
    for handlers that want more of it."""

    __slots__ = ("fields", "text")

    def __init__(self, text: str, fields: Mapping[str, Any]) -> None:
        self.text = text
        self.fields = fields

    def __str__(self) -> str:
        rest = ", ".join(f"{name} {redacted_field(name, value)}" for name, value in self.fields.items())
        return printable(redact(f"{self.text} ({rest})" if rest else self.text))


class Logger:
    """Logs to the standard library's logger of a name."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, text: str, /, **fields: Any) -> None:
        """For whoever looks for a fault."""
        self._log(logging.DEBUG, text, fields)

    def info(self, text: str, /, **fields: Any) -> None:
        """How things take their course."""
        self._log(logging.INFO, text, fields)

    def warning(self, text: str, /, **fields: Any) -> None:
        """What a person should know of."""
        self._log(logging.WARNING, text, fields)

    def error(self, text: str, /, **fields: Any) -> None:
        """What a person must do something about."""
        self._log(logging.ERROR, text, fields)

    def _log(self, level: int, text: str, fields: Mapping[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, Event(text, fields), stacklevel=3)
