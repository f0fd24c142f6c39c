"""What is done to a log: bytes and whole events changed at random, checksums as they were or made right.

Where they are made right, the damage comes through to what reads inside of events, compressed ones included.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

import cramjam

from connectors.mysql.binlog import compressed, payload
from connectors.mysql.binlog.event import HEADER, IN_USE, EventType
from tests.fuzz.corpus import Window, packets

#: Bytes that stand at the ends of something: of numbers, of lengths, of what a byte of them says.
_EDGES: Final = bytes((0, 1, 2, 3, 4, 8, 15, 16, 31, 63, 64, 127, 128, 250, 251, 252, 253, 254, 255))
_LENGTHS: Final = (
    0,
    1,
    0x7F,
    0xFF,
    0x7FFF,
    0xFFFF,
    0xFF_FFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    1 << 40,
    (1 << 63) - 1,
)
_UNPACKED: Final = frozenset({EventType.TRANSACTION_PAYLOAD})
_RECORDS: Final = frozenset(
    {
        EventType.WRITE_ROWS_COMPRESSED_V1,
        EventType.UPDATE_ROWS_COMPRESSED_V1,
        EventType.DELETE_ROWS_COMPRESSED_V1,
        EventType.QUERY_COMPRESSED,
    }
)
_ROWS: Final = frozenset(
    {
        EventType.WRITE_ROWS,
        EventType.UPDATE_ROWS,
        EventType.DELETE_ROWS,
        EventType.PARTIAL_UPDATE_ROWS,
        EventType.WRITE_ROWS_V1,
        EventType.UPDATE_ROWS_V1,
        EventType.DELETE_ROWS_V1,
    }
)
_FLAGS: Final = 17  # where they begin in a header
_IMAGES: Final = 31  # where the images of rows begin at the earliest
_WRAPPED: Final = _UNPACKED | _RECORDS


@dataclass(frozen=True)
class Damaged:
    """An input: `stream` comes event by event, or `pieces` over the connection."""

    kind: str
    window: Window
    stream: tuple[bytes, ...] = ()
    pieces: tuple[bytes, ...] = ()
    strict: bool = False  # an event was changed and its checksum was not: it must not be read
    sealed: bool = False  # rows may come that no server wrote


def drawn(window: Window, random: Random) -> Damaged:
    """A damaged window."""
    kind, make = random.choices(_KINDS, _SHARES)[0]
    return make(kind, window, random)


def _changed(kind: str, window: Window, random: Random) -> Damaged:
    """Bytes of an event, its checksum as it was."""
    at = random.randrange(len(window.events))
    event = window.events[at]
    found = _bytes(event, random)
    stream = (*window.events[:at], found, *window.events[at + 1 :])
    checked = window.checksum and not _lost_checksums(event, found)
    strict = (
        checked and found != event and not _is_in_use(event, found) and not (at == 0 and _is_plain(found))
    )
    return Damaged(kind, window, stream, strict=strict, sealed=not checked)


def _is_plain(found: bytes) -> bool:
    """Whether what comes first ends as it does without a checksum, which a server may leave out of it."""
    return found[-4:].isdigit()


def _is_in_use(event: bytes, found: bytes) -> bool:
    """Whether a description says alone that its file is being written: its checksum is the same then."""
    flag = int.from_bytes(event, "little") ^ int.from_bytes(found, "little")
    return event[4] == EventType.FORMAT_DESCRIPTION and flag == IN_USE << 8 * _FLAGS


def _lost_checksums(event: bytes, found: bytes) -> bool:
    """Whether several bytes of a description were changed, and that which tells of checksums among them: a
    server sends such ones too, where it writes none. If it is the only byte, this is seen."""
    if event[4] != EventType.FORMAT_DESCRIPTION or len(found) != len(event) or found[-5] == event[-5]:
        return False
    return sum(a != b for a, b in zip(event, found, strict=True)) > 1


def _moved(kind: str, window: Window, random: Random) -> Damaged:
    """Whole events: doubled, swapped, left out."""
    stream = list(window.events)
    for _ in range(random.randint(1, 2)):
        at = random.randrange(1, len(stream))
        match random.randrange(3):
            case 0:
                stream.insert(random.randrange(1, len(stream) + 1), stream[at])
            case 1:
                other = random.randrange(1, len(stream))
                stream[at], stream[other] = stream[other], stream[at]
            case _ if len(stream) > 2:
                del stream[at]
    return Damaged(kind, window, tuple(stream))


def _sealed(kind: str, window: Window, random: Random) -> Damaged:
    """Bytes behind an event's header, size and checksum made right."""
    stream = list(window.events)
    rows = [at for at, event in enumerate(stream) if event[4] in _ROWS]
    for _ in range(random.choice((1, 1, 1, 2))):
        at = random.randrange(len(stream))
        event = stream[at]
        # Of the header: type, place and flags, now and then.
        head = HEADER if random.random() < 0.9 else 4
        if rows and random.random() < 0.4:
            at = random.choice(rows)
            event = stream[at]
            head = _IMAGES
        end = -4 if window.checksum or at < 2 else len(event)
        body = event[:head] + _bytes(event[head:end], random)
        stream[at] = resealed(body, window.checksum or at < 2)
    return Damaged(kind, window, tuple(stream), sealed=True)


