"""Rows as JSON objects without what is not in the log (`unavailable_values: omit`).

Most rows of a table lack one of a few sets of columns: for each the encoders of a table are made that never
had these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from tailrace.events import Missing, Row, Table
from tailrace.formats.connect_types import Mapping
from tailrace.formats.rows import ObjectEncoder, Rows

_MOST_SETS: Final = 1000  # whose encoders are kept

Make: TypeAlias = Callable[[Table], Rows]
"""Makes the encoders of a table's rows."""


def encoders(table: Table, mapping: Mapping, make: Make) -> Rows:
    """Those that the mapping asks for."""
    return HeldRows(table, make) if mapping.omits else make(table)


class HeldRows:
    """See `Rows`: new rows and old ones have no placeholder and no null for what is not in the log."""

    def __init__(self, table: Table, make: Make) -> None:
        self._table = table
        self._make = make
        self._whole = make(table)
        self._by_columns: dict[tuple[int, ...], Rows] = {}

    @property
    def key(self) -> ObjectEncoder:
        """The key's columns, none of which may be missing."""
        return self._whole.key

    def after(self, row: Row | None, head: bytes, tail: bytes) -> bytes:
        """See `Rows`."""
        rows, held = self._of(row)
        return rows.after(held, head, tail)

    def before(self, row: Row | None, head: bytes, tail: bytes) -> bytes:
        """See `Rows`."""
        rows, held = self._of(row)
        return rows.before(held, head, tail)

    def update(self, old: Row, new: Row | None, head: bytes, middle: bytes, tail: bytes) -> bytes:
        """See `Rows`."""
        return self.after(new, self.before(old, head, middle), tail)

    def _of(self, row: Row | None) -> tuple[Rows, Row | None]:
        """The encoders for what a row holds, and that."""
        columns = self._table.columns
        if row is None or len(row) != len(columns):
            return self._whole, row
        present = tuple([i for i, field in enumerate(row) if field.__class__ is not Missing])
        if len(present) == len(columns):
            return self._whole, row
        rows = self._by_columns.get(present)
        if rows is None:
            if len(self._by_columns) >= _MOST_SETS:
                self._by_columns.clear()
            rows = self._make(replace(self._table, columns=tuple([columns[i] for i in present]), key=()))
            self._by_columns[present] = rows
        return rows, [row[i] for i in present]
