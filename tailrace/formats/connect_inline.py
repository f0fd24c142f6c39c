"""Canonical values to JSON as expressions: the bytes that `connect_values` makes, of values that are known to
be right (`tailrace.expressions.Inline`), without a look at each."""

from __future__ import annotations

from typing import Final

from tailrace.expressions import Expression
from tailrace.formats.connect_values import (
    MICROSECONDS,
    MILLISECONDS,
    Unit,
    base64_string,
    json_number,
    json_string,
)
from tailrace.formats.unscaled import unscaled_integer

NUMBER: Final = Expression("json_number(+{f})", {"json_number": json_number})
"""A whole number. The sign refuses what is none, as a value that is not in the log."""

TEXT: Final = Expression("json_string({f})", {"json_string": json_string})
"""A str."""

BINARY: Final = Expression("base64_string({f})", {"base64_string": base64_string})
"""Bytes."""

UNSCALED: Final = Expression("unscaled({f})", {"unscaled": unscaled_integer})
"""A decimal's unscaled integer."""

_THOUSANDTH: Final = Expression("json_number({f} // 1000)", {"json_number": json_number})


def count(unit: Unit) -> Expression | None:
    """µs in a unit; None where not all that 64 bits hold in µs fit 64 bits in it."""
    return {MICROSECONDS: NUMBER, MILLISECONDS: _THOUSANDTH}.get(unit)
