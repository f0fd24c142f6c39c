"""The status of a running pipeline as log lines, for where there is no terminal."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec

from tailrace.checkpoint import show_position
from tailrace.cli.figures import Figures
from tailrace.engine.status import PipelineStatus, Standing
from tailrace.errors import TailraceError
from tailrace.logs import Event, Logger
from tailrace.redact import redact

_EVERY: Final = 10.0  # seconds between two lines of progress
_UNSAFE: Final = re.compile(r'[\s="]')
_OURS: Final = ("tailrace", "connectors", "sinks", "offsets")
"""Whose loggers tell how things take their course; others tell their warnings."""

_log: Final = Logger(__name__)


def log_to_stderr(*, json: bool = False) -> None:
    """What any part of the pipeline logs becomes a line on stderr too; on a terminal, above the live view.
    `json`: each line is an object with timestamp, level, event and what else there is to say."""
    _direct(_json if json else _logfmt)


def log_as_words() -> None:
    """The same for a command that a person waits for: `warning: what happened (slot orders)`."""
    _direct(_words)


class _Lines(logging.Handler):
    """Writes to what is the standard error at that time. Lines that it does not take are left out: a full
    disk under the log of what happens is no reason to stop delivering."""

    def __init__(self, line: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                sys.stderr.write(f"{self._line(record)}\n")
                sys.stderr.flush()


def _direct(line: Callable[[logging.LogRecord], str]) -> None:
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, _Lines):
            root.removeHandler(handler)
    root.addHandler(_Lines(line))
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)


def _words(record: logging.LogRecord) -> str:
    return f"{record.levelname.lower()}: {redact(record.getMessage())}"


def _json(record: logging.LogRecord) -> str:
    line = _redacted(msgspec.to_builtins(_fields(record), enc_hook=str))
    return msgspec.json.encode(line).decode()


def _logfmt(record: logging.LogRecord) -> str:
    return " ".join(f"{name}={_quoted(value)}" for name, value in _redacted(_fields(record)).items())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """All that a record tells, in the order of a line."""
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
    first = {"timestamp": at.replace("+00:00", "Z"), "level": record.levelname.lower()}
    if isinstance(record.msg, Event):
        return {**first, "event": record.msg.text, **record.msg.fields}
    found = {**first, "event": record.getMessage(), "logger": record.name}
    if record.exc_info and record.exc_info[0] is not None:
        found["traceback"] = "".join(traceback.format_exception(*record.exc_info))
    return found


def _quoted(value: object) -> str:
    """As logfmt has it: quoted where a blank, a quote or an equals sign is in it."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else redact(str(value))
    if not _UNSAFE.search(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _redacted(value: Any) -> Any:
    """Text by text: what looks like an address in one must not reach into the next."""
    match value:
        case str():
            return redact(value)
        case dict():
            return {name: _redacted(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_redacted(inner) for inner in value]
        case _:
            return value


class StatusLines:
    """A line at the start, at each change of a state, every ten seconds in which something moved, and at the
    end, on stderr."""

    def __init__(self) -> None:
        self._figures = Figures()
        self._moved: dict[str, int] = {}
        self._next = time.monotonic() + _EVERY

    def begin(self, status: PipelineStatus) -> None:
        """The first look; each change of a state from now on is told when it happens."""
        _log.info("pipeline starts", pipeline=status.name)
        status.turned = partial(self._tell, "pipeline", status, pipeline=status.name)
        status.source.turned = partial(self._tell, "source", status.source, pipeline=status.name)
        for identity, sink in status.sinks.items():
            sink.turned = partial(self._tell, "sink", sink, sink=identity)

    def look(self, status: PipelineStatus) -> None:
        """Write what moved; called several times a second."""
        figures = self._figures.of(status)
        if time.monotonic() < self._next:
            return
        self._next += _EVERY
        for identity, sink in status.sinks.items():
            if self._moved.get(identity, 0) != sink.commits:
                self._moved[identity] = sink.commits
                lag = figures[identity].lag_seconds
                _log.info(
                    "progress",
                    sink=identity,
                    events=sink.events,
                    rows_per_second=round(figures[identity].rows_per_second),
                    lag_bytes=sink.lag_bytes,
                    lag_seconds=None if lag is None else round(lag, 1),
                    position=show_position(sink.position),
                )

    def end(self, status: PipelineStatus, failure: BaseException | None = None) -> None:
        """The last look: up to where each sink durably has everything, and whether it ended by a failure."""
        for identity, sink in status.sinks.items():
            if sink.position is not None:  # else it was never read
                position = show_position(sink.position)
                _log.info(
                    "delivered up to this position", sink=identity, events=sink.events, position=position
                )
        if failure is None:
            _log.info("pipeline ended", pipeline=status.name)
            return
        code = {"code": failure.code.id} if isinstance(failure, TailraceError) else {}
        _log.error("pipeline failed", pipeline=status.name, **code)

    def _tell(self, what: str, standing: Standing, **names: str) -> None:
        said = f"{what} {standing.state.value}"
        if (error := standing.error) is None:
            _log.info(said, **names)
            return
        _log.warning(said, **names, **_told(error))


def error_line(error: TailraceError) -> None:
    """What ends a command, or keeps it from beginning, as a line like the others."""
    _log.error(error.code.title, **_told(error))


def _told(error: TailraceError) -> dict[str, str]:
    told = {"code": error.code.id, "at": error.where, "error": error.found, "remedy": error.remedy}
    return {key: redact(text) for key, text in told.items() if text}
