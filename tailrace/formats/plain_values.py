"""The JSON of a value in the format `plain`: what a person would write.

| kind | JSON |
|---|---|
| BOOLEAN, INT16, INT32, INT64 | `true`, `42` |
| FLOAT32, FLOAT64, DECIMAL | a number with the digits that the database has: `12.50`; `"NaN"`, `"Infinity"` |
| STRING, XML, UUID, ENUM | a string |
| JSON | itself |
| BYTES | base64 |
| DATE | `"2026-01-31"`; `"infinity"`; before year 1 and beyond 9999 with a sign: `"-0043-03-15"` |
| TIME | `"13:14:15.5"` |
| DURATION | `"-838:59:59.5"` |
| TIMETZ | `"13:14:15.5+02:30"` |
| TIMESTAMP | `"2026-01-31T13:14:15.5"` |
| TIMESTAMPTZ | `"2026-01-31T13:14:15.5Z"`: UTC |
| INTERVAL | ISO 8601: `"P1M2DT3.5S"`: months, days, seconds; `"infinity"` |
| BITS | a string of `0` and `1` |
| POINT | `{"x":1.5,"y":-2.0}` |
| GEOMETRY | `{"wkb":"…","srid":4326}`: EWKB in base64, and its SRID or null |
| VECTOR | an array of numbers |
| SPARSE_VECTOR | `{"dimensions":5,"vector":{"1":1.5}}` |
| MAP | an object |
| ARRAY | an array, nested for more dimensions |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from tailrace.events import Column
from tailrace.expressions import Expression, Inline
from tailrace.formats.connect_inline import BINARY, NUMBER, TEXT
from tailrace.formats.connect_structures import geometry
from tailrace.formats.connect_values import (
    DAY,
    Encoder,
    iso_date,
    json_string,
)
from tailrace.formats.connect_values import value_encoder as connect_encoder
from tailrace.types import Kind, LogicalType

_SECOND: Final = 1_000_000  # µs
_AS_CONNECT: Final = frozenset(
    {
        Kind.BOOLEAN, Kind.INT16, Kind.INT32, Kind.INT64, Kind.FLOAT32, Kind.FLOAT64, Kind.STRING, Kind.XML,
        Kind.UUID, Kind.ENUM, Kind.BYTES,
    }
)  # fmt: skip


def field_expression(column: Column, n: int) -> tuple[str, dict[str, Any]]:
    """Python source that turns a column's raw field `f{n}`, which holds a value, into JSON, and the names
    that it uses. It raises one of `rows.CONVERSION_ERRORS` for a field that holds none."""
    by_value, value = value_encoder(column.type), column.value
    kind = column.type.kind
    if column.text and kind in _TEXTS:
        names = {f"column{n}": lambda field: by_value(value(field)), **_NAMES}
        return _TEXTS[kind].format(f=f"f{n}", c=f"column{n}"), names
    expression = Expression("encode{n}(value{n}({f}))", {"encode{n}": by_value, "value{n}": value})
    if isinstance(value, Inline) and kind in _INLINE:
        expression = _INLINE[kind].after(value.expression)
    return expression.of(f"f{n}", n), expression.bound(n)


def field_encoder(column: Column) -> Callable[[Any], bytes]:
    """The encoder of a column's raw fields that hold a value or NULL."""
    source, names = field_expression(column, 0)
    encode: Callable[[Any], bytes] = eval(f"lambda f0: b'null' if f0 is None else {source}", names)
    return encode


def value_encoder(type: LogicalType) -> Encoder:
    """The encoder of a type's canonical values."""
    kind = type.kind
    if kind in _AS_CONNECT:
        return connect_encoder(type)
    if kind is Kind.ARRAY:
        if type.element is None:
            raise ValueError(f"array type {type.native} has no element type")
        vectors = type.element.kind is Kind.VECTOR  # lists as well: arrays of one more dimension
        return _array(_number if vectors else value_encoder(type.element))
    return _VALUES[kind]


def _array(element: Encoder) -> Encoder:
    def encode(value: Any) -> bytes:
        if not isinstance(value, list):
            raise ValueError("not an array")
        items = [b"null" if v is None else encode(v) if isinstance(v, list) else element(v) for v in value]
        return b"[%b]" % b",".join(items)

    return encode


def _decimal(value: Any) -> bytes:
    if not isinstance(value, Decimal):
        raise ValueError("not a decimal number")
    if not value.is_finite():
        return json_string(str(value))
    return f"{value:f}".encode()


def _json(value: Any) -> bytes:
    # The database has checked it. Outside of strings, which cannot hold any, a line break is a blank.
    return str(value).replace("\n", " ").replace("\r", " ").encode()


def _infinite(value: Any) -> bytes | None:
    if isinstance(value, float) and math.isinf(value):
        return b'"infinity"' if value > 0 else b'"-infinity"'
    if type(value) is not int:
        raise ValueError("not a moment")
    return None


def _date(value: Any) -> bytes:
    return _infinite(value) or b'"%b"' % iso_date(value).encode()


def _clock(time: int) -> str:
    seconds, fraction = divmod(time, _SECOND)
    digits = f".{fraction:06}".rstrip("0") if fraction else ""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{digits}"


