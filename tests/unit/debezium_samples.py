"""Tables, transactions and changes made by hand. A change's raw form is its rows: (before, after)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tailrace.abc import Record
from tailrace.events import Change, Column, Op, Origin, Row, SourceField, Table, Transaction
from tailrace.formats.debezium import DebeziumFormat
from tailrace.types import Kind, LogicalType

NUMBER: Final = LogicalType(Kind.INT64, "int8")
TEXT: Final = LogicalType(Kind.STRING, "text")

ORIGIN: Final = Origin(
    connector="postgresql",
    pipeline="orders",
    database="shop",
    fields=(
        SourceField("sequence", TEXT, optional=True),
        SourceField("txId", NUMBER, optional=True),
        SourceField("lsn", NUMBER, optional=True),
        SourceField("xmin", NUMBER, optional=True),
    ),
)

TRANSACTION: Final = Transaction(
    id="555",
    position="00000000016B3748",
    timestamp=1_559_033_904_863_123,
    source={"sequence": '["24023119","{offset}"]', "txId": 555, "lsn": "{offset}", "xmin": None},
)

ID: Final = Column("id", LogicalType(Kind.INT32, "int4"), False, int, text=True)


def text_column(name: str, *, optional: bool = True) -> Column:
    """A column of text."""
    return Column(name, TEXT, optional, bytes.decode, text=True)


def table(
    *columns: Column, key: Sequence[int] = (0,), name: str = "customers", origin: Origin = ORIGIN
) -> Table:
    """A version of a table."""
    return Table(origin, "public", name, columns, tuple(key), lambda raw: raw)


def change(
    op: Op,
    table: Table,
    before: Row | None = None,
    after: Row | None = None,
    *,
    transaction: Transaction = TRANSACTION,
    index: int = 0,
    offset: int = 24_023_128,
) -> Change:
    """A change of a table."""
    return Change(op, table, transaction, 1, index, offset, (before, after))


def encode(*changes: Change, schemas: bool = False) -> Sequence[Record]:
    """The records of changes."""
    return DebeziumFormat(DebeziumFormat.Settings(schemas=schemas)).encode(changes)


def value(record: Record) -> Any:
    """A record's value, read."""
    assert record.value is not None
    return msgspec.json.decode(record.value)


def after(column: Column, field: Any, *, schemas: bool = False) -> Any:
    """What stands under `after` for one field of one column, as read from JSON."""
    [record] = encode(change("c", table(column, key=()), None, [field]), schemas=schemas)
    envelope = value(record)
    return (envelope["payload"] if schemas else envelope)["after"][column.name]
