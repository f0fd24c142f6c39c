"""The layout that all events of a binary log share, their types, and the careful reader of their bodies.

An event is a header of 19 bytes (time, type, server id, size, end position, flags), a body, and where
FORMAT_DESCRIPTION announces it a CRC32 of both. Everything is little-endian. No I/O.
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import Final

HEADER: Final = 19
TYPE: Final = 4
"""Where a header says the type, behind the time."""

CHECKSUM: Final = 4

IN_USE: Final = 0x01
"""A header's flag in FORMAT_DESCRIPTION: the file is being written. Its checksum is that without the flag."""

TEMPORARY: Final = 0x04
"""A header's flag of statements: temporary tables are among those that it opens."""

ARTIFICIAL: Final = 0x20
"""A header's flag: made up by the server for the connection, in no file."""

IGNORABLE: Final = 0x80
"""A header's flag: a reader that does not know the type may leave the event out."""


class EventType(enum.IntEnum):
    """The types that have a name. Which of them a server writes is the decoder's business."""

    START_V3 = 1
    QUERY = 2
    STOP = 3
    ROTATE = 4
    INTVAR = 5
    LOAD = 6
    SLAVE = 7
    CREATE_FILE = 8
    APPEND_BLOCK = 9
    EXEC_LOAD = 10
    DELETE_FILE = 11
    NEW_LOAD = 12
    RAND = 13
    USER_VAR = 14
    FORMAT_DESCRIPTION = 15
    XID = 16
    BEGIN_LOAD_QUERY = 17
    EXECUTE_LOAD_QUERY = 18
    TABLE_MAP = 19
    PRE_GA_WRITE_ROWS = 20
    PRE_GA_UPDATE_ROWS = 21
    PRE_GA_DELETE_ROWS = 22
    WRITE_ROWS_V1 = 23
    UPDATE_ROWS_V1 = 24
    DELETE_ROWS_V1 = 25
    INCIDENT = 26
    HEARTBEAT = 27
    IGNORABLE = 28
    ROWS_QUERY = 29
    WRITE_ROWS = 30
    UPDATE_ROWS = 31
    DELETE_ROWS = 32
    GTID = 33
    ANONYMOUS_GTID = 34
    PREVIOUS_GTIDS = 35
    TRANSACTION_CONTEXT = 36
    VIEW_CHANGE = 37
    XA_PREPARE = 38
    PARTIAL_UPDATE_ROWS = 39
    TRANSACTION_PAYLOAD = 40
    HEARTBEAT_V2 = 41
    GTID_TAGGED = 42

    ANNOTATE_ROWS = 160  # from here on of MariaDB alone
    BINLOG_CHECKPOINT = 161
    MARIADB_GTID = 162
    GTID_LIST = 163
    START_ENCRYPTION = 164
    QUERY_COMPRESSED = 165
    WRITE_ROWS_COMPRESSED_V1 = 166
    UPDATE_ROWS_COMPRESSED_V1 = 167
    DELETE_ROWS_COMPRESSED_V1 = 168
    WRITE_ROWS_COMPRESSED = 169
    UPDATE_ROWS_COMPRESSED = 170
    DELETE_ROWS_COMPRESSED = 171
    PARTIAL_ROW_DATA = 172


def type_name(number: int) -> str:
    """For messages: `WRITE_ROWS (30)`."""
    try:
        return f"{EventType(number).name} ({number})"
    except ValueError:
        return f"unknown type {number}"


_UINT16: Final = Struct("<H").unpack_from
_UINT32: Final = Struct("<I").unpack_from
_UINT64: Final = Struct("<Q").unpack_from


def check_end(end: int, needed: int) -> None:
    """ValueError where an event's body ends before what is read of it in place: the bytes behind its end are
    there and none of its own, a checksum."""
    if end < needed:
        raise ValueError(f"it is cut off: {end} of {needed} bytes are there")


class Reader:
    """Reads a body, or a part of one, from its begin on. Every method raises ValueError where the bytes end
    or are none of what is asked for; the decoder makes that the error of the event."""

    __slots__ = ("data", "offset")

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self.data = data
        self.offset = offset

    @property
    def left(self) -> int:
        return len(self.data) - self.offset

    def take(self, count: int) -> bytes:
        start, end = self.offset, self.offset + count
        if end > len(self.data):
            raise ValueError(f"it is cut off: {len(self.data) - start} of {count} bytes are there")
        self.offset = end
        return self.data[start:end]

    def rest(self) -> bytes:
        return self.take(self.left)

    def byte(self) -> int:
        return self.take(1)[0]

    def uint16(self) -> int:
        value: int = _UINT16(self.take(2))[0]
        return value

    def uint32(self) -> int:
        value: int = _UINT32(self.take(4))[0]
        return value

    def uint64(self) -> int:
        value: int = _UINT64(self.take(8))[0]
        return value

    def number(self) -> int:
        """A length-encoded integer: one byte, or a byte that says how many follow."""
        first = self.byte()
        if first < 251:
            return first
        sizes = {252: 2, 253: 3, 254: 8}
        if first not in sizes:
            raise ValueError(f"no length-encoded integer begins with {first:#x}")
        return int.from_bytes(self.take(sizes[first]), "little")

    def string(self) -> bytes:
        """A length-encoded integer and as many bytes."""
        return self.take(self.number())

    def name(self, length: int) -> str:
        """UTF-8 of as many bytes, and a zero byte behind it."""
        text = self.take(length).decode()
        if self.byte():
            raise ValueError(f"no zero byte behind {text!r}")
        return text

    def finish(self) -> None:
        """Nothing may be left."""
        if self.left:
            raise ValueError(f"{self.left} bytes too many")


def text(raw: bytes) -> str:
    """A statement or a message: mostly UTF-8, though its client may have written in another character set.
    Bytes that are not UTF-8 are shown as `\\xe9`."""
    return raw.decode("utf-8", "backslashreplace")
