"""Statements in a binary log: QUERY and its relatives, and the texts beside rows. No I/O.

Each function takes an event, where its body ends and its place, or the body and the place, and raises
ValueError, struct.error or IndexError for what is none of its kind; the decoder makes these the error of the
event.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from connectors.mysql.binlog import compressed
from connectors.mysql.binlog.event import HEADER, Reader, check_end, text
from connectors.mysql.binlog.messages import Place, Query, RowsQuery
from connectors.mysql.binlog.quotes import plain
from connectors.mysql.charsets import charset

_unpack_query: Final = Struct(f"<{HEADER}xI4xBHH").unpack_from
_QUERY: Final = HEADER + 13
# Of what a session had set: its sql_mode, its character sets (of the client first), and the databases of the
# tables that the statement opens.
_MODE, _CHARSETS, _DATABASES = 1, 4, 12
_UTF8: Final = 45  # a collation of utf8mb4
_TOO_MANY: Final = 254  # databases: they are not told then
# What may stand before them, with its bytes behind the number; in 6 and 5 as many as the first of them says.
_FIXED: Final = {0: 4, 1: 8, 3: 4, 4: 6, 7: 2, 8: 2, 9: 8, 10: 4}
_PREFIXED: Final = {5: 1, 6: 1, 11: 2}
# EXECUTE_LOAD_QUERY: behind the same fields, which part of the statement names the file.
_LOAD: Final = HEADER + 26


def query(event: bytes, end: int, place: Place) -> Query:
    """A statement, written as it would be in a session that has set nothing."""
    thread, length, error, status = _unpack_query(event)
    schema_at = _QUERY + status
    sql_at = schema_at + length + 1
    if sql_at > end or event[sql_at - 1]:
        raise ValueError("no zero byte behind the schema")
    schema, sql = event[schema_at : sql_at - 1].decode(), event[sql_at:end]
    if sql == b"BEGIN":
        return Query(place, schema, "BEGIN", thread, error)
    mode, client, databases = _settings(event[_QUERY:schema_at])
    return Query(place, schema, plain(_decoded(sql, client), mode), thread, error, databases)


def _settings(status: bytes) -> tuple[int, int, tuple[str, ...] | None]:
    """sql_mode, a collation of the client's character set, and the databases; what is not told, or stands
    behind something that is not known, is 0, that of UTF-8, None."""
    mode, client = 0, _UTF8
    reader = Reader(status)
    while reader.left:
        variable = reader.byte()
        if variable == _DATABASES:
            count = reader.byte()
            if count == _TOO_MANY:
                return mode, client, None
            names = reader.rest().split(b"\0", count)[:count]
            # One name that is empty: a foreign key leads to tables of which the server does not tell.
            return mode, client, tuple([name.decode() for name in names]) if all(names) else None
        fixed = reader.take(_FIXED.get(variable, 0))
        if variable == _MODE:
            mode = int.from_bytes(fixed, "little")
        elif variable == _CHARSETS:
            client = int.from_bytes(fixed[:2], "little")
        for _ in range(_PREFIXED.get(variable, 0)):
            reader.take(reader.byte())
        if variable not in _FIXED and variable not in _PREFIXED:
            break
    return mode, client, None


def _decoded(sql: bytes, client: int) -> str:
    """A statement in the character set of its client: names are written in it too."""
    known = charset(client)
    if known is None or known.is_utf8:
        return text(sql)
    try:
        return known.decode(sql)
    except ValueError:
        return text(sql)


def load_query(event: bytes, end: int, place: Place) -> Query:
    """LOAD DATA in statement format."""
    check_end(end, _LOAD)
    return query(event[:_QUERY] + event[_LOAD:end], end - _LOAD + _QUERY, place)


def compressed_query(event: bytes, end: int, place: Place) -> Query:
    """MariaDB: a statement in a compressed record, the fields before it as they are."""
    _, length, _, status = _unpack_query(event)
    sql_at = _QUERY + status + length + 1
    whole = event[:sql_at] + compressed.unpack(event[sql_at:end])
    return query(whole, len(whole), place)


def rows_query(body: bytes, place: Place) -> RowsQuery:
    """MySQL: behind a length of one byte, which is too short for most and not needed."""
    if not body:
        raise ValueError("it is empty")
    return RowsQuery(place, text(body[1:]))


def annotate_rows(body: bytes, place: Place) -> RowsQuery:
    """MariaDB: the text alone."""
    return RowsQuery(place, text(body))
