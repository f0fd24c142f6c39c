"""What a binary log says, message by message. Made by `protocol`, read by `stream`; no I/O.

One event of the log is one message, except that events which only wrap others (compressed transactions,
MariaDB's compressed and fragmented events) are unwrapped before. Fields are as the log has them, bytes
decoded where the protocol fixes their character set (names are UTF-8).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Flavor: TypeAlias = Literal["mysql", "mariadb"]


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where an event stands. `end` is 0 inside a compressed transaction and for events made up by the server
    for the connection; MariaDB from 11.4 on writes 0 inside of transactions too."""

    end: int  # offset in the file of the event behind this one; beyond 2^32 where a transaction is that large
    timestamp: int  # seconds since the epoch; 0: artificial
    server_id: int
    flags: int


class Format(msgspec.Struct, frozen=True, gc=False):
    """FORMAT_DESCRIPTION: how the events behind it are written."""

    place: Place
    server_version: str
    checksum: bool  # CRC32 behind each event


class Rotate(msgspec.Struct, frozen=True, gc=False):
    """The log goes on in another file. Artificial (timestamp 0): it says in which file the stream begins."""

    place: Place
    file: str
    position: int


class Gtid(msgspec.Struct, frozen=True, gc=False):
    """A transaction begins. MySQL: GTID, tagged GTID, ANONYMOUS_GTID; MariaDB: its own GTID event."""

    place: Place
    gtid: str | None  # `uuid:7`, `uuid:tag:7`; MariaDB `0-1-7`; None: anonymous
    committed: int | None  # µs since the epoch at the server where it was first committed; None: not told
    standalone: bool = False  # MariaDB: one event, without an end of its own (DDL)
    begins: bool = False  # MariaDB: no BEGIN query follows
    prepared: bytes | None = None  # MariaDB: XID of an XA transaction that is prepared or ended by it


class KnownGtids(msgspec.Struct, frozen=True, gc=False):
    """PREVIOUS_GTIDS or MariaDB's GTID_LIST: what stands before this file."""

    place: Place
    text: str  # MySQL: a GTID set; MariaDB: the last of each server in each domain, a domain's newest last


class Query(msgspec.Struct, frozen=True, gc=False):
    """A statement: BEGIN, COMMIT, ROLLBACK, SAVEPOINT …, DDL, or a change in statement format."""

    place: Place
    schema: str
    sql: str  # as with an empty sql_mode; bytes that are not of the client's character set: as \xe9
    thread: int
    error: int
    databases: tuple[str, ...] | None = None  # of all tables that it opens; None: not told (never in MariaDB)


class MappedColumn(msgspec.Struct, frozen=True, gc=False):
    """A column as TABLE_MAP describes it. What only `binlog_row_metadata=FULL` tells is None without it,
    `unsigned` too where the server is older than the metadata."""

    type: int  # MYSQL_TYPE_*: enum, set, … as themselves, never as the STRING that carries them
    metadata: int  # as it came, little endian; of what STRING carries: its length
    nullable: bool
    unsigned: bool | None  # of numbers
    collation: int | None  # of text, enum and set; 63 is binary
    name: str | None
    labels: tuple[bytes, ...] | None  # of enum and set, in the column's character set
    geometry: int | None = None  # of GEOMETRY: 0 any, 1 point, … as the server counts
    dimensions: int | None = None  # of VECTOR
    visible: bool = True


class TableMap(msgspec.Struct, frozen=True, gc=False):
    """TABLE_MAP: what a number stands for in the row events behind it, up to the end of the statement."""

    place: Place
    id: int
    schema: str
    table: str
    columns: tuple[MappedColumn, ...]
    key: tuple[int, ...] | None  # the primary key's columns; (): it has none; None: not told
    raw: bytes  # the event's body behind `id` and flags: equal bytes describe equal tables


class Rows(msgspec.Struct, frozen=True, gc=False):
    """WRITE_ROWS, UPDATE_ROWS, DELETE_ROWS (v1 and v2) and PARTIAL_UPDATE_ROWS."""

    place: Place
    op: Literal["c", "u", "d"]
    table_id: int
    before: bytes | None  # bitmap of the columns that before images have, unused bits 0; None for `c`
    after: bytes | None  # the same of after images; None for `d`
    width: int  # number of columns
    data: bytes  # the images, one behind the other
    partial: bool  # after images may hold JSON diffs
    ends_statement: bool


class RowsQuery(msgspec.Struct, frozen=True, gc=False):
    """ROWS_QUERY or MariaDB's ANNOTATE_ROWS: the statement that the rows behind it come from."""

    place: Place
    sql: str


class Xid(msgspec.Struct, frozen=True, gc=False):
    """The transaction is committed."""

    place: Place
    xid: int


class XaPrepare(msgspec.Struct, frozen=True, gc=False):
    """The XA transaction is prepared; committed in one phase: it is committed."""

    place: Place
    xid: bytes  # format id, gtrid and bqual, as XA statements write them: X'..',X'..',1
    one_phase: bool


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """Nothing was written; this is where the server's log ends."""

    place: Place
    file: str
    position: int


class Incident(msgspec.Struct, frozen=True, gc=False):
    """The server says that its log lacks something."""

    place: Place
    number: int
    message: str


class PayloadEnd(msgspec.Struct, frozen=True, gc=False):
    """A compressed transaction ends here: comes behind the messages unwrapped from it."""

    place: Place


class Ignorable(msgspec.Struct, frozen=True, gc=False):
    """An event that changes nothing for a reader: STOP, checkpoints of the server's own, or one that carries
    the flag by which its server says that readers may leave it out."""

    place: Place
    type: int


Message: TypeAlias = (
    Format
    | Rotate
    | Gtid
    | KnownGtids
    | Query
    | TableMap
    | Rows
    | RowsQuery
    | Xid
    | XaPrepare
    | Heartbeat
    | Incident
    | PayloadEnd
    | Ignorable
)
