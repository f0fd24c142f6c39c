"""The format `flat`: the row alone, as Debezium's ExtractNewRecordState leaves it of an envelope.

A record's value is the new row, its key the primary key's columns; values are written as in the format
`debezium`. What becomes of a delete is a setting. Fields about the event can be added to the row, or as
headers for targets that have such.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from tailrace.abc import Declaration, Headers, Record
from tailrace.errors import Malformed, Stop, code
from tailrace.events import Change, Event, SchemaChange, Table
from tailrace.formats.connect_values import json_string
from tailrace.formats.metadata import FieldName, metadata_fields
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

    class Settings(Declaration):
        """Settings of the format `flat`."""

        deletes: Literal["tombstone", "rewrite", "rewrite_with_tombstone", "drop"] = Field(
            default="tombstone",
            description="What is written of a delete. `tombstone`: a record with its key and no value. "
            "`rewrite`: "
            'the old row with `"__deleted":"true"`, which is `"false"` in all other rows. '
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
        encoder: _TableEncoder
        for event in events:
            if type(event) is SchemaChange:
                continue
            if event.table is not table:
                table = event.table
                encoder = self._encoders.find(table) or self._encoders.make(table)
            try:
                records += encoder.records(event, encoder.rows)
            except CONVERSION_ERRORS:
                rows = ReferenceRows(event.table, f"{event.table} at {event.position}", nested=True)
                records += encoder.records(event, rows)
        return records


class _TableEncoder:
    """What is made once per table version."""

    def __init__(self, table: Table, settings: FlatFormat.Settings) -> None:
        self._table = table
        self.rows = GeneratedRows(table, nested=True)
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

    def records(self, change: Change, rows: Rows) -> list[Record]:
        """Those of one change. Raises CONVERSION_ERRORS, from `ReferenceRows` Malformed."""
        op = change.op
        if op == "t":
            raise self._no_row(change, "A TRUNCATE has none", "leave them out: {type: skip, operations: [t]}")
        before, after = self._table.split(change.raw)
        keyed = bool(self._table.key)
        headers: Headers = tuple((field.name, field.text(change)) for field in self._headers)
        if op != "d":
            key = rows.key(after, b"", b"") if keyed else None
            row = rows.after(after, b"", b"")
            return [Record(change, change.index, key, self._with_fields(row, change, b"false"), headers)]
        if self._deletes == "drop":
            return []
        if self._deletes == "tombstone" and not keyed:
            raise self._no_row(change, "Without a key there is no tombstone", "write deletes: rewrite")
        key = rows.key(before, b"", b"") if keyed else None
        records = []
        if self._deletes != "tombstone":
            value = self._with_fields(rows.before(before, b"", b""), change, b"true")
            records.append(Record(change, change.index, key, value, headers))
        if self._deletes != "rewrite" and keyed:
            records.append(Record(change, change.index + 1, key, None, headers))
        return records

    def _with_fields(self, row: bytes, change: Change, deleted: bytes) -> bytes:
        added = b"".join([name + field.json(change) for name, field in self._fields])
        if self._mark is not None:
            added += self._mark % deleted
        if not added:
            return row
        return b"%b%b}" % (row[:-1], added if len(row) > 2 else added[1:])

    def _no_row(self, change: Change, found: str, remedy: str) -> Malformed:
        return Malformed(
            NO_ROW,
            f"{found}: the {change.op!r} at {change.position}",
            f"Where {self._table} has such events, {remedy}.",
            where=str(self._table),
        )
