"""The JSON of a value: what Kafka Connect's JsonConverter writes for Debezium's default type mapping.

| kind | JSON |
|---|---|
| BOOLEAN, INT16, INT32, INT64 | `true`, `42` |
| FLOAT32, FLOAT64 | a number with a point or an exponent; `"NaN"`, `"Infinity"`, `"-Infinity"` |
| DECIMAL with a scale | base64 of the unscaled integer in two's complement, big-endian, as few bytes as do |
| DECIMAL without one | `{"scale":2,"value":"…"}`, the value as above, its trailing zeros stripped |
| STRING, JSON, XML, UUID, ENUM | a string |
| BYTES | base64 |
| DATE | days since 1970-01-01 |
| TIME, TIMESTAMP | milliseconds up to a precision of 3 digits, else microseconds |
| TIMETZ | `"11:51:30.123789Z"`: UTC, as many digits as there are |
| TIMESTAMPTZ | `"2026-01-31T12:14:15.100000Z"`: UTC, as many digits as the column has |
| INTERVAL | microseconds, a month of 30.4375 days; infinity is the end of 64 bits |
| BITS | base64, the last bit first, as few bytes as do; of one bit `true` or `false` |
| POINT | `{"x":1.5,"y":-2.0,"wkb":"…","srid":null}`, the same point as WKB |
| MAP | a string that holds a JSON object |
| ARRAY | an array, nested for more dimensions |

`connect_text` writes the same out of canonical text without making the value.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from binascii import b2a_base64
from collections.abc import Callable
from ctypes import c_float
from datetime import date
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from struct import Struct
from typing import Any, Final, TypeAlias

import msgspec

from tailrace.types import Kind, LogicalType

Encoder: TypeAlias = Callable[[Any], bytes]
"""A canonical value → its JSON. Raises ValueError or TypeError for what is not a value of the type."""

UNAVAILABLE: Final = "__debezium_unavailable_value"
"""Stands for a value that the log leaves out because it did not change."""

DAY: Final = 86_400_000_000  # µs
EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()

# Debezium's stream takes these from PostgreSQL's JDBC driver (µs; milliseconds by division).
_TIMESTAMP_INFINITY: Final = 9_223_372_036_825_200_000
_TIMESTAMP_MINUS_INFINITY: Final = -9_223_372_036_832_400_000

_BITS: Final = {Kind.INT16: 16, Kind.INT32: 32, Kind.INT64: 64}
_TEXTS: Final = frozenset({Kind.STRING, Kind.JSON, Kind.XML, Kind.UUID, Kind.ENUM})
_MONTH: Final = 2_629_800_000_000  # µs: a twelfth of 365.25 days
_POINT: Final = Struct("<BIdd")  # WKB: little-endian, kind 1, x, y
_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_MOST: Final = 2**63 - 1
_CYCLE: Final = date(400, 12, 31).toordinal()  # days in 400 years, after which the calendar repeats

json_string: Final = msgspec.json.Encoder().encode
"""A str → a JSON string, escaped as little as JSON demands."""


def value_encoder(type: LogicalType, *, nested: bool = True) -> Encoder:
    """The encoder of a type's canonical values. `nested`: arrays may have more than one dimension."""
    kind = type.kind
    if kind in _BITS:
        return _integer(_BITS[kind])
    if kind in _TEXTS:
        return _text
    if kind is Kind.DECIMAL:
        return _variable_decimal if type.scale is None else _decimal(type.scale)
    if kind is Kind.TIME:
        return _milliseconds(_time) if in_milliseconds(type) else _time
    if kind is Kind.TIMESTAMP:
        return _milliseconds(_timestamp) if in_milliseconds(type) else _timestamp
    if kind is Kind.TIMESTAMPTZ:
        return _zoned_timestamp(fraction_digits(type))
    if kind is Kind.BITS:
        return _bit if is_one_bit(type) else _bits
    if kind is Kind.ARRAY:
        if type.element is None:
            raise ValueError(f"array type {type.native} has no element type")
        encode = value_encoder(type.element, nested=nested)
        return _array(encode, nested, of_arrays=type.element.kind is Kind.ARRAY)
    return _PLAIN[kind]


def fraction_digits(type: LogicalType) -> int:
    """The digits of a second's fraction that a temporal type holds."""
    return 6 if type.precision is None else min(type.precision, 6)


def in_milliseconds(type: LogicalType) -> bool:
    """Whether Debezium's adaptive precision counts this TIME or TIMESTAMP in ms rather than µs."""
    return fraction_digits(type) <= 3


def is_one_bit(type: LogicalType) -> bool:
    """Whether these BITS are a boolean: `bit(1)`, not a `varbit` that may be empty."""
    return type.length == 1 and type.native == "bit"


