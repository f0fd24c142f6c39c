"""The JSON of canonical values: what Kafka Connect's JsonConverter writes for Debezium's schemas.

Encoders of one kind of value each, in the forms among which `connect_types` chooses. Floating point numbers
have a point or an exponent, or are `"NaN"`, `"Infinity"`, `"-Infinity"`; bytes are base64; a decimal is its
unscaled integer in two's complement, big-endian, in as few bytes as do; a date is days, other moments are
numbers of a unit, since 1970-01-01 on the wall; what has a time zone is in UTC.

`connect_text` writes the same out of canonical text without making the value.
"""

from __future__ import annotations

import math
from binascii import b2a_base64, hexlify
from collections.abc import Callable
from ctypes import c_float
from dataclasses import dataclass
from datetime import date
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_HALF_UP, Context, Decimal
from typing import Any, Final, TypeAlias

import msgspec

from tailrace.formats.unscaled import unscaled_integer
from tailrace.types import Kind, LogicalType

Encoder: TypeAlias = Callable[[Any], bytes]
"""A canonical value → its JSON. Raises ValueError or TypeError for what is not a value of the type."""

DAY: Final = 86_400_000_000  # µs
EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()

# Debezium's stream takes these from PostgreSQL's JDBC driver (µs; milliseconds by division).
_TIMESTAMP_INFINITY: Final = 9_223_372_036_825_200_000
_TIMESTAMP_MINUS_INFINITY: Final = -9_223_372_036_832_400_000

_MONTH: Final = 2_629_800_000_000  # µs: a twelfth of 365.25 days
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_MOST: Final = 2**63 - 1
_INFINITE: Final = (b'"-infinity"', b'"infinity"')
_CYCLE: Final = date(400, 12, 31).toordinal()  # days in 400 years, after which the calendar repeats

_NO_DIGITS: Final = {  # Java's names of them, as Debezium writes them
    "NaN": b'"NAN"',
    "Infinity": b'"POSITIVE_INFINITY"',
    "-Infinity": b'"NEGATIVE_INFINITY"',
}

json_string: Final = msgspec.json.Encoder().encode
"""A str → a JSON string, escaped as little as JSON demands."""

json_number: Final = json_string
"""An int → its digits, in half of the time that `%d` takes."""


def value_encoder(type: LogicalType) -> Encoder:
    """The encoder of a kind that is always written in the same way."""
    if type.kind is Kind.INT64 and type.native == "bigint unsigned":
        return unsigned_long
    return ENCODERS[type.kind]


def fraction_digits(type: LogicalType) -> int:
    """The digits of a second's fraction that a temporal type holds."""
    return 6 if type.precision is None else min(type.precision, 6)


def is_one_bit(type: LogicalType) -> bool:
    """Whether these BITS are a boolean: `bit(1)`, not a `varbit` that may be empty."""
    return type.length == 1 and type.native in ("bit", "bit(1)")


def base64_string(data: bytes) -> bytes:
    """A JSON string of base64, as Connect writes bytes."""
    return b'"%b"' % b2a_base64(data, newline=False)


def variable_scale(value: int, scale: int) -> bytes:
    """The JSON of Debezium's VariableScaleDecimal."""
    return b'{"scale":%d,"value":%b}' % (scale, unscaled_integer(value))


def boolean(value: Any) -> bytes:
    if value is True:
        return b"true"
    if value is False:
        return b"false"
    raise ValueError("not a boolean")


def integer(bits: int) -> Encoder:
    limit = 1 << bits - 1

    def encode(value: Any) -> bytes:
        if type(value) is not int or not -limit <= value < limit:
            raise ValueError(f"not an integer of {bits} bits")
        return json_number(value)

    return encode


def unsigned_long(value: Any) -> bytes:
    """MySQL's `bigint unsigned` as a number of 64 bits with a sign."""
    if type(value) is int and value >= 1 << 63:
        raise ValueError(
            "more than 64 bits with a sign hold, which bigint_unsigned_handling_mode: precise has room for"
        )
    return _INT64(value)


def text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return json_string(value)


def binary(value: Any) -> bytes:
    return base64_string(bytes(memoryview(value)))


