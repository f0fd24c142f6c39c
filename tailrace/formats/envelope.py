"""Debezium's envelope around the rows of one table version, in the order of fields that its connectors write.

What is the same for all changes of a transaction is made once: a change adds its rows and its place in the
log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any, Final

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
from tailrace.formats.connect_values import json_string
from tailrace.topics import TopicTemplate

# Characters that JSON never holds unescaped stand where a change's own numbers go.
_OFFSET: Final = "\0"
_INDEX: Final = "\1"
OFFSET: Final = _OFFSET.encode()
INDEX: Final = _INDEX.encode()
ORDER: Final = b"\2"
_ROW: Final = "\3"
ROW: Final = _ROW.encode()
_MARKS: Final = {OFFSET_PLACEHOLDER: _OFFSET, INDEX_PLACEHOLDER: _INDEX, ROW_PLACEHOLDER: _ROW}
"""Of fields of the source block that are nothing else."""


_SLOT: Final = re.compile("\4(.*?)\4")
_FIELD: Final = "text({f}) if {f}.__class__ is str else {f} if {f}.__class__ is int else value({f})"
"""Python source of what `source_value` makes of a field, nearly always without a call of it."""


class Surroundings:
    """What stands around the rows of one transaction's changes of one kind. Into it go a change's own
    numbers, its offset, row, index and order, in place of `OFFSET`, `ROW`, `INDEX` and `ORDER`. Not safe for
    use from several threads at once."""

    __slots__ = ("_offset", "_ordered", "_pieces", "_rows", "_whole")

    def __init__(self, whole: bytes, *, ordered: bool) -> None:
        self._whole = whole
        self._pieces = None if ROW in whole else whole.split(OFFSET)
        self._ordered = ordered or INDEX in whole
        self._offset = -1  # that `_rows` is made for
        self._rows: list[bytes] = []  # cut where the row goes

    def of(self, change: Change) -> bytes:
        """Those of a change."""
        pieces = self._pieces
        if pieces is not None:
            around = (b"%d" % change.offset).join(pieces)
        else:
            if change.offset != self._offset:  # of all rows of a wire message it is the same
                self._offset = change.offset
                self._rows = self._whole.replace(OFFSET, b"%d" % change.offset).split(ROW)
            around = (b"%d" % (change.index // ROW_INDEXES)).join(self._rows)
        if self._ordered:
            around = around.replace(INDEX, b"%d" % change.index)
            if change.order is not None:
                around = around.replace(ORDER, b'"total_order":%d,"data_collection_order":%d' % change.order)
        return around


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
        return Surroundings(whole(transaction), ordered=transaction.block is not None)

    @cached_property
    def message_key(self) -> bytes:
        """What stands before a logical message's key."""
        return self._schema(message_key_schema(self._table, self._mapping))

    def _generated(self, op: Op) -> Callable[[Transaction], bytes]:
        """Makes the surroundings of a transaction's changes of this kind."""
        own = {field.name: f"field{i}" for i, field in enumerate(self._table.origin.fields)}
        fields = "".join([f"    {field} = get({name!r})\n" for name, field in own.items()])
        template = self._template(op, {name: _slot(_FIELD.format(f=field)) for name, field in own.items()})
        whole = _SLOT.sub(r"{\1}", template.replace("{", "{{").replace("}", "}}"))
        source = (
            "def whole(transaction):\n"
            "    get, block, us = transaction.source.get, transaction.block, transaction.timestamp\n"
            "    ms, ns = us // 1000, us * 1000\n"
            f"{fields}"
            f"    return f{whole!r}.encode()\n"
        )
        names: dict[str, Any] = {"text": _template_text, "value": source_value, "told": _block}
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
            f'"db":{_text(table.database)},"sequence":{own.get("sequence", "null")},"ts_us":{us},"ts_ns":{ns},'
            f'{named}"table":{_text(name)}{fields}}},"transaction":{_slot("told(block)")}'
        )
        if op == "m":
            head = self._schema(message_schema(table, self._mapping)).decode()
            return f'{head}{{"op":"m","ts_ms":{ms},{source},"message":'
        after = ',"after":null' if op == "d" else ""
        return f'{after},{source},"op":"{op}","ts_ms":{ms},"ts_us":{us},"ts_ns":{ns}}}{self.end.decode()}'

    def _schema(self, schema: Schema) -> bytes:
        """The beginning of a record, up to its payload."""
        return b'{"schema":%b,"payload":' % msgspec.json.encode(schema) if self._schemas else b""


def _block(id: str | None) -> str:
    """The block `transaction` with this id."""
    return "null" if id is None else f'{{"id":{source_value(id)},{ORDER.decode()}}}'


def _text(text: str) -> str:
    return json_string(text).decode()


def _slot(source: str) -> str:
    """Stands in a template where the value of a Python expression goes."""
    return f"\4{source}\4"


def source_value(value: int | str | None) -> int | str:
    """The JSON of a field of the source block; `OFFSET`, `INDEX`, `ROW` stand where the change's own go."""
    if value is None:
        return "null"
    if isinstance(value, int):
        return value
    if isinstance(value, Verbatim):
        return json_string(str(value)).decode()
    return _template_text(value)


def _template_text(value: str) -> str:
    """Of a text that may hold placeholders."""
    if (mark := _MARKS.get(value)) is not None:
        return mark
    text = json_string(value).decode()
    if "{" in text:
        text = text.replace(OFFSET_PLACEHOLDER, _OFFSET).replace(INDEX_PLACEHOLDER, _INDEX)
    return text
