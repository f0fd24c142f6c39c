"""Canonical text straight to JSON: the bytes that `connect_values` makes of the value, without making it.

Each form gives an expression, for `rows` to build its functions of. What an expression
does not know (years before 1 or beyond 9999, infinity, texts of an unusual length) it leaves to the encoder
of the value, or raises one of `rows.CONVERSION_ERRORS`, upon which the whole row is encoded by values.
"""

from __future__ import annotations

import sys
from binascii import unhexlify
from collections.abc import Callable
from datetime import date, datetime, time
from typing import Final, TypeAlias

from tailrace.expressions import Expression
from tailrace.formats.connect_values import (
    EPOCH_ORDINAL,
    Unit,
    base64_string,
    float64,
    json_number,
    json_string,
    variable_scale,
)
from tailrace.formats.unscaled import unscaled_integer

TextEncoder: TypeAlias = Callable[[bytes], bytes]
"""A raw field that is canonical text → JSON."""

_EPOCH: Final = datetime(1970, 1, 1)
_END: Final = 2**63
_LARGEST: Final = sys.float_info.max


Splice: TypeAlias = Callable[[TextEncoder], Expression]
"""Given what encodes any field of the column through its value: the expression for its canonical text."""


def through_value(by_value: TextEncoder) -> Expression:
    """For kinds whose text is not JSON's."""
    return Expression("column{n}({f})", {"column{n}": by_value})


def same(by_value: TextEncoder) -> Expression:
    """The text is JSON."""
    return Expression("{f}")


def quoted(by_value: TextEncoder) -> Expression:
    """The text has nothing to escape."""
    return Expression("""b'"%b"' % {f}""")


def string(by_value: TextEncoder) -> Expression:
    """Any text."""
    return Expression("json_string({f}.decode())", {"json_string": json_string})


def boolean(by_value: TextEncoder) -> Expression:
    """`t` or `f`."""
    return Expression("booleans[{f}]", {"booleans": {b"t": b"true", b"f": b"false"}})


def floating(by_value: TextEncoder) -> Expression:
    """A floating point number's digits."""
    return Expression("({f} if 46 in {f} or 101 in {f} else whole({f}))", {"whole": _whole_float})  # . e


def binary(by_value: TextEncoder) -> Expression:
    """Hexadecimal digits as base64."""
    return Expression("binary({f})", {"binary": _binary})


def digits(by_value: TextEncoder) -> Expression:
    """A decimal number's digits as text; NaN and infinity end in a letter."""
    return Expression(
        """(b'"%b"' % {f} if {f}[-1:].isdigit() else column{n}({f}))""", {"column{n}": by_value}
    )


def decimal_float(by_value: TextEncoder) -> Expression:
    """A decimal number as a floating point number; what is not finite is left to the value."""

    def encode(text: bytes) -> bytes:
        number = float(text)
        return float64(number) if -_LARGEST <= number <= _LARGEST else by_value(text)

    return _function(encode)


def day(by_value: TextEncoder) -> Expression:
    """A date as days."""
    return Expression("dates{n}[{f}]", {"dates{n}": _Dates(by_value)})


def _function(encode: TextEncoder) -> Expression:
    return Expression("column{n}({f})", {"column{n}": encode})


def _whole_float(text: bytes) -> bytes:
    if text.isdigit() or (text[:1] == b"-" and text[1:].isdigit()):
        return text + b".0"
    if text in (b"NaN", b"Infinity", b"-Infinity"):
        return b'"%b"' % text
    raise ValueError("not a floating point number")


def _binary(text: bytes) -> bytes:
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


def time_of_day(unit: Unit) -> Splice:
    """A time in a unit."""
    count = unit.count

    def splice(by_value: TextEncoder) -> Expression:
        def encode(text: bytes) -> bytes:
            if text[:2] == b"24":  # which `time` refuses, or takes for 00:00:00
                return by_value(text)
            moment = time.fromisoformat(text.decode())
            seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
            return json_number(count(seconds * 1_000_000 + moment.microsecond))

        return _function(encode)

    return splice


def timestamp(unit: Unit) -> Splice:
    """A timestamp in a unit."""
    count = unit.count

    def splice(by_value: TextEncoder) -> Expression:
        def encode(text: bytes) -> bytes:
            if len(text) < 19 or text[10] != 32:  # infinity, years beyond 9999
                return by_value(text)
            try:
                since = datetime.fromisoformat(text.decode()) - _EPOCH
            except ValueError:  # BC
                return by_value(text)
            counted = count((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)
            if not -_END <= counted < _END:
                return by_value(text)
            return json_number(counted)

        return _function(encode)

    return splice


def zoned_timestamp(digits: int) -> Splice:
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
    return lambda by_value: Expression(source, {"ends{n}": ends, "column{n}": by_value})


def decimal(scale: int) -> Splice:
    """A number of that scale as its unscaled integer."""
    right = f"{{f}}[{-scale - 1}] == 46" if scale else "46 not in {f}"
    source = f'(unscaled(int({{f}}.replace(b".", b""))) if {right} else column{{n}}({{f}}))'

    def splice(by_value: TextEncoder) -> Expression:
        return Expression(source, {"unscaled": unscaled_integer, "column{n}": by_value})

    return splice if scale >= 0 else through_value


def variable_decimal(by_value: TextEncoder) -> Expression:
    """A number of any scale as its scale and its unscaled integer."""

    def encode(text: bytes) -> bytes:
        whole, _, fraction = text.partition(b".")
        fraction = fraction.rstrip(b"0")
        return variable_scale(int(whole + fraction), len(fraction))

    return _function(encode)
