"""Raw fields of a binary log → the canonical Python value (`tailrace.types`).

Temporal fields are bytes as the server packs them: integers of whole parts, big-endian except for `date`,
then the fraction in as many bytes as its digits need. Every function raises ValueError for what is no value
of the type, NoDate among them, see `zero_dates`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from connectors.mysql.columns import json_diffs, json_shapes
from connectors.mysql.columns.json_diffs import Patched

_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_CYCLE: Final = 146_097  # days of 400 years, after which the calendar repeats
_MOST_KEPT: Final = 4096
_unpack_micros: Final = struct.Struct(">5sBH").unpack


_REFUSED: Final = (
    "zero_dates: refuse; outside of a key zero_dates: null or epoch under source: say what it becomes"
)


class NoDate(ValueError):
    """A date that no calendar has: 0000-00-00, 2026-01-00, 2026-02-31."""


def same(raw: Any) -> Any:
    """A field that is its value."""
    return raw


def medium_integer(raw: bytes) -> int:
    """A number of three bytes."""
    return int.from_bytes(raw, "little", signed=True)


def unsigned_medium_integer(raw: bytes) -> int:
    """A number of three bytes, never negative."""
    return int.from_bytes(raw, "little")


def decimal_integer(raw: int) -> Decimal:
    """A whole number as a decimal."""
    return Decimal(raw)


def year(raw: int) -> int:
    """A year from 1901 to 2155, or 0."""
    return raw and 1900 + raw


def bits(count: int) -> Callable[[bytes], str]:
    """BIT(count): zeros and ones."""

    def read(raw: bytes) -> str:
        number = int.from_bytes(raw, "big")
        if number >> count:
            raise ValueError(f"more than {count} bits: {raw.hex()}")
        return f"{number:0{count}b}"

    return read


def padded(size: int) -> Callable[[bytes], bytes]:
    """BINARY(size): the log leaves zero bytes at the end out."""

    def read(raw: bytes) -> bytes:
        if len(raw) > size:
            raise ValueError(f"{len(raw)} bytes of a binary({size})")
        return raw.ljust(size, b"\0")

    return read


def enum(labels: Sequence[str]) -> Callable[[int], str]:
    """A label by its number from 1 on; 0 is what the server made of an invalid value, and shows as ''."""
    names = ("", *labels)

    def read(raw: int) -> str:
        if raw >= len(names):
            raise ValueError(f"number {raw} of an enum of {len(labels)} labels")
        return names[raw]

    return read


def set_of(labels: Sequence[str]) -> Callable[[bytes], str]:
    """The labels whose bits are set, in their order, parted by commas."""

    @lru_cache(maxsize=1024)
    def read(raw: bytes) -> str:
        number = int.from_bytes(raw, "little")
        if number >> len(labels):
            raise ValueError(f"bits {number:#x} of a set of {len(labels)} labels")
        return ",".join([label for i, label in enumerate(labels) if number >> i & 1])

    return read


class _Kept(dict[bytes, int]):
    """What a function makes of the fields that were met lately: few dates and few seconds make most rows."""

    def __init__(self, make: Callable[[bytes], int]) -> None:
        self._make = make

    def __missing__(self, raw: bytes) -> int:
        made = self._make(raw)
        if len(self) == _MOST_KEPT:
            self.clear()
        self[raw] = made
        return made


def days(raw: bytes) -> int:
    """A date as days since 1970-01-01."""
    packed = int.from_bytes(raw, "little")
    return _days(packed >> 9, packed >> 5 & 15, packed & 31)


DAYS: Final = _Kept(days)
"""By dates, what `days` makes of them."""


@lru_cache(maxsize=4096)
def _days(year: int, month: int, day: int) -> int:
    # `date` knows no year 0; 400 years later the calendar is the same.
    try:
        return date(year or 400, month, day).toordinal() - _EPOCH_DAY - (0 if year else _CYCLE)
    except ValueError:
        raise NoDate(f"{year:04}-{month:02}-{day:02} is no date ({_REFUSED})") from None


def _fraction(raw: bytes, at: int) -> int:
    """The µs that stand at the end of a field, from `at` on: hundredths, ten-thousandths or millionths."""
    width = len(raw) - at
    fraction = int.from_bytes(raw[at:], "big") * (1, 10_000, 100, 1)[width]
    if fraction >= _SECOND:
        raise ValueError(f"a fraction of {fraction} µs: {raw.hex()}")
    return fraction


def wall_time(raw: bytes) -> int:
    """DATETIME as µs since 1970-01-01 on the wall."""
    if len(raw) == 8:
        second, high, low = _unpack_micros(raw)
        fraction: int = high << 16 | low
        if fraction < _SECOND:
            return _SECONDS[second] + fraction
    return _SECONDS[raw[:5]] + (_fraction(raw, 5) if len(raw) > 5 else 0)


def _whole_second(raw: bytes) -> int:
    packed = int.from_bytes(raw, "big") - 0x80_0000_0000
    hours, minutes, seconds = packed >> 12 & 31, packed >> 6 & 63, packed & 63
    if packed < 0 or len(raw) != 5 or hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(f"not a datetime: {raw.hex()}")
    year, month = divmod(packed >> 22, 13)
    clock = (hours * 60 + minutes) * 60 + seconds
    return _days(year, month, packed >> 17 & 31) * _DAY + clock * _SECOND


_SECONDS: Final = _Kept(_whole_second)


def instant(raw: bytes) -> int:
    """TIMESTAMP as µs since the epoch. 0 is the zero date; of the rest of its second MariaDB has moments."""
    micros = int.from_bytes(raw[:4], "big") * _SECOND
    if len(raw) > 4:
        micros += _fraction(raw, 4)
    if not micros:
        raise NoDate(f"0000-00-00 00:00:00 is no date ({_REFUSED})")
    return micros


def duration(raw: bytes) -> int:
    """TIME as µs, from -838:59:59 to 838:59:59."""
    width = 8 * (len(raw) - 3)
    packed = int.from_bytes(raw, "big") - (0x80_0000 << width)
    # A negative time is the whole field's complement, its fraction included.
    clock, fraction = divmod(abs(packed), 1 << width)
    minutes, seconds = clock >> 6 & 63, clock & 63
    micros = fraction * (1, 10_000, 100, 1)[width >> 3]
    if minutes > 59 or seconds > 59 or micros >= _SECOND or clock >> 12 > 838:
        raise ValueError(f"not a time: {raw.hex()}")
    value = (((clock >> 12) * 60 + minutes) * 60 + seconds) * _SECOND + micros
    return -value if packed < 0 else value


def json() -> Callable[[bytes | Patched], str]:
    """A column of JSON documents, as the server prints them."""
    document = json_shapes.reader()
    return lambda raw: json_diffs.text(raw) if isinstance(raw, Patched) else document(raw)


def geometry(raw: bytes) -> tuple[int | None, bytes]:
    """The SRID (None for 0, which is none) and the WKB behind it."""
    if len(raw) < 9:  # SRID, byte order and kind at least
        raise ValueError(f"not a geometry: {raw.hex()}")
    return int.from_bytes(raw[:4], "little") or None, raw[4:]


def vector(raw: bytes) -> list[float]:
    """Floating point numbers of 32 bits."""
    count, rest = divmod(len(raw), 4)
    if rest:
        raise ValueError(f"a vector of {len(raw)} bytes")
    return list(struct.unpack(f"<{count}f", raw))


def uncompressed(value: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """MariaDB's COMPRESSED columns: a byte says how what follows is compressed. `value` reads what it was."""

    def read(raw: bytes) -> Any:
        return value(_inflated(raw) if raw else raw)

    return read


def _inflated(raw: bytes) -> bytes:
    header = raw[0]
    if not header:
        return raw[1:]
    if header >> 4 != 8:
        raise ValueError(f"compressed in the unknown way {header:#x}")
    at = 1 + (header & 7)
    size = int.from_bytes(raw[1:at], "big")
    inflate = zlib.decompressobj(-zlib.MAX_WBITS if header & 8 else zlib.MAX_WBITS)
    try:
        data = inflate.decompress(raw[at:], size + 1)
    except zlib.error as error:
        raise ValueError(f"a compressed value cannot be read: {error}") from None
    if len(data) != size or not inflate.eof:
        raise ValueError(f"a compressed value of {size} bytes is {len(data)} or more long")
    return data
