"""What the status of a running pipeline amounts to in rates and lags."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from tailrace.engine.status import PipelineStatus

_WINDOW: Final = 3.0  # seconds that a rate is taken over


@dataclass(frozen=True, slots=True)
class SinkFigures:
    """One sink at one instant."""

    rows_per_second: float  # made durable, over the last few seconds
    lag_seconds: float | None  # age of the newest durable transaction; 0 when nothing waits; None: unknown
    idle_seconds: float | None  # since the last commit; None: none in this run


class Figures:
    """Follows one pipeline's status; `of` is called at each look at it, several times a second."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def of(self, status: PipelineStatus) -> dict[str, SinkFigures]:
        """The figures of each sink, by its identity."""
        now = time.time()
        return {
            identity: SinkFigures(
                rows_per_second=self._rate(identity, sink.events),
                lag_seconds=status.lag_seconds(sink, now),
                idle_seconds=None if sink.committed_at is None else max(0.0, now - sink.committed_at),
            )
            for identity, sink in status.sinks.items()
        }

    def _rate(self, name: str, count: int) -> float:
        now = time.monotonic()
        seen = self._seen.setdefault(name, deque([(now, 0)]))
        seen.append((now, count))
        while len(seen) > 2 and now - seen[1][0] > _WINDOW:
            seen.popleft()
        first, before = seen[0]
        return (count - before) / (now - first) if now > first else 0.0
