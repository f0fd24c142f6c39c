"""The row events of one transaction, kept until its end is known: in memory, and in a file beyond a bound.

What a log holds of a transaction may be undone in it: rows behind a savepoint that was rolled back stay in
the log where a table without transactions is among those that were written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import chain
from struct import Struct
from typing import IO, Final, TypeAlias, final

import msgspec

from connectors.mysql.binlog.messages import Rows

Entry: TypeAlias = tuple[int, int, int, Rows, str]
"""The number of its table version in the transaction, the ordinal, where the event begins, the event, the
statement that it comes from, as far as that is wanted."""

Mark: TypeAlias = tuple[int, int, int]
"""How much stands in memory (entries, bytes), and in the file (bytes)."""

_OBJECTS: Final = 400
"""Bytes that an entry takes beside its rows and its statement: more than most rows have."""

_LENGTH: Final = Struct("<Q")
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Entry).decode


@final
class Spool:
    """Entries in their order. The file has no name: nothing is left of it whatever happens."""

    def __init__(self, memory: int, least: int = 0) -> None:
        """`memory`: bytes that are kept there. The first event is, whatever its size, unless there is to be
        nothing; `least` bytes are in any case."""
        self._bound = max(memory, least)
        self._any_first = memory > 0
        self._entries: list[Entry] = []
        self._size = 0
        self._file: IO[bytes] | None = None
        self._end = 0  # of the file

    def __bool__(self) -> bool:
        return bool(self._entries) or self._end > 0

    @property
    def memory(self) -> int:
        """Bytes that are there."""
        return self._size

    def append(self, entry: Entry) -> None:
        """Raises OSError where the file cannot be written."""
        size = self._size + _OBJECTS + len(entry[3].data) + len(entry[4])
        if self._end == 0 and (size <= self._bound or (not self._entries and self._any_first)):
            self._size = size
            self._entries.append(entry)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="tailrace-")  # noqa: SIM115 - closed by `clear`
        data = _encode(entry)
        self._file.write(_LENGTH.pack(len(data)))
        self._file.write(data)
        self._end += _LENGTH.size + len(data)

    def mark(self) -> Mark:
        """Where it stands now."""
        return len(self._entries), self._size, self._end

    def truncate(self, mark: Mark) -> None:
        """Forget everything behind a mark."""
        entries, self._size, self._end = mark
        del self._entries[entries:]
        if self._file is not None:
            self._file.seek(self._end)
            self._file.truncate()

    def __iter__(self) -> Iterator[Entry]:
        """Everything; nothing may be added meanwhile."""
        return iter(self._entries) if self._file is None else chain(self._entries, self._read(self._file))

    def _read(self, file: IO[bytes]) -> Iterator[Entry]:
        file.seek(0)
        left = self._end
        while left:
            (size,) = _LENGTH.unpack(file.read(_LENGTH.size))
            yield _decode(file.read(size))
            left -= _LENGTH.size + size

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._size = self._end = 0
        if self._file is not None:
            self._file.close()
            self._file = None
