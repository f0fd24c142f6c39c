"""How transactions begin and end in a binary log, and which of them stand in the files before it. No I/O.

Each function takes an event, where its body ends and its place, or the body and the place, and raises
ValueError, struct.error or IndexError for what is none of its kind; the decoder makes these the error of the
event.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final

from connectors.mysql.binlog import gtid as gtids
from connectors.mysql.binlog.event import HEADER, Reader, check_end
from connectors.mysql.binlog.messages import Gtid, KnownGtids, Place, XaPrepare, Xid

_unpack_gtid: Final = Struct(f"<{HEADER}xx16sQ").unpack_from
_UNTIMED: Final = HEADER + 25
# Behind it a byte that says whether a logical clock follows, its 16 bytes, and 7 bytes of time.
_unpack_timed: Final = Struct(f"<{HEADER}xx16sQB16xIHB").unpack_from
_TIMED: Final = HEADER + 49
_HAS_CLOCK: Final = 2
_FIRST_ELSEWHERE: Final = 1 << 55  # in the time at this server: that at the first server follows
_UNKNOWN_TIME: Final = _FIRST_ELSEWHERE - 1

_unpack_mariadb: Final = Struct(f"<{HEADER}xQIB").unpack_from
_ALONE, _OF_GROUP = HEADER + 13, HEADER + 21  # where an XID stands: without a group's number, and with it
_STANDALONE, _GROUP, _PREPARED_XA, _COMPLETED_XA = 0x01, 0x02, 0x40, 0x80
_unpack_xid: Final = Struct(f"<{HEADER}xQ").unpack_from
_XID: Final = HEADER + 8
_MOST_XID: Final = 64  # bytes of each part

_format_uuid: Final = lru_cache(maxsize=256)(gtids.format_uuid)


def gtid(event: bytes, end: int, place: Place) -> Gtid:
    """MySQL: a transaction of GTID, or of none: a server without GTIDs numbers it 0."""
    committed = None
    if end < _TIMED:  # of servers before 8.0
        check_end(end, _UNTIMED)
        uuid, number = _unpack_gtid(event)
    else:
        uuid, number, has_clock, low, middle, high = _unpack_timed(event)
        if has_clock == _HAS_CLOCK:
            committed = high << 48 | middle << 32 | low
            if committed & _FIRST_ELSEWHERE:
                if end < _TIMED + 7:
                    raise ValueError("it is cut off in its times")
                committed = int.from_bytes(event[_TIMED : _TIMED + 7], "little")
            if committed == 0 or committed == _UNKNOWN_TIME:
                committed = None
    if number > gtids.GREATEST:
        raise ValueError(f"a transaction of number {number}")
    return Gtid(place, f"{_format_uuid(uuid)}:{number}" if number else None, committed)


def tagged_gtid(body: bytes, place: Place) -> Gtid:
    """MySQL: the same, in the form that fields can be added to: each with its number, all integers as long as
    they need to be."""
    reader = _Fields(body)
    version, size, last_needed = reader.unsigned(), reader.unsigned(), reader.unsigned()
    if version != 1 or size != len(body) or last_needed > 12:
        raise ValueError(
            f"it is written in version {version} of its form, in {size} bytes of which fields up to number "
            f"{last_needed} have to be understood"
        )
    uuid, number, tag, times = b"", 0, "", {}
    while reader.left:
        field = reader.unsigned()
        if field == 1:
            uuid = bytes(reader.unsigned() for _ in range(16))
        elif field == 2:
            number = reader.signed()
        elif field == 3:
            tag = reader.take(reader.unsigned()).decode("ascii")
        elif field in (4, 5):
            reader.signed()  # the logical clock
        elif field in (6, 7):
            times[field] = reader.unsigned()
        elif field in (0, 8, 9, 10, 11):
            reader.unsigned()  # flags, length, the servers' versions, the ticket of a group
        else:
            break  # what later servers add, and say is not needed
    name = f"{gtids.format_uuid(uuid)}:{tag}:{number}" if tag else f"{gtids.format_uuid(uuid)}:{number}"
    gtids.split(name)
    return Gtid(place, name, times.get(7, times.get(6)))


class _Fields(Reader):
    """Integers of one to nine bytes: as many as the first has ones at its low end, and one. The number begins
    behind these and a zero."""

    __slots__ = ()

    def unsigned(self) -> int:
        first = self.byte()
        more = (~first & first + 1).bit_length() - 1
        if more == 8:
            return self.uint64()
        return (int.from_bytes(self.take(more), "little") << 8 | first) >> more + 1

    def signed(self) -> int:
        value = self.unsigned()
        return ~(value >> 1) if value & 1 else value >> 1


def mariadb_gtid(event: bytes, end: int, place: Place) -> Gtid:
    """MariaDB: its server is the header's."""
    check_end(end, _ALONE)
    number, domain, flags = _unpack_mariadb(event)
    xid = None
    if flags & (_PREPARED_XA | _COMPLETED_XA):
        reader = Reader(event[:end], _OF_GROUP if flags & _GROUP else _ALONE)
        xid = _xid(reader, reader.uint32(), reader.byte(), reader.byte())
    standalone = bool(flags & _STANDALONE)
    name = f"{domain}-{place.server_id}-{number}"
    return Gtid(place, name, None, standalone, begins=not standalone, prepared=xid)


def previous_gtids(body: bytes, place: Place) -> KnownGtids:
    """MySQL: the transactions in all files before."""
    return KnownGtids(place, str(gtids.GtidSet.decode(body)))


def gtid_list(body: bytes, place: Place) -> KnownGtids:
    """MariaDB: the last transaction of each server in each domain, a domain's newest last."""
    reader = Reader(body)
    count = reader.uint32() & 0x0FFF_FFFF  # flags above
    found = [
        (reader.uint32(), reader.uint32(), reader.uint64()) for _ in range(min(count, reader.left // 16))
    ]
    if len(found) != count:
        raise ValueError(f"it is cut off behind {len(found)} of {count} GTIDs")
    if not count:
        reader.take(2)  # an empty list is as long as its shortest header may be
    reader.finish()
    return KnownGtids(place, ",".join(f"{domain}-{server}-{number}" for domain, server, number in found))


def xid(event: bytes, end: int, place: Place) -> Xid:
    """The number by which the storage engine knows the transaction."""
    if end != _XID:
        raise ValueError(f"it has {end - HEADER} bytes and not 8 bytes behind its header")
    return Xid(place, *_unpack_xid(event))


def xa_prepare(body: bytes, place: Place) -> XaPrepare:
    """An XA transaction is prepared."""
    reader = Reader(body)
    one_phase = reader.byte()
    name = _xid(reader, reader.uint32(), reader.uint32(), reader.uint32())
    reader.finish()
    return XaPrepare(place, name, bool(one_phase))


def _xid(reader: Reader, format_id: int, gtrid_length: int, bqual_length: int) -> bytes:
    if gtrid_length > _MOST_XID or bqual_length > _MOST_XID:
        raise ValueError(f"the name of an XA transaction of {gtrid_length} and {bqual_length} bytes")
    gtrid, bqual = reader.take(gtrid_length), reader.take(bqual_length)
    return f"X'{gtrid.hex()}',X'{bqual.hex()}',{format_id}".encode()
