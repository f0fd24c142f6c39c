"""Debezium's envelope around the rows of one table version, in the order of fields that its connectors write.

What is the same for all changes of a transaction is made once: a change adds its rows and its place in the
log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property
from itertools import cycle
from typing import Any, Final, TypeAlias

import msgspec

from tailrace import __version__
from tailrace.events import (
    INDEX_PLACEHOLDER,
    OFFSET_PLACEHOLDER,
    ROW_INDEXES,
    ROW_PLACEHOLDER,
    Change,
    Op,
    Table,
    Transaction,
    Verbatim,
)
from tailrace.formats.connect_schemas import (
    envelope_schema,
    key_schema,
    message_key_schema,
    message_schema,
)
from tailrace.formats.connect_types import Mapping, Schema
from tailrace.formats.connect_values import json_number, json_string
from tailrace.topics import TopicTemplate

# Characters that JSON never holds unescaped stand where a change's own numbers go.
OFFSET: Final = b"\0"
INDEX: Final = b"\1"
ORDER: Final = b"\2"
ROW: Final = b"\3"
_MARKS: Final = {OFFSET_PLACEHOLDER: OFFSET, INDEX_PLACEHOLDER: INDEX, ROW_PLACEHOLDER: ROW}
"""Of fields of the source block that are nothing else."""

_OFFSET_TEXT: Final = OFFSET_PLACEHOLDER.encode()
_INDEX_TEXT: Final = INDEX_PLACEHOLDER.encode()
_INDEX_NUMBER, _ROW_NUMBER = *INDEX, *ROW  # a number is found in bytes in a tenth of the time that bytes are
_SLOT: Final = "\4"

Surroundings: TypeAlias = Callable[[Change], bytes]
"""What stands around the rows of a change, of one kind and one transaction. Not safe for use from several
threads at once."""


def _surroundings(whole: bytes, block: str | None) -> Surroundings:
    """A change's own numbers, its offset, row, index and order, go in place of `OFFSET`, `ROW`, `INDEX` and
    `ORDER`."""
    filled = _cut_at_rows(whole) if _ROW_NUMBER in whole else _cut_at_offsets(whole)
    return filled if block is None and _INDEX_NUMBER not in whole else _ordered(filled)


def _cut_at_offsets(whole: bytes) -> Surroundings:
    pieces = whole.split(OFFSET)
    return lambda change: json_number(change.offset).join(pieces)


def _cut_at_rows(whole: bytes) -> Surroundings:
    offset, pieces = -1, [whole]

    def filled(change: Change) -> bytes:
        nonlocal offset, pieces
        if change.offset != offset:  # of all rows of a wire message it is the same
            offset = change.offset
            pieces = whole.replace(OFFSET, json_number(offset)).split(ROW)
        return json_number(change.index // ROW_INDEXES).join(pieces)

    return filled


def _ordered(filled: Surroundings) -> Surroundings:
    def ordered(change: Change) -> bytes:
        around = filled(change).replace(INDEX, b"%d" % change.index)
        if change.order is not None:
            around = around.replace(ORDER, b'"total_order":%d,"data_collection_order":%d' % change.order)
        return around

    return ordered


_SCHEMA_NAME: Final = "{pipeline}.{schema}.{table}"  # as Debezium's topics are called, whatever ours are


class Envelope:
    """The constant parts for one table version. `nullable`: see `envelope_schema`.

    A row change is `created` or `changed`, the rows, the surroundings; a TRUNCATE is `truncated` and the
    surroundings; a logical message is the surroundings, its row, `}` and `end`. A key is `key` (or
    `message_key`), its columns, `end`.
    """

    def __init__(
        self, table: Table, mapping: Mapping, *, schemas: bool, nullable: Collection[int] = ()
    ) -> None:
        self._table = table
        self._mapping = mapping
        self._schemas = schemas
        name = TopicTemplate(_SCHEMA_NAME).fill(table)
        value = self._schema(envelope_schema(table, name, mapping, nullable))
        self.key = self._schema(key_schema(table, name, mapping))
        self.end = b"}" if schemas else b""
        self.created = value + b'{"before":null,"after":'
        self.changed = value + b'{"before":'
        self.truncated = value + b'{"before":null,"after":null'
        self._wholes: dict[Op, Callable[[Transaction], bytes]] = {}

    def surroundings(self, transaction: Transaction, op: Op) -> Surroundings:
        """For the changes of one kind in one transaction."""
        whole = self._wholes.get(op) or self._wholes.setdefault(op, self._generated(op))
        return _surroundings(whole(transaction), transaction.block)

    @cached_property
    def message_key(self) -> bytes:
        """What stands before a logical message's key."""
        return self._schema(message_key_schema(self._table, self._mapping))

    def _generated(self, op: Op) -> Callable[[Transaction], bytes]:
        """Makes the surroundings of a transaction's changes of this kind."""
        own = {field.name: f"field{i}" for i, field in enumerate(self._table.origin.fields)}
        fields = "".join([f"    {field} = get({name!r})\n" for name, field in own.items()])
        written = "json({f}) if {f} is None or {f}.__class__ is int else value({f})"
        template = self._template(op, {name: _slot(written.format(f=field)) for name, field in own.items()})
        parts = [
            repr(part.encode()) if constant else part
            for part, constant in zip(template.split(_SLOT), cycle((True, False)))
        ]
        source = (
            "def whole(transaction):\n"
            "    get, block, us = transaction.source.get, transaction.block, transaction.timestamp\n"
            "    ms, us, ns = json(us // 1000), json(us), json(us * 1000)\n"
            f"{fields}"
            f"    return join(({', '.join(parts)}))\n"
        )
        names: dict[str, Any] = {"join": b"".join, "json": json_number, "value": source_value, "told": _told}
        exec(compile(source, f"<surroundings of {self._table}>", "exec"), names)
        made: Callable[[Transaction], bytes] = names["whole"]
        return made

    def _template(self, op: Op, own: dict[str, str]) -> str:
        """The surroundings with slots for what differs from transaction to transaction. `own`: those of the
        source's own fields."""
        table = self._table
        origin = table.origin
        # Debezium names no table in the source block of a logical message.
        schema, name = ("", "") if op == "m" else (table.schema, table.name)
        named = f'"schema":{_text(schema)},' if origin.database is not None else ""
        fields = "".join([f",{_text(field)}:{slot}" for field, slot in own.items() if field != "sequence"])
        ms, us, ns = map(_slot, ("ms", "us", "ns"))
        source = (
            f'"source":{{"version":{_text(__version__)},"connector":{_text(origin.connector)},'
            f'"name":{_text(origin.pipeline)},"ts_ms":{ms},"snapshot":"{"true" if op == "r" else "false"}",'
            f'"db":{_text(table.database)},"sequence":{own.get("sequence", "null")},'
            f'"ts_us":{us},"ts_ns":{ns},{named}"table":{_text(name)}{fields}}},"transaction":{_slot("told(block)")}'
        )
        if op == "m":
            head = self._schema(message_schema(table, self._mapping)).decode()
            return f'{head}{{"op":"m","ts_ms":{ms},{source},"message":'
        after = ',"after":null' if op == "d" else ""
        return f'{after},{source},"op":"{op}","ts_ms":{ms},"ts_us":{us},"ts_ns":{ns}}}{self.end.decode()}'

    def _schema(self, schema: Schema) -> bytes:
        """The beginning of a record, up to its payload."""
        return b'{"schema":%b,"payload":' % msgspec.json.encode(schema) if self._schemas else b""


def _told(block: str | None) -> bytes:
    """The block `transaction` with this id."""
    return b"null" if block is None else b'{"id":%b,%b}' % (source_value(block), ORDER)


def _text(text: str) -> str:
    return json_string(text).decode()


def _slot(source: str) -> str:
    """Stands in a template where what a Python expression makes goes."""
    return f"{_SLOT}{source}{_SLOT}"


def source_value(value: int | str | None) -> bytes:
    """The JSON of a field of the source block; `OFFSET`, `INDEX`, `ROW` stand where the change's own go."""
    if value is None:
        return b"null"
    if isinstance(value, int):
        return json_number(int(value))
    if isinstance(value, Verbatim):
        return json_string(str(value))
    if "{" not in value:
        return json_string(value)
    if (mark := _MARKS.get(value)) is not None:
        return mark
    return json_string(value).replace(_OFFSET_TEXT, OFFSET).replace(_INDEX_TEXT, INDEX)
