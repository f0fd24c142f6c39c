"""What becomes of dates that no calendar has: the server stores 0000-00-00, 2026-01-00 and, where its
sql_mode allows it, 2026-02-31.

They are refused unless `zero_dates` says otherwise. The epoch cannot be told from a true 1970-01-01, NULL not
from a true NULL: a person has to say that it may be so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from connectors.mysql import codes
from connectors.mysql.columns import values

Mode: TypeAlias = Literal["refuse", "null", "epoch"]

_READERS: Final[dict[int, Callable[[bytes], int]]] = {
    codes.DATE: values.days,
    codes.NEWDATE: values.days,
    codes.DATETIME: values.wall_time,
    codes.TIMESTAMP: values.instant,
}
"""The types that hold such dates."""


def is_dated(type: int) -> bool:
    """Whether columns of that type hold such dates."""
    return type in _READERS


def is_no_date(type: int) -> Callable[[Any], bool]:
    """A function that tells of a raw field of that type whether it holds such a date."""
    read = _READERS[type]

    def test(raw: Any) -> bool:
        try:
            read(raw)
        except values.NoDate:
            return True
        except ValueError:  # whoever wants the value is told
            pass
        return False

    return test


def as_epoch(type: int) -> Callable[[Any], int]:
    """Reads fields of that type, such dates as 1970-01-01."""
    read = _READERS[type]

    def value(raw: Any) -> int:
        try:
            return read(raw)
        except values.NoDate:
            return 0

    return value