def url_safe_binary(value: Any) -> bytes:
    return base64_string(bytes(memoryview(value))).translate(_URL_SAFE)


def hexadecimal(value: Any) -> bytes:
    return b'"%b"' % hexlify(bytes(memoryview(value)))


def float32(value: Any) -> bytes:
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


def float64(value: Any) -> bytes:
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
    whole = int(moved)
    if whole != moved:
        raise ValueError(f"more than {scale} digits after the point")
    return whole


def _number(value: Any) -> Decimal:
    if not isinstance(value, Decimal):
        raise ValueError("not a decimal number")
    return value


def _finite(value: Any) -> Decimal:
    if not _number(value).is_finite():
        raise ValueError(f"{value} has no representation as a Connect Decimal")
    return _number(value)


def decimal(scale: int) -> Encoder:
    return lambda value: unscaled_integer(_unscaled(_finite(value), scale))


def rounded_decimal(scale: int) -> Encoder:
    """As `decimal`, for values that may have more digits."""

    def encode(value: Any) -> bytes:
        moved = _finite(value).scaleb(scale, _EXACT)
        return unscaled_integer(int(moved.to_integral_value(ROUND_HALF_UP)))

    return encode


def variable_decimal(value: Any) -> bytes:
    stripped = _finite(value).normalize(_EXACT)
    exponent = stripped.as_tuple().exponent
    assert isinstance(exponent, int)  # it is finite
    scale = max(0, -exponent)
    return variable_scale(_unscaled(stripped, scale), scale)


def decimal_float(value: Any) -> bytes:
    """The nearest floating point number of 64 bits."""
    number = float(_number(value))
    if math.isinf(number) and value.is_finite():
        raise ValueError("beyond a floating point number of 64 bits")
    return float64(number)


def decimal_digits(value: Any) -> bytes:
    """Text: all digits, no exponent."""
    if _number(value).is_finite():
        return b'"%b"' % f"{value:f}".encode()
    return _NO_DIGITS[str(value)]


def date_days(value: Any) -> bytes:
    """±infinity are the ends of the 32-bit range, as in PostgreSQL's own storage."""
    if _infinite(value):
        return b"2147483647" if value > 0 else b"-2147483648"
    return _INT32(value)


