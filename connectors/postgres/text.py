"""PostgreSQL's text of a value → the canonical Python value (`tailrace.types`).

The session is pinned to DateStyle ISO, IntervalStyle postgres, bytea_output hex, TimeZone UTC. Every function
takes the field's bytes and raises ValueError for what the server never writes.
"""

from __future__ import annotations

import math
import re
from binascii import unhexlify
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

_SECOND: Final = 1_000_000
_DAY_LENGTH: Final = 86_400 * _SECOND
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_POINTS: Final = (b"", b".")  # what may follow the seconds
_INFINITIES: Final = {b"infinity": math.inf, b"-infinity": -math.inf}

_DATE: Final = re.compile(rb"(\d{4,7})-(\d\d)-(\d\d)")
_TIME: Final = re.compile(rb"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_MONEY: Final = re.compile(rb"(-?)\$([\d,]+\.\d\d)")
_INTERVAL: Final = re.compile(  # each part behind a blank
    rb"(?: ([+-]?\d+) years?)?(?: ([+-]?\d+) mons?)?(?: ([+-]?\d+) days?)?"
    rb"(?: ([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?"
)
_OFFSET: Final = re.compile(rb"([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?")


def boolean(text: bytes) -> bool:
    """`t` or `f`."""
    if text == b"t":
        return True
    if text == b"f":
        return False
    raise ValueError(f"not a boolean: {text!r}")


def decimal(text: bytes) -> Decimal:
    """Exact, NaN and the infinities included."""
    try:
        return Decimal(text.decode("ascii"))
    except InvalidOperation:
        raise ValueError(f"not a number: {text!r}") from None


def money(text: bytes) -> Decimal:
    """An amount as the locale C writes it: `-$1,234.50`."""
    if not (found := _MONEY.fullmatch(text)):
        raise ValueError(f"not an amount of money: {text!r}")
    sign, digits = found.groups()
    return Decimal((sign + digits.replace(b",", b"")).decode())


def bits(text: bytes) -> str:
    """Zeros and ones, possibly none."""
    if text.strip(b"01"):
        raise ValueError(f"not a bit string: {text!r}")
    return text.decode()


def point(text: bytes) -> tuple[float, float]:
    """`(1.5,-2)`."""
    x, comma, y = text[1:-1].partition(b",")
    if text[:1] != b"(" or text[-1:] != b")" or not comma:
        raise ValueError(f"not a point: {text!r}")
    return float(x), float(y)


def interval(text: bytes) -> tuple[int, int, int] | float:
    """Months, days and µs, each with its own sign; infinite ones are infinite numbers."""
    if (infinite := _INFINITIES.get(text)) is not None:
        return infinite
    if not text or not (found := _INTERVAL.fullmatch(b" " + text)):
        raise ValueError(f"not an interval: {text!r}")
    years, months, days, sign, hours, minutes, seconds, fraction = found.groups(default=b"0")
    clock = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
    microseconds = clock * _SECOND + int(fraction.ljust(6, b"0"))
    return int(years) * 12 + int(months), int(days), -microseconds if sign == b"-" else microseconds


def binary(text: bytes) -> bytes:
    r"""`\x` and hexadecimal digits."""
    if text[:2] != b"\\x":
        raise ValueError(f"not bytea in hexadecimal form: {text[:20]!r}")
    return unhexlify(text[2:])


def days(text: bytes) -> int | float:
    """A date as days since 1970-01-01; infinite dates are infinite numbers."""
    infinite = _INFINITIES.get(text)
    return _day(text) if infinite is None else infinite


@lru_cache(maxsize=4096)
def _day(text: bytes) -> int:
    written = text.removesuffix(b" BC")
    if not (found := _DATE.fullmatch(written)):
        raise ValueError(f"not a date: {text!r}")
    year, month, day = map(int, found.groups())
    if not year:
        raise ValueError(f"not a date: {text!r}")
    # The Gregorian calendar repeats every 400 years; `date` knows the years 1 to 9999 only. 1 BC is year 0.
    cycles, year = divmod(1 - year if len(written) < len(text) else year, 400)
    return date(year + 400, month, day).toordinal() - _EPOCH_DAY + (cycles - 1) * 146_097


def time(text: bytes) -> int:
    """A time of day as µs since midnight, 24:00:00 included."""
    if not (found := _TIME.fullmatch(text)):
        raise ValueError(f"not a time: {text!r}")
    hour, minute, second, fraction = found.groups()
    seconds = int(hour) * 3600 + int(minute) * 60 + int(second)
    at = seconds * _SECOND + (int(fraction.ljust(6, b"0")) if fraction else 0)
    if int(minute) > 59 or int(second) > 59 or at > _DAY_LENGTH:
        raise ValueError(f"not a time: {text!r}")
    return at


def time_with_offset(text: bytes) -> tuple[int, int]:
    """µs since midnight, and seconds east of UTC."""
    wall, offset = _parted(text)
    return time(wall), offset


def timestamp(text: bytes) -> int | float:
    """Date and time as µs since 1970-01-01; infinite ones are infinite numbers."""
    if text[16:17] == b":" and text[19:20] in _POINTS:
        digits = text[17:19] + text[20:].ljust(6, b"0")  # of the minute, in µs
        if len(digits) == 8 and digits.isdigit() and digits < b"60":
            return _minute(text[:16]) + int(digits)
    if (infinite := _INFINITIES.get(text)) is not None:
        return infinite
    day, _, rest = text.partition(b" ")
    era = b" BC" if rest.endswith(b" BC") else b""
    return _day(day + era) * _DAY_LENGTH + time(rest.removesuffix(era))


@lru_cache(maxsize=4096)
def _minute(text: bytes) -> int:
    """`2026-01-31 13:14` as µs since 1970-01-01."""
    day, _, minute = text.partition(b" ")
    return _day(day) * _DAY_LENGTH + time(minute + b":00")


def timestamp_with_offset(text: bytes) -> int | float:
    """An instant as µs since the epoch; infinite ones are infinite numbers."""
    if text[-3:] == b"+00":
        return timestamp(text[:-3])
    if (infinite := _INFINITIES.get(text)) is not None:
        return infinite
    era = b" BC" if text.endswith(b" BC") else b""
    wall, offset = _parted(text.removesuffix(era))
    return timestamp(wall + era) - offset * _SECOND


def _parted(text: bytes) -> tuple[bytes, int]:
    """What stands before the offset from UTC at the end, and the offset in seconds."""
    at = max(text.rfind(b"+"), text.rfind(b"-"))
    found = _OFFSET.fullmatch(text, at) if at > 0 else None
    if not found:
        raise ValueError(f"no offset from UTC: {text!r}")
    sign, *parts = found.groups(default=b"0")
    hours, minutes, seconds = map(int, parts)
    east = hours * 3600 + minutes * 60 + seconds
    return text[:at], -east if sign == b"-" else east
