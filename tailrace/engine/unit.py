"""A unit: the batches that become durable together in one sink."""

from __future__ import annotations

import time
from collections import Counter

from tailrace.abc import Payload, Sink
from tailrace.events import Batch, Position

_COMMIT_SHARE = 0.05  # of the time at most is spent in commits, unless the bounds of the sink's unit say more


class UnitOfDelivery:
    """Collects batches with their payloads; keeps the batches until the commit, to write them again."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._began = time.monotonic()
        self.batches: list[Batch] = []
        self.payloads: list[Payload] = []
        self.size = 0  # bytes of raw events
        self.emptied = True
        """It holds a place alone, behind what transforms have dropped: nobody waits for it."""
        self.timestamp: int | None = None
        """The commit time of its newest transaction, in µs since the epoch."""

    def add(self, batch: Batch) -> None:
        """Prepare and append. Malformed and Rejected leave the unit as it was."""
        payload = self._sink.prepare(batch)
        if self.emptied and not batch.emptied:
            self.emptied = False
            self._began = time.monotonic()
        if batch.timestamp is not None:
            self.timestamp = max(batch.timestamp, self.timestamp or batch.timestamp)
        if self.batches and batch.replaces(self.batches[-1]):
            self.batches[-1], self.payloads[-1] = batch, payload
            return
        self.batches.append(batch)
        self.payloads.append(payload)
        self.size += batch.size

    def prepare_again(self) -> None:
        """After a failed delivery: payloads may be used up or made for a connection that is gone."""
        self.payloads = [self._sink.prepare(batch) for batch in self.batches]

    @property
    def is_full(self) -> bool:
        """At its bound in bytes: what it holds must be delivered before more is taken."""
        return self.size >= self._sink.unit.bytes

    def due_in(self, commit_seconds: float) -> float:
        """Seconds until it is worth a commit that costs this long although more is at hand."""
        if self.is_full:
            return 0.0
        age = time.monotonic() - self._began
        return max(0.0, min(self._sink.unit.seconds, commit_seconds / _COMMIT_SHARE) - age)

    @property
    def expects_more(self) -> bool:
        """The source had more at hand when it cut the last batch: it is about to come."""
        return self.batches[-1].more

    @property
    def end(self) -> Position:
        """The position after its last batch."""
        return self.batches[-1].end

    @property
    def tables(self) -> Counter[str]:
        """How many changes it holds, by table: what people count as events."""
        total: Counter[str] = Counter()
        for batch in self.batches:
            for table, count in batch.changes.items():
                total[str(table)] += count
        return total
