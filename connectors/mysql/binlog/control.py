"""What a binary log says of itself: form and files, that nothing happens, that something is missing. No I/O.

Each function takes an event's body and place and raises ValueError, struct.error or IndexError for a body
that is none of its kind; the decoder makes these the error of the event.
"""

from __future__ import annotations

import re
from typing import Final

from connectors.mysql.binlog.event import HEADER, EventType, Reader, text
from connectors.mysql.binlog.messages import Format, Heartbeat, Incident, Place, Rotate

_FIXED: Final = {
    EventType.QUERY: 13,
    EventType.ROTATE: 8,
    EventType.TABLE_MAP: 8,
    EventType.QUERY_COMPRESSED: 13,
}
"""How long the fixed fields of events are that the decoder reads at their places. Of rows see `rowevents`."""

_NAME: Final = re.compile(r"[^:\s/]+\.[0-9]{1,10}")
"""Of a file of the log: it ends with the file's number."""

_FEWEST_TYPES: Final = 35  # of MySQL 5.6, which began to write checksums


def format_description(body: bytes, place: Place) -> tuple[Format, bytes]:
    """How events are written, and how long the fixed fields of each type are, from type 1 on. Raises
    ValueError for a version whose events the decoder does not read."""
    reader = Reader(body)
    version = reader.uint16()
    server = reader.take(50).rstrip(b"\0").decode()
    reader.uint32()  # when the server started
    header = reader.byte()
    lengths = reader.take(reader.left - 1)
    checksum = reader.byte()
    if version != 4 or header != HEADER or len(lengths) < _FEWEST_TYPES or checksum > 1:
        raise ValueError(
            f"server {server} writes version {version} of the log, headers of {header} bytes, "
            f"{len(lengths)} types of events and checksums of kind {checksum}"
        )
    for type, length in _FIXED.items():
        if type <= len(lengths) and lengths[type - 1] != length:
            raise ValueError(f"it announces {type.name} with {lengths[type - 1]} bytes of fixed fields")
    return Format(place, server, checksum == 1), lengths


def rotate(body: bytes, place: Place) -> Rotate:
    """The next file and the offset of its first event."""
    reader = Reader(body)
    position = reader.uint64()
    return Rotate(place, _file(reader.rest()), position)


def heartbeat(body: bytes, place: Place) -> Heartbeat:
    """MySQL, the older form: the offset is the header's."""
    return Heartbeat(place, _file(body), place.end)


def mariadb_heartbeat(body: bytes, place: Place) -> Heartbeat:
    """MariaDB: an offset that takes more than the header's 4 bytes stands before the file."""
    if place.end:
        return Heartbeat(place, _file(body), place.end)
    reader = Reader(body)
    position = reader.uint64()
    return Heartbeat(place, _file(reader.rest()), position)


def heartbeat_v2(body: bytes, place: Place) -> Heartbeat:
    """MySQL: fields, each with its number and length; those of unknown numbers are skipped."""
    reader = Reader(body)
    file, position = "", -1
    while (field := reader.number()) != 0:
        value = Reader(reader.string())
        if field == 1:
            file = _file(value.rest())
        elif field == 2:
            position = value.number()
            value.finish()
    reader.finish()
    if not file or position < 0:
        raise ValueError("it does not tell both file and offset")
    return Heartbeat(place, file, position)


def incident(body: bytes, place: Place) -> Incident:
    """The server's log lacks something: the number says why."""
    reader = Reader(body)
    number = reader.uint16()
    message = text(reader.take(reader.byte()))
    reader.finish()
    return Incident(place, number, message)


def _file(raw: bytes) -> str:
    name = raw.decode()
    if not name.isprintable() or not _NAME.fullmatch(name):
        raise ValueError(f"no name of a file: {name!r}")
    return name
