"""Transactions that are still open, on disk: a file for each, written as its pieces come, read at its commit.

Nothing of it outlives a connection: a server that is connected again sends an open transaction from its
beginning. So nothing is synced to the disk, and what an earlier run left is removed.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from array import array
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import Final

from connectors.postgres.wire import KIND
from tailrace.errors import Retry, Stop, code
from tailrace.failpoints import failpoint

NOT_NOW: Final = code(
    "TR-PG-308",
    "an open transaction cannot be spooled now",
    "The disk under data_dir is full or fails, or somebody else has changed the spool. What was spooled is "
    "given up; the server sends it again when the connection is made again.",
)
NOT_WRITABLE: Final = code(
    "TR-PG-309",
    "the spool of open transactions cannot be used",
    "The folder under data_dir in which open transactions are spooled (streaming: on) cannot be made, read "
    "or written.",
)

_PASSES: Final = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EMFILE,
    errno.ESTALE,
    errno.ENOENT,
)
_READ_BYTES: Final = 256 * 1024

# A record: the length of a message, and the message; the number of its (sub)transaction is behind its kind.
_LENGTH: Final = Struct(">I")
_RECORD: Final = Struct(f">I{KIND + 1}xI")
_KIND: Final = _LENGTH.size + KIND
_XID: Final = _LENGTH.size + KIND + 1  # in a record
_REST: Final = _XID + 4

_written = failpoint("postgres.spool.written")


class Spooled:
    """One transaction. Errors are Retry where a new connection may help, else Stop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        # Four bytes each, sorted: there may be as many as rows.
        self._rolled_back = array("I")
        self._left_out = array("I")

    def append(self, messages: Sequence[bytes]) -> None:
        """Add messages with the number of their (sub)transaction behind their kind."""
        length = _LENGTH.pack
        data = b"".join([part for message in messages for part in (length(len(message)), message)])
        with _told(self._path):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Opened each time: there may be more open transactions than a process may have open files.
            with self._path.open("ab", buffering=0) as file:
                left = memoryview(data)
                while left:
                    left = left[file.write(left) :]
        self._size += len(data)
        _written()

    def roll_back(self, subxid: int) -> None:
        """Leave out a subtransaction's messages: those of its number, as those within it are named too. Their
        room is given back with the file."""
        insort(self._rolled_back, subxid)

    def leave_out(self, subxid: int) -> None:
        """The same, of one that the server has not told to be rolled back: what it has announced within it,
        relations and types, it takes to be known."""
        insort(self._left_out, subxid)

    def messages(self) -> Iterator[list[bytes]]:
        """What has not been rolled back, in order, as without streaming; a list for some hundred kilobytes of
        the file each, or for one message that is larger. One is empty where all of it was rolled back."""
        if not self._size:
            return
        current, left_out, kept = -1, False, b""
        rest, missing, left = b"", 0, self._size
        with _told(self._path), self._path.open("rb") as file:
            while data := file.read(max(_READ_BYTES, missing)):
                left -= len(data)
                data = rest + data
                found: list[bytes] = []
                offset, missing, size = 0, 0, len(data)
                while offset + _RECORD.size <= size:
                    length, xid = _RECORD.unpack_from(data, offset)
                    end = offset + _LENGTH.size + length
                    if end > size:
                        missing = end - size
                        break
                    if xid != current:
                        current = xid
                        left_out = _holds(self._rolled_back, xid)
                        kept = b"RY" if _holds(self._left_out, xid) and not left_out else b""
                    if not left_out and (not kept or data[offset + _KIND] in kept):
                        found.append(data[offset + _LENGTH.size : offset + _XID] + data[offset + _REST : end])
                    offset = end
                rest = data[offset:]
                yield found
        if left or rest:
            raise Retry(
                NOT_NOW,
                f"the file does not hold the {self._size} bytes that were written",
                "Leave the folder to the pipeline. It goes on by itself.",
                where=str(self._path),
            )

    def remove(self) -> None:
        """Give its room back."""
        with _told(self._path):
            self._path.unlink(missing_ok=True)


class Spool:
    """The folder of one pipeline, which has the only process that uses it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def transaction(self, xid: int) -> Spooled:
        """Of a transaction that begins to come."""
        return Spooled(self.folder / str(xid))

    def clear(self) -> None:
        """Remove what an earlier connection, or an earlier run, has left."""
        with _told(self.folder):
            if self.folder.is_dir():
                shutil.rmtree(self.folder)


def _holds(numbers: array[int], number: int) -> bool:
    found = bisect_left(numbers, number)
    return found < len(numbers) and numbers[found] == number


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns the system's errors into tailrace's."""
    try:
        yield
    except OSError as error:
        if error.errno not in _PASSES:
            remedy = (
                "Let the user that runs the pipeline write to data_dir, or take streaming out of the file."
            )
            raise Stop(NOT_WRITABLE, str(error), remedy, where=str(path)) from error
        free = next(
            (f"; {shutil.disk_usage(one).free} bytes free there" for one in path.parents if one.is_dir()), ""
        )
        raise Retry(
            NOT_NOW,
            f"{error}{free}",
            "Make room there, or take streaming out of the file: the server then keeps a transaction until "
            "it commits. It goes on by itself.",
            where=str(path),
        ) from error
