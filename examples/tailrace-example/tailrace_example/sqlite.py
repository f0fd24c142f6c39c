"""The sink `sqlite`: rows in the table `event` of a SQLite file, exactly once.

number  counts all events of the file, in the order of their commits
source  the table that an event comes from: `public.orders`
key     as the format wrote it; NULL: the event has none
value   as the format wrote it; NULL: a tombstone
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final, TypeAlias

from pydantic import Field

from tailrace.abc import Declaration, Explanation, Finding, Guarantee, SinkContext, Unit
from tailrace.checkpoint import Checkpoint
from tailrace.errors import Fenced, NotReady, Stop, UnknownOutcome, code
from tailrace.events import Batch
from tailrace.worker_thread import WorkerThread

NO_FOLDER = code("TR-EXAMPLE-010", "no folder", "The folder of the database file does not exist.")
BUSY = code("TR-EXAMPLE-011", "SQLite is busy", "Another process holds the write lock, or the disk is full.")
BROKEN = code("TR-EXAMPLE-012", "SQLite refuses", "The file is damaged, or not a database of this sink.")
FENCED = code("TR-EXAMPLE-013", "claimed by another process", "A newer process has opened this sink.")

_LAYOUT: Final = """
    CREATE TABLE IF NOT EXISTS event (
        number INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, key BLOB, value BLOB);
    CREATE TABLE IF NOT EXISTS checkpoint (
        sink TEXT PRIMARY KEY, epoch INTEGER NOT NULL, checkpoint TEXT);
    """
_WAIT_SECONDS: Final = 5.0  # for the write lock of another process

_Row: TypeAlias = tuple[str, bytes | None, bytes | None]


class SqliteSettings(Declaration):
    """Writes events into one SQLite file."""

    path: Path = Field(description="The database file; several pipelines may share one.")


class SqliteSink:
    """See `tailrace.abc.Sink`. The connection is used in one thread of the sink's own alone, so that what was
    begun there is over before anything else happens."""

    Settings: ClassVar[type[Declaration]] = SqliteSettings
    alone = False
    guarantee = Guarantee.EXACTLY_ONCE
    unit = Unit()

    def __init__(self, settings: SqliteSettings, context: SinkContext) -> None:
        self.identity = context.identity
        self._path = context.base / settings.path
        self._format = context.format
        self._thread = WorkerThread(f"sqlite {context.identity}")
        self._connection: sqlite3.Connection | None = None
        self._epoch = 0
        self._accepted: list[_Row] = []

    async def check(self) -> Sequence[Finding]:
        """Whether the file can be made."""
        if self._path.parent.is_dir():
            return [Finding("SQLite file", str(self._path))]
        error = NotReady(NO_FOLDER, f"{self._path.parent} does not exist", f"mkdir {self._path.parent}")
        return [Finding("SQLite file", error.found, error=error, remedy=error.remedy)]

    async def peek(self) -> Checkpoint | None:
        """In a connection of its own."""
        return await self._thread.call(self._peek)

    async def open(self) -> Checkpoint | None:
        """Raise the epoch: from here on every commit of an earlier process fails."""
        self._accepted = []
        return await self._thread.call(self._open)

    def prepare(self, batch: Batch) -> list[_Row]:
        """Rows, in order."""
        return [
            (str(record.change.table), record.key, record.value) for record in batch.encoded(self._format)
        ]

    async def write(self, payload: list[_Row]) -> None:
        """Kept until the commit, which bounds what is kept: see `unit`."""
        self._accepted += payload

    async def commit(self, checkpoint: Checkpoint) -> None:
        """Events and checkpoint in one transaction, under the epoch of our claim."""
        await self._thread.call(self._commit, self._accepted, checkpoint)
        self._accepted = []

    async def abort(self) -> None:
        """What was accepted is forgotten; nothing of it is in the file."""
        self._accepted = []
        await self._thread.call(self._close)

    async def close(self) -> None:
        """The same, and the thread ends."""
        await self.abort()
        self._thread.end()

    async def store(self, checkpoint: Checkpoint) -> None:
        """Claim, then commit it alone."""
        await self.open()
        await self.commit(checkpoint)
        await self.abort()

    async def forget(self, *, dry_run: bool) -> Sequence[str]:
        """The epoch stays, and grows: an earlier process must not come back."""
        if await self.peek() is None:
            return []
        if not dry_run:
            await self._thread.call(self._forget)
        return [f"checkpoint of {self.identity} in {self._path}"]

    def explain(self) -> Explanation:
        """See `tailrace.abc.Explains`."""
        return Explanation(
            unit="events and checkpoint are one SQLite transaction, synchronous=FULL",
            fence="an epoch in the same file, compared within every commit",
            stored={f"{self._path}, table checkpoint, row {self.identity}": "the checkpoint"},
            made={str(self._path): "the table event, and the table checkpoint"},
        )

    def _peek(self) -> Checkpoint | None:
        # Not for reading alone: what a killed process left half written is undone by whoever comes first.
        if not self._path.exists():
            return None
        with self._translated(), contextlib.closing(self._connect(mode="rw")) as connection:
            known = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'checkpoint'").fetchone()
            return self._read(connection)[1] if known else None

    def _open(self) -> Checkpoint | None:
        self._close()
        with self._translated():
            self._connection = self._connect(mode="rwc")
            self._connection.executescript(_LAYOUT)
            with self._transaction():
                self._connection.execute(
                    "INSERT INTO checkpoint (sink, epoch) VALUES (?, 1) "
                    "ON CONFLICT (sink) DO UPDATE SET epoch = epoch + 1",
                    (self.identity,),
                )
                self._epoch, checkpoint = self._read(self._connection)
            return checkpoint

    def _commit(self, rows: Sequence[_Row], checkpoint: Checkpoint) -> None:
        with self._translated(), self._transaction() as connection:
            claimed = connection.execute(
                "UPDATE checkpoint SET checkpoint = ? WHERE sink = ? AND epoch = ?",
                (checkpoint.encode().decode(), self.identity, self._epoch),
            )
            if claimed.rowcount != 1:
                found = f"{self.identity} has been opened again since"
                raise Fenced(FENCED, found, "Nothing, if that process is the one meant to run.")
            connection.executemany("INSERT INTO event (source, key, value) VALUES (?, ?, ?)", rows)

    def _forget(self) -> None:
        self._open()
        with self._translated(), self._transaction() as connection:
            connection.execute("UPDATE checkpoint SET checkpoint = NULL WHERE sink = ?", (self.identity,))
        self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=_WAIT_SECONDS,
            isolation_level=None,
        )
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        assert self._connection is not None, "the contract: open comes first"
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLite's errors as tailrace's. After any of them the engine opens the sink again, and the
        checkpoint tells what happened."""
        try:
            yield
        except sqlite3.OperationalError as error:
            found, remedy = str(error), "Look at the disk and at who else has the file open."
            raise UnknownOutcome(BUSY, found, remedy, where=str(self._path)) from error
        except sqlite3.DatabaseError as error:
            raise Stop(BROKEN, str(error), "Name another file.", where=str(self._path)) from error

    def _read(self, connection: sqlite3.Connection) -> tuple[int, Checkpoint | None]:
        row = connection.execute(
            "SELECT epoch, checkpoint FROM checkpoint WHERE sink = ?", (self.identity,)
        ).fetchone()
        epoch, stored = row or (0, None)
        return epoch, None if stored is None else Checkpoint.decode(stored, f"{self._path}, {self.identity}")
