"""A batch of events as rows by topic, each with the hash that chooses its partition."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from sinks.kafka.murmur2 import positive_hashes
from tailrace.abc import Format
from tailrace.clients.kafka.batch import Row
from tailrace.events import Batch, Table, Transaction
from tailrace.topics import TopicTemplate


@dataclass(slots=True)
class Frame:
    """The rows of one topic, in log order. `hashes` is as long as `rows`; `oldest` is no later than any of
    their timestamps."""

    rows: list[Row] = field(default_factory=list)
    hashed: list[bytes] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)
    oldest: int = 0


class Framer:
    """Frames batches. Holds nothing but settings and what follows from a table version."""

    def __init__(self, format: Format, topics: TopicTemplate, *, position: bool, tombstones: bool) -> None:
        self._format = format
        self._topics = topics
        self._position = position
        self._tombstones = tombstones

    def frame(self, batch: Batch) -> dict[str, Frame]:
        """Topic → frame."""
        frames: dict[str, Frame] = {}
        table: Table | None = None
        transaction: Transaction | None = None
        position = None
        oldest = sys.maxsize
        for record in batch.encoded(self._format):
            key, value, change = record.key, record.value, record.change
            if value is None and not self._tombstones:
                continue
            if change.table is not table:
                table = change.table
                topic = self._topics.topic(table)
                frame = frames.setdefault(topic, Frame())
                add_row, add_hashed = frame.rows.append, frame.hashed.append
                instead_of_key = str(table).encode()  # keyless records of a table keep their order
            if change.transaction is not transaction:
                transaction = change.transaction
                timestamp = transaction.timestamp // 1000
                oldest = min(oldest, timestamp)
            if self._position:
                position = record.position.encode()
            add_hashed(instead_of_key if key is None else key)
            add_row((timestamp, key, value, position, record))
        for frame in frames.values():
            frame.hashes = positive_hashes(frame.hashed)
            frame.oldest = oldest
        return frames
