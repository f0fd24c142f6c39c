"""DECIMAL as the server packs it → `decimal.Decimal`, exactly.

The digits before the point and those behind it are cut into groups of nine, counted from the point; each
group is a big-endian number of four bytes, the outermost groups of as few bytes as their digits need. The
highest bit is the sign, 1 for positive; of a negative number all bits are inverted.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, Final

_BYTES: Final = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)  # of a group, by its digits
_MOST: Final = 65  # digits that the server allows
_EXACT: Final = Context(prec=_MOST)


def exists(precision: int, scale: int) -> bool:
    """Whether there is such a type."""
    return 0 < precision <= _MOST and 0 <= scale <= precision


def _groups(precision: int, scale: int) -> list[int]:
    """The digits of each group, from the left."""
    if not exists(precision, scale):
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
    expected = size(precision, scale)
    bits = 8 * expected
    sign = 1 << bits - 1
    ones = (1 << bits) - 1
    numbers, faults, terms = [], [], []  # the source of each group's number, what it must not be, its weight
    shift, weight = 0, 1
    for group, digits in reversed(list(enumerate(groups))):
        width = 8 * _BYTES[digits]
        numbers.append(f"    g{group} = packed >> {shift} & {(1 << width) - 1}\n")
        faults.append(f"g{group} >= {10**digits}")
        terms.append(f"g{group} * {weight}")
        shift += width
        weight *= 10**digits
    names: dict[str, Any] = {}
    source = (
        f"def unscaled(packed):\n{''.join(numbers)}"
        f"    if {' or '.join(faults)}:\n"
        "        raise ValueError('not a decimal: a group has too many digits')\n"
        f"    return {' + '.join(terms)}\n"
    )
    exec(compile(source, f"<decimal({precision},{scale})>", "exec"), names)
    unscaled: Callable[[int], int] = names["unscaled"]

    def read(raw: bytes) -> Decimal:
        if len(raw) != expected:
            raise ValueError(f"a decimal({precision},{scale}) of {len(raw)} bytes instead of {expected}")
        packed = int.from_bytes(raw, "big") ^ sign
        number = -unscaled(packed ^ ones) if packed & sign else unscaled(packed)
        return Decimal(number).scaleb(-scale, _EXACT)

    return read
