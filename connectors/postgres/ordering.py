"""Metadata of transactions: the order of their captured changes, and what tells their begin and end.

The begin stands before a transaction's first captured change and shares its message's ordinal, so that no cut
comes between the two; the end has the ordinal behind that of the last message: no position inside of the
transaction covers it, the commit's end does. A transaction without a captured change has neither. What was
delivered before is counted as it was then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors.postgres.relations import Version
from tailrace.events import OFFSET_PLACEHOLDER, Change, Counts, Event, Op, SchemaChange, Table, Transaction

_BEGIN_INDEX: Final = -1  # within the message of the first change, before it


def block(xid: int) -> str:
    """Debezium's id of a transaction: its number and the event's own place in the log."""
    return f"{xid}:{OFFSET_PLACEHOLDER}"


class Ordering:
    """Of one connection's stream. `boundaries`: the pseudo-table of begins and ends; `reached`: where the
    stream is resumed, as `Version.announced`."""

    def __init__(self, boundaries: Version, reached: tuple[int, int]) -> None:
        self._boundaries = boundaries
        self._reached = reached
        self._told = False
        self._transaction: Transaction | None = None
        self._begun_at = 0  # the LSN of its Begin
        self._counts: dict[str, int] = {}

    def begin(self, transaction: Transaction, lsn: int) -> None:
        """A transaction begins."""
        self._transaction, self._begun_at, self._counts = transaction, lsn, {}

    def count(self, table: Table) -> None:
        """A captured change of the transaction has been delivered before."""
        name = str(table)
        self._counts[name] = self._counts.get(name, 0) + 1

    def ordered(self, events: Sequence[Event]) -> list[Event]:
        """Events that follow those of the last call, with their orders, and with the transaction's begin."""
        made: list[Event] = []
        total, counts = sum(self._counts.values()), self._counts
        names: dict[Table, str] = {}
        for event in events:
            if event.transaction is not self._transaction or type(event) is SchemaChange:
                made.append(event)
                continue
            if not total:
                made += self._boundary("b", event.ordinal, _BEGIN_INDEX, self._begun_at, ())
            table = event.table
            name = names.get(table) or names.setdefault(table, str(table))
            own = counts[name] = counts.get(name, 0) + 1
            total += 1
            made.append(
                Change(
                    event.op,
                    table,
                    event.transaction,
                    event.ordinal,
                    event.index,
                    event.offset,
                    event.raw,
                    (total, own),
                )
            )
        return made

    def end(self, ordinal: int, lsn: int) -> Sequence[Event]:
        """The transaction's end, behind its last message; nothing where it had no captured change."""
        counts = tuple(self._counts.items())
        made = self._boundary("e", ordinal + 1, 0, lsn, counts) if counts else ()
        self._transaction, self._counts = None, {}
        return made

    def _boundary(self, op: Op, ordinal: int, index: int, lsn: int, raw: Counts) -> Sequence[Event]:
        transaction, version = self._transaction, self._boundaries
        assert transaction is not None
        made: list[Event] = []
        if not self._told:
            self._told = True
            if version.announced is None or version.announced > self._reached:
                version.announced = int(transaction.position, 16), ordinal
                made.append(SchemaChange(version.table, transaction, ordinal))
        made.append(Change(op, version.table, transaction, ordinal, index, lsn, raw))
        return made