def _inner(kind: str, window: Window, random: Random) -> Damaged:
    """What an event has compressed; of windows without any the same as `_sealed`."""
    wrapped = [at for at, event in enumerate(window.events) if event[4] in _WRAPPED]
    if not wrapped:
        return _sealed(kind, window, random)
    at = random.choice(wrapped)
    event = window.events[at]
    found = _payload(event, random) if event[4] in _UNPACKED else _record(event, random)
    stream = (*window.events[:at], resealed(found, window.checksum), *window.events[at + 1 :])
    return Damaged(kind, window, stream, sealed=True)


def _sent(kind: str, window: Window, random: Random) -> Damaged:
    """The bytes of the connection, which come in pieces of any size."""
    data = packets(window.events)
    found = _bytes(data, random)
    pieces = []
    at = 0
    while at < len(found):
        size = random.choice((1, 3, 40, 400, 4000))
        pieces.append(found[at : at + size])
        at += size
    return Damaged(kind, window, pieces=tuple(pieces), sealed=not window.checksum)


_Make = Callable[[str, Window, Random], Damaged]
_KINDS: Final[tuple[tuple[str, _Make], ...]] = (
    ("bytes of an event", _changed),
    ("whole events doubled, swapped, left out", _moved),
    ("bytes of an event, size and checksum made right", _sealed),
    ("bytes inside of compressed events, all else made right", _inner),
    ("bytes of the connection", _sent),
)
_SHARES: Final = (15, 10, 50, 15, 10)
KINDS: Final = tuple(kind for kind, _ in _KINDS)


def resealed(event: bytes, checksum: bool) -> bytes:
    """An event without its checksum, with the size that it has now, and a checksum of its own."""
    size = len(event) + 4 * checksum
    event = event[:9] + struct.pack("<I", size) + event[13:]
    return event + struct.pack("<I", zlib.crc32(event)) if checksum else event


def _payload(event: bytes, random: Random) -> bytes:
    """A compressed transaction: its fields, or an event in it."""
    inside = list(payload.events(memoryview(event)[HEADER:-4]))
    at = random.randrange(len(inside))
    body = _bytes(inside[at][HEADER:], random)
    inside[at] = resealed(inside[at][:HEADER] + body, checksum=False)
    if random.random() < 0.1:
        inside[at] = _bytes(inside[at], random)
    data = b"".join(inside)
    packed = bytes(cramjam.zstd.compress(data))
    size = len(data) if random.random() < 0.9 else random.choice(_LENGTHS)
    fields = b"".join(
        bytes((field,)) + bytes((len(value),)) + value
        for field, value in ((2, b"\0"), (3, _number(size)), (1, _number(len(packed))))
    )
    return event[:HEADER] + fields + b"\0" + packed


def _record(event: bytes, random: Random) -> bytes:
    """A compressed record of MariaDB. Where it begins depends on the event: it is looked for."""
    at = event.index(b"\x78", HEADER) - 1
    while True:
        for size in (1, 2, 3, 4):
            try:
                data = compressed.unpack(event[at - size : -4])
            except ValueError:
                continue
            found = _bytes(data, random)
            length = len(found) if random.random() < 0.9 else random.choice(_LENGTHS) & 0xFFFF_FFFF
            return event[: at - size] + b"\x84" + struct.pack(">I", length) + zlib.compress(found, 1)
        at = event.index(b"\x78", at + 2) - 1


def _number(value: int) -> bytes:
    """A length-encoded integer."""
    return bytes((value,)) if value < 251 else b"\xfe" + struct.pack("<Q", value)


def _bytes(data: bytes, random: Random) -> bytes:
    """Some bytes of it changed."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = _once(data, random)
    return data


def _once(data: bytes, random: Random) -> bytes:
    if not data:
        return bytes((random.choice(_EDGES),))
    size = len(data)
    at = random.randrange(size)
    match random.randrange(10):
        case 0 | 1 | 2:
            return data[:at] + bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 :]
        case 3 | 4:
            return data[:at] + bytes((random.choice(_EDGES),)) + data[at + 1 :]
        case 5:
            return data[:at]
        case 6:
            return data[:at] + data[at + random.randint(1, 8) :]
        case 7:
            return data[:at] + random.randbytes(random.randint(1, 8)) + data[at:]
        case 8:
            length = random.choice((1, 2, 4, 16, 64))
            return data[: at + length] + data[at:]
        case _:
            width = random.choice((2, 3, 4, 8))
            number = (random.choice(_LENGTHS) & (1 << 8 * width) - 1).to_bytes(width, "little")
            return data[:at] + number + data[at + width :]
