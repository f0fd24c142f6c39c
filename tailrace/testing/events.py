"""Hand-made tables, transactions and batches, and a format that can be read by eye."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, TypeAlias

from tailrace.abc import Record
from tailrace.checkpoint import Checkpoint, Identity, Owner
from tailrace.events import (
    Batch,
    Change,
    Column,
    Event,
    Op,
    Origin,
    Position,
    Row,
    SchemaChange,
    Table,
    Transaction,
)
from tailrace.types import Kind, LogicalType

ORIGIN: Final = Origin("sample", "acceptance", "shop", ())

Delivered: TypeAlias = tuple[bytes | None, bytes | None]
"""Key and value of a record as it stands in a target."""

# µs; yesterday: a target may keep events for a week and delete what is older.
_START: Final = (int(time.time()) - 86_400) * 1_000_000


def table(name: str = "orders", *, keyed: bool = True) -> Table:
    """A table of two columns, `id` and `text`, with `id` as its key or without one."""
    return Table(
        origin=ORIGIN,
        schema="public",
        name=name,
        columns=(
            Column("id", LogicalType(Kind.INT64, "bigint"), False, int, True),
            Column("text", LogicalType(Kind.STRING, "text"), True, bytes.decode, True),
        ),
        key=(0,) if keyed else (),
        split=_split,
    )


def _split(raw: Row) -> tuple[Row | None, Row | None]:
    return None, raw


class Stream:
    """A log made up as the test goes: each call is the next transaction, a second after the one before."""

    def __init__(self) -> None:
        self._count = 0

    def batch(self, *rows: tuple[Op, Table, int, str]) -> Batch:
        """One whole transaction of (op, table, id, text)."""
        self._count += 1
        transaction = Transaction(
            id=str(self._count),
            position=f"{self._count:016}",
            timestamp=_START + self._count * 1_000_000,
            source={},
        )
        events: list[Event] = [
            Change(op, table, transaction, ordinal, 0, self._count, [str(id).encode(), text.encode()])
            for ordinal, (op, table, id, text) in enumerate(rows)
        ]
        return self._batch(events, transaction)

    def inserts(self, table: Table, ids: Sequence[int], text: str = "text") -> Batch:
        """One transaction that inserts these ids."""
        return self.batch(*(("c", table, id, text) for id in ids))

    def schema_change(self, table: Table) -> Batch:
        """A transaction that announces a version of a table and changes no row."""
        self._count += 1
        transaction = Transaction(str(self._count), f"{self._count:016}", _START, {})
        return self._batch([SchemaChange(table, transaction, 0)], transaction)

    def idle(self) -> Batch:
        """A batch that moves the position alone."""
        self._count += 1
        return Batch([], self.end, commit=True, size=0)

    @property
    def end(self) -> Position:
        """The position after the last batch."""
        return {"transaction": self._count}

    def _batch(self, events: list[Event], transaction: Transaction) -> Batch:
        size = sum(len(field) for event in events if isinstance(event, Change) for field in event.raw)
        return Batch(events, self.end, commit=True, size=size, timestamp=transaction.timestamp)


class PlainFormat:
    """`id` as the key, `op id text` as the value, a tombstone behind each delete."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlainFormat)

    def __hash__(self) -> int:
        return hash(PlainFormat)

    def encode(self, events: Sequence[Event]) -> Sequence[Record]:
        records = []
        for event in events:
            if isinstance(event, Change):
                id, text = event.raw
                key = id if event.table.key else None
                value = b" ".join((event.op.encode(), id, text))
                records.append(Record(event, event.index, key, value))
                if event.op == "d" and key is not None:
                    records.append(Record(event, event.index + 1, key, None))
        return records


def delivered(*batches: Batch) -> dict[str, list[Delivered]]:
    """What a target must hold after these batches, by table name and in order."""
    expected: dict[str, list[Delivered]] = {}
    for batch in batches:
        for record in batch.encoded(PlainFormat()):
            expected.setdefault(record.change.table.name, []).append((record.key, record.value))
    return expected


def checkpoint(sequence: int, position: Position, owner: Owner | None = None) -> Checkpoint:
    """A checkpoint as the engine writes them, every field filled."""
    return Checkpoint(
        owner=owner or Owner("host-ä", 4711, "5f0c"),
        sequence=sequence,
        start="a1b2",
        identity=Identity("7412345678901234567", "shop", 3),
        fingerprint="protocol 1; ordinals 1",
        origin={"transaction": 0},
        position=position,
    )
