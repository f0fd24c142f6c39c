"""SQLite files that must survive a power cut: opened, recognised, written. `sqlite_faults`: what goes wrong.

A file is in WAL mode: readers and one writer do not wait for each other, in one process or in several. It
must lie on a disk of this machine, since its users share memory (https://sqlite.org/wal.html).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tailrace.clients.sqlite_faults import (
    FOREIGN,
    LOCKED,
    MOVED,
    NOT_WRITABLE,
    OTHER_VERSION,
    REMEDIES,
    policies,
    policy,
    primary,
)
from tailrace.errors import Retry, Stop
from tailrace.folders import make_folder, sync_folder

_PATIENCE: Final = 2.0  # seconds to wait for the write lock before it is told as locked
_WAL_BYTES: Final = 16 * 1024 * 1024  # the WAL's size at which it is copied into the file and begun anew
_SWITCH_SECONDS: Final = 0.01  # between two tries to switch to the WAL mode
_WAL_PATIENCE: Final = 0.1  # seconds that readers get to leave the WAL; else it grows by as much again


@dataclass(frozen=True)
class Kind:
    """A kind of file: how it is recognised, and what a new one is made of."""

    title: str  # for people: "event log"
    application_id: int  # SQLite keeps it in the file's header
    version: int  # of the layout, kept there too
    layout: Sequence[str]  # the statements that make it
    page_size: int
    writers: Callable[[sqlite3.Connection], Sequence[str]]
    """Who, for all that can be seen, may be holding the write lock."""


class SqliteFile:
    """One connection to one file. It belongs to the thread that opened it."""

    def __init__(self, path: Path, real: Path, kind: Kind, connection: sqlite3.Connection) -> None:
        self.path = path
        self.kind = kind
        self.connection = connection
        self._wal = real.with_name(real.name + "-wal")
        self._checkpoint_at = _WAL_BYTES
        self._inode: tuple[int, int] | None = None

    @classmethod
    def open(cls, path: Path, kind: Kind) -> SqliteFile:
        """Open for writing; a file that does not exist is made, with its folder, durably.

        Raises Retry (locked, disk full, I/O) or Stop (not writable, damaged, foreign, of another version).
        """
        _refuse_folder(path)
        real = _real(path)
        with policies(real.parent):
            make_folder(real.parent)
        created = not _exists(real)
        with policies(path):
            connection = sqlite3.connect(real, timeout=_PATIENCE, isolation_level=None)
        file = cls(path, real, kind, connection)
        try:
            with file._policies():
                if not file._recognise():
                    file._create()
                for pragma in ("synchronous = FULL", "fullfsync = 1", "checkpoint_fullfsync = 1"):
                    connection.execute(f"PRAGMA {pragma}")
                connection.execute("PRAGMA secure_delete = 0")  # pages given up need not be overwritten
                connection.execute("PRAGMA wal_autocheckpoint = 0")  # see _bound_wal
            if created:
                with policies(path):
                    sync_folder(real.parent)
            file._inode = _inode(real)
        except BaseException:
            connection.close()
            raise
        return file

    @classmethod
    def read(cls, path: Path, kind: Kind) -> SqliteFile | None:
        """Open for reading, also while others write. None: there is no file, or nothing in it yet."""
        _refuse_folder(path)
        if not _exists(path):
            return None
        real = _real(path)
        with policies(path):
            uri = f"{real.as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)
        file = cls(path, real, kind, connection)
        try:
            with file._policies():
                recognised = file._recognise()
            file._inode = _inode(real)
        except BaseException:
            connection.close()
            raise
        if recognised:
            return file
        connection.close()
        return None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction, durable when the block has ended; any exception undoes it.

        Raises as `open` does. UnknownOutcome: COMMIT itself failed, and only reading tells what is stored.
        """
        committing = False
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            self.refuse_moved()
            yield self.connection
            committing = True
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo()
            raise self._policy(error, committing=committing) from error
        except BaseException:
            self._undo()
            raise
        self._bound_wal()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A block of queries that all see one state. Keep it short: meanwhile the WAL cannot begin anew."""
        with self._policies():
            self.connection.execute("BEGIN")
            try:
                yield self.connection
            finally:
                self._undo()

    def refuse_moved(self) -> None:
        """Stop unless the path still leads to the open file and its WAL."""
        if _inode(self.path) != self._inode or _inode(self._wal) is None:
            raise Stop(
                MOVED,
                f"the path no longer leads to the {self.kind.title} that is open",
                "Put the file back, with -wal and -shm beside it, if it was moved. If it is gone, what it "
                "held has to be read from the source again.",
                where=str(self.path),
            )

    def close(self) -> None:
        """Legal repeatedly. The last one to leave a file copies its WAL into it."""
        self.connection.close()

    def _recognise(self) -> bool:
        """Whether the file is of this kind and version; False where there is nothing in it yet."""
        application_id, version, entries = self.connection.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
            "FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        if application_id == 0 and entries == 0:
            return False
        if application_id != self.kind.application_id:
            raise Stop(
                FOREIGN,
                f"expected the {self.kind.title}, found another program's database",
                REMEDIES[FOREIGN],
                where=str(self.path),
            )
        if version != self.kind.version:
            raise Stop(
                OTHER_VERSION,
                f"the {self.kind.title} has layout {version}, this tailrace knows {self.kind.version}",
                "Run the tailrace that wrote it, or a newer one.",
                where=str(self.path),
            )
        return True

    def _create(self) -> None:
        """Make the layout in one transaction. Somebody else may be about to do the same."""
        self.connection.execute(f"PRAGMA page_size = {self.kind.page_size}")
        self.connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if self._switch_to_wal() != "wal":
            raise Stop(
                NOT_WRITABLE,
                "its file system does not support the WAL mode of SQLite",
                "Choose a path on a disk of this machine.",
                where=str(self.path),
            )
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute("BEGIN IMMEDIATE")
        if self._recognise():
            self.connection.execute("ROLLBACK")
            return
        for statement in self.kind.layout:
            self.connection.execute(statement)
        self.connection.execute(f"PRAGMA application_id = {self.kind.application_id}")
        self.connection.execute(f"PRAGMA user_version = {self.kind.version}")
        self.connection.execute("COMMIT")

    def _switch_to_wal(self) -> str:
        """The mode that the file has then. Of two that switch at once each would wait for the other to end
        its read: SQLite tells one of them so without waiting at all."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return str(self.connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
            except sqlite3.OperationalError as error:
                if primary(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(_SWITCH_SECONDS)

    def _bound_wal(self) -> None:
        """Copy the WAL into the file once it has grown.

        TRUNCATE holds the write lock meanwhile. What SQLite does by itself is PASSIVE: it never begins the
        WAL anew while readers overlap, and up to SQLite 3.51.2 it could, though hardly ever, damage a file
        that two processes write (https://sqlite.org/wal.html#walresetbug).
        """
        with contextlib.suppress(FileNotFoundError):
            if self._wal.stat().st_size < self._checkpoint_at:
                return
        with self._policies(committing=True):
            self.connection.execute(f"PRAGMA busy_timeout = {int(_WAL_PATIENCE * 1000)}")
            try:
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.OperationalError as error:
                # Durable it is already. A full disk is told by the write that needs the room.
                if primary(error) not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
                    raise
            finally:
                self.connection.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")
        with contextlib.suppress(FileNotFoundError):
            self._checkpoint_at = self._wal.stat().st_size + _WAL_BYTES

    def _undo(self) -> None:
        if self.connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _policies(self, *, committing: bool = False) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._undo()
            raise self._policy(error, committing=committing) from error

    def _policy(self, error: sqlite3.Error, *, committing: bool = False) -> Exception:
        if primary(error) != sqlite3.SQLITE_BUSY:
            return policy(error, self.path, committing=committing)
        try:
            writers = "; ".join(self.kind.writers(self.connection))
        except sqlite3.Error:
            writers = ""
        return Retry(
            LOCKED,
            f"another process holds the write lock of the {self.kind.title}"
            + (f"; those that wrote last: {writers}" if writers else ""),
            REMEDIES[LOCKED],
            where=str(self.path),
        )


def refuse_unwritable(path: Path) -> None:
    """Stop unless this user may write a file at the path, or make it with the folders above it."""
    _refuse_folder(path)
    real = _real(path)
    existing = next(one for one in (real, *real.parents) if _exists(one))
    folder = real.parent if existing == real else existing
    if not folder.is_dir():
        found = f"{folder} is not a folder"
    elif not os.access(folder, os.W_OK) or not os.access(existing, os.W_OK):
        found = f"{existing if os.access(folder, os.W_OK) else folder} cannot be written"
    else:
        return
    raise Stop(NOT_WRITABLE, found, REMEDIES[NOT_WRITABLE], where=str(path))


def _refuse_folder(path: Path) -> None:
    if _exists(path) and path.is_dir():
        found = "the path leads to a folder"
        raise Stop(NOT_WRITABLE, found, "Name a file in it, or another path.", where=str(path))


def _real(path: Path) -> Path:
    """What the path leads to, a link followed: SQLite puts -wal beside that. It need not exist."""
    return Path(os.path.realpath(path))


def _exists(path: Path) -> bool:
    with policies(path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.stat()
        return True
    return False


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
