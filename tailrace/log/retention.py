"""Removes the oldest events of a topic, whole segments at a time, and gives freed pages back to the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tailrace.failpoints import failpoint
from tailrace.log.layout import events_table

_LEAST_WORK: Final = 8 * 1024 * 1024  # bytes of events that one commit may remove, however little it appends
_SLACK_BYTES: Final = 16 * 1024 * 1024  # free pages that may wait in the file for the next events …
_SLACK_SHARE: Final = 4  # … and a quarter of the file
_PAGES_PER_COMMIT: Final = 256  # how many pages one commit gives back

_expired = failpoint("log.retention.expired")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a topic's events are kept, in time since they were appended and in bytes of keys and values.

    Both are lower bounds, exceeded by up to a segment (an hour, a MiB, or one commit). None: without end.
    """

    hours: float | None = None
    bytes: int | None = None

    @property
    def microseconds(self) -> int | None:
        """The time in µs."""
        return None if self.hours is None else int(self.hours * 3600 * 1_000_000)


def expire(connection: sqlite3.Connection, topics: Iterable[int] | None, now: int, appended: int) -> None:
    """Remove what the topics (None: all) need not keep any more. `now`: µs since the epoch.

    Part of the commit that appends `appended` bytes; bounded by twice as much, the rest is left to the next.
    """
    if topics is None:
        limited = "SELECT id FROM topic WHERE retention_us NOT NULL OR retention_bytes NOT NULL"
        topics = [id for (id,) in connection.execute(limited)]
    budget = max(_LEAST_WORK, 2 * appended)
    for topic in topics:
        while budget > 0 and (freed := _expire_oldest(connection, topic, now)):
            budget -= freed
            _expired()


def _expire_oldest(connection: sqlite3.Connection, topic: int, now: int) -> int:
    """Remove the topic's oldest segment if it may go: its bytes, or 0."""
    base, next, before, bytes_, appended, retention_us, retention_bytes = connection.execute(
        "SELECT base, next, before, bytes, appended, retention_us, retention_bytes "
        "FROM topic JOIN segment ON topic = id WHERE id = ? ORDER BY base LIMIT 1",
        (topic,),
    ).fetchone()
    last, end = connection.execute(
        "SELECT base, before + bytes FROM segment WHERE topic = ? ORDER BY base DESC LIMIT 1", (topic,)
    ).fetchone()
    too_old = retention_us is not None and appended + retention_us <= now
    too_much = retention_bytes is not None and base != last and end - (before + bytes_) >= retention_bytes
    if base == next or not (too_old or too_much):
        return 0
    connection.execute(f'DELETE FROM {events_table(topic)} WHERE "offset" < ?', (next,))
    connection.execute("DELETE FROM segment WHERE topic = ? AND base = ?", (topic, base))
    if base == last:  # an empty segment keeps the topic's next offset
        connection.execute(
            "INSERT INTO segment VALUES (?, ?, ?, ?, 0, ?, ?, 0, '')", (topic, next, next, end, now, now)
        )
    return max(int(bytes_), 1)


def shrink(connection: sqlite3.Connection) -> None:
    """Give some free pages back if there are many: a log that keeps its size reuses them."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    if free * _page_size(connection) < _SLACK_BYTES:
        return
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if free * _SLACK_SHARE > pages:
        for _ in range(min(free, _PAGES_PER_COMMIT)):  # sqlite3 stops each such statement after one page
            connection.execute("PRAGMA incremental_vacuum(1)")


def _page_size(connection: sqlite3.Connection) -> int:
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int(size)
