"""The format `flat`: the row alone, as Debezium's ExtractNewRecordState leaves it of an envelope.

A record's value is the new row, its key the primary key's columns; values are written as in the format
`debezium`. What becomes of a delete is a setting. Fields about the event can be added to the row, or as
headers for targets that have such.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from tailrace.abc import Headers, Record
from tailrace.errors import Malformed, Stop, code
from tailrace.events import BOUNDARIES, Change, Event, Op, Row, SchemaChange, Table, Transaction
from tailrace.formats.boundaries import boundary
from tailrace.formats.connect_options import Options
from tailrace.formats.connect_types import Mapping
from tailrace.formats.connect_values import json_string
from tailrace.formats.held_rows import encoders
from tailrace.formats.metadata import FieldName, filled, metadata_fields
from tailrace.formats.rows import CONVERSION_ERRORS, GeneratedRows, ReferenceRows, Rows
from tailrace.versions import PerVersion

NO_ROW = code(
    "TR-FMT-004",
    "no row to write",
    "The format flat writes rows alone, and an event has none: a TRUNCATE, or the delete of a table without "
    "a key where a tombstone was to stand for it. Leaving it out would lose it unsaid.",
)
NAME_TAKEN = code(
    "TR-FMT-005",
    "a field's name is taken",
    "A format is to add a field to rows that have a column of that name: one would hide the other.",
)

_DELETED = "__deleted"


class FlatFormat:
    """See `tailrace.abc.Format`. May be used from several threads."""

    class Settings(Options):
        """Settings of the format `flat`; how values are written is said as for the format `debezium`."""

        deletes: Literal["tombstone", "rewrite", "rewrite_with_tombstone", "drop"] = Field(
            default="tombstone",
            description="What is written of a delete. `tombstone`: a record with its key and no value. "
            '`rewrite`: the old row with `"__deleted":"true"`, which is `"false"` in all other rows. '
            "`rewrite_with_tombstone`: that, and a tombstone. `drop`: nothing.",
        )
        add_fields: tuple[FieldName, ...] = Field(
            default=(),
            description="Added to each row: op, ts_ms, table, schema, db, lsn, txId, … or source.ts_ms and "
            "the like, as Debezium names them.",
        )
        add_fields_prefix: str = Field(default="__", description="Goes before the names of added fields.")
        add_headers: tuple[FieldName, ...] = Field(
            default=(), description="Added to each record as headers; their values are texts."
        )
        add_headers_prefix: str = Field(default="__", description="Goes before the names of added headers.")

        @model_validator(mode="after")
        def _names_differ(self) -> FlatFormat.Settings:
            for names in (self.add_fields, self.add_headers):
                if len(set(names)) < len(names):
                    raise ValueError("a field is added twice")
            return self

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.headers = settings.add_headers
        """The headers that records have: see `refuse_headers`."""
        self._encoders = PerVersion(lambda table: _TableEncoder(table, settings))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlatFormat) and self._settings == other._settings

    def __hash__(self) -> int:
        return hash((FlatFormat, self._settings))

    def encode(self, events: Sequence[Event]) -> Sequence[Record]:
        """See `tailrace.abc.Format`."""
        records: list[Record] = []
        table: Table | None = None
        transaction: Transaction | None = None
        encoder: _TableEncoder
        prepared: dict[Op, bytes] = {}
        for event in events:
            if type(event) is SchemaChange:
                continue
            if event.table is not table or event.transaction is not transaction:
                if event.op in BOUNDARIES:  # of a table of their own
                    records.append(boundary(event))
                    continue
                table, transaction, prepared = event.table, event.transaction, {}
                encoder = self._encoders.find(table) or self._encoders.make(table)
            added = prepared.get(event.op)
            if added is None:
                added = prepared[event.op] = encoder.added(event.transaction, event.op)
            try:
                records += encoder.records(event, encoder.rows, added)
            except CONVERSION_ERRORS:
                records += encoder.records(event, encoder.careful_rows(event), added)
        return records


class _TableEncoder:
    """What is made once per table version."""

    def __init__(self, table: Table, settings: FlatFormat.Settings) -> None:
        self._table = table
        self._mapping = mapping = Mapping(settings)
        self.rows = encoders(table, mapping, lambda table: GeneratedRows(table, mapping))
        self._deletes = settings.deletes
        self._fields = [
            (b",%b:" % json_string(field.name), field)
            for field in metadata_fields(settings.add_fields, settings.add_fields_prefix, table)
        ]
        self._headers = metadata_fields(settings.add_headers, settings.add_headers_prefix, table)
        rewrites = settings.deletes in ("rewrite", "rewrite_with_tombstone")
        self._mark = b',"%b":"%%b"' % _DELETED.encode() if rewrites else None
        columns = {column.name for column in table.columns}
        added = [field.name for _, field in self._fields] + ([_DELETED] if rewrites else [])
        for name in added:
            if name in columns or added.count(name) > 1:
                raise Stop(
                    NAME_TAKEN,
                    f"{name} would stand twice in the rows of {table}",
                    "Write another add_fields_prefix:, or rename the column: {type: rename, columns: …}.",
                    where=str(table),
                )

    def careful_rows(self, change: Change) -> Rows:
        """For a change that `rows` does not encode; they raise Malformed if it cannot be."""
        where, mapping = f"{self._table} at {change.position}", self._mapping
        return encoders(self._table, mapping, lambda table: ReferenceRows(table, where, mapping))

    def added(self, transaction: Transaction, op: Op) -> bytes:
        """What is added to the rows of a transaction's changes of one kind, the end of the object included;
        where a change's own numbers go, `OFFSET`, `INDEX` and `ROW` stand."""
        added = b"".join([name + field.template(transaction, op) for name, field in self._fields])
        if self._mark is not None:
            added += self._mark % (b"true" if op == "d" else b"false")
        return added + b"}"

    def records(self, change: Change, rows: Rows, added: bytes) -> list[Record]:
        """Those of one change. Raises CONVERSION_ERRORS, from `ReferenceRows` Malformed."""
        op = change.op
        if op == "t":
            raise self._no_row(change, "A TRUNCATE has none", "leave them out: {type: skip, operations: [t]}")
        before, after = self._table.split(change.raw)
        keyed = self._has_key(before if op == "d" else after)
        headers: Headers = tuple((field.name, field.text(change)) for field in self._headers)
        if op != "d":
            key = rows.key(after, b"", b"") if keyed else None
            row = rows.after(after, b"", b"")
            return [Record(change, change.index, key, _with_fields(row, change, added), headers)]
        if self._deletes == "drop":
            return []
        if self._deletes == "tombstone" and not keyed:
            raise self._no_row(change, "Without a key there is no tombstone", "write deletes: rewrite")
        key = rows.key(before, b"", b"") if keyed else None
        records = []
        if self._deletes != "tombstone":
            value = _with_fields(rows.before(before, b"", b""), change, added)
            records.append(Record(change, change.index, key, value, headers))
        if self._deletes != "rewrite" and keyed:
            records.append(Record(change, change.index + 1, key, None, headers))
        return records

    def _has_key(self, row: Row | None) -> bool:
        key = self._table.key
        if not (key and self._table.key_is_newer):
            return bool(key)
        return row is None or all(row[i] is not None for i in key)

    def _no_row(self, change: Change, found: str, remedy: str) -> Malformed:
        return Malformed(
            NO_ROW,
            f"{found}: the {change.op!r} at {change.position}",
            f"Where {self._table} has such events, {remedy}.",
            where=str(self._table),
        )


def _with_fields(row: bytes, change: Change, added: bytes) -> bytes:
    if len(added) == 1:
        return row
    own = filled(added, change)
    return row[:-1] + (own if len(row) > 2 else own[1:])