def _time(value: Any) -> bytes:
    if type(value) is not int or not 0 <= value <= DAY:
        raise ValueError("not a time of day")
    return f'"{_clock(value)}"'.encode()


def _duration(value: Any) -> bytes:
    if type(value) is not int:
        raise ValueError("not a duration")
    return f'"{"-" if value < 0 else ""}{_clock(abs(value))}"'.encode()


def _timetz(value: Any) -> bytes:
    time, east = value
    hours, rest = divmod(abs(east), 3600)
    seconds = f":{rest % 60:02}" if rest % 60 else ""
    return f'"{_clock(time)}{"-" if east < 0 else "+"}{hours:02}:{rest // 60:02}{seconds}"'.encode()


def _timestamp(zone: str) -> Encoder:
    def encode(value: Any) -> bytes:
        if (infinite := _infinite(value)) is not None:
            return infinite
        days, time = divmod(value, DAY)
        return f'"{iso_date(days)}T{_clock(time)}{zone}"'.encode()

    return encode


def _interval(value: Any) -> bytes:
    if isinstance(value, float):
        return _infinite(value) or b""
    months, days, microseconds = value
    sign = "-" if microseconds < 0 else ""
    seconds, fraction = divmod(abs(microseconds), _SECOND)
    digits = f".{fraction:06}".rstrip("0") if fraction else ""
    dated = (f"{months}M" if months else "") + (f"{days}D" if days else "")
    timed = f"T{sign}{seconds}{digits}S" if microseconds or not dated else ""
    return f'"P{dated}{timed}"'.encode()


_number: Final = connect_encoder(LogicalType(Kind.FLOAT64, "float8"))


def _point(value: Any) -> bytes:
    x, y = value
    return b'{"x":%b,"y":%b}' % (_number(x), _number(y))


def _sparse_vector(value: Any) -> bytes:
    dimensions, numbers = value
    pairs = [b'"%d":%b' % (at, _number(number)) for at, number in numbers.items()]
    return b'{"dimensions":%d,"vector":{%b}}' % (dimensions, b",".join(pairs))


def _map(value: Any) -> bytes:
    if not isinstance(value, dict):
        raise ValueError("not a map")
    pairs = [json_string(k) + b":" + (b"null" if v is None else json_string(v)) for k, v in value.items()]
    return b"{%b}" % b",".join(pairs)


def _bits(value: Any) -> bytes:
    if not isinstance(value, str) or set(value) - {"0", "1"}:
        raise ValueError("not a string of bits")
    return b'"%b"' % value.encode()


_VALUES: Final[dict[Kind, Encoder]] = {
    Kind.DECIMAL: _decimal,
    Kind.JSON: _json,
    Kind.DATE: _date,
    Kind.TIME: _time,
    Kind.DURATION: _duration,
    Kind.TIMETZ: _timetz,
    Kind.TIMESTAMP: _timestamp(""),
    Kind.TIMESTAMPTZ: _timestamp("Z"),
    Kind.INTERVAL: _interval,
    Kind.POINT: _point,
    Kind.GEOMETRY: geometry,
    Kind.VECTOR: _array(_number),
    Kind.SPARSE_VECTOR: _sparse_vector,
    Kind.MAP: _map,
    Kind.BITS: _bits,
}


_INLINE: Final = {
    **dict.fromkeys((Kind.INT16, Kind.INT32, Kind.INT64), NUMBER),
    **dict.fromkeys((Kind.STRING, Kind.XML, Kind.UUID, Kind.ENUM), TEXT),
    Kind.BYTES: BINARY,
}
"""Values that are known to be right, where a function would only look at them."""

_NAMES: Final[Mapping[str, Any]] = {
    "booleans": {b"t": b"true", b"f": b"false"},
    "json_string": json_string,
}

# Canonical text straight to JSON, where that is the same; `{c}` goes through the value.
_TEXTS: Final[dict[Kind, str]] = {
    Kind.BOOLEAN: "booleans[{f}]",
    Kind.INT16: "{f}",
    Kind.INT32: "{f}",
    Kind.INT64: "{f}",
    Kind.DECIMAL: "({f} if {f}[-1] < 58 else {c}({f}))",  # a digit, and not the end of NaN and Infinity
    Kind.STRING: "json_string({f}.decode())",
    Kind.XML: "json_string({f}.decode())",
    Kind.ENUM: "json_string({f}.decode())",
    Kind.JSON: "({c}({f}) if 10 in {f} or 13 in {f} else {f})",  # newlines
    Kind.UUID: """b'"%b"' % {f}""",
    Kind.TIME: """b'"%b"' % {f}""",
    # Hyphens, blanks and zeros tell years of four digits, UTC, and neither infinity nor BC.
    Kind.DATE: """(b'"%b"' % {f} if len({f}) == 10 and {f}[4] == 45 else {c}({f}))""",
    Kind.TIMESTAMP: """(b'"%bT%b"' % ({f}[:10], {f}[11:]) if {f}[10:11] == b" " and {f}[-1] < 58 else
    {c}({f}))""",
    Kind.TIMESTAMPTZ: """(b'"%bT%bZ"' % ({f}[:10], {f}[11:-3])"""
    """ if {f}.endswith(b"+00") and {f}[10] == 32 else {c}({f}))""",
}
