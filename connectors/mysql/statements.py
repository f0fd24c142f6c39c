"""Statements in a binary log: QUERY and its relatives, and the texts beside rows. No I/O.

Each function takes an event's body and place and raises ValueError, struct.error or IndexError for a body
that is none of its kind; the decoder makes these the error of the event.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from connectors.mysql import compressed
from connectors.mysql.event import text
from connectors.mysql.messages import Place, Query, RowsQuery

_unpack_query: Final = Struct("<I4xBHH").unpack_from
_QUERY: Final = 13
_LOAD: Final = 26  # EXECUTE_LOAD_QUERY: behind the same fields, which part of the statement names the file


def query(body: bytes, place: Place) -> Query:
    """A statement as it was run; what the session had set for it is left out."""
    thread, length, error, status = _unpack_query(body)
    schema_at = _QUERY + status
    sql_at = schema_at + length + 1
    if body[sql_at - 1]:
        raise ValueError("no zero byte behind the schema")
    sql = body[sql_at:]
    told = "BEGIN" if sql == b"BEGIN" else text(sql)
    return Query(place, body[schema_at : sql_at - 1].decode(), told, thread, error)


def load_query(body: bytes, place: Place) -> Query:
    """LOAD DATA in statement format."""
    if len(body) < _LOAD:
        raise ValueError(f"it is cut off: {len(body)} of {_LOAD} bytes are there")
    return query(body[:_QUERY] + body[_LOAD:], place)


def compressed_query(body: bytes, place: Place) -> Query:
    """MariaDB: a statement in a compressed record, the fields before it as they are."""
    _, length, _, status = _unpack_query(body)
    sql_at = _QUERY + status + length + 1
    return query(body[:sql_at] + compressed.unpack(body[sql_at:]), place)


def rows_query(body: bytes, place: Place) -> RowsQuery:
    """MySQL: behind a length of one byte, which is too short for most and not needed."""
    if not body:
        raise ValueError("it is empty")
    return RowsQuery(place, text(body[1:]))


def annotate_rows(body: bytes, place: Place) -> RowsQuery:
    """MariaDB: the text alone."""
    return RowsQuery(place, text(body))
