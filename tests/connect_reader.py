"""Reads the values of Debezium's JSON back, by the definitions of Kafka Connect and Debezium alone: it shares
no code with what writes them."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from datetime import date
from decimal import Context, Decimal
from typing import Any

from tailrace.types import Kind, LogicalType

UNAVAILABLE = "__debezium_unavailable_value"

_EXACT = Context(prec=200_000)
_INFINITY = {"infinity": math.inf, "-infinity": -math.inf}
_MOMENT = re.compile(r"([+-]?\d{4,})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?Z")
_CLOCK = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d+))?Z")


def read_value(type: LogicalType, written: Any) -> Any:
    """The canonical Python value of what stands in the JSON; None for null. Fails for anything that a reader
    of this type would not take."""
    if written is None:
        return None
    return _READERS[type.kind](type, written)


def _boolean(type: LogicalType, written: Any) -> bool:
    assert isinstance(written, bool)
    return written


def _integer(type: LogicalType, written: Any) -> int:
    assert isinstance(written, int)
    assert not isinstance(written, bool)
    return written


def _float(type: LogicalType, written: Any) -> float:
    assert isinstance(written, float) or written in ("NaN", "Infinity", "-Infinity")
    return float(written)


def _bytes(type: LogicalType, written: Any) -> bytes:
    assert isinstance(written, str)
    return base64.b64decode(written, validate=True)


def _decimal(type: LogicalType, written: Any) -> Decimal:
    scale = type.scale
    if scale is None:
        assert written.keys() == {"scale", "value"}
        scale, written = written["scale"], written["value"]
    data = _bytes(type, written)
    value = int.from_bytes(data, "big", signed=True)
    if len(data) > 1:  # minimal, as Java's BigInteger writes it
        assert not -(1 << 8 * len(data) - 9) <= value < 1 << 8 * len(data) - 9
    return Decimal(value).scaleb(-scale, _EXACT)


def _string(type: LogicalType, written: Any) -> str:
    assert isinstance(written, str)
    return written


def _date(type: LogicalType, written: Any) -> float | int:
    if written in (2**31 - 1, -(2**31)):
        return math.copysign(math.inf, written)
    return _integer(type, written)


def _microseconds(type: LogicalType, written: Any) -> int:
    digits = 6 if type.precision is None else type.precision
    return _integer(type, written) * (1000 if digits <= 3 else 1)


def _timestamp(type: LogicalType, written: Any) -> float | int:
    microseconds = _microseconds(type, written)
    if microseconds in (9_223_372_036_825_200_000, -9_223_372_036_832_400_000):
        return math.copysign(math.inf, microseconds)
    return microseconds


def _zoned_time(type: LogicalType, written: Any) -> int:
    """µs since midnight in UTC."""
    found = _CLOCK.fullmatch(written)
    assert found
    return _clock(*found.groups())


def _zoned_timestamp(type: LogicalType, written: Any) -> float | int:
    if written in _INFINITY:
        return _INFINITY[written]
    found = _MOMENT.fullmatch(written)
    assert found
    year, month, day = map(int, found.groups()[:3])
    assert found[1] == (f"{year:+}" if year > 9999 else f"{year:05}" if year < 0 else f"{year:04}")
    assert len(found[7] or "") == (6 if type.precision is None else type.precision)
    return days(year, month, day) * 86_400_000_000 + _clock(*found.groups()[3:])


def _clock(hour: str, minute: str, second: str, fraction: str | None) -> int:
    seconds = (int(hour) * 60 + int(minute)) * 60 + int(second)
    return seconds * 1_000_000 + int(f"{fraction or '':0<6}")


def days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar without end; year 0 is 1 BC."""
    shifted = year % 400 + 400  # the calendar repeats every 400 years of 146097 days
    return (
        date(shifted, month, day).toordinal()
        - date(1970, 1, 1).toordinal()
        + (year - shifted) // 400 * 146097
    )


def _array(type: LogicalType, written: Any) -> list[Any]:
    assert isinstance(written, list)
    element = type.element
    assert element
    return [_array(type, item) if isinstance(item, list) else read_value(element, item) for item in written]


_READERS: dict[Kind, Callable[[LogicalType, Any], Any]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INT16: _integer,
    Kind.INT32: _integer,
    Kind.INT64: _integer,
    Kind.FLOAT32: _float,
    Kind.FLOAT64: _float,
    Kind.DECIMAL: _decimal,
    Kind.STRING: _string,
    Kind.BYTES: _bytes,
    Kind.DATE: _date,
    Kind.TIME: _microseconds,
    Kind.TIMETZ: _zoned_time,
    Kind.TIMESTAMP: _timestamp,
    Kind.TIMESTAMPTZ: _zoned_timestamp,
    Kind.UUID: _string,
    Kind.JSON: _string,
    Kind.ENUM: _string,
    Kind.DURATION: _integer,
    Kind.ARRAY: _array,
}
READABLE = _READERS.keys()
