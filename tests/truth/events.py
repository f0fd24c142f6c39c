"""The events that a pipeline must deliver for what test_decoding shows, in order."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.truth.catalogue import TableDescription
from tests.truth.decoding import (
    UNCHANGED,
    Field,
    LogicalMessage,
    Message,
    Name,
    RowChange,
    Transaction,
    Truncate,
)

Place: TypeAlias = tuple[int, int, int]
"""LSN behind the commit record of the event's transaction (or behind the message, if it has none), number of
the message in the transaction, number of the event in the message: sorts like the log."""


@dataclass(frozen=True)
class Event:
    """An event as a target must hold it. `topic` is named without what stands before `schema.table`; `value`
    is what `reduced` leaves of an envelope, None: a tombstone."""

    place: Place
    topic: str
    key: Any
    value: Any


OWN_PREFIX = "tailrace"  # messages of the pipeline's own: counted in their transaction, never delivered


def topic_of(table: Name) -> str:
    """`schema.table`; characters that Kafka refuses become `_`."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", ".".join(part for part in table if part))


def reduced(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """What of an envelope the witness knows: everything that follows from the database, except when a message
    outside of a transaction was written."""
    source = envelope["source"]
    kept = {name: envelope[name] for name in ("op", "before", "after", "message") if name in envelope}
    kept |= {name: source[name] for name in ("db", "schema", "table", "txId", "lsn")}
    return kept if source["txId"] is None else kept | {"ts_us": source["ts_us"]}


class Expectation:
    """Makes events of messages, for the captured tables of one database."""

    def __init__(self, database: str, tables: Mapping[Name, TableDescription]) -> None:
        self._database = database
        self._tables = tables

    def events(self, found: Transaction | LogicalMessage) -> Iterator[Event]:
        """In order."""
        if isinstance(found, LogicalMessage):
            yield from self._message(found, None, (found.lsn, 0))
            return
        ordinal = 0
        for message in found.messages:
            if self._is_sent(message):
                ordinal += 1
                yield from self._message(message, found, (found.end, ordinal))

    def _is_sent(self, message: Message) -> bool:
        """Whether the publication lets it pass, so that it counts."""
        if isinstance(message, RowChange):
            return message.table in self._tables
        return not isinstance(message, Truncate) or any(table in self._tables for table in message.tables)

    def _message(
        self, message: Message, transaction: Transaction | None, at: tuple[int, int]
    ) -> Iterator[Event]:
        if isinstance(message, RowChange):
            yield from self._row(message, transaction, at)
        elif isinstance(message, Truncate):
            captured = [table for table in message.tables if table in self._tables]
            for index, table in enumerate(captured):
                value = {
                    "op": "t",
                    "before": None,
                    "after": None,
                    **self._source(message, transaction, table),
                }
                yield Event((*at, index), topic_of(table), None, value)
        elif message.prefix != OWN_PREFIX:
            content = base64.b64encode(message.content).decode()
            value = {
                "op": "m",
                "message": {"prefix": message.prefix, "content": content},
                **self._source(message, transaction, ("", "")),
            }
            key = {"prefix": message.prefix}
            yield Event((*at, 0), topic_of(("", "message")), key, value)

    def _row(
        self, change: RowChange, transaction: Transaction | None, at: tuple[int, int]
    ) -> Iterator[Event]:
        table = self._tables[change.table]
        topic = topic_of(change.table)
        source = self._source(change, transaction, change.table)
        before = None if change.old is None else table.row(change.old)
        new = change.new and _completed(change.new, change.old if table.full else None)
        after = None if new is None else table.row(new)
        moved = (
            change.old is not None
            and new is not None
            and any(change.old.get(name) != new[name] for name in table.key if new[name] is not UNCHANGED)
        )
        if change.op == "DELETE" or moved:
            assert change.old is not None
            key = table.key_of(change.old)
            yield Event((*at, 0), topic, key, {"op": "d", "before": before, "after": None, **source})
            if key is not None:
                yield Event((*at, 1), topic, key, None)
        if change.op == "INSERT" or moved:
            assert new is not None
            index = 2 if moved else 0
            value = {"op": "c", "before": None, "after": after, **source}
            yield Event((*at, index), topic, table.key_of(new), value)
        elif change.op == "UPDATE":
            assert new is not None
            value = {"op": "u", "before": before, "after": after, **source}
            yield Event((*at, 0), topic, table.key_of(new), value)

    def _source(self, message: Message, transaction: Transaction | None, table: Name) -> dict[str, Any]:
        source = {"db": self._database, "schema": table[0], "table": table[1], "lsn": message.lsn}
        if transaction is None:
            return source | {"txId": None}  # test_decoding knows no time of it
        return source | {"txId": transaction.xid, "ts_us": transaction.committed}


def _completed(new: Mapping[str, Field], old: Mapping[str, Field] | None) -> Mapping[str, Field]:
    """The new row, with what did not change taken from a whole old row."""
    if old is None:
        return new
    return {name: old.get(name) if field is UNCHANGED else field for name, field in new.items()}