def base64_string(data: bytes) -> bytes:
    """A JSON string of base64, as Connect writes bytes."""
    return b'"%b"' % b2a_base64(data, newline=False)


def unscaled_integer(value: int) -> bytes:
    """A JSON string of an integer's bytes, as Java's BigInteger.toByteArray gives them."""
    length = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return base64_string(value.to_bytes(length, "big", signed=True))


def variable_scale(value: int, scale: int) -> bytes:
    """The JSON of Debezium's VariableScaleDecimal."""
    return b'{"scale":%d,"value":%b}' % (scale, unscaled_integer(value))


def _boolean(value: Any) -> bytes:
    if value is True:
        return b"true"
    if value is False:
        return b"false"
    raise ValueError("not a boolean")


def _integer(bits: int) -> Encoder:
    limit = 1 << bits - 1

    def encode(value: Any) -> bytes:
        if type(value) is not int or not -limit <= value < limit:
            raise ValueError(f"not an integer of {bits} bits")
        return b"%d" % value

    return encode


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return json_string(value)


def _bytes(value: Any) -> bytes:
    return base64_string(bytes(memoryview(value)))


def _float32(value: Any) -> bytes:
    if type(value) is not float:
        raise ValueError("not a floating point number")
    number = c_float(value).value
    if math.isinf(number) and not math.isinf(value):
        raise ValueError("not a floating point number of 32 bits")
    for digits in range(9):  # 9 significant digits tell any two apart
        text = f"{number:.{digits}e}"
        if c_float(float(text)).value == number:
            break
    return _float(number, text, 6)


def _float64(value: Any) -> bytes:
    if type(value) is not float:
        raise ValueError("not a floating point number")
    return _float(value, repr(value), 15)


def _float(value: float, text: str, limit: int) -> bytes:
    """`text` holds the digits. They are laid out as PostgreSQL does, which takes an exponent from 10^limit
    on; a whole number gets `.0`, so that readers without a schema take it for a floating point one."""
    if math.isnan(value):
        return b'"NaN"'
    if math.isinf(value):
        return b'"Infinity"' if value > 0 else b'"-Infinity"'
    sign, figures, exponent = Decimal(text).normalize(_EXACT).as_tuple()
    assert isinstance(exponent, int)  # it is finite
    digits = "".join(map(str, figures))
    power = exponent + len(digits) - 1
    if not -4 <= power < limit:
        point = "." if len(digits) > 1 else ""
        number = f"{digits[0]}{point}{digits[1:]}e{power:+03}"
    elif power < 0:
        number = f"0.{'0' * (-power - 1)}{digits}"
    else:
        number = f"{digits[: power + 1]:0<{power + 1}}.{digits[power + 1 :] or '0'}"
    return f"{'-' * sign}{number}".encode()


def _unscaled(value: Decimal, scale: int) -> int:
    moved = value.scaleb(scale, _EXACT)
    if moved != moved.to_integral_value():
        raise ValueError(f"more than {scale} digits after the point")
    return int(moved)


def _finite(value: Any) -> Decimal:
    if not isinstance(value, Decimal):
        raise ValueError("not a decimal number")
    if not value.is_finite():
        raise ValueError(f"{value} has no representation as a Connect Decimal")
    return value


def _decimal(scale: int) -> Encoder:
    return lambda value: unscaled_integer(_unscaled(_finite(value), scale))


def _variable_decimal(value: Any) -> bytes:
    stripped = _finite(value).normalize(_EXACT)
    exponent = stripped.as_tuple().exponent
    assert isinstance(exponent, int)  # it is finite
    scale = max(0, -exponent)
    return variable_scale(_unscaled(stripped, scale), scale)


def _date(value: Any) -> bytes:
    """±infinity are the ends of the 32-bit range, as in PostgreSQL's own storage."""
    if isinstance(value, float) and math.isinf(value):
        return b"2147483647" if value > 0 else b"-2147483648"
    return _integer(32)(value)


def _time(value: Any) -> bytes:
    if type(value) is not int or not 0 <= value <= DAY:
        raise ValueError("not a time of day")
    return b"%d" % value


def _timestamp(value: Any) -> bytes:
    if isinstance(value, float) and math.isinf(value):
        value = _TIMESTAMP_INFINITY if value > 0 else _TIMESTAMP_MINUS_INFINITY
    return _integer(64)(value)


