"""The status of a running pipeline as log lines, for where there is no terminal."""

from __future__ import annotations

import contextlib
import logging
import select
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TextIO

from tailrace.checkpoint import show_position
from tailrace.cli.records import as_json, as_logfmt, as_words
from tailrace.engine.status import PipelineStatus, Standing
from tailrace.errors import TailraceError
from tailrace.logs import Event, Logger
from tailrace.redact import redact

_EVERY: Final = 10.0  # seconds between two lines of progress
_PATIENCE: Final = 0.1  # seconds with a reader of the lines who is slow
_OURS: Final = ("tailrace", "connectors", "sinks", "offsets")
"""Whose loggers tell how things take their course; others tell their warnings."""

_log: Final = Logger(__name__)


def log_to_stderr(*, json: bool = False) -> None:
    """What any part of the pipeline logs becomes a line on stderr too; on a terminal, above the live view.
    `json`: each line is an object with timestamp, level, event and what else there is to say."""
    _direct(as_json if json else as_logfmt)


def log_as_words() -> None:
    """The same for a command that a person waits for: `warning: what happened (slot orders)`."""
    _direct(as_words)


class _Lines(logging.Handler):
    """Writes to what is the standard error at that time. Lines that it does not take are left out,
    whatever the reason (a full disk, a stream that somebody has closed, a pipe that nobody reads): none is
    one to stop delivering. Those of a pipe are counted, and told when it is read again."""

    def __init__(self, line: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self._line = line
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        if (stream := sys.stderr) is None:
            return
        with contextlib.suppress(Exception):
            if not _is_read(stream):
                self._left_out += 1
                return
            if self._left_out:
                told = Event(
                    "lines are left out, as nobody read the standard error", {"lines": self._left_out}
                )
                stream.write(f"{self._line(_warning(told))}\n")
                self._left_out = 0
            stream.write(f"{self._line(record)}\n")
            stream.flush()


def _is_read(stream: TextIO) -> bool:
    """Whether a line can be written without waiting for somebody: a full pipe would hold up everything."""
    try:
        file = stream.fileno()
    except (OSError, ValueError):  # one of Python's own
        return True
    poll = select.poll()
    poll.register(file, select.POLLOUT)
    return bool(poll.poll(_PATIENCE * 1000))


def _warning(event: Event) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, event, None, None)


def _direct(line: Callable[[logging.LogRecord], str]) -> None:
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, _Lines):
            root.removeHandler(handler)
    root.addHandler(_Lines(line))
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)


class StatusLines:
    """A line at the start, at each change of a state, every ten seconds in which something moved, and at the
    end, on stderr."""

    def __init__(self) -> None:
        self._looked = time.monotonic()
        self._seen: dict[str, tuple[int, int]] = {}  # of each sink, when that was: commits and events

    def begin(self, status: PipelineStatus) -> None:
        """The first look; each change of a state from now on is told when it happens."""
        _log.info("pipeline starts", pipeline=status.name)
        status.turned = partial(self._tell, "pipeline", status, pipeline=status.name)
        status.source.turned = partial(self._tell, "source", status.source, pipeline=status.name)
        for identity, sink in status.sinks.items():
            sink.turned = partial(self._tell, "sink", sink, sink=identity)

    def look(self, status: PipelineStatus) -> None:
        """Write what moved; called several times a second."""
        now = time.monotonic()
        if (passed := now - self._looked) < _EVERY:
            return
        self._looked = now
        for identity, sink in status.sinks.items():
            commits, events = self._seen.get(identity, (0, 0))
            self._seen[identity] = sink.commits, sink.events
            if sink.commits != commits:
                lag = status.lag_seconds(sink, time.time())
                _log.info(
                    "progress",
                    sink=identity,
                    events=sink.events,
                    rows_per_second=_rate((sink.events - events) / passed),
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


def _rate(per_second: float) -> float:
    """A few rows are not told as none."""
    return round(per_second, None if per_second >= 10 else 1)


def error_line(error: TailraceError) -> None:
    """What ends a command, or keeps it from beginning, as a line like the others."""
    _log.error(error.code.title, **_told(error))


def _told(error: TailraceError) -> dict[str, str]:
    told = {"code": error.code.id, "at": error.where, "error": error.found, "remedy": error.remedy}
    return {key: redact(text) for key, text in told.items() if text}
