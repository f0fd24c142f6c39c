"""SQLite files that must survive a power cut: opened, recognised, written; their errors become policies.

A file is in WAL mode: readers and one writer do not wait for each other, in one process or in several. It
must lie on a disk of this machine, since its users share memory (https://sqlite.org/wal.html).
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tailrace.errors import Retry, Stop, TailraceError, UnknownOutcome, code
from tailrace.folders import make_folder, sync_folder

LOCKED = code(
    "TR-SQLITE-001",
    "the file is locked",
    "Another process holds the write lock of a SQLite file: it is in the middle of a commit, or was stopped "
    "there. Writing waits until it lets go.",
)
FULL = code(
    "TR-SQLITE-002",
    "disk full",
    "A SQLite file cannot grow. Nothing is lost: what was not committed is kept and written again.",
)
NOT_WRITABLE = code(
    "TR-SQLITE-003",
    "the file cannot be opened or written",
    "A SQLite file, or the folder that it lies in, is missing, read-only or belongs to somebody else.",
)
DAMAGED = code(
    "TR-SQLITE-004",
    "damaged file",
    "SQLite finds that a file's content contradicts itself. Nothing is written to it any more.",
)
FOREIGN = code(
    "TR-SQLITE-005",
    "not a file of tailrace",
    "The path leads to a file that something else has written. It is left untouched.",
)
OTHER_VERSION = code(
    "TR-SQLITE-006",
    "a file of another version",
    "The file has a layout that this version of tailrace does not know. It is left untouched.",
)
IO_ERROR = code(
    "TR-SQLITE-007",
    "input/output error",
    "The operating system could not read or write a SQLite file: a failing disk, a quota, a limit on sizes.",
)
MOVED = code(
    "TR-SQLITE-008",
    "the file was moved or deleted",
    "The path no longer leads to the open file. Going on would write what nobody finds again.",
)

_PATIENCE: Final = 2.0  # seconds to wait for the write lock before it is told as locked
_WAL_BYTES: Final = 16 * 1024 * 1024  # the WAL's size at which it is copied into the file and begun anew
_NO_ROOM: Final = 64 * 1024  # bytes: with less, what fails to grow fails for want of room
_WAL_PATIENCE: Final = 0.1  # seconds that readers get to leave the WAL; else it grows by as much again

_RETRIES: Final = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_PROTOCOL: LOCKED,
    sqlite3.SQLITE_IOERR: IO_ERROR,
}
_STOPS: Final = {
    sqlite3.SQLITE_READONLY: NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: NOT_WRITABLE,
    sqlite3.SQLITE_PERM: NOT_WRITABLE,
    sqlite3.SQLITE_AUTH: NOT_WRITABLE,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: FOREIGN,
}
_REMEDIES: Final = {
    LOCKED: "Nothing, if that process ends its commit soon. If it hangs or is stopped, continue or end it.",
    FULL: "Free space on its file system; it goes on by itself.",
    IO_ERROR: "Look into the system's log (dmesg), and at quotas and limits; it goes on once writing works.",
    NOT_WRITABLE: "Make the folder and the file, with -wal and -shm beside it, readable and writable for "
    "this user.",
    DAMAGED: "Keep a copy, then restore the file from a backup or recover it with: sqlite3 FILE .recover",
    FOREIGN: "Choose another path.",
}


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
        with _policies(real.parent):
            make_folder(real.parent)
        created = not _exists(real)
        with _policies(path):
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
                with _policies(path):
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
        with _policies(path):
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
                _REMEDIES[FOREIGN],
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
        mode = self.connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
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
                if _primary(error) not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
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
        if _primary(error) != sqlite3.SQLITE_BUSY:
            return _policy(error, self.path, committing=committing)
        try:
            writers = "; ".join(self.kind.writers(self.connection))
        except sqlite3.Error:
            writers = ""
        return Retry(
            LOCKED,
            f"another process holds the write lock of the {self.kind.title}"
            + (f"; those that wrote last: {writers}" if writers else ""),
            _REMEDIES[LOCKED],
            where=str(self.path),
        )


@contextlib.contextmanager
def _policies(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _policy(error, path) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(str(error), path) from error
        raise Stop(NOT_WRITABLE, str(error), _REMEDIES[NOT_WRITABLE], where=str(path)) from error


def _policy(error: sqlite3.Error, path: Path, *, committing: bool = False) -> Exception:
    """The error as one that has a policy; itself where it tells of a defect of ours."""
    primary = _primary(error)
    found = f"{error} ({error.sqlite_errorname})" if primary is not None else str(error)
    kind: type[TailraceError]
    # Where there is no room for the files beside it, SQLite tells that they cannot be opened or made larger.
    helpless = primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR) and _has_no_room(path)
    if primary == sqlite3.SQLITE_FULL or helpless:
        return _full(found, path, committing=committing)
    if primary in _RETRIES:
        kind, code = UnknownOutcome if committing else Retry, _RETRIES[primary]
    elif primary in _STOPS:
        kind, code = Stop, _STOPS[primary]
    else:
        return error
    return kind(code, found, _REMEDIES[code], where=str(path))


def _full(found: str, path: Path, *, committing: bool = False) -> Retry:
    kind = UnknownOutcome if committing else Retry
    free, _ = _room(path)
    return kind(FULL, f"{found}; {free} bytes free on its file system", _REMEDIES[FULL], where=str(path))


def _has_no_room(path: Path) -> bool:
    free, files = _room(path)
    return free < _NO_ROOM or files == 0


def _room(path: Path) -> tuple[int, int | None]:
    """On the path's file system: free bytes, and how many more files there may be; None: no bound."""
    existing = next(one for one in (path, *path.absolute().parents) if one.exists())
    status = os.statvfs(existing)
    return status.f_bavail * status.f_frsize, status.f_favail if status.f_files else None


def _primary(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; None for an error of the Python module."""
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF


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
    raise Stop(NOT_WRITABLE, found, _REMEDIES[NOT_WRITABLE], where=str(path))


def _refuse_folder(path: Path) -> None:
    if _exists(path) and path.is_dir():
        found = "the path leads to a folder"
        raise Stop(NOT_WRITABLE, found, "Name a file in it, or another path.", where=str(path))


def _real(path: Path) -> Path:
    """What the path leads to, a link followed: SQLite puts -wal beside that. It need not exist."""
    return Path(os.path.realpath(path))


def _exists(path: Path) -> bool:
    with _policies(path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.stat()
        return True
    return False


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
