"""Logical types: what a column means, whichever database it comes from.

A source maps its own types to these once; formats and sinks know only these. Each kind has one canonical
Python value and one canonical text. A source hands out fields in either form (`Column.text`); the text is
what PostgreSQL writes under `DateStyle = ISO`, `IntervalStyle = postgres`, `bytea_output = hex`.
"""

from __future__ import annotations

import enum

import msgspec


class Kind(enum.Enum):
    """The kinds, each with its canonical Python value, then its canonical text (UTF-8 bytes)."""

    BOOLEAN = "boolean"  # bool; `t` or `f`
    INT16 = "int16"  # int; decimal digits
    INT32 = "int32"  # int; decimal digits
    INT64 = "int64"  # int; decimal digits
    FLOAT32 = "float32"  # float; shortest exact digits, `NaN`, `Infinity`, `-Infinity`
    FLOAT64 = "float64"  # float; as FLOAT32
    DECIMAL = "decimal"  # decimal.Decimal; digits with a point, `NaN`, `Infinity`, `-Infinity`
    STRING = "string"  # str; itself
    BYTES = "bytes"  # bytes; `\x` and hexadecimal digits
    DATE = "date"  # int days since 1970-01-01, or ±math.inf; `2026-01-31`, `0044-03-15 BC`, `infinity`
    TIME = "time"  # int µs since midnight, 24:00:00 included; `13:14:15.123456`
    DURATION = "duration"  # int µs, below zero too; no canonical text
    TIMETZ = "timetz"  # (int µs since midnight, int seconds east of UTC); `13:14:15.1+02:30`
    TIMESTAMP = "timestamp"  # int µs since 1970-01-01 on the wall, or ±math.inf; `2026-01-31 13:14:15.1`
    TIMESTAMPTZ = "timestamptz"  # int µs since the epoch, or ±math.inf; `2026-01-31 13:14:15.1+00`
    UUID = "uuid"  # str, lower case with hyphens; itself
    JSON = "json"  # str, as the database wrote it; itself
    XML = "xml"  # str, as the database wrote it; itself
    ENUM = "enum"  # str; itself
    BITS = "bits"  # str of `0` and `1`; itself
    INTERVAL = "interval"  # (int months, int days, int µs), or ±math.inf; no canonical text
    POINT = "point"  # (float x, float y); no canonical text
    GEOMETRY = "geometry"  # (int SRID or None, bytes of EWKB); no canonical text
    VECTOR = "vector"  # list of float; no canonical text
    SPARSE_VECTOR = "sparse_vector"  # (int dimensions, dict of int from 1 on to float); no canonical text
    MAP = "map"  # dict of str to str or None; no canonical text
    ARRAY = "array"  # list of the element's values or None, nested for more dimensions; no canonical text


class LogicalType(msgspec.Struct, frozen=True):
    """A kind with its parameters. `native` is the database's own name of the type, for people and formats."""

    kind: Kind
    native: str
    precision: int | None = None  # DECIMAL: digits in all; temporal kinds: digits of the fraction
    scale: int | None = None  # DECIMAL: digits after the point; None: it varies from value to value
    length: int | None = None  # STRING: the declared limit in characters; BITS: in bits
    labels: tuple[str, ...] = ()  # ENUM, and STRING that holds a set of labels: these in their order
    element: LogicalType | None = None  # ARRAY, VECTOR: what it holds
