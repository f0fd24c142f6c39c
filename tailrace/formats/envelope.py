"""Debezium's envelope around the rows of one table version, in the order of fields that its connectors write.

What is the same for all changes of a transaction is made once: a change adds its rows and its place in the
log.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property, lru_cache
from typing import Final

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
        self._own = [field.name for field in table.origin.fields if field.name != "sequence"]
        self._templates: dict[Op, str] = {}

    def surroundings(self, transaction: Transaction, op: Op) -> Surroundings:
        """For the changes of one kind in one transaction."""
        template = self._templates.get(op)
        if template is None:
            template = self._templates[op] = self._template(op)
        source = transaction.source
        microseconds = transaction.timestamp
        committed = (str(microseconds // 1000), str(microseconds), str(microseconds * 1000))
        milliseconds = committed[0]
        own = [
            _template_text(value) if type(value) is str else source_value(value)
            for value in map(source.get, self._own)
        ]
        sequence, block_of = source.get("sequence"), transaction.block
        block = (
            milliseconds,
            "null" if sequence is None else source_value(sequence),
            *committed[1:],
            *own,
            "null" if block_of is None else _block(block_of),
        )
        whole = template % ((milliseconds, *block) if op == "m" else (*block, *committed))
        return Surroundings(whole.encode(), ordered=block_of is not None)

    @cached_property
    def message_key(self) -> bytes:
        """What stands before a logical message's key."""
        return self._schema(message_key_schema(self._table, self._mapping))

    def _template(self, op: Op) -> str:
        """The surroundings with `%s` for what differs from transaction to transaction."""
        table = self._table
        origin = table.origin
        # Debezium names no table in the source block of a logical message.
        schema, name = ("", "") if op == "m" else (table.schema, table.name)
        named = f'"schema":{_text(schema)},' if origin.database is not None else ""
        own = "".join(f",{_text(field)}:%s" for field in self._own)
        source = (
            f'"source":{{"version":{_text(__version__)},"connector":{_text(origin.connector)},'
            f'"name":{_text(origin.pipeline)},"ts_ms":%s,"snapshot":"{"true" if op == "r" else "false"}",'
            f'"db":{_text(table.database)},"sequence":%s,"ts_us":%s,"ts_ns":%s,'
            f'{named}"table":{_text(name)}{own}}},"transaction":%s'
        )
        if op == "m":
            head = self._schema(message_schema(table, self._mapping)).decode().replace("%", "%%")
            return f'{head}{{"op":"m","ts_ms":%s,{source},"message":'
        after = ',"after":null' if op == "d" else ""
        return f'{after},{source},"op":"{op}","ts_ms":%s,"ts_us":%s,"ts_ns":%s}}{self.end.decode()}'

    def _schema(self, schema: Schema) -> bytes:
        """The beginning of a record, up to its payload."""
        return b'{"schema":%b,"payload":' % msgspec.json.encode(schema) if self._schemas else b""


def _block(id: str) -> str:
    """The block `transaction` with this id."""
    return f'{{"id":{source_value(id)},{ORDER.decode()}}}'


def _text(text: str) -> str:
    """A JSON string for a template."""
    return json_string(text).decode().replace("%", "%%")


def source_value(value: int | str | None) -> int | str:
    """The JSON of a field of the source block; `OFFSET`, `INDEX`, `ROW` stand where the change's own go."""
    if value is None:
        return "null"
    if isinstance(value, int):
        return value
    if isinstance(value, Verbatim):
        return json_string(str(value)).decode()
    return _template_text(value)


@lru_cache(maxsize=256)
def _template_text(value: str) -> str:
    """Of a text that may hold placeholders. Most fields are the same in many transactions."""
    if (mark := _MARKS.get(value)) is not None:
        return mark
    text = json_string(value).decode()
    if "{" in text:
        text = text.replace(OFFSET_PLACEHOLDER, _OFFSET).replace(INDEX_PLACEHOLDER, _INDEX)
    return text
