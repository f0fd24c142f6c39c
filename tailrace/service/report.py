"""A pipeline's status as a document: what `tailrace status --json`, the control socket and HTTP answer."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tailrace.abc import Retention
from tailrace.engine.status import PipelineStatus, SinkStatus
from tailrace.errors import TailraceError
from tailrace.events import Position
from tailrace.redact import redact


class Trouble(msgspec.Struct, frozen=True):
    """An error that is waited out. Nothing in it is secret."""

    code: str
    title: str
    where: str | None
    found: str
    remedy: str


class SinkReport(msgspec.Struct, frozen=True):
    """One sink. Counts are of this run; ages and lags are seconds."""

    name: str
    state: str
    error: Trouble | None
    events: int
    bytes: int
    commits: int
    retries: int
    lag_bytes: int | None
    lag_seconds: float | None
    checkpoint_age: float | None
    position: Position | None
    tables: Mapping[str, int]
    skipped: Mapping[str, int]  # records by table that the sink has left out, as its settings say


class RetentionReport(msgspec.Struct, frozen=True):
    """The log that the server keeps for the pipeline."""

    level: str
    kept_bytes: int
    free_bytes: int | None
    full_in_seconds: float | None
    found: str
    remedy: str


class SourceReport(msgspec.Struct, frozen=True):
    """The source."""

    state: str
    error: Trouble | None
    events: int
    retries: int
    retention: RetentionReport | None


class Report(msgspec.Struct, frozen=True):
    """One pipeline at one instant."""

    name: str
    state: str
    ready: bool
    error: Trouble | None
    pid: int
    started_at: float  # seconds since the epoch
    retries: int
    source: SourceReport
    sinks: list[SinkReport]


def report(status: PipelineStatus, pid: int, now: float) -> Report:
    """The status as it is, `now` in seconds since the epoch."""
    source = status.source
    kept = source.retention
    return Report(
        name=status.name,
        state=status.state.value,
        ready=status.ready,
        error=_trouble(status.error),
        pid=pid,
        started_at=status.started_at,
        retries=status.retries,
        source=SourceReport(
            state=source.state.value,
            error=_trouble(source.error),
            events=source.events,
            retries=source.retries,
            retention=None if kept is None else _retention(kept, source.full_in),
        ),
        sinks=[_sink(status, sink, now) for sink in status.sinks.values()],
    )


def _sink(status: PipelineStatus, sink: SinkStatus, now: float) -> SinkReport:
    return SinkReport(
        name=sink.identity.partition("/")[2],
        state=sink.state.value,
        error=_trouble(sink.error),
        events=sink.events,
        bytes=sink.bytes,
        commits=sink.commits,
        retries=sink.retries,
        lag_bytes=sink.lag_bytes,
        lag_seconds=status.lag_seconds(sink, now),
        checkpoint_age=None if sink.committed_at is None else max(0.0, now - sink.committed_at),
        position=sink.position,
        tables=dict(sink.tables),
        skipped=dict(sink.skipped),
    )


def _retention(kept: Retention, full_in: float | None) -> RetentionReport:
    return RetentionReport(kept.level, kept.kept, kept.free, full_in, kept.found, kept.remedy)


def _trouble(error: TailraceError | None) -> Trouble | None:
    if error is None:
        return None
    where = redact(error.where) if error.where else None
    return Trouble(error.code.id, error.code.title, where, redact(error.found), redact(error.remedy))
