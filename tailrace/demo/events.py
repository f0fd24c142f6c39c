"""Events as they stand in the log, read back into canonical values by a converter of the demo's own."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

from tailrace.events import Op
from tailrace.hooks import DemoTable, RowChange
from tailrace.log import Entry, Reader
from tailrace.types import Kind, LogicalType

Place: TypeAlias = tuple[str, int, int]
"""Transaction, ordinal in it, index: sorts like the source's log and names an event for ever."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event of the log."""

    table: str
    op: Op | None  # None: the tombstone behind a `d`
    key: tuple[Any, ...]
    row: Mapping[str, Any] | None  # afterwards; None where the row is gone
    place: Place
    timestamp: int  # µs since the epoch: when it was committed

    @property
    def change(self) -> RowChange:
        """What happened in the database. Not for a tombstone, which stands for nothing there."""
        assert self.op is not None
        return RowChange(self.table, self.op, self.key)


class LogTail:
    """Reads a log from its beginning, then on as it grows. For the thread that made the reader.

    Understands the format `debezium` as it is by default, and the tables of a demo.
    """

    def __init__(self, reader: Reader, tables: Mapping[str, DemoTable]) -> None:
        self._reader = reader
        self._tables = tables
        self._next: dict[str, int] = {}  # offset, by topic
        self._table_of: dict[str, str] = {}  # by topic

    def read(self) -> list[LoggedEvent]:
        """What was appended since the last call, each topic in its own order."""
        events = []
        for topic in self._reader.topics():
            while True:
                page = self._reader.read(topic.name, self._next.get(topic.name))
                self._next[topic.name] = page.next
                events += [self._event(topic.name, entry) for entry in page.entries]
                if page.end:
                    break
        return events

    def wait(self, seconds: float) -> None:
        """Wait until more was appended, or for so long."""
        self._reader.wait(seconds)

    def _event(self, topic: str, entry: Entry) -> LoggedEvent:
        value = None if entry.value is None else msgspec.json.decode(entry.value)
        if value is not None:
            source = value["source"]
            schema = source.get("schema")
            self._table_of[topic] = f"{schema}.{source['table']}" if schema else source["table"]
        table = self._table_of[topic]  # a tombstone has a delete before it
        types = self._tables[table].columns
        key = {} if entry.key is None else msgspec.json.decode(entry.key)
        row = value["after"] if value is not None else None
        return LoggedEvent(
            table,
            value["op"] if value is not None else None,
            tuple(read_value(types[name], field) for name, field in key.items()),
            None if row is None else {name: read_value(types[name], field) for name, field in row.items()},
            (entry.position, entry.ordinal, entry.index),
            entry.timestamp,
        )


def read_value(type: LogicalType, value: Any) -> Any:
    """The canonical value (see `tailrace.types`) of what Debezium's default mapping writes as JSON."""
    if value is None:
        return None
    match type.kind:
        case Kind.DECIMAL:
            unscaled = int.from_bytes(base64.b64decode(value), "big", signed=True)
            return Decimal(unscaled).scaleb(-(type.scale or 0))
        case Kind.TIMESTAMPTZ:
            return (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)
        case _:
            return value
