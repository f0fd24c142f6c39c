"""Dates and times as MySQL packs them into a number, which is how JSON documents hold them.

`year * 13 + month` in 17 bits, day in 5, hour in 5, minute and second in 6 each, 24 bits of µs; times have 10
bits of hours and no date. Negative times are negative numbers.
"""

from __future__ import annotations

_SIZE = 8


def _number(data: bytes) -> int:
    if len(data) != _SIZE:
        raise ValueError(f"a moment of {len(data)} bytes instead of {_SIZE}")
    return int.from_bytes(data, "little", signed=True)


def _date(days: int) -> str:
    year, month = divmod(days >> 5, 13)
    return f"{year:04}-{month:02}-{days & 31:02}"


def date_text(data: bytes) -> str:
    """`2026-01-31`"""
    return _date(_number(data) >> 41)


def time_text(data: bytes) -> str:
    """`13:14:15.000000`, `-838:59:59.000000`"""
    number = _number(data)
    clock, fraction = divmod(abs(number), 1 << 24)
    sign = "-" if number < 0 else ""
    return f"{sign}{clock >> 12 & 1023:02}:{clock >> 6 & 63:02}:{clock & 63:02}.{fraction:06}"


def datetime_text(data: bytes) -> str:
    """`2026-01-31 13:14:15.000000`"""
    moment, fraction = divmod(_number(data), 1 << 24)
    clock = f"{moment >> 12 & 31:02}:{moment >> 6 & 63:02}:{moment & 63:02}"
    return f"{_date(moment >> 17)} {clock}.{fraction:06}"
