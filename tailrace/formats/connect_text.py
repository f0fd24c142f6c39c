"""Canonical text straight to JSON: the bytes that `connect_values` makes of the value, without making it.

Each type gives the source of a Python expression, for `rows` to build its functions of. What an expression
does not know (years before 1 or beyond 9999, infinity, texts of an unusual length) it leaves to the encoder
of the value, or raises one of `rows.CONVERSION_ERRORS`, upon which the whole row is encoded by values.
"""

from __future__ import annotations

from binascii import b2a_base64, unhexlify
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, Final, TypeAlias

from tailrace.formats.connect_values import (
    EPOCH_ORDINAL,
    base64_string,
    fraction_digits,
    in_milliseconds,
    json_string,
    unscaled_integer,
    variable_scale,
)
from tailrace.types import Kind, LogicalType

TextEncoder: TypeAlias = Callable[[bytes], bytes]
"""A raw field that is canonical text → JSON."""

_EPOCH: Final = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Expression:
    """Python source that turns the field `{f}` into JSON. `names`: what it uses; `{n}` in source and names
    stands for the column's number."""

    source: str
    names: Mapping[str, Any] = field(default_factory=dict)


def text_expression(type: LogicalType, by_value: TextEncoder) -> Expression:
    """The expression for a type's canonical text. `by_value` encodes any field of the column through its
    value."""
    kind = type.kind
    if kind in (Kind.INT16, Kind.INT32, Kind.INT64):
        return Expression("{f}")
    if kind in (Kind.STRING, Kind.JSON, Kind.XML, Kind.ENUM):
        return Expression("json_string({f}.decode())", {"json_string": json_string})
    if kind is Kind.BOOLEAN:
        return Expression("booleans[{f}]", {"booleans": {b"t": b"true", b"f": b"false"}})
    if kind is Kind.UUID:
        return Expression("""b'"%b"' % {f}""")
    if kind in (Kind.FLOAT32, Kind.FLOAT64):
        return Expression('({f} if b"." in {f} or b"e" in {f} else whole({f}))', {"whole": _whole_float})
    if kind is Kind.BYTES:
        return Expression("hexadecimal({f})", {"hexadecimal": _hexadecimal})
    if kind is Kind.DATE:
        return Expression("dates{n}[{f}]", {"dates{n}": _Dates(by_value)})
    if kind is Kind.TIMESTAMPTZ:
        return _zoned_timestamp(fraction_digits(type), by_value)
    function = by_value
    if kind is Kind.TIME:
        function = _time(in_milliseconds(type), by_value)
    elif kind is Kind.TIMESTAMP:
        function = _timestamp(in_milliseconds(type), by_value)
    elif kind is Kind.DECIMAL:
        function = _variable_decimal if type.scale is None else _decimal(type.scale, by_value)
    return Expression("column{n}({f})", {"column{n}": function})


def _whole_float(text: bytes) -> bytes:
    if text.isdigit() or (text[:1] == b"-" and text[1:].isdigit()):
        return text + b".0"
    if text in (b"NaN", b"Infinity", b"-Infinity"):
        return b'"%b"' % text
    raise ValueError("not a floating point number")


def _hexadecimal(text: bytes) -> bytes:
    if text[:2] != b"\\x":
        raise ValueError("not a hexadecimal string")
    return base64_string(unhexlify(text[2:]))


class _Dates(dict[bytes, bytes]):
    """Days since the epoch of the dates seen lately."""

    def __init__(self, by_value: TextEncoder) -> None:
        self._by_value = by_value

    def __missing__(self, text: bytes) -> bytes:
        try:
            days = b"%d" % (date.fromisoformat(text.decode()).toordinal() - EPOCH_ORDINAL)
        except ValueError:  # infinity, BC, years beyond 9999
            days = self._by_value(text)
        if len(self) == 4096:
            self.clear()
        self[text] = days
        return days


def _time(milliseconds: bool, by_value: TextEncoder) -> TextEncoder:
    def encode(text: bytes) -> bytes:
        if text[:2] == b"24":  # which `time` refuses, or takes for 00:00:00
            return by_value(text)
        moment = time.fromisoformat(text.decode())
        seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
        microseconds = seconds * 1_000_000 + moment.microsecond
        return b"%d" % (microseconds // 1000 if milliseconds else microseconds)

    return encode


def _timestamp(milliseconds: bool, by_value: TextEncoder) -> TextEncoder:
    def encode(text: bytes) -> bytes:
        if len(text) < 19 or text[10] != 32:  # infinity, years beyond 9999
            return by_value(text)
        try:
            since = datetime.fromisoformat(text.decode()) - _EPOCH
        except ValueError:  # BC
            return by_value(text)
        microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        return b"%d" % (microseconds // 1000 if milliseconds else microseconds)

    return encode


def _zoned_timestamp(digits: int, by_value: TextEncoder) -> Expression:
    """Cut and joined: `2026-01-31 13:14:15.1+00` → `"2026-01-31T13:14:15.100000Z"`."""
    seconds = len("2026-01-31 13:14:15+00")
    ends = {seconds: b'.%bZ"' % (b"0" * digits) if digits else b'Z"'}
    for present in range(1, digits + 1):
        ends[seconds + 1 + present] = b'%bZ"' % (b"0" * (digits - present))
    # Zero at the end tells +00 of other zones and of BC; the blank's place tells years of four digits.
    source = (
        """(join((b'"', {f}[:10], b"T", {f}[11:-3], ends{n}[len({f})]))"""
        """ if {f}.endswith(b"+00") and {f}[10] == 32 else column{n}({f}))"""
    )
    return Expression(source, {"ends{n}": ends, "column{n}": by_value})


class _Small(dict[int, bytes]):
    """The JSON of integers of 16 bits, made as they are met."""

    def __missing__(self, value: int) -> bytes:
        encoded = self[value] = unscaled_integer(value)
        return encoded


_SMALL: Final = _Small()
# Three bytes are four characters of base64: two for the upper 12 bits, two for the lower ones.
_PAIRS: Final = [b2a_base64(bits.to_bytes(3, "big"), newline=False)[2:] for bits in range(4096)]
_UPPER: Final = [b'"' + pair for pair in _PAIRS]
_LOWER: Final = [pair + b'"' for pair in _PAIRS]


def _decimal(scale: int, by_value: TextEncoder) -> TextEncoder:
    point = -scale - 1

    def encode(text: bytes) -> bytes:
        if text[point] != 46 if scale else b"." in text:
            return by_value(text)
        unscaled = int(text.replace(b".", b""))
        if -0x80_0000 <= unscaled < 0x80_0000:
            if -0x8000 <= unscaled < 0x8000:
                return _SMALL[unscaled]
            return _UPPER[unscaled >> 12 & 4095] + _LOWER[unscaled & 4095]
        return unscaled_integer(unscaled)

    return encode if scale >= 0 else by_value


def _variable_decimal(text: bytes) -> bytes:
    whole, _, fraction = text.partition(b".")
    fraction = fraction.rstrip(b"0")
    return variable_scale(int(whole + fraction), len(fraction))
