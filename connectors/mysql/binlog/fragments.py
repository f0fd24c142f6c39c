"""Row events that MariaDB cuts into fragments (PARTIAL_ROW_DATA), joined again. No I/O."""

from __future__ import annotations

from struct import Struct
from typing import Final

from connectors.mysql.binlog.event import HEADER, Reader

_HAS_SIZE: Final = 1
_unpack_size: Final = Struct("<9xI").unpack_from


class Fragments:
    """The fragments of one row event. They come one behind the other, nothing in between."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._count = 0
        self._count_first = False  # which of the two numbers before a fragment says how many there are

    def __bool__(self) -> bool:
        """Whether some are missing."""
        return bool(self._parts)

    def add(self, body: bytes) -> bytes | None:
        """The whole event, with the last of its fragments; None before. Raises ValueError for a fragment that
        is not the next, and for fragments that together are no event."""
        reader = Reader(body)
        numbers = reader.uint32(), reader.uint32()
        if reader.byte() & _HAS_SIZE:
            reader.uint64()  # memory for a reader that takes it in advance
        if not self._parts:
            # The first is number 1 of several; the server's documentation and its code have been seen to
            # differ on which number stands first.
            self._count_first = numbers[1] == 1
            self._count = max(numbers)
        count, number = numbers if self._count_first else numbers[::-1]
        if count != self._count or number != len(self._parts) + 1 or number > count:
            raise ValueError(
                f"fragment {number} of {count}, where {len(self._parts) + 1} of {self._count} should be"
            )
        self._parts.append(reader.rest())
        if number < count:
            return None
        event, self._parts = b"".join(self._parts), []
        if len(event) < HEADER or _unpack_size(event)[0] != len(event):
            raise ValueError(f"{count} fragments of {len(event)} bytes that are no event")
        return event
