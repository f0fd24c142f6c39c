"""Where logs go that nobody has directed: to the standard error. The standard output is for data."""

from __future__ import annotations

import contextlib
import sys
from typing import TextIO, cast

import structlog


def stderr_logger(*_: object) -> structlog.PrintLogger:
    """A logger factory for `structlog.configure`: lines on what is the standard error at that time."""
    return structlog.PrintLogger(cast(TextIO, _Stderr()))


def keep_off_stdout() -> None:
    """Have structlog write to the standard error, unless it was configured: by itself it would write among
    the data. A program that configures it later has its way."""
    if not structlog.is_configured():
        structlog.configure(logger_factory=stderr_logger)


class _Stderr:
    """Lines that standard error does not take are left out: a full disk under the log of what happens is no
    reason to stop delivering."""

    def write(self, text: str) -> None:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                sys.stderr.write(text)

    def flush(self) -> None:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                sys.stderr.flush()