def _milliseconds(microseconds: Encoder) -> Encoder:
    return lambda value: b"%d" % (int(microseconds(value)) // 1000)


def _interval(value: Any) -> bytes:
    if isinstance(value, float) and math.isinf(value):
        return b"%d" % (_MOST if value > 0 else -_MOST)
    months, days, microseconds = value
    return b"%d" % max(-_MOST, min(months * _MONTH + days * DAY + microseconds, _MOST))


def _bit(value: Any) -> bytes:
    return _boolean({"0": False, "1": True}[value])


def _bits(value: Any) -> bytes:
    number = int(f"0{value}", 2)
    return base64_string(number.to_bytes((number.bit_length() + 7) // 8, "little"))


def _point(value: Any) -> bytes:
    x, y = value
    wkb = base64_string(_POINT.pack(1, 1, x, y))
    return b'{"x":%b,"y":%b,"wkb":%b,"srid":null}' % (_float64(x), _float64(y), wkb)


def _map(value: Any) -> bytes:
    if not isinstance(value, dict):
        raise ValueError("not a map")
    pairs = [json_string(k) + b":" + (b"null" if v is None else json_string(v)) for k, v in value.items()]
    return json_string((b"{%b}" % b",".join(pairs)).decode())


def _zoned_time(value: Any) -> bytes:
    time, east = value
    _time(time)
    if time == DAY and east == 0:
        return b'"24:00:00Z"'
    seconds, fraction = divmod((time - east * 1_000_000) % DAY, 1_000_000)
    digits = f".{fraction:06}".rstrip("0") if fraction else ""
    return f'"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{digits}Z"'.encode()


def _zoned_timestamp(digits: int) -> Encoder:
    def encode(value: Any) -> bytes:
        if isinstance(value, float) and math.isinf(value):
            return b'"infinity"' if value > 0 else b'"-infinity"'
        if type(value) is not int:
            raise ValueError("not a timestamp")
        days, time = divmod(value, DAY)
        seconds, fraction = divmod(time, 1_000_000)
        point = f".{fraction:06}"[: digits + 1] if digits else ""
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}"
        return f'"{iso_date(days)}T{clock}Z"'.encode()

    return encode


def iso_date(days: int) -> str:
    """ISO 8601 as Java writes it: year 0 is 1 BC, years beyond four digits carry their sign."""
    cycles, day = divmod(days + EPOCH_ORDINAL - 1, _CYCLE)
    moment = date.fromordinal(day + 1)
    year = moment.year + 400 * cycles
    sign = "-" if year < 0 else "+" if year > 9999 else ""
    return f"{sign}{abs(year):04}-{moment.month:02}-{moment.day:02}"


def _array(element: Encoder, nested: bool, *, of_arrays: bool) -> Encoder:
    def item(value: Any) -> bytes:
        if value is None:
            return b"null"
        if of_arrays or not isinstance(value, list):
            return element(value)
        if not nested:
            raise ValueError("an array of more than one dimension does not fit a Connect schema")
        return encode(value)

    def encode(value: Any) -> bytes:
        if not isinstance(value, list):
            raise ValueError("not an array")
        return b"[%b]" % b",".join([item(v) for v in value])

    return encode


_PLAIN: Final[dict[Kind, Encoder]] = {
    Kind.BOOLEAN: _boolean,
    Kind.FLOAT32: _float32,
    Kind.FLOAT64: _float64,
    Kind.BYTES: _bytes,
    Kind.DATE: _date,
    Kind.TIMETZ: _zoned_time,
    Kind.INTERVAL: _interval,
    Kind.POINT: _point,
    Kind.MAP: _map,
}


def unavailable(type: LogicalType) -> bytes | None:
    """What stands for an unchanged value that the log left out, in a form that the type's readers accept;
    None where a type has no such form.

    Texts hold `UNAVAILABLE` itself; bytes and decimals its bytes; arrays of numbers its bytes as numbers, of
    booleans its bits, of uuids the name-based uuid (MD5) of it.
    """
    data = UNAVAILABLE.encode()
    kind = type.kind
    if kind in _TEXTS or kind in (Kind.TIMETZ, Kind.TIMESTAMPTZ, Kind.MAP):
        return json_string(UNAVAILABLE)
    if kind is Kind.BYTES or (kind is Kind.BITS and not is_one_bit(type)):
        return base64_string(data)
    if kind is Kind.DECIMAL:
        value = int.from_bytes(data, "big", signed=True)
        return variable_scale(value, 0) if type.scale is None else unscaled_integer(value)
    if kind is not Kind.ARRAY or type.element is None:
        return None
    element = type.element.kind
    if element is Kind.UUID:
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        return b'["%b"]' % str(uuid.UUID(bytes=digest, version=3)).encode()
    if element is Kind.BOOLEAN:
        bits = "".join(f"{byte:08b}" for byte in data)
        return b"[%b]" % b",".join([b"true" if bit == "1" else b"false" for bit in bits])
    if element in (Kind.FLOAT32, Kind.FLOAT64):
        return b"[%b]" % b",".join([b"%d.0" % byte for byte in data])
    if (single := unavailable(type.element)) is not None:
        return b"[%b]" % single
    return b"[%b]" % b",".join([b"%d" % byte for byte in data])
