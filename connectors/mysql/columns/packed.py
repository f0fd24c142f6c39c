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
    if not 0 <= year <= 9999:
        raise ValueError(f"a date of the year {year}")
    return f"{year:04}-{month:02}-{days & 31:02}"


def _clock(hours: int, rest: int, fraction: int) -> str:
    """`rest`: minutes and seconds."""
    minutes, seconds = rest >> 6 & 63, rest & 63
    if minutes > 59 or seconds > 59 or fraction > 999_999:
        raise ValueError(f"a time of {minutes} min {seconds} s {fraction} µs")
    return f"{hours:02}:{minutes:02}:{seconds:02}.{fraction:06}"


def date_text(data: bytes) -> str:
    """`2026-01-31`"""
    return _date(_number(data) >> 41)


def time_text(data: bytes) -> str:
    """`13:14:15.000000`, `-838:59:59.000000`"""
    number = _number(data)
    clock, fraction = divmod(abs(number), 1 << 24)
    if clock >> 12 > 838:
        raise ValueError(f"a time of {clock >> 12} hours")
    return ("-" if number < 0 else "") + _clock(clock >> 12, clock, fraction)


def datetime_text(data: bytes) -> str:
    """`2026-01-31 13:14:15.000000`"""
    moment, fraction = divmod(_number(data), 1 << 24)
    if (hours := moment >> 12 & 31) > 23:
        raise ValueError(f"a moment of {hours} hours")
    return f"{_date(moment >> 17)} {_clock(hours, moment, fraction)}"
