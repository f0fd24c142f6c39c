"""The format `debezium`: what Debezium's connectors write through Kafka Connect's JsonConverter.

A record's value is the envelope {before, after, source, transaction, op, ts_ms, ts_us, ts_ns}, its key the
primary key's columns; with `schemas` each is {schema, payload}. Behind a delete comes a tombstone where there
is a key. Of a change of the key, the delete and its tombstone have the new key in a header, the create the
old. A logical message is {op, ts_ms, source, transaction, message} under the key {prefix}. `connect_values`
says how values are written, `docs/debezium-differences.md` where this departs from Debezium, and why.

Equal events give equal bytes, always: nothing depends on when or where they are encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pydantic import Field, model_validator

from tailrace.abc import Headers, Record
from tailrace.events import BOUNDARIES, Change, Event, Op, Row, SchemaChange, Table, Transaction
from tailrace.formats.boundaries import boundary
from tailrace.formats.connect_options import Options
from tailrace.formats.connect_types import Mapping
from tailrace.formats.envelope import Envelope, Surroundings
from tailrace.formats.held_rows import encoders
from tailrace.formats.rows import CONVERSION_ERRORS, GeneratedRows, ReferenceRows, Rows
from tailrace.versions import PerVersion

NEW_KEY: Final = "__debezium.newkey"
OLD_KEY: Final = "__debezium.oldkey"


class DebeziumFormat:
    """See `tailrace.abc.Format`. May be used from several threads."""

    class Settings(Options):
        """`schemas`: each record carries the Kafka Connect schema of its key and value, as JsonConverter's
        `schemas.enable` does."""

        schemas: bool = Field(default=False, description="Put the Kafka Connect schema into every record.")

        @model_validator(mode="after")
        def _omits_nothing_that_a_schema_names(self) -> DebeziumFormat.Settings:
            if self.schemas and self.unavailable_values == "omit":
                raise ValueError(
                    "unavailable_values: omit is for schemas: false: a schema names all fields, and what is "
                    "missing would be read as null"
                )
            return self

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        mapping = Mapping(settings, nested=not settings.schemas)
        self._encoders = PerVersion(lambda table: _TableEncoder(table, mapping, settings.schemas))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DebeziumFormat) and self._settings == other._settings

    def __hash__(self) -> int:
        return hash((DebeziumFormat, self._settings))

    def encode(self, events: Sequence[Event]) -> Sequence[Record]:
        """See `tailrace.abc.Format`."""
        records: list[Record] = []
        append = records.append
        table: Table | None = None
        transaction: Transaction | None = None
        op: Op | None = None
        encoder: _TableEncoder
        around: Surroundings
        prepared: dict[tuple[Table, Op], Surroundings] = {}  # of the transaction
        for event in events:
            if type(event) is SchemaChange:
                continue
            if event.transaction is not transaction or event.op != op or event.table is not table:
                if event.op in BOUNDARIES:  # of a table of their own
                    append(boundary(event, schemas=self._settings.schemas))
                    continue
                if event.transaction is not transaction:
                    transaction = event.transaction
                    prepared = {}
                if event.table is not table:
                    table = event.table
                    encoder = self._encoders.find(table) or self._encoders.make(table)
                    rows, envelope, keyed = encoder.rows, encoder.envelope, (bool(table.key),) * 2
                op = event.op
                known = prepared.get((table, op))
                around = known or prepared.setdefault((table, op), envelope.surroundings(transaction, op))
            try:
                _encode(event, rows, envelope, around(event), append, keyed)
            except CONVERSION_ERRORS:
                encoder.encode_carefully(event, append)
        return records


class _TableEncoder:
    """What is made once per table version."""

    def __init__(self, table: Table, mapping: Mapping, schemas: bool) -> None:
        self._table = table
        self._mapping = mapping
        self._schemas = schemas
        self.rows = encoders(table, mapping, lambda table: GeneratedRows(table, mapping))
        self.envelope = Envelope(table, mapping, schemas=schemas)

    def encode_carefully(self, change: Change, append: Callable[[Record], None]) -> None:
        """Encode a change that the generated functions do not. Raises Malformed if it cannot be."""
        envelope = self.envelope
        if self._schemas and (nulls := self._unexpected_nulls(change)):
            envelope = Envelope(self._table, self._mapping, schemas=True, nullable=nulls)
        where, mapping = f"{self._table} at {change.position}", self._mapping
        rows = encoders(self._table, mapping, lambda table: ReferenceRows(table, where, mapping))
        surroundings = envelope.surroundings(change.transaction, change.op)
        before, after = map(self._has_key, self._table.split(change.raw))
        _encode(change, rows, envelope, surroundings(change), append, (before, after))

    def _has_key(self, row: Row | None) -> bool:
        key = self._table.key
        if not (key and self._table.key_is_newer):
            return bool(key)
        return row is None or all(row[i] is not None for i in key)

    def _unexpected_nulls(self, change: Change) -> frozenset[int]:
        """Columns that are NULL although the table says that they are not: a change from before the column
        became NOT NULL, read with a newer catalogue."""
        _, after = self._table.split(change.raw)
        columns = enumerate(self._table.columns)
        return frozenset(i for i, column in columns if after and after[i] is None and not column.optional)


def _encode(
    change: Change,
    rows: Rows,
    envelope: Envelope,
    around: bytes,
    append: Callable[[Record], None],
    keyed: tuple[bool, bool],
) -> None:
    """Append the records of one change. `around`: its surroundings. `keyed`: whether the rows before and
    after have a key."""
    before, after = change.table.split(change.raw)
    op = change.op
    keyed_before, keyed_after = keyed
    headers: Headers = ()
    if op == "c" or op == "u" or op == "r":
        key = rows.key(after, envelope.key, envelope.end) if keyed_after else None
        if before is not None and op == "u":
            value = rows.update(before, after, envelope.changed, b',"after":', around)
        else:
            if before is not None and keyed_before and keyed_after:
                headers = ((OLD_KEY, rows.key(before, envelope.key, envelope.end)),)
            value = rows.after(after, envelope.created, around)
        append(Record(change, change.index, key, value, headers))
    elif op == "d":
        key = rows.key(before, envelope.key, envelope.end) if keyed_before else None
        if keyed_before and keyed_after and after is not None:
            headers = ((NEW_KEY, rows.key(after, envelope.key, envelope.end)),)
        append(Record(change, change.index, key, rows.before(before, envelope.changed, around), headers))
        if keyed_before:
            append(Record(change, change.index + 1, key, None, headers))
    elif op == "t":
        append(Record(change, change.index, None, envelope.truncated + around))
    else:
        key = rows.key(after, envelope.message_key, envelope.end) if keyed_after else None
        append(Record(change, change.index, key, rows.after(after, around, b"}" + envelope.end)))
