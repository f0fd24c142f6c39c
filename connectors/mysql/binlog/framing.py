"""The packets of a MySQL connection that sends a binary log, and the events in them. No I/O.

A packet is 3 bytes of length (little endian), a sequence number that counts on by one, and the payload; a
payload of 2^24-1 bytes goes on in the next packet. Payloads begin with 0 before an event, 0xFF in an error,
0xFE where the server has nothing more to send.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import msgspec

from tailrace.errors import Malformed, code

NOT_A_PACKET: Final = code(
    "TR-MY-101",
    "not the protocol of MySQL",
    "What came over the connection are not the packets by which a server sends its binary log. Nothing "
    "behind the events before them is delivered.",
)

_FULL: Final = 0xFF_FFFF
"""The length of a packet behind which the payload goes on."""

_EVENT, _END, _ERROR = 0, 0xFE, 0xFF
_unpack_head: Final = Struct("<I").unpack_from
_HEAD: Final = 4


class ServerError(msgspec.Struct, frozen=True):
    """The server ended the log with an error."""

    number: int  # 1236 for what is wrong with the position that was asked for
    state: str  # SQLSTATE
    message: str


class LogEnd(msgspec.Struct, frozen=True):
    """The server has sent what there was and sends no more."""


class Framing:
    """Takes the bytes of a connection as they come, in pieces of any size, and gives the events in them.

    For what comes behind the server's answer to COM_BINLOG_DUMP or COM_BINLOG_DUMP_GTID was asked for, on a
    connection without compression and without semi-synchronous replication. Not safe for use from several
    threads at once.
    """

    def __init__(self, sequence: int = 1) -> None:
        """`sequence` is the number of the first packet: 1 behind a command."""
        self.end: ServerError | LogEnd | None = None
        """How the log ended: nothing is taken any more."""

        self._sequence = sequence
        self._pieces: list[bytes] = []  # what has come and belongs to a packet that is not whole
        self._held = 0  # bytes in these
        self._needed = _HEAD  # how many it takes to go on
        self._parts: list[bytes] = []  # of a payload that takes several packets

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are whole now, in order, each without the byte before it. What is behind the end of
        the log is dropped. Raises Malformed; the events of that call are not given then."""
        if self.end is not None:
            return []
        self._held += len(data)
        if self._held < self._needed:
            self._pieces.append(data)
            return []
        if self._pieces:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces.clear()

        events: list[bytes] = []
        append = events.append
        sequence = self._sequence
        offset, size = 0, len(data)
        needed = _HEAD
        while size - offset >= _HEAD:
            (head,) = _unpack_head(data, offset)
            length = head & _FULL
            begin = offset + _HEAD
            end = begin + length
            if head >> 24 != sequence:
                raise _not_a_packet(data[offset:], f"packet {head >> 24} where {sequence} should be")
            if end > size:
                needed = _HEAD + length
                break
            sequence = (sequence + 1) & 0xFF
            if length == _FULL:
                self._parts.append(data[begin:end])
            elif self._parts:
                append(self._joined(data[begin:end]))
            elif length and data[begin] == _EVENT:
                append(data[begin + 1 : end])
            else:
                self.end = _ended(data[begin:end])
                break
            offset = end
        self._sequence = sequence
        self._needed = needed
        self._held = size - offset
        if self._held:
            self._pieces.append(data[offset:])
        return events

    def _joined(self, last: bytes) -> bytes:
        parts, self._parts = [*self._parts, last], []
        if parts[0][0] != _EVENT:
            raise _not_a_packet(parts[0], "several packets that are no event")
        parts[0] = parts[0][1:]
        return b"".join(parts)


def _ended(payload: bytes) -> ServerError | LogEnd:
    """What a payload says that is no event."""
    if payload[:1] == bytes((_END,)):
        return LogEnd()
    if payload[:1] != bytes((_ERROR,)) or len(payload) < 3:
        raise _not_a_packet(payload, "neither an event nor an error nor an end")
    number = int.from_bytes(payload[1:3], "little")
    told = payload[3:].decode("utf-8", "replace")
    if told.startswith("#") and len(told) >= 6:
        return ServerError(number, told[1:6], told[6:])
    return ServerError(number, "HY000", told)


def _not_a_packet(found: bytes, what: str) -> Malformed:
    return Malformed(
        NOT_A_PACKET,
        f"{what}; there stands {found[:48].hex(' ') or 'nothing'}",
        "Look for a proxy between here and the server that changes what passes through it; the position is "
        "kept, and the next start goes on there.",
    )
