"""The decoder of the binary log of MySQL and MariaDB: events in, messages out. No I/O, except that large
compressed transactions pass through a temporary file (`payload`).

Layouts: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication_binlog_event.html and
https://mariadb.com/kb/en/replication-protocol/. Nothing is ever skipped that could be a change: a type that
is not known stops, unless the server marks the event as one that readers may leave out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias
from zlib import crc32

from connectors.mysql.binlog import control, payload, rowevents, statements, transactions
from connectors.mysql.binlog.event import (
    ARTIFICIAL,
    CHECKSUM,
    HEADER,
    IGNORABLE,
    IN_USE,
    TYPE,
    EventType,
    type_name,
)
from connectors.mysql.binlog.fragments import Fragments
from connectors.mysql.binlog.messages import (
    Flavor,
    Format,
    Ignorable,
    Message,
    PayloadEnd,
    Place,
    Rotate,
    TableMap,
)
from connectors.mysql.binlog.tablemap import Description, describe
from tailrace.errors import Malformed, code

MALFORMED: Final = code(
    "TR-MY-102",
    "malformed event in the binary log",
    "An event of the binary log does not have the form that its type and its server's version call for. "
    "Nothing behind the events before it is delivered.",
)
DAMAGED: Final = code(
    "TR-MY-103",
    "checksum of an event is wrong",
    "An event of the binary log is not what the server wrote: its CRC32 is that of other bytes. It was "
    "changed on the server's disk or on the way.",
)
UNKNOWN: Final = code(
    "TR-MY-104",
    "unknown event in the binary log",
    "The binary log holds an event of a type that this version of tailrace does not know, and the server "
    "does not say that it may be left out: it may be a change.",
)

_unpack_header: Final = struct.Struct("<IBIIIH").unpack_from
_unpack_table: Final = struct.Struct(f"<{HEADER}xIHH").unpack_from
_FLAGS: Final = 17  # of the header
_KIND: Final = -CHECKSUM - 1  # of checksums, in FORMAT_DESCRIPTION, before its own
_CRC32: Final = b"\1"  # as that kind
_TABLE: Final = HEADER + 8  # of TABLE_MAP: behind number and flags
_FORMAT: Final = int(EventType.FORMAT_DESCRIPTION)
_ROTATE: Final = int(EventType.ROTATE)
_PAYLOAD: Final = int(EventType.TRANSACTION_PAYLOAD)
_FRAGMENT: Final = int(EventType.PARTIAL_ROW_DATA)

_RIGHT: Final = 0x2144DF1C
"""CRC32 of any bytes with their own CRC32 behind them."""

_LAST: Final = (1 << 32) - 1
"""The last place that a header can tell; large transactions make files longer."""

_MOST_TABLES: Final = 4096  # descriptions that are kept

_Read: TypeAlias = Callable[[bytes, int, Place], Message]
"""(event, where its body ends, its place) → what it says."""

_BODY_ERRORS: Final = (ValueError, IndexError, struct.error)


def _of_body(read: Callable[[bytes, Place], Message]) -> _Read:
    """Of events that come seldom: a body is cut out for what reads it."""
    return lambda event, end, place: read(event[HEADER:end], place)


def _ignorable(type: EventType) -> _Read:
    return lambda event, end, place: Ignorable(place, type)


_COMMON: Final[Mapping[int, _Read]] = {
    EventType.QUERY: statements.query,
    EventType.EXECUTE_LOAD_QUERY: statements.load_query,
    EventType.XID: transactions.xid,
    EventType.XA_PREPARE: _of_body(transactions.xa_prepare),
    EventType.INCIDENT: _of_body(control.incident),
    **{
        type: _ignorable(type)
        for type in (
            EventType.STOP,
            EventType.IGNORABLE,
            # What a statement needs that is in the log as such: the statement itself comes behind, as Query.
            EventType.INTVAR,
            EventType.RAND,
            EventType.USER_VAR,
            EventType.BEGIN_LOAD_QUERY,
            EventType.APPEND_BLOCK,
            EventType.DELETE_FILE,
        )
    },
}
_READ: Final[Mapping[Flavor, Mapping[int, _Read]]] = {
    "mysql": {
        **_COMMON,
        EventType.GTID: transactions.gtid,
        EventType.ANONYMOUS_GTID: transactions.gtid,
        EventType.GTID_TAGGED: _of_body(transactions.tagged_gtid),
        EventType.PREVIOUS_GTIDS: _of_body(transactions.previous_gtids),
        EventType.ROWS_QUERY: _of_body(statements.rows_query),
        EventType.HEARTBEAT: _of_body(control.heartbeat),
        EventType.HEARTBEAT_V2: _of_body(control.heartbeat_v2),
        # Of group replication: who takes part, and what a transaction was compared with.
        EventType.VIEW_CHANGE: _ignorable(EventType.VIEW_CHANGE),
        EventType.TRANSACTION_CONTEXT: _ignorable(EventType.TRANSACTION_CONTEXT),
    },
    "mariadb": {
        **_COMMON,
        EventType.MARIADB_GTID: transactions.mariadb_gtid,
        EventType.GTID_LIST: _of_body(transactions.gtid_list),
        EventType.QUERY_COMPRESSED: statements.compressed_query,
        EventType.ANNOTATE_ROWS: _of_body(statements.annotate_rows),
        EventType.HEARTBEAT: _of_body(control.mariadb_heartbeat),
        EventType.BINLOG_CHECKPOINT: _ignorable(EventType.BINLOG_CHECKPOINT),
        # The files are encrypted; what the server sends is not.
        EventType.START_ENCRYPTION: _ignorable(EventType.START_ENCRYPTION),
    },
}
# Beside rows: what a transaction is made of.
_INSIDE_PAYLOAD: Final = frozenset(
    {
        EventType.QUERY,
        EventType.XID,
        EventType.TABLE_MAP,
        EventType.ROWS_QUERY,
        EventType.INTVAR,
        EventType.RAND,
        EventType.USER_VAR,
        EventType.BEGIN_LOAD_QUERY,
        EventType.APPEND_BLOCK,
        EventType.DELETE_FILE,
        EventType.EXECUTE_LOAD_QUERY,
        EventType.INCIDENT,
        EventType.XA_PREPARE,
        EventType.IGNORABLE,
    }
)


class Decoder:
    """Decodes the events of one connection, or of one file, from its begin on.

    Checksums are checked as the last FORMAT_DESCRIPTION announces them. Not safe for use from several threads
    at once.
    """

    def __init__(self, flavor: Flavor, *, folder: Path | None = None) -> None:
        """`folder` is where large compressed transactions are put while they are read; the system's folder of
        temporary files by default."""
        self._flavor = flavor
        self._folder = folder
        self._begun = False  # FORMAT_DESCRIPTION has come
        self._checksum = False  # behind each event
        self._tables: dict[bytes, Description] = {}
        self._fragments = Fragments()
        self._file = ""
        self._end = 0  # of the last event in the file, where the next one begins
        self._rows: Mapping[int, rowevents.Read] = {}
        self._ordinary: Mapping[int, _Read] = {}  # how events are read that stand for themselves
        self._readers: Mapping[int, _Read] = {}  # the same; nothing while none may come

    def feed(self, event: bytes) -> Iterable[Message]:
        """Decode one event: header, body, checksum.

        What comes out is to be read to its end before the next event is fed: a compressed transaction is
        decompressed as it is read. Raises Malformed, here or while what comes out is read; the decoder is of
        no further use then.
        """
        try:
            timestamp, type, server_id, size, end_position, flags = _unpack_header(event)
            if size != len(event):
                raise ValueError(f"it has {len(event)} bytes and says {size}")
            reached = self._end + size  # unless the server passed over something
            if self._checksum:
                if crc32(event) != _RIGHT and type != _FORMAT:
                    raise self._damaged(event)
                size -= CHECKSUM
            if reached > _LAST and end_position:
                end_position = _beyond(end_position, reached)
            place = Place(end_position, timestamp, server_id, flags)
            read = self._readers.get(type)
            if read is None:
                return self._unusual(event, size, type, place)
            message = read(event, size, place)
        except _BODY_ERRORS as error:
            raise self._malformed(event, error) from None
        if end_position:
            self._end = end_position
        elif not flags & ARTIFICIAL:
            self._end = reached
        return (message,)

    def _unusual(self, event: bytes, end: int, type: int, place: Place) -> Iterable[Message]:
        """What does not stand for itself, and what stands where or as it should not."""
        if type == _FORMAT:
            return (self._begin(event, place),)
        if not self._begun:
            return (self._first(event, type, place),)
        if type == _FRAGMENT and self._flavor == "mariadb":
            return self._join(event, end, place)
        if self._fragments:
            raise ValueError("it stands between fragments of a row event")
        if type == _ROTATE:
            return (self._rotated(control.rotate(event[HEADER:end], place)),)
        if type == _PAYLOAD and self._flavor == "mysql":
            return self._unwrapped(event, end, place)
        return (self._unknown(event, type, place),)

    def _first(self, event: bytes, type: int, place: Place) -> Message:
        """Where the stream begins: what the server sends before the first FORMAT_DESCRIPTION. It has a
        checksum if the reader announced CRC32, whatever the log has."""
        if type != _ROTATE:
            raise ValueError("it comes before FORMAT_DESCRIPTION")
        if crc32(event) == _RIGHT:
            event = event[:-CHECKSUM]
        elif not event[-CHECKSUM:].isdigit():  # as the names of all files end
            raise self._damaged(event)
        return self._rotated(control.rotate(event[HEADER:], place))

    def _begin(self, event: bytes, place: Place) -> Format:
        # It has a checksum itself, whether the others have one or not.
        format, lengths = control.format_description(event[HEADER:-CHECKSUM], place)
        flags = (place.flags & ~IN_USE).to_bytes(2, "little")
        # A server that changes it for a connection makes its checksum anew only if the others have one too.
        # So it may be wrong where they have none; but where it would be right if they had one, they have.
        as_with_others = event[:_FLAGS] + flags + event[HEADER:_KIND] + _CRC32 + event[-CHECKSUM:]
        if (crc32(as_with_others) == _RIGHT) is not format.checksum:
            raise self._damaged(event)
        if self._fragments:
            raise ValueError("it stands between fragments of a row event")
        self._rows = rowevents.readers(self._flavor, lengths)
        ordinary = {**_READ[self._flavor], EventType.TABLE_MAP: self._table_map, **self._rows}
        # Small integers are found by their identity, members of an enumeration are compared.
        self._readers = self._ordinary = {int(type): read for type, read in ordinary.items()}
        self._begun, self._checksum = True, format.checksum
        self._end = place.end or self._end  # 0 where the stream begins behind it
        return format

    def _table_map(self, event: bytes, end: int, place: Place) -> TableMap:
        # A table is described before each statement that changes it, mostly as it was before.
        low, high, _ = _unpack_table(event)
        raw = event[_TABLE:end]
        described = self._tables.get(raw)
        if described is None:
            if len(self._tables) >= _MOST_TABLES:
                self._tables.clear()
            described = self._tables[raw] = describe(raw, self._flavor)
        schema, table, columns, key = described
        return TableMap(place, high << 32 | low, schema, table, columns, key, raw)

    def _rotated(self, rotate: Rotate) -> Rotate:
        self._file, self._end = rotate.file, rotate.position
        return rotate

    def _unwrapped(self, event: bytes, end: int, place: Place) -> Iterator[Message]:
        """What the events in a compressed transaction say. They have no checksums, and places of their own
        neither."""
        try:
            for inner in payload.events(memoryview(event)[HEADER:end], self._folder):
                timestamp, type, server_id, size, end_position, flags = _unpack_header(inner)
                inside = Place(end_position, timestamp, server_id, flags)
                read = self._ordinary.get(type)
                if read is not None and (type in _INSIDE_PAYLOAD or type in self._rows):
                    yield read(inner, size, inside)
                elif flags & IGNORABLE:
                    yield Ignorable(inside, type)
                else:
                    raise ValueError(f"it holds an event of {type_name(type)}")
        except _BODY_ERRORS as error:
            raise self._malformed(event, error) from None
        self._end = place.end or self._end + len(event)
        yield PayloadEnd(place)

    def _join(self, event: bytes, end: int, place: Place) -> Iterable[Message]:
        joined = self._fragments.add(event[HEADER:end])
        self._end = place.end or self._end + len(event)
        if joined is None:
            self._readers = {}
            return ()
        self._readers = self._ordinary
        _, type, server_id, size, _, flags = _unpack_header(joined)
        if type not in self._rows:
            raise ValueError(f"it is the last fragment of an event of {type_name(type)}")
        size -= CHECKSUM * (self._checksum and crc32(joined) == _RIGHT)
        return (self._rows[type](joined, size, Place(place.end, place.timestamp, server_id, flags)),)

    def _unknown(self, event: bytes, type: int, place: Place) -> Ignorable:
        """What the server says may be left out. Anything else stops."""
        if place.flags & IGNORABLE:
            return Ignorable(place, type)
        raise Malformed(
            UNKNOWN,
            f"{type_name(type)} of {len(event)} bytes, beginning with {event[:48].hex(' ')}",
            "Look for a version of tailrace that knows this event, or switch off the server's feature that "
            "writes it.",
            where=self._where(event),
        )

    def _malformed(self, event: bytes, error: Exception) -> Malformed:
        return Malformed(
            MALFORMED,
            f"{_named(event)}: {error}; its {len(event)} bytes begin with {event[:48].hex(' ') or 'nothing'}",
            "Look at the event with mysqlbinlog or mariadb-binlog. If they read it, report it with these "
            "bytes. If they do not, the server's log is damaged here: read from another server of the same "
            "data.",
            where=self._where(event),
        )

    def _damaged(self, event: bytes) -> Malformed:
        return Malformed(
            DAMAGED,
            f"{_named(event)}: the CRC32 of its {len(event)} bytes is not the one that stands behind them",
            "Start again: what was changed on the way arrives whole. If it is wrong at the same place, the "
            "server's log is damaged (mysqlbinlog --verify-binlog-checksum shows it): read from another "
            "server of the same data.",
            where=self._where(event),
        )

    def _where(self, event: bytes) -> str:
        """The file, and the offset at which an event begins: where the one before it ends."""
        file = self._file or "binary log"
        return f"{file}:{self._end}" if self._end else file


def _named(event: bytes) -> str:
    return type_name(event[TYPE]) if len(event) >= HEADER else "what is no event"


def _beyond(end: int, reached: int) -> int:
    """The place nearest to what was reached of which a header tells the lower 32 bits."""
    end |= reached >> 32 << 32
    if end - reached > _LAST >> 1:
        return end - _LAST - 1
    return end + _LAST + 1 if reached - end > _LAST >> 1 else end
