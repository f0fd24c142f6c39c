"""The changes of row events, as far as they have not been handed out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors.mysql.assembly.tables import Version
from connectors.mysql.binlog.messages import Rows
from tailrace.events import ROW_INDEXES, Change, Event, SchemaChange, Transaction
from tailrace.ordering import Boundaries, Ordering

_CHANGE_BYTES: Final = 64
"""What a change counts for beside its row: of a million small rows most of the memory is not theirs."""


class Delivery:
    """Of one connection that is resumed from `reached`: (number, ordinal), as `BinlogPosition.reached`.
    `boundaries`: those of transactions, where these are told."""

    def __init__(self, reached: tuple[int, int], boundaries: Boundaries | None = None) -> None:
        self.size = 0
        """Bytes of the row events whose changes are here, and of these."""

        self._reached = reached
        self._events: list[Event] = []
        self._told: set[Version] = set()  # of whose schema change nothing is to be said any more
        self._ordering = None if boundaries is None else Ordering(boundaries, reached)

    def __bool__(self) -> bool:
        return bool(self._events)

    def begin(self, transaction: Transaction, offset: int) -> None:
        """A transaction's changes follow; it begins at this offset."""
        if self._ordering is not None:
            self._ordering.begin(transaction, int(transaction.position), offset)

    def end(self, ordinal: int, offset: int) -> None:
        """The transaction's changes are complete; the ordinal of its last row event."""
        if self._ordering is not None:
            self._events += self._ordering.end(ordinal, offset)

    def count(self, version: Version, rows: Rows) -> None:
        """The changes of a row event were delivered before."""
        if self._ordering is not None:
            pairs = version.read(rows)
            moved = sum(map(version.changes_key, pairs)) if rows.op == "u" else 0
            self._ordering.count(version.table, len(pairs) + moved)

    def rows(self, version: Version, transaction: Transaction, ordinal: int, offset: int, rows: Rows) -> None:
        """Add the changes of a row event; none of them if one cannot be read: Malformed, NotReady."""
        pairs = version.read(rows)
        events = self._events
        first = len(events)
        if version not in self._told:
            self._tell(version, transaction, ordinal)
        table, op, at, append = version.table, rows.op, 0, events.append
        if op != "u":
            for pair in pairs:
                append(Change(op, table, transaction, ordinal, at, offset, pair))
                at += ROW_INDEXES
        else:
            moved = version.changes_key
            for pair in pairs:
                if moved(pair):
                    append(Change("d", table, transaction, ordinal, at, offset, pair))
                    append(Change("c", table, transaction, ordinal, at + 2, offset, pair))
                else:
                    append(Change("u", table, transaction, ordinal, at, offset, pair))
                at += ROW_INDEXES
        self.size += len(rows.data) + len(pairs) * _CHANGE_BYTES
        if query := transaction.source["query"]:
            self.size += len(pairs) * len(str(query))  # it stands in each of them
        if self._ordering is not None:
            self._order(first, self._ordering)

    def truncate(self, version: Version, transaction: Transaction, offset: int, size: int) -> None:
        """Add that a table was emptied, by a statement of so many bytes that is a transaction of its own."""
        first = len(self._events)
        if version not in self._told:
            self._tell(version, transaction, 1)
        self._events.append(Change("t", version.table, transaction, 1, 0, offset, (None, None)))
        self.size += size
        if self._ordering is not None:
            self._order(first, self._ordering)

    def take(self) -> tuple[Sequence[Event], int]:
        """Everything, and its size; nothing is left."""
        taken = self._events, self.size
        self._events, self.size = [], 0
        return taken

    def _order(self, first: int, ordering: Ordering) -> None:
        """Give the events from this one on their orders."""
        self._events[first:] = ordering.ordered(self._events[first:])

    def _tell(self, version: Version, transaction: Transaction, ordinal: int) -> None:
        """The table's version before its first change."""
        self._told.add(version)
        # Told on an earlier connection, but behind what is resumed from: it may not have arrived.
        if version.announced is None or version.announced > self._reached:
            version.announced = (int(transaction.position), ordinal)
            self._events.append(SchemaChange(version.table, transaction, ordinal))
