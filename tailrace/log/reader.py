"""Reads the log, from any process, while it is being written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tailrace.clients.sqlite import SqliteFile
from tailrace.errors import Gap, Stop, code
from tailrace.log.layout import LOG, events_table
from tailrace.log.retention import Retention

NO_LOG = code("TR-LOG-001", "no event log", "There is no file at the path, or nothing was written to it yet.")
UNKNOWN_TOPIC = code("TR-LOG-002", "unknown topic", "The log holds no topic of this name.")
EXPIRED = code(
    "TR-LOG-003",
    "events are gone",
    "The offset lies before the oldest event of the topic: its retention has removed what was asked for.",
)
BEYOND_END = code(
    "TR-LOG-004",
    "offset beyond the end",
    "The offset was never assigned in this topic: it belongs to another topic or another file.",
)

_LOOK_SECONDS: Final = 0.05  # between two looks for new commits; a look costs a few µs
_SCAN: Final = 20_000  # how many events one query looks at: bounds the time that it holds up the WAL
_PAGE_BYTES: Final = 8 * 1024 * 1024

_COLUMNS: Final = '"offset", timestamp, position, ordinal, "index", key, value'


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One event of a topic."""

    offset: int
    timestamp: int  # µs since the epoch: when the database committed it
    position: str  # its transaction's place in the source's log; with the next two, its identity
    ordinal: int
    index: int
    key: bytes | None
    value: bytes | None  # None: a tombstone

    @property
    def identity(self) -> str:
        """`position:ordinal:index`: the same for every delivery of this event, in any target."""
        return f"{self.position}:{self.ordinal}:{self.index}"


class Page(msgspec.Struct, frozen=True):
    """Some entries of a topic, in order, and where the next page begins."""

    entries: Sequence[Entry]
    next: int
    end: bool  # nothing more was stored when it was read


class Topic(msgspec.Struct, frozen=True):
    """A topic as it was when it was looked at."""

    name: str
    first: int  # offset of the oldest event
    next: int  # the offset that the next event gets; equal to `first`: empty
    bytes: int  # of keys and values
    timestamp: int | None  # the newest, µs since the epoch; None: empty
    retention: Retention


class Reader:
    """A log opened for reading. It belongs to the thread that opened it; any number may be open.

    Raises Retry where the file cannot be read just now, Stop kinds for the rest.
    """

    def __init__(self, path: Path) -> None:
        file = SqliteFile.read(path, LOG)
        if file is None:
            raise Stop(
                NO_LOG,
                "nothing is stored there",
                "Check the path, or run the pipeline first.",
                where=str(path),
            )
        self._file = file
        self._version = self._data_version()

    def topics(self) -> Sequence[Topic]:
        """All topics, by name."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT name, min(base), max(next), max(before + bytes) - min(before), max(newest), "
                "retention_us, retention_bytes FROM topic JOIN segment ON topic = id "
                "GROUP BY id ORDER BY name"
            ).fetchall()
        return [
            Topic(name, first, next, size, newest if first < next else None, _retention(*kept))
            for name, first, next, size, newest, *kept in rows
        ]

    def read(
        self, topic: str, offset: int | None = None, *, key: bytes | None = None, limit: int = 1000
    ) -> Page:
        """Entries from an offset on (None: the oldest), at most `limit`, or those of them with this key.

        One call looks at a bounded number of events: a page without entries need not be the end. Gap where
        retention has removed the offset, Stop for one beyond the end or an unknown topic.
        """
        with self._file.reading():
            id, first, next = self._find(topic)
            offset = first if offset is None else offset
            if not first <= offset <= next:
                raise self._out_of_range(topic, offset, first, next)
            end = min(next, offset + (limit if key is None else _SCAN))
            query = f'SELECT {_COLUMNS} FROM {events_table(id)} WHERE "offset" >= ? AND "offset" < ?'
            rows = self._file.connection.execute(
                query + ("" if key is None else " AND key = ?") + ' ORDER BY "offset" LIMIT ?',
                (offset, end, *(() if key is None else (key,)), limit),
            )
            entries = []
            size = 0
            for row in rows:
                entry = Entry(*row)
                entries.append(entry)
                size += len(entry.value or b"")
                if size > _PAGE_BYTES or len(entries) == limit:
                    end = entry.offset + 1
                    break
            rows.close()
        return Page(entries, end, end == next)

    def end(self, topic: str) -> int:
        """The offset that the topic's next event will get."""
        with self._file.reading():
            return self._find(topic)[2]

    def at_time(self, topic: str, timestamp: int) -> int:
        """The offset of the topic's first event committed at or after a time (µs since the epoch); its end
        where there is none. Events after it may be older: databases' clocks are not monotonic."""
        with self._file.reading() as connection:
            id, _, end = self._find(topic)
            segment = connection.execute(
                "SELECT base FROM segment WHERE topic = ? AND base < next AND newest >= ? "
                "ORDER BY base LIMIT 1",
                (id, timestamp),
            ).fetchone()
            if segment is None:
                return end
            row = connection.execute(
                f'SELECT "offset" FROM {events_table(id)} WHERE "offset" >= ? AND timestamp >= ? '
                'ORDER BY "offset" LIMIT 1',
                (*segment, timestamp),
            ).fetchone()
            return end if row is None else int(row[0])

    def wait(self, seconds: float) -> bool:
        """Wait until something was committed since the last call; False when the time is over first.

        Blocks the thread. Stop if the file was moved or deleted.
        """
        deadline = time.monotonic() + seconds
        while (version := self._data_version()) == self._version:
            self._file.refuse_moved()
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, _LOOK_SECONDS))
        self._version = version
        return True

    def close(self) -> None:
        """Free the file. Legal repeatedly."""
        self._file.close()

    def _data_version(self) -> int:
        with self._file.reading() as connection:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def _find(self, topic: str) -> tuple[int, int, int]:
        """Id, first and next offset. Inside a transaction."""
        execute = self._file.connection.execute
        id, first, next = execute(
            "SELECT id, min(base), max(next) FROM topic JOIN segment ON topic = id WHERE name = ?", (topic,)
        ).fetchone()
        if id is None:
            names = [name for (name,) in execute("SELECT name FROM topic ORDER BY name LIMIT 20")]
            raise Stop(
                UNKNOWN_TOPIC,
                f"{topic!r}",
                f"There are: {', '.join(names) or 'none yet'}.",
                where=str(self._file.path),
            )
        return id, first, next

    def _out_of_range(self, topic: str, offset: int, first: int, next: int) -> Stop:
        where = f"{self._file.path}, {topic}"
        if offset < first:
            return Gap(
                EXPIRED,
                f"offset {offset} was asked for, the oldest is {first}",
                f"Begin at {first} (or at the beginning); keep events longer with retention_hours and "
                "retention_bytes.",
                where=where,
            )
        return Stop(
            BEYOND_END,
            f"offset {offset} was asked for, the next event will be {next}",
            "Check the offset, the topic and the file.",
            where=where,
        )


def _retention(microseconds: int | None, bytes: int | None) -> Retention:
    return Retention(None if microseconds is None else microseconds / 3_600_000_000, bytes)
