"""The status of a running pipeline as log lines, for where there is no terminal."""

from __future__ import annotations

import logging
import time
from collections.abc import MutableMapping
from functools import partial
from typing import Any, Final

import msgspec
import structlog

from tailrace.cli.figures import Figures
from tailrace.cli.positions import show_position
from tailrace.engine.status import PipelineStatus, Standing
from tailrace.errors import TailraceError
from tailrace.logs import stderr_logger
from tailrace.redact import redact

_FIRST: Final = ["timestamp", "level", "event"]
_EVERY: Final = 10.0  # seconds between two lines of progress


def log_to_stderr(*, json: bool = False) -> None:
    """What any part of the pipeline logs becomes a line on stderr too; on a terminal, above the live view.
    `json`: each line is an object with timestamp, level, event and what else there is to say."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            _json if json else structlog.processors.LogfmtRenderer(key_order=_FIRST),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=stderr_logger,
    )


def log_as_words() -> None:
    """The same for a command that a person waits for: `warning: what happened (slot orders)`."""
    structlog.configure(processors=[_words], logger_factory=stderr_logger)


def _words(_: Any, level: str, event: MutableMapping[str, Any]) -> str:
    said = event.pop("event")
    rest = ", ".join(f"{name} {value}" for name, value in event.items())
    return redact(f"{level}: {said} ({rest})" if rest else f"{level}: {said}")


def _json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    first = {key: event.pop(key) for key in _FIRST}
    line = _redacted(msgspec.to_builtins({**first, **event}, enc_hook=str))
    return msgspec.json.encode(line).decode()


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
        self._log = structlog.get_logger()
        self._figures = Figures()
        self._moved: dict[str, int] = {}
        self._next = time.monotonic() + _EVERY

    def begin(self, status: PipelineStatus) -> None:
        """The first look; each change of a state from now on is told when it happens."""
        self._log.info("pipeline starts", pipeline=status.name)
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
                self._log.info(
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
                self._log.info(
                    "delivered up to this position", sink=identity, events=sink.events, position=position
                )
        if failure is None:
            self._log.info("pipeline ended", pipeline=status.name)
            return
        code = {"code": failure.code.id} if isinstance(failure, TailraceError) else {}
        self._log.error("pipeline failed", pipeline=status.name, **code)

    def _tell(self, what: str, standing: Standing, **names: str) -> None:
        said = f"{what} {standing.state.value}"
        if (error := standing.error) is None:
            self._log.info(said, **names)
            return
        self._log.warning(said, **names, **_told(error))


def error_line(error: TailraceError) -> None:
    """What ends a command, or keeps it from beginning, as a line like the others."""
    structlog.get_logger().error(error.code.title, **_told(error))


def _told(error: TailraceError) -> dict[str, str]:
    told = {"code": error.code.id, "at": error.where, "error": error.found, "remedy": error.remedy}
    return {key: redact(text) for key, text in told.items() if text}
