"""What errors of SQLite mean, and those of the system beneath it: their codes, and what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tailrace.errors import Retry, Stop, TailraceError, UnknownOutcome, code

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

_NO_ROOM: Final = 64 * 1024  # bytes: with less, what fails to grow fails for want of room

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
REMEDIES: Final = {
    LOCKED: "Nothing, if that process ends its commit soon. If it hangs or is stopped, continue or end it.",
    FULL: "Free space on its file system; it goes on by itself.",
    IO_ERROR: "Look into the system's log (dmesg), and at quotas and limits; it goes on once writing works.",
    NOT_WRITABLE: "Make the folder and the file, with -wal and -shm beside it, readable and writable for "
    "this user.",
    DAMAGED: "Keep a copy, then restore the file from a backup or recover it with: sqlite3 FILE .recover",
    FOREIGN: "Choose another path.",
}
"""What to do about an error of each code."""


@contextlib.contextmanager
def policies(path: Path) -> Iterator[None]:
    """What goes wrong with the file at this path becomes an error that has a policy."""
    try:
        yield
    except sqlite3.Error as error:
        raise policy(error, path) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(str(error), path) from error
        raise Stop(NOT_WRITABLE, str(error), REMEDIES[NOT_WRITABLE], where=str(path)) from error


def policy(error: sqlite3.Error, path: Path, *, committing: bool = False) -> Exception:
    """The error as one that has a policy; itself where it tells of a defect of ours."""
    result = primary(error)
    found = f"{error} ({error.sqlite_errorname})" if result is not None else str(error)
    kind: type[TailraceError]
    # Where there is no room for the files beside it, SQLite tells that they cannot be opened or made larger.
    helpless = result in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR) and _has_no_room(path)
    if result == sqlite3.SQLITE_FULL or helpless:
        return _full(found, path, committing=committing)
    if result in _RETRIES:
        kind, code = UnknownOutcome if committing else Retry, _RETRIES[result]
    elif result in _STOPS:
        kind, code = Stop, _STOPS[result]
    else:
        return error
    return kind(code, found, REMEDIES[code], where=str(path))


def _full(found: str, path: Path, *, committing: bool = False) -> Retry:
    kind = UnknownOutcome if committing else Retry
    free, _ = _room(path)
    return kind(FULL, f"{found}; {free} bytes free on its file system", REMEDIES[FULL], where=str(path))


def _has_no_room(path: Path) -> bool:
    free, files = _room(path)
    return free < _NO_ROOM or files == 0


def _room(path: Path) -> tuple[int, int | None]:
    """On the path's file system: free bytes, and how many more files there may be; None: no bound."""
    existing = next(one for one in (path, *path.absolute().parents) if one.exists())
    status = os.statvfs(existing)
    return status.f_bavail * status.f_frsize, status.f_favail if status.f_files else None


def primary(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; None for an error of the Python module."""
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF
