"""Row events: which table and columns their images are of. The images themselves stay bytes. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Final, Literal, TypeAlias

from connectors.mysql.binlog import compressed
from connectors.mysql.binlog.event import EventType, Reader
from connectors.mysql.binlog.messages import Flavor, Ignorable, Place, Rows

Op: TypeAlias = Literal["c", "u", "d"]

Read: TypeAlias = Callable[[bytes, int, Place], Rows | Ignorable]
"""(event, where its body ends, its place) → what it says. Raises ValueError for what is no row event."""

_unpack_first: Final = Struct("<19xIHH").unpack_from
_unpack_second: Final = Struct("<19xIHHH").unpack_from
_FIRST: Final = 27  # behind header, number and flags: version 1 goes on here
_STATEMENT_ENDS: Final = 1
_FIRST_VERSION, _SECOND_VERSION = 8, 10  # bytes of fixed fields
_NO_TABLE: Final = frozenset({0xFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF})


def _reader(type: EventType, op: Op, has_extra: bool) -> Read:
    """The function for one type of event. Made once, so that nothing is decided per event that its type
    decides."""
    packed = type >= EventType.WRITE_ROWS_COMPRESSED_V1
    partial = type == EventType.PARTIAL_UPDATE_ROWS

    def read(event: bytes, end: int, place: Place) -> Rows | Ignorable:
        offset = _FIRST
        if has_extra:  # partitions, or what NDB adds
            low, high, flags, extra = _unpack_second(event)
            if extra < 2:
                raise ValueError(f"extra information of {extra} bytes")
            offset += extra
        else:
            low, high, flags = _unpack_first(event)
        table_id = high << 32 | low
        if offset >= end:
            raise ValueError("it is cut off before the columns")
        width = event[offset]
        offset += 1
        if width > 250:
            wide = Reader(event[offset - 1 : min(offset + 8, end)])
            width = wide.number()
            offset += wide.offset - 1
        size = (width + 7) >> 3
        images = offset + (size << 1 if op == "u" else size)
        if images > end or not width:
            raise ValueError(f"it is cut off in the bitmaps of its {width} columns")
        first = event[offset : offset + size]
        if (used := width & 7) and first[-1] >> used:
            first = _masked(first, used)
        if op == "u":
            second = event[offset + size : images]
            if used and second[-1] >> used:
                second = _masked(second, used)
        data = event[images:end]
        if packed:
            data = compressed.unpack(data)
        if not data and table_id in _NO_TABLE:
            return Ignorable(place, type)  # what ends a statement whose rows were left out
        before, after = (None, first) if op == "c" else (first, second if op == "u" else None)
        return Rows(place, op, table_id, before, after, width, data, partial, bool(flags & _STATEMENT_ENDS))

    return read


@lru_cache(maxsize=1024)
def _masked(bits: bytes, used: int) -> bytes:
    """Without the bits of the last byte that stand for no column: servers leave them as they happen to be."""
    return bits[:-1] + bytes((bits[-1] & (1 << used) - 1,))


_COMMON: Final[Mapping[EventType, Op]] = {
    EventType.WRITE_ROWS_V1: "c",
    EventType.UPDATE_ROWS_V1: "u",
    EventType.DELETE_ROWS_V1: "d",
    EventType.WRITE_ROWS: "c",
    EventType.UPDATE_ROWS: "u",
    EventType.DELETE_ROWS: "d",
}
_OPS: Final[Mapping[Flavor, Mapping[EventType, Op]]] = {
    "mysql": {**_COMMON, EventType.PARTIAL_UPDATE_ROWS: "u"},
    "mariadb": {
        **_COMMON,
        EventType.WRITE_ROWS_COMPRESSED_V1: "c",
        EventType.UPDATE_ROWS_COMPRESSED_V1: "u",
        EventType.DELETE_ROWS_COMPRESSED_V1: "d",
        EventType.WRITE_ROWS_COMPRESSED: "c",
        EventType.UPDATE_ROWS_COMPRESSED: "u",
        EventType.DELETE_ROWS_COMPRESSED: "d",
    },
}


def readers(flavor: Flavor, lengths: bytes) -> Mapping[int, Read]:
    """By type, how a server's row events are read. `lengths` are those of the fixed fields of each type, from
    type 1 on, as FORMAT_DESCRIPTION has them. Raises ValueError for a length that no server had."""
    found: dict[int, Read] = {}
    for type, op in _OPS[flavor].items():
        length = lengths[type - 1] if type <= len(lengths) else 0
        if length == 0:  # of a type that the server does not write
            continue
        if length not in (_FIRST_VERSION, _SECOND_VERSION):
            raise ValueError(f"it announces {type.name} with {length} bytes of fixed fields")
        found[type] = _reader(type, op, length == _SECOND_VERSION)
    return found
