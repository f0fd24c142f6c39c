"""Whether a value is one of its column's type: of the kind's Python type, and in the type's range."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from tailrace.types import Kind, LogicalType

_DAY: Final = 86_400_000_000
_EPOCH: Final = date(1970, 1, 1).toordinal()
_FIRST_DAY: Final = date(1, 1, 1).toordinal() - _EPOCH - 366  # of the year 0
_LAST_DAY: Final = date(9999, 12, 31).toordinal() - _EPOCH
_LONGEST: Final = (839 * 3600) * 1_000_000  # of a TIME, in µs
_LAST_SECOND: Final = 1 << 32

_INTEGERS: Final = {
    "tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64,
}  # fmt: skip


def fits(type: LogicalType, value: Any) -> bool:
    """Whether the value is one of the type."""
    return _CHECKS[type.kind](type, value)


def _integer(type: LogicalType, value: Any) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    if type.native == "year":
        return value == 0 or 1901 <= value <= 2155
    name, _, unsigned = type.native.partition(" ")
    bits = _INTEGERS[name]
    return 0 <= value < 1 << bits if unsigned else -(1 << bits - 1) <= value < 1 << bits - 1


def _decimal(type: LogicalType, value: Any) -> bool:
    if not isinstance(value, Decimal) or not value.is_finite():
        return False
    _, digits, exponent = value.as_tuple()
    assert type.precision is not None
    return exponent == -(type.scale or 0) and (len(digits) <= type.precision or not any(digits))


def _string(type: LogicalType, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    value.encode()  # no half of a character
    if type.length is not None and len(value) >= 4 * (type.length + 1):  # as many bytes as its longest text
        return False
    if type.native == "set":
        return not value or set(value.split(",")) <= {
            part for label in type.labels for part in label.split(",")
        }
    return True


def _binary(type: LogicalType, value: Any) -> bool:
    return isinstance(value, bytes)


def _label(type: LogicalType, value: Any) -> bool:
    return value == "" or value in type.labels


def _bits(type: LogicalType, value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[01]+", value) is not None and len(value) == type.length


def _day(type: LogicalType, value: Any) -> bool:
    return isinstance(value, int) and _FIRST_DAY <= value <= _LAST_DAY


def _moment(type: LogicalType, value: Any) -> bool:
    return isinstance(value, int) and _FIRST_DAY <= value // _DAY <= _LAST_DAY


def _instant(type: LogicalType, value: Any) -> bool:
    return isinstance(value, int) and 0 < value < _LAST_SECOND * 1_000_000


def _duration(type: LogicalType, value: Any) -> bool:
    return isinstance(value, int) and abs(value) < _LONGEST


def _document(type: LogicalType, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    value.encode()
    json.loads(value, parse_constant=_no_constant)
    return True


def _no_constant(name: str) -> Any:
    raise AssertionError(f"{name} in a JSON document")


def _float(type: LogicalType, value: Any) -> bool:
    return isinstance(value, float)


def _geometry(type: LogicalType, value: Any) -> bool:
    srid, shape = value
    return (srid is None or 0 < srid < 1 << 32) and isinstance(shape, bytes)


def _vector(type: LogicalType, value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(number, float) for number in value)


_CHECKS: Final[Mapping[Kind, Callable[[LogicalType, Any], bool]]] = {
    Kind.INT16: _integer,
    Kind.INT32: _integer,
    Kind.INT64: _integer,
    Kind.FLOAT32: _float,
    Kind.FLOAT64: _float,
    Kind.DECIMAL: _decimal,
    Kind.STRING: _string,
    Kind.BYTES: _binary,
    Kind.ENUM: _label,
    Kind.BITS: _bits,
    Kind.DATE: _day,
    Kind.TIMESTAMP: _moment,
    Kind.TIMESTAMPTZ: _instant,
    Kind.DURATION: _duration,
    Kind.JSON: _document,
    Kind.GEOMETRY: _geometry,
    Kind.VECTOR: _vector,
}
