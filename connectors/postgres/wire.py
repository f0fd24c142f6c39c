"""The layout of replication messages, and the careful reader for those that are not rows.

A message is the payload of one CopyData, whole: `w`, its LSN, the log's end, the server's clock (8 bytes
each), then pgoutput's message; or a keepalive, `k`. Everything is big-endian. Instants on the wire are
microseconds since 2000-01-01 UTC.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from connectors.postgres.position import format_lsn
from tailrace.errors import Malformed, code

KIND: Final = 25
"""Offset of pgoutput's message in an XLogData, which is the byte that tells its kind."""

EPOCH: Final = 946_684_800_000_000
"""2000-01-01 as µs since 1970-01-01."""

MALFORMED: Final = code(
    "TR-PG-101",
    "malformed replication message",
    "The server sent bytes that are not the logical replication protocol in the version that was asked for. "
    "Nothing behind the last whole message before it is delivered.",
)

_UINT16: Final = Struct(">H").unpack_from
_UINT32: Final = Struct(">I").unpack_from
_UINT64: Final = Struct(">Q").unpack_from


def malformed(message: bytes, what: str) -> Malformed:
    """The error for a message that cannot be decoded, with its LSN and its first bytes."""
    lsn = format_lsn(_UINT64(message, 1)[0]) if message[:1] == b"w" and len(message) >= 9 else "unknown"
    start = KIND if message[:1] == b"w" and len(message) > KIND else 0
    shown = message[start : start + 48].hex(" ")
    return Malformed(
        MALFORMED,
        f"{what}; the message of {len(message)} bytes at {lsn} "
        f"{'goes on' if start else 'begins'} with {shown or 'nothing'}",
        "Look for a proxy or a server that does not speak pgoutput between here and the database, keep the "
        "position (tailrace offsets show), and report the message if there is none.",
        where=f"log position {lsn}",
    )


class Reader:
    """Reads one XLogData from behind its kind on. Every method raises Malformed where the bytes end."""

    __slots__ = ("message", "offset")

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.offset = KIND + 1

    def take(self, count: int) -> bytes:
        start, end = self.offset, self.offset + count
        if end > len(self.message):
            raise malformed(self.message, f"cut off: it holds {len(self.message) - start} of {count} bytes")
        self.offset = end
        return self.message[start:end]

    def byte(self) -> int:
        return self.take(1)[0]

    def uint16(self) -> int:
        value: int = _UINT16(self.take(2))[0]
        return value

    def uint32(self) -> int:
        value: int = _UINT32(self.take(4))[0]
        return value

    def int32(self) -> int:
        value = self.uint32()
        return value - (1 << 32) if value >> 31 else value

    def uint64(self) -> int:
        value: int = _UINT64(self.take(8))[0]
        return value

    def int64(self) -> int:
        value = self.uint64()
        return value - (1 << 64) if value >> 63 else value

    def string(self) -> str:
        """UTF-8 up to a zero byte."""
        end = self.message.find(0, self.offset)
        if end < 0:
            raise malformed(self.message, "cut off inside a string")
        text = self.take(end - self.offset)
        self.offset += 1
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise malformed(self.message, f"not UTF-8: {text.hex(' ')}") from None

    def finish(self) -> None:
        """Nothing may be left."""
        if left := len(self.message) - self.offset:
            raise malformed(self.message, f"{left} bytes too many")
