"""What a running pipeline shows of itself: plain data, written by the engine, read by whoever displays it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from tailrace.errors import TailraceError
from tailrace.events import Position


class State(enum.Enum):
    """What a pipeline, its source or one of its sinks is doing."""

    STARTING = "starting"
    STREAMING = "streaming"
    RETRYING = "retrying"  # `error` says why; it goes on by itself
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(slots=True)
class SourceStatus:
    """`events` counts what was read in this run, repeats included."""

    state: State = State.STARTING
    error: TailraceError | None = None
    events: int = 0
    timestamp: int | None = None  # µs since the epoch: commit time of the newest transaction read


@dataclass(slots=True)
class SinkStatus:
    """`events` and `commits` count what became durable in this run."""

    identity: str
    state: State = State.STARTING
    error: TailraceError | None = None
    events: int = 0
    commits: int = 0
    position: Position | None = None  # durable
    timestamp: int | None = None  # µs since the epoch: commit time of the newest durable transaction
    committed_at: float | None = None  # seconds since the epoch: when this sink last committed
    lag_bytes: int | None = None  # of log between the durable position and the server's newest known end


@dataclass(slots=True)
class PipelineStatus:
    """The whole pipeline. Read it from the event loop that runs the pipeline."""

    name: str
    state: State = State.STARTING
    error: TailraceError | None = None  # why a start is tried again
    source: SourceStatus = field(default_factory=SourceStatus)
    sinks: dict[str, SinkStatus] = field(default_factory=dict)  # by sink identity
