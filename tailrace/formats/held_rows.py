"""Rows as JSON objects without what is not in the log (`unavailable_values: omit`).

Most rows of a table lack one of a few sets of columns: for each the encoders of a table are made that never
had these. Where there are many sets, those that come seldom are put together column by column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Final, TypeAlias

from tailrace.events import Missing, Row, Table
from tailrace.formats.connect_types import Mapping
from tailrace.formats.rows import ObjectEncoder, Rows
from tailrace.tally import Tally

_FEW_SETS: Final = 32  # that get encoders at once
_SEEN_OFTEN: Final = 32  # rows, after which others get some
_MOST_SETS: Final = 1000  # whose encoders are kept

_AFTER: Final[Callable[[Rows], ObjectEncoder]] = attrgetter("after")
_BEFORE: Final[Callable[[Rows], ObjectEncoder]] = attrgetter("before")

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
        self._seen = Tally[tuple[int, ...]](_SEEN_OFTEN)  # rows of sets without encoders of their own
        self._of_one: dict[int, Rows] = {}  # encoders of each column alone

    @property
    def key(self) -> ObjectEncoder:
        """The key's columns, none of which may be missing."""
        return self._whole.key

    def after(self, row: Row | None, head: bytes, tail: bytes) -> bytes:
        """See `Rows`."""
        return self._encode(row, _AFTER, head, tail)

    def before(self, row: Row | None, head: bytes, tail: bytes) -> bytes:
        """See `Rows`."""
        return self._encode(row, _BEFORE, head, tail)

    def update(self, old: Row, new: Row | None, head: bytes, middle: bytes, tail: bytes) -> bytes:
        """See `Rows`."""
        return self.after(new, self.before(old, head, middle), tail)

    def _encode(
        self, row: Row | None, encoder: Callable[[Rows], ObjectEncoder], head: bytes, tail: bytes
    ) -> bytes:
        present = self._present(row)
        if row is None or present is None:
            return encoder(self._whole)(row, head, tail)
        held = [row[i] for i in present]
        if (rows := self._rows(present)) is not None:
            return encoder(rows)(held, head, tail)
        columns = zip(self._each(present), held, strict=True)
        fields = [encoder(one)([field], b"", b"")[1:-1] for one, field in columns]
        return b"%b{%b}%b" % (head, b",".join(fields), tail)

    def _present(self, row: Row | None) -> tuple[int, ...] | None:
        """The columns of which it holds something; None: of all, or it is no row of the table."""
        if row is None or len(row) != len(self._table.columns):
            return None
        present = tuple([i for i, field in enumerate(row) if field.__class__ is not Missing])
        return None if len(present) == len(row) else present

    def _rows(self, present: tuple[int, ...]) -> Rows | None:
        """The encoders of a set of columns; None for one that comes seldom, where there are many."""
        rows = self._by_columns.get(present)
        if rows is None:
            if len(self._by_columns) >= _FEW_SETS and not self._seen.comes_often(present):
                return None
            if len(self._by_columns) >= _MOST_SETS:
                self._by_columns.clear()
            rows = self._by_columns[present] = self._of_columns(present)
        return rows

    def _each(self, present: Iterable[int]) -> Sequence[Rows]:
        """The encoders of columns alone."""
        known = self._of_one
        return [known.get(i) or known.setdefault(i, self._of_columns([i])) for i in present]

    def _of_columns(self, columns: Iterable[int]) -> Rows:
        chosen = tuple([self._table.columns[i] for i in columns])
        return self._make(replace(self._table, columns=chosen, key=()))
