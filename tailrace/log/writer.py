"""Appends events to the log, together with the checkpoint of the sink that delivers them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final

from tailrace import claims
from tailrace.checkpoint import Checkpoint
from tailrace.clients.sqlite import SqliteFile
from tailrace.failpoints import failpoint
from tailrace.log import rows as event_rows
from tailrace.log.clock import PROCESS_CLOCK, Clock
from tailrace.log.layout import LOG, events_layout, events_table
from tailrace.log.retention import Retention, expire, shrink
from tailrace.log.rows import COLUMNS, Rows, RowsByTopic

SEGMENT_BYTES: Final = 1024 * 1024
SEGMENT_MICROSECONDS: Final = 3600 * 1_000_000
_SWEEP_MICROSECONDS: Final = 10 * 1_000_000  # between two looks at the topics that nothing is appended to
_ROWS_PER_STATEMENT: Final = 64  # a step of SQLite gives up the interpreter's lock: not once per event

_before_claim = failpoint("log.open.before")
_claimed = failpoint("log.open.fenced")
_before_commit = failpoint("log.commit.before")
_fenced = failpoint("log.commit.fenced")
_appended = failpoint("log.commit.appended")
_locked = failpoint("log.commit.locked")
_after_commit = failpoint("log.commit.after")


class Writer:
    """One sink's claim on a log. It belongs to the thread that opened it.

    A newer claim of the same sink ends it: `append` raises Fenced. Writers of different sinks may share a
    file and even a topic; they wait for each other's commits.
    """

    checkpoint: Checkpoint | None
    """What was stored when the claim was made."""

    def __init__(self, path: Path, sink: str, retention: Retention, clock: Clock = PROCESS_CLOCK) -> None:
        """Claim the log for a sink identity.

        Raises Retry (locked, disk full, I/O) or Stop (not writable, damaged, not a log, of another version).
        """
        self._sink = sink
        self._retention = retention
        self._clock = clock
        self._swept = 0
        self._file = SqliteFile.open(path, LOG)
        try:
            with self._file.writing() as connection:
                _before_claim()
                self._epoch, self.checkpoint = claims.claim(connection, sink, path)
                connection.execute(
                    "UPDATE topic SET retention_us = ?, retention_bytes = ? WHERE sink = ?",
                    (retention.microseconds, retention.bytes, sink),
                )
        except BaseException:
            self._file.close()
            raise
        _claimed()

    def append(self, topics: RowsByTopic, checkpoint: Checkpoint) -> None:
        """Append the rows and store the checkpoint, durably together or not at all. The rows get offsets.

        Old events are removed in the same transaction, about twice as much as is appended, or 8 MiB. Raises
        Fenced; Retry or Stop as the constructor does; UnknownOutcome where the commit itself failed.
        """
        sizes = {name: event_rows.size(rows) for name, rows in topics.items()}
        _before_commit()
        with self._file.writing() as connection:
            claims.save(connection, self._sink, self._epoch, checkpoint, self._file.path)
            _fenced()
            now = self._clock.latest()
            touched = [
                self._append(connection, name, rows, sizes[name], now) for name, rows in topics.items()
            ]
            _appended()
            now = self._clock.earliest()
            sweep = now - self._swept >= _SWEEP_MICROSECONDS
            expire(connection, None if sweep else touched, now, sum(sizes.values()))
            shrink(connection)
            _locked()
        if sweep:
            self._swept = now
        _after_commit()

    def close(self) -> None:
        """Free the file; what was not committed never happened. Legal repeatedly."""
        self._file.close()

    def _append(self, connection: sqlite3.Connection, name: str, rows: Rows, size: int, now: int) -> int:
        topic = self._topic(connection, name)
        count = len(rows) // COLUMNS
        newest, position = max(rows[1::COLUMNS]), max(rows[2::COLUMNS])
        last = connection.execute(
            "SELECT base, next, before, bytes, opened, appended FROM segment WHERE topic = ? "
            "ORDER BY base DESC LIMIT 1",
            (topic,),
        ).fetchone()
        base, offset, before, bytes_, opened, appended = last or (0, 0, 0, 0, now, now)
        now = max(now, appended)  # what comes later does not expire earlier, whatever the clock was set to
        rows[0::COLUMNS] = range(offset, offset + count)
        _insert(connection, events_table(topic), rows)
        if base == offset or bytes_ >= SEGMENT_BYTES or now - opened >= SEGMENT_MICROSECONDS:
            connection.execute(
                "INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (topic, offset, offset + count, before + bytes_, size, now, now, newest, position),
            )
        else:
            connection.execute(
                "UPDATE segment SET next = ?, bytes = bytes + ?, appended = ?, newest = max(newest, ?), "
                "position = max(position, ?) WHERE topic = ? AND base = ?",
                (offset + count, size, now, newest, position, topic, base),
            )
        return topic

    def _topic(self, connection: sqlite3.Connection, name: str) -> int:
        """The id of a topic, made if it is new. Not remembered: an undone commit undoes a new topic too."""
        found = connection.execute("SELECT id FROM topic WHERE name = ?", (name,)).fetchone()
        if found is not None:
            return int(found[0])
        made = connection.execute(
            "INSERT INTO topic (name, sink, retention_us, retention_bytes) VALUES (?, ?, ?, ?)",
            (name, self._sink, self._retention.microseconds, self._retention.bytes),
        )
        topic = made.lastrowid
        assert topic is not None
        connection.execute(events_layout(topic))
        return topic


def _insert(connection: sqlite3.Connection, table: str, rows: Rows) -> None:
    one = f"({', '.join('?' * COLUMNS)})"
    insert = f"INSERT INTO {table} VALUES "
    many = insert + ", ".join([one] * _ROWS_PER_STATEMENT)
    width = COLUMNS * _ROWS_PER_STATEMENT
    whole = len(rows) - len(rows) % width
    for start in range(0, whole, width):
        connection.execute(many, rows[start : start + width])
    rest: list[list[Any]] = [rows[start : start + COLUMNS] for start in range(whole, len(rows), COLUMNS)]
    connection.executemany(insert + one, rest)