def _time(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= DAY:
        raise ValueError("not a time of day")
    return value


def _duration(value: Any) -> int:
    if type(value) is not int:
        raise ValueError("not a duration")
    return value


def _infinite(value: Any) -> bool:
    return isinstance(value, float) and math.isinf(value)


def _moment(value: Any) -> int:
    if type(value) is not int:
        raise ValueError("not a timestamp")
    return value


@dataclass(frozen=True, slots=True)
class Unit:
    """What times are counted in: so many to a µs, or so many µs to one. Digits beyond it are cut off."""

    per_microsecond: int = 1
    microseconds: int = 1
    ends: tuple[int, int] = (_TIMESTAMP_MINUS_INFINITY, _TIMESTAMP_INFINITY)  # -infinity, infinity

    def count(self, microseconds: int) -> int:
        """A number of µs in this unit."""
        return microseconds * self.per_microsecond // self.microseconds

    def time(self, value: Any) -> bytes:
        """A time of day."""
        return json_number(self.count(_time(value)))

    def duration(self, value: Any) -> bytes:
        """A duration; ValueError for what does not fit 64 bits."""
        return _INT64(self.count(_duration(value)))

    def timestamp(self, value: Any) -> bytes:
        """A timestamp; ValueError for what does not fit 64 bits."""
        return _INT64(self.ends[value > 0] if _infinite(value) else self.count(_moment(value)))


MILLISECONDS: Final = Unit(
    microseconds=1000, ends=(_TIMESTAMP_MINUS_INFINITY // 1000, _TIMESTAMP_INFINITY // 1000)
)
MICROSECONDS: Final = Unit()
NANOSECONDS: Final = Unit(per_microsecond=1000, ends=(-_MOST - 1, _MOST))


def iso_day(value: Any) -> bytes:
    """A date as `2026-01-31Z`."""
    if _infinite(value):
        return _INFINITE[value > 0]
    date_days(value)
    return f'"{iso_date(value)}Z"'.encode()


def iso_time(value: Any) -> bytes:
    """A time of day as `13:14:15.5Z`."""
    return f'"{_clock(_time(value))}Z"'.encode()


def iso_timestamp(value: Any) -> bytes:
    """A timestamp as `2026-01-31T13:14:15.5Z`."""
    if _infinite(value):
        return _INFINITE[value > 0]
    days, time = divmod(_moment(value), DAY)
    return f'"{iso_date(days)}T{_clock(time)}Z"'.encode()


def _clock(time: int) -> str:
    """µs since midnight, with as many digits as there are."""
    seconds, fraction = divmod(time, 1_000_000)
    point = f".{fraction:06}".rstrip("0") if fraction else ""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}"


def iso_interval(value: Any) -> bytes:
    """An interval as `P1Y2M3DT4H5M6.789S`; each part has its own sign."""
    if _infinite(value):
        return _INFINITE[value > 0]
    months, days, microseconds = value
    years, months = _parts(months, 12)
    minutes, microseconds = _parts(microseconds, 60_000_000)
    hours, minutes = _parts(minutes, 60)
    seconds, fraction = divmod(abs(microseconds), 1_000_000)
    point = f".{fraction:06}".rstrip("0") if fraction else ""
    sign = "-" if microseconds < 0 else ""
    return f'"P{years}Y{months}M{days}DT{hours}H{minutes}M{sign}{seconds}{point}S"'.encode()


def _parts(number: int, of: int) -> tuple[int, int]:
    """Quotient and remainder, both with the number's sign."""
    whole, rest = divmod(abs(number), of)
    return (-whole, -rest) if number < 0 else (whole, rest)


def interval_microseconds(value: Any) -> bytes:
    if _infinite(value):
        return b"%d" % (_MOST if value > 0 else -_MOST)
    months, days, microseconds = value
    return b"%d" % max(-_MOST, min(months * _MONTH + days * DAY + microseconds, _MOST))


def bit(value: Any) -> bytes:
    return boolean({"0": False, "1": True}[value])


def bits(value: Any) -> bytes:
    number = int(f"0{value}", 2)
    return base64_string(number.to_bytes((number.bit_length() + 7) // 8, "little"))


def whole_bits(length: int) -> Encoder:
    """As `bits`, in as many bytes as `length` bits take."""

    def encode(value: Any) -> bytes:
        return base64_string(int(f"0{value}", 2).to_bytes((length + 7) // 8, "little"))

    return encode


def map_object(value: Any) -> bytes:
    """A JSON object of strings."""
    if not isinstance(value, dict):
        raise ValueError("not a map")
    pairs = [json_string(k) + b":" + (b"null" if v is None else json_string(v)) for k, v in value.items()]
    return b"{%b}" % b",".join(pairs)


def map_text(value: Any) -> bytes:
    """The same as text."""
    return json_string(map_object(value).decode())


def zoned_time(value: Any) -> bytes:
    time, east = value
    if _time(time) == DAY and east == 0:
        return b'"24:00:00Z"'
    return f'"{_clock((time - east * 1_000_000) % DAY)}Z"'.encode()


def zoned_timestamp(digits: int) -> Encoder:
    def encode(value: Any) -> bytes:
        if _infinite(value):
            return _INFINITE[value > 0]
        days, time = divmod(_moment(value), DAY)
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


def array(element: Encoder, nested: bool, *, of_arrays: bool) -> Encoder:
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


_INT32: Final = integer(32)
_INT64: Final = integer(64)

ENCODERS: Final[dict[Kind, Encoder]] = {
    Kind.BOOLEAN: boolean,
    Kind.INT16: integer(16),
    Kind.INT32: integer(32),
    Kind.INT64: _INT64,
    Kind.FLOAT32: float32,
    Kind.FLOAT64: float64,
    Kind.STRING: text,
    Kind.JSON: text,
    Kind.XML: text,
    Kind.UUID: text,
    Kind.ENUM: text,
    Kind.BYTES: binary,
    Kind.TIMETZ: zoned_time,
}
