"""Metadata of transactions: the order of their captured changes, and what tells their begin and end.

The begin stands before a transaction's first captured change and shares its message's ordinal, so that no cut
comes between the two; the end has the ordinal behind that of the last message: no position inside of the
transaction covers it, the commit's end does. A transaction without a captured change has neither. What was
delivered before is counted as it was then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, TypeAlias

from pydantic import Field

from tailrace.events import Change, Counts, Event, Op, Origin, Row, SchemaChange, Table, Transaction
from tailrace.topics import TopicTemplate, TopicTemplateText

TellTransactions: TypeAlias = Annotated[
    bool,
    Field(
        description="Tell the begin and the end of each transaction that has captured changes, in a topic of "
        "their own, and each change's order in it: Debezium's setting of this name. The formats `flat` and "
        "`plain` write begins and ends alone."
    ),
]
"""The setting `provide_transaction_metadata`."""

TransactionTopic: TypeAlias = Annotated[
    TopicTemplateText,
    Field(
        description="The topic of begins and ends, in every sink: {pipeline} is filled in, and {database} "
        "where all tables are of one."
    ),
]
"""The setting `transaction_topic`."""

_BEGIN_INDEX: Final = -1  # within the message of the first change, before it


class Boundaries:
    """The pseudo-table of begins and ends. Lives as long as its source, across connections."""

    def __init__(self, origin: Origin, topic: TopicTemplate) -> None:
        table = Table(origin, "", "transaction", (), (), _no_rows, pseudo=True)
        self.table: Final = replace(table, topic=topic.fill(table))
        self.announced: tuple[int, int] | None = None
        """(number of the transaction, ordinal) where its schema change stands."""


def _no_rows(counts: Any) -> tuple[Row | None, Row | None]:
    return None, None


class Ordering:
    """Of one connection's stream. `reached`: where the stream is resumed, as `Boundaries.announced`."""

    def __init__(self, boundaries: Boundaries, reached: tuple[int, int]) -> None:
        self._boundaries = boundaries
        self._reached = reached
        self._told = False
        self._transaction: Transaction | None = None
        self._number = 0  # its place in the order of commits
        self._begun_at = 0  # the offset of its begin
        self._counts: dict[str, int] = {}

    def begin(self, transaction: Transaction, number: int, offset: int) -> None:
        """A transaction begins at this offset; `number` is its place in the order of commits."""
        self._transaction, self._number = transaction, number
        self._begun_at, self._counts = offset, {}

    def count(self, table: Table, changes: int = 1) -> None:
        """Captured changes of the transaction have been delivered before."""
        name = str(table)
        self._counts[name] = self._counts.get(name, 0) + changes

    def ordered(self, events: Sequence[Event]) -> list[Event]:
        """Events that follow those of the last call, with their orders, and with the transaction's begin."""
        made: list[Event] = []
        total, counts = sum(self._counts.values()), self._counts
        names: dict[Table, str] = {}
        for event in events:
            if event.transaction.block is None or type(event) is SchemaChange:
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

    def end(self, ordinal: int, offset: int) -> Sequence[Event]:
        """The transaction's end, behind its last message; nothing where it had no captured change."""
        counts = tuple(self._counts.items())
        made = self._boundary("e", ordinal + 1, 0, offset, counts) if counts else ()
        self._transaction, self._counts = None, {}
        return made

    def _boundary(self, op: Op, ordinal: int, index: int, offset: int, raw: Counts) -> Sequence[Event]:
        transaction, boundaries = self._transaction, self._boundaries
        assert transaction is not None
        made: list[Event] = []
        if not self._told:
            self._told = True
            if boundaries.announced is None or boundaries.announced > self._reached:
                boundaries.announced = self._number, ordinal
                made.append(SchemaChange(boundaries.table, transaction, ordinal))
        made.append(Change(op, boundaries.table, transaction, ordinal, index, offset, raw))
        return made
