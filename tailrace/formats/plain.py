"""The format `plain`: a small JSON object per event, with values as a person would write them.

    {"op":"u","table":"public.orders","position":"00000000016B3748:1:0","ts":"2026-01-31T13:14:15.5Z","row":{…}}

`row` is the new row; a delete has `before`, what the log holds of the old one, in its place, a TRUNCATE
neither, a logical message `prefix` and `content`. A field whose value the log does not hold is left out, as
is everything but the key of most old rows. `plain_values` says how values are written. The key is an object
of the key's columns; behind a delete comes a tombstone where there is a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from tailrace.abc import Declaration, Record
from tailrace.errors import Malformed
from tailrace.events import (
    ABSENT,
    BOUNDARIES,
    UNCHANGED,
    Change,
    Event,
    Row,
    SchemaChange,
    Table,
    Transaction,
)
from tailrace.formats.boundaries import boundary
from tailrace.formats.connect_values import json_string
from tailrace.formats.plain_values import field_encoder, field_expression, value_encoder
from tailrace.formats.rows import CONVERSION_ERRORS, UNAVAILABLE_VALUE, UNCONVERTIBLE, unconvertible
from tailrace.types import Kind, LogicalType
from tailrace.versions import PerVersion

Encode: TypeAlias = Callable[[Row | None], bytes]
"""A row → the fields of an object, parted by commas."""

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
                if event.op in BOUNDARIES:  # of a table of their own
                    records.append(boundary(event))
                    continue
                table = event.table
                encoder = self._encoders.find(table) or self._encoders.make(table)
            if event.transaction is not transaction:
                transaction = event.transaction
                moment = _moment(transaction.timestamp)
            try:
                records += encoder.records(event, moment, encoder.row, encoder.key)
            except CONVERSION_ERRORS:
                records += encoder.records(
                    event, moment, encoder.careful_row(event), encoder.careful_key(event)
                )
        return records


_moment = value_encoder(LogicalType(Kind.TIMESTAMPTZ, "timestamptz"))


class _TableEncoder:
    """What is made once per table version: `row` and `key` for rows that are known whole, fast."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns = [
            (b"%b:" % json_string(column.name), field_encoder(column)) for column in table.columns
        ]
        self.row = _generated(table, range(len(table.columns)), null="b'null'")
        self.key = _generated(table, table.key, null="")
        name = json_string(str(table))
        self._heads = {op: b'{"op":"%b","table":%b,"position":"' % (op.encode(), name) for op in "cudrt"}
        self._heads["m"] = b'{"op":"m","position":"'

    def records(self, change: Change, moment: bytes, encode_row: Encode, encode_key: Encode) -> list[Record]:
        """Those of one change. Raises what the encoders raise."""
        op = change.op
        head = b'%b%b","ts":%b' % (self._heads[op], change.position.encode(), moment)
        if op == "t":
            return [Record(change, change.index, None, head + b"}")]
        before, after = self._table.split(change.raw)
        row = before if op == "d" else after
        fields = encode_row(row)
        key = encode_key(row) if self._table.key else b""
        told = b"{%b}" % key if key else None
        if op == "m":
            return [Record(change, change.index, told, b"%b,%b}" % (head, fields))]
        name = b"before" if op == "d" else b"row"
        record = Record(change, change.index, told, b'%b,"%b":{%b}}' % (head, name, fields))
        if op == "d" and told is not None:
            return [record, Record(change, change.index + 1, told, None)]
        return [record]

    def careful_row(self, change: Change) -> Encode:
        """Any row, what is not in the log left out. Raises Malformed."""

        def encode(row: Row | None) -> bytes:
            if row is None:
                raise self._absent(change, "the event has no such row")
            return b",".join(
                [
                    self._field(change, i, field)
                    for i, field in enumerate(row)
                    if field is not UNCHANGED and field is not ABSENT
                ]
            )

        return encode

    def careful_key(self, change: Change) -> Encode:
        """Any row's key; nothing for a row without one. Raises Malformed."""

        def encode(row: Row | None) -> bytes:
            assert row is not None
            fields = []
            for i in self._table.key:
                field = row[i]
                if field is None and self._table.key_is_newer:
                    return b""
                if field is None or field is UNCHANGED or field is ABSENT:
                    found = "NULL" if field is None else field.value
                    raise self._absent(change, f"column {self._table.columns[i].name} of the key is {found}")
                fields.append(self._field(change, i, field))
            return b",".join(fields)

        return encode

    def _field(self, change: Change, i: int, field: Any) -> bytes:
        name, encode = self._columns[i]
        try:
            return name + encode(field)
        except CONVERSION_ERRORS as error:
            column = self._table.columns[i]
            shown = repr(field)
            shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}… ({len(shown)} characters)"
            raise Malformed(
                UNCONVERTIBLE,
                f"column {column.name} ({column.type.native}): {error}; the field is {shown}",
                unconvertible(column),
                where=self._where(change),
            ) from error

    def _absent(self, change: Change, found: str) -> Malformed:
        return Malformed(
            UNAVAILABLE_VALUE,
            found,
            f"Have the log hold whole rows of {self._table} (PostgreSQL: REPLICA IDENTITY FULL, MySQL: "
            "binlog_row_image=FULL), and leave the table out until this event has passed.",
            where=self._where(change),
        )

    def _where(self, change: Change) -> str:
        return f"{self._table} at {change.position}"


def _generated(table: Table, chosen: Iterable[int], *, null: str) -> Encode:
    """The fields of these columns, parted by commas. `null`: the source of what stands for NULL; "": it
    raises, as for everything that is no value."""
    names: dict[str, Any] = {"join": b"".join}
    parts = []
    for place, i in enumerate(chosen):
        column = table.columns[i]
        source, used = field_expression(column, i)
        names |= used
        parts.append(repr(b"%b%b:" % (b"," if place else b"", json_string(column.name))))
        parts.append(f"({null} if f{i} is None else {source})" if null and column.optional else f"({source})")
    fields = "".join(f"f{i}, " for i in range(len(table.columns)))
    source = f"def encode(row):\n    {fields or '()'} = row\n    return join(({', '.join(parts)},))\n"
    if not parts:
        return lambda row: b""
    exec(compile(source, f"<plain rows of {table}>", "exec"), names)
    encode: Encode = names["encode"]
    return encode
