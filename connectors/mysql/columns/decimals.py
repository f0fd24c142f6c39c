"""DECIMAL as the server packs it → `decimal.Decimal`, exactly.

The digits before the point and those behind it are cut into groups of nine, counted from the point; each
group is a big-endian number of four bytes, the outermost groups of as few bytes as their digits need. The
highest bit is the sign, 1 for positive; of a negative number all bits are inverted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, Final

_BYTES: Final = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)  # of a group, by its digits
_FORMATS: Final = {1: "B", 2: "H", 3: "BH", 4: "I"}  # of `struct`, by the bytes of a group
_ONES: Final = {1: [0xFF], 2: [0xFFFF], 3: [0xFF, 0xFFFF], 4: [0xFFFF_FFFF]}
_MOST: Final = 65  # digits of a column
_MOST_COMPUTED: Final = 81  # of a number that was computed, which JSON documents hold as it is
_EXACT: Final = Context(prec=_MOST_COMPUTED)


def exists(precision: int, scale: int) -> bool:
    """Whether there are columns of that type."""
    return precision <= _MOST and _is_number(precision, scale)


def _is_number(precision: int, scale: int) -> bool:
    return 0 < precision <= _MOST_COMPUTED and 0 <= scale <= precision


def _groups(precision: int, scale: int) -> list[int]:
    """The digits of each group, from the left."""
    if not _is_number(precision, scale):
        raise ValueError(f"decimal({precision},{scale})")
    whole, fraction = divmod(precision - scale, 9), divmod(scale, 9)
    groups = [whole[1], *[9] * whole[0], *[9] * fraction[0], fraction[1]]
    return [digits for digits in groups if digits]


def size(precision: int, scale: int) -> int:
    """The bytes of each value of that type. Raises ValueError for a type that there cannot be."""
    return sum(_BYTES[digits] for digits in _groups(precision, scale))


@lru_cache(maxsize=256)
def unscaled(precision: int, scale: int) -> Callable[[bytes], int]:
    """A function that reads values of that type as whole numbers: without the point. It raises ValueError for
    bytes that are none."""
    format = ">"  # of `struct`
    ones: list[int] = []  # all bits of each number that it reads
    faults, total = [], ""
    for digits in _groups(precision, scale):
        size = _BYTES[digits]
        group = f"n{len(ones)}"
        if size == 3:  # which `struct` does not have
            group = f"({group} << 16 | n{len(ones) + 1})"
        format += _FORMATS[size]
        ones += _ONES[size]
        faults.append(f"{group} >= {10**digits}")
        total = f"({total}) * {10**digits} + {group}" if total else group
    sign = (ones[0] + 1) >> 1
    wrong = f"not a decimal({precision},{scale})"
    positive = [f"n0 ^= {sign}"]
    negative = [f"n{i} ^= {bits if i else bits ^ sign}" for i, bits in enumerate(ones)]
    source = f"""\
def unscaled(raw):
    try:
        {", ".join([f"n{i}" for i in range(len(ones))])}, = unpack(raw)
    except error:
        raise ValueError(f"{wrong}: {{len(raw)}} bytes instead of {struct.calcsize(format)}") from None
    if positive := n0 & {sign}:
        {"; ".join(positive)}
    else:
        {"; ".join(negative)}
    if {" or ".join(faults)}:
        raise ValueError("{wrong}: a group has too many digits")
    return {total} if positive else -({total})
"""
    names: dict[str, Any] = {"unpack": struct.Struct(format).unpack, "error": struct.error}
    exec(compile(source, f"<decimal({precision},{scale})>", "exec"), names)
    function: Callable[[bytes], int] = names["unscaled"]
    return function


@lru_cache(maxsize=256)
def reader(precision: int, scale: int) -> Callable[[bytes], Decimal]:
    """A function that reads values of that type. It raises ValueError for bytes that are none."""
    whole = unscaled(precision, scale)
    return lambda raw: Decimal(whole(raw)).scaleb(-scale, _EXACT)
