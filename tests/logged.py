"""What is logged, as tests look at it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from tailrace.logs import Event


class _Kept(logging.Handler):
    def __init__(self, found: list[dict[str, Any]]) -> None:
        super().__init__()
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.msg, Event):
            told = {"event": record.msg.text, "level": record.levelname.lower(), **record.msg.fields}
            self._found.append(told)


@contextlib.contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """What the parts of tailrace log meanwhile: `event`, `level`, and the values by name."""
    found: list[dict[str, Any]] = []
    kept, root = _Kept(found), logging.getLogger()
    root.addHandler(kept)
    try:
        yield found
    finally:
        root.removeHandler(kept)
