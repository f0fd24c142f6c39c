"""DECIMAL as the server packs it → `decimal.Decimal`, exactly.

The digits before the point and those behind it are cut into groups of nine, counted from the point; each
group is a big-endian number of four bytes, the outermost groups of as few bytes as their digits need. The
highest bit is the sign, 1 for positive; of a negative number all bits are inverted.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Final

_BYTES: Final = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)  # of a group, by its digits
_MOST: Final = 65  # digits that the server allows


def _groups(precision: int, scale: int) -> list[int]:
    """The digits of each group, from the left."""
    if not 0 < precision <= _MOST or not 0 <= scale <= precision:
        raise ValueError(f"decimal({precision},{scale})")
    whole, fraction = divmod(precision - scale, 9), divmod(scale, 9)
    groups = [whole[1], *[9] * whole[0], *[9] * fraction[0], fraction[1]]
    return [digits for digits in groups if digits]


def size(precision: int, scale: int) -> int:
    """The bytes of each value of that type. Raises ValueError for a type that there cannot be."""
    return sum(_BYTES[digits] for digits in _groups(precision, scale))


@lru_cache(maxsize=256)
def reader(precision: int, scale: int) -> Callable[[bytes], Decimal]:
    """A function that reads values of that type. It raises ValueError for bytes that are none."""
    groups = _groups(precision, scale)
    bits = 8 * size(precision, scale)
    sign = 1 << bits - 1
    ones = (1 << bits) - 1
    parts: list[tuple[int, int, int, int]] = []  # shift, mask, limit, weight
    shift, weight = 0, 1
    for digits in reversed(groups):
        width = 8 * _BYTES[digits]
        parts.append((shift, (1 << width) - 1, 10**digits, weight))
        shift += width
        weight *= 10**digits
    expected = bits // 8

    def read(raw: bytes) -> Decimal:
        if len(raw) != expected:
            raise ValueError(f"a decimal({precision},{scale}) of {len(raw)} bytes instead of {expected}")
        packed = int.from_bytes(raw, "big")
        negative = not packed & sign
        packed ^= sign
        if negative:
            packed ^= ones
        unscaled = 0
        for shift, mask, limit, weight in parts:
            group = packed >> shift & mask
            if group >= limit:
                raise ValueError(f"not a decimal: a group of digits is {group}")
            unscaled += group * weight
        return Decimal(f"{'-' if negative and unscaled else ''}{unscaled}E-{scale}")

    return read
