"""Raw fields of a binary log: their values, and what is none."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.columns import decimals, values

EPOCH = datetime(1970, 1, 1)


@st.composite
def numbers(draw: st.DrawFn) -> tuple[int, int, int]:
    """A precision, a scale and the digits of a number of that type."""
    precision = draw(st.integers(1, 65))
    scale = draw(st.integers(0, min(30, precision)))
    return precision, scale, draw(st.integers(-(10**precision) + 1, 10**precision - 1))


def packed(precision: int, scale: int, unscaled: int) -> bytes:
    """As the server packs it, group by group."""
    digits = str(abs(unscaled)).rjust(precision, "0")
    whole, fraction = digits[: precision - scale], digits[precision - scale :]
    lead = len(whole) % 9
    groups = [whole[:lead], *[whole[at : at + 9] for at in range(lead, len(whole), 9)]]
    groups += [fraction[at : at + 9] for at in range(0, len(fraction), 9)]
    sizes = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
    raw = bytearray(b"".join([int(group).to_bytes(sizes[len(group)], "big") for group in groups if group]))
    if unscaled < 0:
        raw = bytearray(byte ^ 0xFF for byte in raw)
    raw[0] ^= 0x80
    return bytes(raw)


@given(numbers())
def test_decimals(drawn: tuple[int, int, int]) -> None:
    precision, scale, unscaled = drawn
    raw = packed(precision, scale, unscaled)
    assert len(raw) == decimals.size(precision, scale)
    read = decimals.reader(precision, scale)(raw)
    assert read.as_tuple() == Decimal(f"{unscaled}E-{scale}").as_tuple()


@pytest.mark.parametrize("scale", range(31))
def test_decimals_of_every_precision(scale: int) -> None:
    """The largest, the smallest, ones in each group, and something in between."""
    drawn = Random(scale)
    for precision in range(max(1, scale), 82):  # up to 65 those of columns, beyond those in documents
        read = decimals.reader(precision, scale)
        most = 10**precision - 1
        for number in (0, 1, most, most // 9, 10 ** (precision - 1), drawn.randrange(most + 1)):
            for unscaled in (number, -number):
                raw = packed(precision, scale, unscaled)
                expected = Decimal(unscaled).scaleb(-scale, Context(prec=81))
                assert read(raw) == expected
                assert read(raw).as_tuple().exponent == -scale


@given(st.data())
def test_bytes_are_a_decimal_or_refused(data: st.DataObject) -> None:
    """Of its type, and with one form of bytes."""
    precision = data.draw(st.integers(1, 65))
    scale = data.draw(st.integers(0, min(30, precision)))
    size = decimals.size(precision, scale)
    raw = data.draw(st.binary(min_size=size, max_size=size))
    try:
        number = decimals.reader(precision, scale)(raw)
    except ValueError:
        return
    unscaled = int(number.scaleb(scale, Context(prec=65)))
    assert abs(unscaled) < 10**precision
    if unscaled:  # zero has a negative form too
        assert packed(precision, scale, unscaled) == raw


@pytest.mark.parametrize("raw", ["", "80", "8000000000ff", "80ffffffff00", "80000000000001"])
def test_what_is_no_decimal(raw: str) -> None:
    with pytest.raises(ValueError, match="decimal"):
        decimals.reader(12, 2)(bytes.fromhex(raw))


def test_columns_have_65_digits() -> None:
    assert decimals.exists(65, 30)
    assert not decimals.exists(66, 30)


def test_a_negative_zero_is_zero() -> None:
    assert str(decimals.reader(4, 2)(b"\x7f\xff")) == "0.00"


@pytest.mark.parametrize(("precision", "scale"), [(0, 0), (82, 0), (5, 6)])
def test_what_is_no_type_of_decimals(precision: int, scale: int) -> None:
    assert not decimals.exists(precision, scale)
    with pytest.raises(ValueError, match="decimal"):
        decimals.size(precision, scale)


@given(st.dates())
def test_dates(day: date) -> None:
    raw = (day.year << 9 | day.month << 5 | day.day).to_bytes(3, "little")
    assert values.days(raw) == (day - date(1970, 1, 1)).days


@given(st.datetimes(), st.integers(0, 6))
def test_datetimes_and_timestamps(moment: datetime, digits: int) -> None:
    width = (digits + 1) // 2
    unit = (0, 10_000, 100, 1)[width]
    micros = moment.microsecond // unit * unit if unit else 0
    moment = moment.replace(microsecond=micros)
    months = moment.year * 13 + moment.month
    clock = moment.hour << 12 | moment.minute << 6 | moment.second
    number = (months << 5 | moment.day) << 17 | clock | 1 << 39
    fraction = (micros // unit).to_bytes(width, "big") if unit else b""
    expected = (moment - EPOCH) // timedelta(microseconds=1)
    assert values.wall_time(number.to_bytes(5, "big") + fraction) == expected
    seconds = expected // 1_000_000
    if 0 <= seconds < 2**32 and expected:
        assert values.instant(seconds.to_bytes(4, "big") + fraction) == expected


@given(st.integers(-838 * 3600 - 3599, 838 * 3600 + 3599), st.integers(0, 999_999), st.integers(0, 6))
def test_times(seconds: int, micros: int, digits: int) -> None:
    """Below zero the whole field is the complement: of -0.5 s the seconds are -1, the fraction is 0.5."""
    width = (digits + 1) // 2
    unit = (1_000_000, 10_000, 100, 1)[width]
    fraction = micros // unit
    clock = abs(seconds) // 3600 << 12 | abs(seconds) // 60 % 60 << 6 | abs(seconds) % 60
    magnitude = clock << 8 * width | fraction
    number = (0x80_0000 << 8 * width) + (-magnitude if seconds < 0 else magnitude)
    total = abs(seconds) * 1_000_000 + fraction * unit
    assert values.duration(number.to_bytes(3 + width, "big")) == (-total if seconds < 0 else total)


@given(st.binary(min_size=3, max_size=8))
def test_bytes_are_a_moment_or_refused(raw: bytes) -> None:
    """Whatever they are: a value in the type's range, or an error."""
    day = 86_400_000_000
    first, last = (
        date(1, 1, 1).toordinal() - 366 - EPOCH.toordinal(),
        date(9999, 12, 31).toordinal() - EPOCH.toordinal(),
    )
    with suppress(ValueError):
        assert first <= values.days(raw[:3]) <= last
    if len(raw) >= 5:
        with suppress(ValueError):
            assert first <= values.wall_time(raw) // day <= last
    if 4 <= len(raw) <= 7:
        with suppress(ValueError):
            assert 0 < values.instant(raw) < 2**32 * 1_000_000
    if len(raw) <= 6:
        with suppress(ValueError):
            assert abs(values.duration(raw)) < 839 * 3600 * 1_000_000


