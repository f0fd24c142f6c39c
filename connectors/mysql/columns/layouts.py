"""How the fields of each type stand in a row image: as many bytes as the type says, or behind a length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from connectors.mysql import codes
from connectors.mysql.binlog.messages import MappedColumn
from connectors.mysql.columns import decimals, zero_dates
from connectors.mysql.columns.type_options import TypeOptions
from tailrace.errors import NotReady, code

UNSUPPORTED: Final = code(
    "TR-MY-201",
    "unsupported column type",
    "A captured table has a column of a type or of a character set that is not mapped. It is refused by "
    "name: a guessed value would be a wrong one.",
)

LENGTHS: Final = {1: "B", 2: "H", 3: "BH", 4: "I"}
"""Formats of `struct` for lengths of so many bytes; three are two numbers."""

_INTEGERS: Final = {codes.TINY: "b", codes.SHORT: "h", codes.LONG: "i", codes.LONGLONG: "q"}
_SIZES: Final = {codes.INT24: "3s", codes.DATE: "3s", codes.NEWDATE: "3s", codes.YEAR: "B"}
_FRACTIONAL: Final = {codes.TIMESTAMP: 4, codes.DATETIME: 5, codes.TIME: 3}  # bytes before the fraction
_DECLARED: Final = codes.STRINGS | {codes.VARCHAR_COMPRESSED}  # with the most bytes that they may have
_BLOBS: Final = codes.BLOBS | {codes.BLOB_COMPRESSED, codes.GEOMETRY, codes.JSON, codes.VECTOR}
_MOST_BITS: Final = 64
_OLD: Final = frozenset({codes.OLD_TIMESTAMP, codes.OLD_TIME, codes.OLD_DATETIME})


@dataclass(frozen=True, slots=True)
class Layout:
    """How a column's fields stand in an image, and how they are taken out."""

    format: str  # of `struct`; "": behind a length
    length: int  # bytes of that length
    most: int | None  # bytes that the type allows behind it; None: as many as it can tell
    is_json: bool  # a partial update may hold diffs in its place
    null: Callable[[Any], bool] | None  # fields of which it is true are read as NULL


def layout(table: str, column: MappedColumn, options: TypeOptions) -> Layout:
    """The layout of a column's fields. `table` is for the error: NotReady for a type that is not known."""
    format, length = _format(column)
    if not format and not length:
        raise unsupported(table, column)
    null = None
    if options.zero_dates == "null" and zero_dates.is_dated(column.type):
        null = zero_dates.is_no_date(column.type)
    most = column.metadata if column.type in _DECLARED else None
    return Layout(format, length, most, column.type == codes.JSON, null)


def _format(column: MappedColumn) -> tuple[str, int]:
    type, metadata = column.type, column.metadata
    if type in _INTEGERS:
        return _INTEGERS[type].upper() if column.unsigned else _INTEGERS[type], 0
    if type in _SIZES:
        return _SIZES[type], 0
    if type in _DECLARED:
        return "", 1 if metadata < 256 else 2
    if type in _BLOBS:
        return "", metadata if metadata in LENGTHS else 0
    if type in _FRACTIONAL:
        return f"{_FRACTIONAL[type] + (metadata + 1) // 2}s" if metadata <= 6 else "", 0
    match type:
        case codes.FLOAT:
            return "f", 0
        case codes.DOUBLE:
            return "d", 0
        case codes.DECIMAL:
            precision, scale = digits(metadata)
            return f"{decimals.size(precision, scale)}s" if decimals.exists(precision, scale) else "", 0
        case codes.BIT:
            count = bit_count(metadata)
            return f"{(count + 7) // 8}s" if 1 <= count <= _MOST_BITS else "", 0
        case codes.ENUM:
            return LENGTHS[metadata] if metadata in (1, 2) else "", 0
        case codes.SET:
            return f"{metadata}s" if 1 <= metadata <= 8 else "", 0
    return "", 0


def digits(metadata: int) -> tuple[int, int]:
    """Precision and scale of a DECIMAL column."""
    return metadata & 255, metadata >> 8


def bit_count(metadata: int) -> int:
    """The bits of a BIT column: those beside whole bytes, and the whole bytes."""
    return (metadata >> 8) * 8 + (metadata & 255)


def unsupported(table: str, column: MappedColumn, why: str = "") -> NotReady:
    """The error of a column that is not read."""
    found = f"column {column.name} is of type {column.type} with metadata {column.metadata:#x}"
    if column.type in _OLD:
        return NotReady(
            UNSUPPORTED,
            f"{found}, a temporal type in the form of servers before MySQL 5.6 and MariaDB 10.1",
            f"Rewrite the table: ALTER TABLE {table} FORCE (in MariaDB with mysql56_temporal_format=ON).",
            where=table,
        )
    return NotReady(
        UNSUPPORTED,
        why or f"{found}, which is not supported",
        f"Leave the table out: add it to exclude: under source: as {table}",
        where=table,
    )
