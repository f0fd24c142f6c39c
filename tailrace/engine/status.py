"""What a running pipeline shows of itself: plain data, written by the engine, read by whoever displays it."""

from __future__ import annotations

import enum
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tailrace.abc import Retention
from tailrace.errors import TailraceError
from tailrace.events import Position

TABLES: Final = 10_000  # that a sink's events are counted by
_QUIET_SECONDS: Final = 3.0
"""With nothing new read for so long, what else the log holds concerns no captured table."""


class State(enum.Enum):
    """What a pipeline, its source or one of its sinks is doing."""

    STARTING = "starting"
    STREAMING = "streaming"
    PAUSED = "paused"  # nothing new is read until somebody says so; the server keeps its log meanwhile
    RETRYING = "retrying"  # `error` says why; it goes on by itself
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(slots=True, kw_only=True)
class Standing:
    """What a pipeline and each of its parts have in common. `turned` is called at each change of the state or
    of the error, at that instant, in the event loop that runs the pipeline."""

    state: State = State.STARTING
    error: TailraceError | None = None  # what is waited out
    retries: int = 0
    turned: Callable[[], None] | None = None

    def enter(self, state: State, error: TailraceError | None = None) -> None:
        """Be in this state from now on; entering `RETRYING` is one more attempt."""
        before = (self.state, self.error and self.error.code)
        self.state, self.error = state, error
        if state is State.RETRYING:
            self.retries += 1
        if self.turned is not None and before != (state, error and error.code):
            self.turned()


@dataclass(slots=True)
class SourceStatus(Standing):
    """`events` counts the changes that were read in this run, repeats included."""

    events: int = 0
    timestamp: int | None = None  # µs since the epoch: commit time of the newest transaction read
    read_at: float | None = None  # seconds since the epoch: when an event was last read
    retention: Retention | None = None  # what the server keeps, as it was last seen
    full_in: float | None = None  # seconds until it keeps all that it may, as it grows now


@dataclass(slots=True)
class SinkStatus(Standing):
    """`events` (changes) and `commits` count what became durable in this run."""

    identity: str
    events: int = 0
    bytes: int = 0  # of these, as the source counts them
    commits: int = 0
    tables: dict[str, int] = field(default_factory=dict)  # events by table; that of the newest stands last
    skipped: Counter[str] = field(default_factory=Counter)  # records by table that the sink has left out
    position: Position | None = None  # durable
    timestamp: int | None = None  # µs since the epoch: commit time of the newest durable transaction
    committed_at: float | None = None  # seconds since the epoch: when this sink last committed
    lag_bytes: int | None = None  # of log between the durable position and the server's newest known end

    def count(self, tables: Mapping[str, int]) -> None:
        """So many more events of these tables are durable. Of tables that were dropped nobody is told: beyond
        a number of tables, what is counted of those without a change for longest is forgotten."""
        self.events += sum(tables.values())
        for table, events in tables.items():
            self.tables[table] = self.tables.pop(table, 0) + events
        while len(self.tables) > TABLES:
            del self.tables[next(iter(self.tables))]


@dataclass(slots=True)
class PipelineStatus(Standing):
    """The whole pipeline; retries are of the start. Read it from the event loop that runs the pipeline."""

    name: str
    started_at: float = field(default_factory=time.time)  # seconds since the epoch
    source: SourceStatus = field(default_factory=SourceStatus)
    sinks: dict[str, SinkStatus] = field(default_factory=dict)  # by sink identity

    def lag_seconds(self, sink: SinkStatus, now: float) -> float | None:
        """Age of the newest transaction that is durable in a sink; 0 where nothing waits for it, None where
        nothing was delivered in this run. `now`: seconds since the epoch."""
        read_at = self.source.read_at
        quiet = read_at is not None and now - read_at > _QUIET_SECONDS
        everything_read = sink.timestamp == self.source.timestamp and sink.lag_bytes is not None
        if sink.lag_bytes == 0 or (quiet and everything_read):
            return 0.0
        return None if sink.timestamp is None else max(0.0, now - sink.timestamp / 1e6)

    @property
    def ready(self) -> bool:
        """Whether everything flows: the source streams, and every sink takes what comes."""
        parts = (self.state, self.source.state, *(sink.state for sink in self.sinks.values()))
        return all(state is State.STREAMING for state in parts)
