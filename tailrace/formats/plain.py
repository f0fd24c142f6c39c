"""The format `plain`: a small JSON object per event, with values as a person would write them.

    {"op":"u","table":"public.orders","position":"00000000016B3748:1:0","ts":"2026-01-31T13:14:15.5Z","row":{…}}

`row` is the new row; a delete has `before`, what the log holds of the old one, in its place, a TRUNCATE
neither, a logical message `prefix` and `content`. A field whose value the log does not hold is left out, as
is everything but the key of most old rows. `plain_values` says how values are written. The key is an object
of the key's columns; behind a delete comes a tombstone where there is a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tailrace.abc import Declaration, Record
from tailrace.errors import Malformed
from tailrace.events import ABSENT, UNCHANGED, Change, Event, Row, SchemaChange, Table, Transaction
from tailrace.formats.connect_values import json_string
from tailrace.formats.plain_values import field_encoder, value_encoder
from tailrace.formats.rows import CONVERSION_ERRORS, UNAVAILABLE_VALUE, UNCONVERTIBLE
from tailrace.types import Kind, LogicalType
from tailrace.versions import PerVersion

_SHOWN: Final = 60  # of a field, in an error


class PlainFormat:
    """See `tailrace.abc.Format`. May be used from several threads."""

    class Settings(Declaration):
        """Settings of the format `plain`."""

    def __init__(self, settings: Settings) -> None:
        self._encoders = PerVersion(_TableEncoder)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlainFormat)

    def __hash__(self) -> int:
        return hash(PlainFormat)

    def encode(self, events: Sequence[Event]) -> Sequence[Record]:
        """See `tailrace.abc.Format`."""
        records: list[Record] = []
        table: Table | None = None
        transaction: Transaction | None = None
        encoder: _TableEncoder
        moment = b""
        for event in events:
            if type(event) is SchemaChange:
                continue
            if event.table is not table:
                table = event.table
                encoder = self._encoders.find(table) or self._encoders.make(table)
            if event.transaction is not transaction:
                transaction = event.transaction
                moment = _moment(transaction.timestamp)
            try:
                records += encoder.records(event, moment)
            except CONVERSION_ERRORS as error:
                raise encoder.explain(event, error) from error
        return records


_moment = value_encoder(LogicalType(Kind.TIMESTAMPTZ, "timestamptz"))


class _TableEncoder:
    """What is made once per table version."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns = [
            (b"%b:" % json_string(column.name), field_encoder(column)) for column in table.columns
        ]
        self._key = [(i, self._columns[i]) for i in table.key]
        name = json_string(str(table))
        self._heads = {op: b'{"op":"%b","table":%b,"position":"' % (op.encode(), name) for op in "cudrt"}
        self._heads["m"] = b'{"op":"m","position":"'

    def records(self, change: Change, moment: bytes) -> list[Record]:
        """Those of one change. Raises CONVERSION_ERRORS, or Malformed."""
        op = change.op
        before, after = self._table.split(change.raw)
        head = b'%b%b","ts":%b' % (self._heads[op], change.position.encode(), moment)
        if op == "t":
            return [Record(change, change.index, None, head + b"}")]
        row = before if op == "d" else after
        if row is None:
            raise self._absent(change, "the event has no such row")
        key = self._encode_key(change, row) if self._key else None
        if op == "m":
            return [Record(change, change.index, key, b"%b,%b}" % (head, self._fields(row)))]
        name = b"before" if op == "d" else b"row"
        record = Record(change, change.index, key, b'%b,"%b":{%b}}' % (head, name, self._fields(row)))
        if op == "d" and key is not None:
            return [record, Record(change, change.index + 1, key, None)]
        return [record]

    def explain(self, change: Change, error: Exception) -> Malformed:
        """The error of a change of which a field cannot be converted."""
        before, after = self._table.split(change.raw)
        row = before if change.op == "d" else after
        found = str(error)
        for column, (_, encode), field in zip(self._table.columns, self._columns, row or (), strict=False):
            if field is not UNCHANGED and field is not ABSENT:
                try:
                    encode(field)
                except CONVERSION_ERRORS as fault:
                    shown = repr(field)
                    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}… ({len(shown)} characters)"
                    found = f"column {column.name} ({column.type.native}): {fault}; the field is {shown}"
                    break
        return Malformed(
            UNCONVERTIBLE,
            found,
            "Leave the column or the table out of the pipeline, or correct what wrote the value.",
            where=self._where(change),
        )

    def _fields(self, row: Row) -> bytes:
        return b",".join(
            [
                name + encode(field)
                for (name, encode), field in zip(self._columns, row, strict=True)
                if field is not UNCHANGED and field is not ABSENT
            ]
        )

    def _encode_key(self, change: Change, row: Row) -> bytes:
        for i, _ in self._key:
            field = row[i]
            if field is None or field is UNCHANGED or field is ABSENT:
                found = "NULL" if field is None else field.value
                raise self._absent(change, f"column {self._table.columns[i].name} of the key is {found}")
        return b"{%b}" % b",".join([name + encode(row[i]) for i, (name, encode) in self._key])

    def _absent(self, change: Change, found: str) -> Malformed:
        return Malformed(
            UNAVAILABLE_VALUE,
            found,
            f"Give {self._table} REPLICA IDENTITY FULL, so that the log holds whole old rows, and leave the "
            "table out until this event has passed.",
            where=self._where(change),
        )

    def _where(self, change: Change) -> str:
        return f"{self._table} at {change.position}"