@pytest.mark.parametrize(
    ("read", "raw"),
    [
        (values.days, "000000"),
        (values.days, "60d20f"),  # 2025-03-00
        (values.days, "5fd20f"),  # 2025-02-31
        (values.wall_time, "8000000000"),
        (values.instant, "00000000"),
        (values.instant, "00000000000000"),
    ],
)
def test_dates_that_no_calendar_has(read: Any, raw: str) -> None:
    with pytest.raises(values.NoDate):
        read(bytes.fromhex(raw))


def test_the_second_of_the_zero_date_has_moments() -> None:
    """In MariaDB 1970-01-01 00:00:00.5 is a TIMESTAMP."""
    assert values.instant(bytes.fromhex("0000000007a120")) == 500_000
    assert values.instant(bytes.fromhex("0000000032")) == 500_000
    assert values.instant(bytes.fromhex("00000000000001")) == 1


@pytest.mark.parametrize(
    ("read", "raw"),
    [
        (values.wall_time, "0000000000"),  # below zero
        (values.wall_time, "99b3e20000ff"),  # 255 hundredths
        (values.instant, "67748580ffffff"),
        (values.duration, "8000fc"),  # 60 minutes or more
        (values.duration, "b47000"),  # 839 hours
        (values.wall_time, "99b3e2003c"),  # 60 seconds
        (values.wall_time, "99b3e20f00"),  # 60 minutes
        (values.wall_time, "99b3e38000"),  # 24 hours
        (values.padded(2), "010000"),
        (values.geometry, "0000000001"),
        (values.vector, "0000803f00"),
    ],
)
def test_what_is_no_value(read: Any, raw: str) -> None:
    with pytest.raises(ValueError, match=r"a fraction|not a|a vector of|of a binary\(2\)") as raised:
        read(bytes.fromhex(raw))
    assert not isinstance(raised.value, values.NoDate)


def test_numbers_of_three_bytes() -> None:
    assert values.medium_integer(b"\xff\xff\xff") == -1
    assert values.unsigned_medium_integer(b"\xff\xff\xff") == 2**24 - 1


def test_years() -> None:
    assert [values.year(raw) for raw in (0, 1, 126, 255)] == [0, 1901, 2026, 2155]


def test_bits() -> None:
    assert values.bits(9)(b"\x01\x05") == "100000101"
    assert values.bits(1)(b"\x00") == "0"
    with pytest.raises(ValueError, match="more than 9 bits"):
        values.bits(9)(b"\x02\x00")


def test_labels() -> None:
    assert [values.enum(["a", "b"])(raw) for raw in (0, 1, 2)] == ["", "a", "b"]
    with pytest.raises(ValueError, match="number 3 of an enum of 2 labels"):
        values.enum(["a", "b"])(3)
    assert [values.set_of(["a", "b", "c"])(bytes([raw])) for raw in (0, 1, 6)] == ["", "a", "b,c"]
    with pytest.raises(ValueError, match="bits 0x8 of a set of 3 labels"):
        values.set_of(["a", "b", "c"])(b"\x08")


def test_zero_bytes_that_the_log_leaves_out() -> None:
    assert values.padded(4)(b"\x01") == b"\x01\0\0\0"


def test_geometries() -> None:
    wkb = struct.pack("<BIdd", 1, 1, 1.5, -2.0)
    assert values.geometry(struct.pack("<I", 4326) + wkb) == (4326, wkb)
    assert values.geometry(bytes(4) + wkb) == (None, wkb)


def test_vectors() -> None:
    assert values.vector(struct.pack("<3f", 1, -2.5, 0)) == [1.0, -2.5, 0.0]


@pytest.mark.parametrize("raw_deflate", [False, True])
def test_compressed_values(raw_deflate: bool) -> None:
    data = b"hello " * 100
    deflate = zlib.compressobj(wbits=-15 if raw_deflate else 15)
    compressed = deflate.compress(data) + deflate.flush()
    header = bytes([0x82 | (8 if raw_deflate else 0)]) + len(data).to_bytes(2, "big")
    read = values.uncompressed(bytes.decode)
    assert read(header + compressed) == data.decode()
    assert read(b"\0abc") == "abc"
    assert read(b"") == ""
    for damaged in (
        b"\x10abc",
        header + compressed[:-5],
        header[:2] + b"\0" + compressed,
        header + compressed[:10] + b"x" * 40,
    ):
        with pytest.raises(ValueError, match="compressed"):
            read(damaged)
