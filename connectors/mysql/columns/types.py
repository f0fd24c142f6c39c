"""The one mapping of MySQL's and MariaDB's types to logical types, for whoever reads columns of any kind.

The log does not tell tinyint(1) from tinyint, nor MariaDB's uuid, inet6, inet4 and vector from binary
strings, nor its json from longtext: they are what they are stored as.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from connectors.mysql import charsets, codes
from connectors.mysql.binlog.messages import MappedColumn, TableMap
from connectors.mysql.charsets import Charset
from connectors.mysql.columns import decimals, values, zero_dates
from connectors.mysql.columns.layouts import bit_count, digits, layout, unsupported
from connectors.mysql.columns.type_options import TypeOptions, by_column
from tailrace.errors import NotReady, code
from tailrace.events import Column
from tailrace.expressions import Expression, Inline, called
from tailrace.types import Kind, LogicalType

NO_METADATA: Final = code(
    "TR-MY-204",
    "table map without names or signs",
    "The binary log says of a captured table how wide its fields are, but not what its columns are called or "
    "whether numbers have a sign (binlog_row_metadata is not FULL). Neither is guessed, nor taken from the "
    "table as it is now: it may have been changed since.",
)

_INTEGERS: Final = {
    codes.TINY: ("tinyint", Kind.INT16, Kind.INT16),
    codes.SHORT: ("smallint", Kind.INT16, Kind.INT32),
    codes.INT24: ("mediumint", Kind.INT32, Kind.INT32),
    codes.LONG: ("int", Kind.INT32, Kind.INT64),
    codes.LONGLONG: ("bigint", Kind.INT64, Kind.INT64),
}
"""Name and kind, then the kind of the unsigned one."""

_SAME: Final = Inline(values.same, Expression("{f}"))
_DAYS: Final = Inline(values.days, Expression("value{n}[{f}]", {"value{n}": values.DAYS}))
_DATED: Final = {
    codes.DATE: ("date", Kind.DATE, _DAYS),
    codes.NEWDATE: ("date", Kind.DATE, _DAYS),
    codes.DATETIME: ("datetime", Kind.TIMESTAMP, called(values.wall_time)),
    codes.TIMESTAMP: ("timestamp", Kind.TIMESTAMPTZ, called(values.instant)),
}
_YEAR: Final = Inline(values.year, Expression("({f} and 1900 + {f})"))
_PRECISE: Final = Inline(values.decimal_integer, Expression("{f}"))
_GEOMETRIES: Final = (
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
    "geometrycollection",
)  # fmt: skip
_TEXTS: Final = {1: "tinytext", 2: "text", 3: "mediumtext", 4: "longtext"}  # by the bytes of the length
_BLOBS: Final = {1: "tinyblob", 2: "blob", 3: "mediumblob", 4: "longblob"}
_TEXTUAL: Final = codes.STRINGS | codes.BLOBS | {codes.VARCHAR_COMPRESSED, codes.BLOB_COMPRESSED}
_COMPRESSED: Final = frozenset({codes.VARCHAR_COMPRESSED, codes.BLOB_COMPRESSED})
_NUMBERS: Final = frozenset({*_INTEGERS, codes.FLOAT, codes.DOUBLE, codes.DECIMAL})

Mapped = tuple[LogicalType, Callable[[Any], Any], bool]
"""The type, the reader of its fields, and whether these are its canonical text."""


def columns(table: TableMap, options: TypeOptions) -> tuple[Column, ...]:
    """The columns of a table version. NotReady for a type that is not supported, and where the log does not
    tell all about them."""
    name = f"{table.schema}.{table.table}"
    described = zip(table.columns, by_column(table, options), strict=True)
    return tuple([_column(name, column, chosen) for column, chosen in described])


def _column(table: str, column: MappedColumn, options: TypeOptions) -> Column:
    if column.name is None or (column.type in _NUMBERS and column.unsigned is None):
        raise _untold(table)
    layout(table, column, options)  # a type that it refuses is refused with its reason
    type, value, is_text = _map(table, column, options)
    optional = column.nullable
    if zero_dates.is_dated(column.type):
        optional = optional or options.zero_dates == "null"
        if options.zero_dates == "epoch":
            value = called(zero_dates.as_epoch(column.type))
    return Column(column.name, type, optional, value, text=is_text)


def _untold(table: str) -> NotReady:
    return NotReady(
        NO_METADATA,
        "the log does not tell the names and signs of the table's columns",
        "SET GLOBAL binlog_row_metadata = FULL; and binlog_row_metadata = FULL in the server's configuration "
        "(in MySQL SET PERSIST binlog_row_metadata = FULL; does both). Rows that are in the log already stay "
        "without names: bring the targets up to date by other means, then begin anew behind them: tailrace "
        "offsets reset FILE, and run it again.",
        where=table,
    )


def _map(table: str, column: MappedColumn, options: TypeOptions) -> Mapped:
    type, metadata = column.type, column.metadata
    if type in _INTEGERS:
        return _integer(column, options)
    if type in _DATED:
        name, kind, read = _DATED[type]
        precision = metadata if kind is not Kind.DATE else None
        return LogicalType(kind, name, precision=precision), read, False
    if type in _TEXTUAL:
        return _text(table, column)
    match type:
        case codes.FLOAT:
            return LogicalType(Kind.FLOAT32, _signed("float", column)), _SAME, False
        case codes.DOUBLE:
            return LogicalType(Kind.FLOAT64, _signed("double", column)), _SAME, False
        case codes.DECIMAL:
            precision, scale = digits(metadata)
            logical = LogicalType(Kind.DECIMAL, _signed("decimal", column), precision=precision, scale=scale)
            read = called(decimals.reader(precision, scale), decimals.unscaled(precision, scale))
            return logical, read, False
        case codes.TIME:
            return LogicalType(Kind.DURATION, "time", precision=metadata), called(values.duration), False
        case codes.YEAR:
            return LogicalType(Kind.INT32, "year"), _YEAR, False
        case codes.BIT:
            count = bit_count(metadata)
            return LogicalType(Kind.BITS, f"bit({count})", length=count), values.bits(count), False
        case codes.ENUM | codes.SET:
            return _labelled(table, column)
        case codes.JSON:
            return LogicalType(Kind.JSON, "json"), called(values.json()), False
        case codes.GEOMETRY:
            if column.geometry is None:
                raise _untold(table)
            if column.geometry < len(_GEOMETRIES):
                return LogicalType(Kind.GEOMETRY, _GEOMETRIES[column.geometry]), values.geometry, False
        case codes.VECTOR:
            number = LogicalType(Kind.FLOAT32, "float")
            return LogicalType(Kind.VECTOR, "vector", element=number), values.vector, False
    raise unsupported(table, column)


def _signed(name: str, column: MappedColumn) -> str:
    return f"{name} unsigned" if column.unsigned else name


def _integer(column: MappedColumn, options: TypeOptions) -> Mapped:
    name, signed, unsigned = _INTEGERS[column.type]
    kind = unsigned if column.unsigned else signed
    native = _signed(name, column)
    if column.type == codes.INT24:
        read = values.unsigned_medium_integer if column.unsigned else values.medium_integer
        return LogicalType(kind, native), called(read), False
    if native == "bigint unsigned" and options.bigint_unsigned_handling_mode == "precise":
        return LogicalType(Kind.DECIMAL, native, precision=20, scale=0), _PRECISE, False
    # One without a sign may be more than 64 bits hold with one: a format has to look at it.
    return LogicalType(kind, native), values.same if native == "bigint unsigned" else _SAME, False


def _charset(table: str, column: MappedColumn) -> Charset:
    if column.collation is None:
        raise _untold(table)
    charset = charsets.charset(column.collation)
    if charset is None:
        why = f"column {column.name} has the collation number {column.collation}, which is not known"
        raise unsupported(table, column, why)
    return charset


def _text(table: str, column: MappedColumn) -> Mapped:
    type, metadata = column.type, column.metadata
    charset = _charset(table, column)
    long = type in codes.BLOBS or type == codes.BLOB_COMPRESSED
    if charset.is_binary:
        if long:
            logical = LogicalType(Kind.BYTES, _BLOBS[metadata])
        else:
            logical = LogicalType(Kind.BYTES, "binary" if type == codes.STRING else "varbinary")
        read: Callable[[bytes], Any] = values.padded(metadata) if type == codes.STRING else values.same
    elif long:
        logical, read = LogicalType(Kind.STRING, _TEXTS[metadata]), charset.decode
    else:
        name = "char" if type == codes.STRING else "varchar"
        size = metadata - 1 if type in _COMPRESSED else metadata
        logical = LogicalType(Kind.STRING, name, length=size // charset.width)
        read = charset.decode
    if type in _COMPRESSED:
        read = values.uncompressed(read)
    elif charset.is_utf8:
        return logical, read, True
    return logical, called(read), False


def _labelled(table: str, column: MappedColumn) -> Mapped:
    if column.labels is None:
        raise _untold(table)
    charset = _charset(table, column)
    try:
        labels = tuple([charset.decode(label) for label in column.labels])
    except ValueError as error:
        why = f"column {column.name} has a label that is no text of its character set: {error}"
        raise unsupported(table, column, why) from None
    if column.type == codes.ENUM:
        return LogicalType(Kind.ENUM, "enum", labels=labels), called(values.enum(labels)), False
    return LogicalType(Kind.STRING, "set", labels=labels), called(values.set_of(labels)), False
