"""Rows as JSON objects: functions generated for one table version, and their slow, careful twins.

A generated function is one expression that joins the constant parts of the object with each field's JSON; it
raises one of `CONVERSION_ERRORS` for a row that is not the usual one. `ReferenceRows` knows every case, goes
through each field's value, and raises the error that a person reads. Where both give bytes, they are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias

from tailrace.errors import Malformed, code
from tailrace.events import ABSENT, UNCHANGED, Column, Missing, Row, Table
from tailrace.expressions import Expression, Inline
from tailrace.formats.connect_types import Mapping
from tailrace.formats.connect_values import json_string

UNCONVERTIBLE = code(
    "TR-FMT-001",
    "value cannot be converted",
    "A field does not hold a value of its column's type, or one that the format cannot express (a numeric "
    "NaN, a timestamp outside of 64 bits). To deliver anything else in its place would be silent corruption.",
)
UNAVAILABLE_VALUE = code(
    "TR-FMT-002",
    "value is not in the log",
    "The log left out a value (unchanged TOAST, or an old row that holds its key alone) in a place where the "
    "format has nothing to stand for it: in the key, or in a column of numbers.",
)

CONVERSION_ERRORS: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What conversions of a field raise when it is not what they expect."""

ObjectEncoder: TypeAlias = Callable[[Row | None, bytes, bytes], bytes]
"""(row, head, tail) → head, the row as a JSON object, tail. No row is an error."""

UpdateEncoder: TypeAlias = Callable[[Row, Row | None, bytes, bytes, bytes], bytes]
"""(old row, new row, head, middle, tail) → head, the old row, middle, the new row, tail."""

_SHOWN: Final = 60  # of a field, in an error


def unconvertible(column: Column) -> str:
    """What to do where a format cannot express a value of the column."""
    if column.type.native == "bigint unsigned":  # of MySQL, whose source may map it to another type
        return (
            "Write bigint_unsigned_handling_mode: precise under source:, and start again. Or leave the "
            "column out of the pipeline."
        )
    return "Leave the column or the table out of the pipeline, or correct what wrote the value."


class Rows(Protocol):
    """The encoders of a table version's rows."""

    @property
    def key(self) -> ObjectEncoder:
        """The key's columns alone."""

    @property
    def after(self) -> ObjectEncoder:
        """A new row: what did not change and is not in the log is a placeholder."""

    @property
    def before(self) -> ObjectEncoder:
        """An old row: what is not in the log is null."""

    @property
    def update(self) -> UpdateEncoder:
        """An old row as `before` writes it, and the new one as `after` does."""


class GeneratedRows:
    """Fast, for the usual row; made when first used."""

    def __init__(self, table: Table, mapping: Mapping) -> None:
        self._table = table
        self._mapping = mapping

    @cached_property
    def key(self) -> ObjectEncoder:
        return self._generate(self._table.key, lambda column: ())

    @cached_property
    def after(self) -> ObjectEncoder:
        return self._generate(range(len(self._table.columns)), self._missing_after)

    @cached_property
    def before(self) -> ObjectEncoder:
        return self._generate(range(len(self._table.columns)), _missing_before)

    @cached_property
    def update(self) -> UpdateEncoder:
        """Most fields of both rows are equal: what takes a call to write is written once for both."""
        names: dict[str, Any] = dict(_NAMES)
        every = range(len(self._table.columns))
        old, new = {}, {}
        for i in every:
            expression = self._expression(i, names)
            old[i] = self._json(i, expression, f"o{i}", _missing_before)
            new[i] = self._json(i, expression, f"f{i}", self._missing_after)
            if expression.names:
                old[i] = f"(j{i} := {old[i]})"
                new[i] = f"(j{i} if f{i}.__class__ is bytes and f{i} == o{i} else {new[i]})"
        source = (
            "def encode(old, new, head, middle, tail):\n"
            f"    [{', '.join([f'o{i}' for i in every])}] = old\n"
            f"    [{', '.join([f'f{i}' for i in every])}] = new\n"
            f"    return join((head, {self._object(old)}, middle, {self._object(new)}, tail))\n"
        )
        encoder: UpdateEncoder = self._made(source, names)
        return encoder

    def _generate(
        self, indexes: Iterable[int], missing: Callable[[Column], Iterable[tuple[str, bytes]]]
    ) -> ObjectEncoder:
        names: dict[str, Any] = dict(_NAMES)
        chosen = list(indexes)
        fields = {i: self._json(i, self._expression(i, names), f"f{i}", missing) for i in chosen}
        whole = chosen == list(range(len(self._table.columns)))
        values = "row" if whole else f"[{', '.join([f'row[{i}]' for i in chosen])}]"
        source = (
            "def encode(row, head, tail):\n"
            f"    [{', '.join([f'f{i}' for i in chosen])}] = {values}\n"
            f"    return join((head, {self._object(fields)}, tail))\n"
        )
        encoder: ObjectEncoder = self._made(source, names)
        return encoder

    def _made(self, source: str, names: dict[str, Any]) -> Any:
        exec(compile(source, f"<rows of {self._table}>", "exec"), names)
        return names["encode"]

    def _object(self, fields: dict[int, str]) -> str:
        """The source of an object's parts, of the source of the JSON of each of its fields."""
        parts = []
        head = b"{"
        for i, json in fields.items():
            parts += [repr(b"%b%b:" % (head, json_string(self._table.columns[i].name))), json]
            head = b","
        return ", ".join([*parts, "b'}'"]) if parts else "b'{}'"

    def _expression(self, i: int, names: dict[str, Any]) -> Expression:
        """What makes JSON of a field; adds the names that it uses."""
        expression = _expression(self._table.columns[i], self._mapping)
        names |= expression.bound(i)
        return expression

    def _json(
        self,
        i: int,
        expression: Expression,
        field: str,
        missing: Callable[[Column], Iterable[tuple[str, bytes]]],
    ) -> str:
        """The source of the JSON of a field of that name."""
        source = expression.of(field, i)
        for value, json in reversed(tuple(missing(self._table.columns[i]))):
            source = f"{json!r} if {field} is {value} else {source}"
        return f"({source})"

    def _missing_after(self, column: Column) -> Iterator[tuple[str, bytes]]:
        if column.optional:
            yield "None", b"null"
        if (placeholder := self._mapping.form(column.type).placeholder) is not None:
            yield "UNCHANGED", placeholder


_NAMES: Final = {"join": b"".join, "UNCHANGED": UNCHANGED, "ABSENT": ABSENT}


def _missing_before(column: Column) -> Iterable[tuple[str, bytes]]:
    return ("None", b"null"), ("ABSENT", b"null")


def _expression(column: Column, mapping: Mapping) -> Expression:
    """A field's JSON."""
    form = mapping.form(column.type)
    if column.text:
        return form.splice(_by_value(column, mapping))
    if isinstance(column.value, Inline) and form.inline is not None:
        return form.inline.after(column.value.expression)
    return Expression("encode{n}(value{n}({f}))", {"encode{n}": form.encode, "value{n}": column.value})


def _by_value(column: Column, mapping: Mapping) -> Callable[[Any], bytes]:
    encode = mapping.form(column.type).encode
    value = column.value
    return lambda field: encode(value(field))


class ReferenceRows:
    """Slow, for every row. `where` names the event in errors. Encoders raise Malformed."""

    def __init__(self, table: Table, where: str, mapping: Mapping) -> None:
        self._table = table
        self._where = where
        self._mapping = mapping

    def key(self, row: Row | None, head: bytes, tail: bytes) -> bytes:
        """See `Rows`."""
        return self._encode(row, self._table.key, head, tail, self._key)

    def after(self, row: Row | None, head: bytes, tail: bytes) -> bytes:
        """See `Rows`."""
        return self._encode(row, range(len(self._table.columns)), head, tail, self._after)

    def before(self, row: Row | None, head: bytes, tail: bytes) -> bytes:
        """See `Rows`."""
        return self._encode(row, range(len(self._table.columns)), head, tail, self._before)

    def update(self, old: Row, new: Row | None, head: bytes, middle: bytes, tail: bytes) -> bytes:
        """See `Rows`."""
        return self.after(new, self.before(old, head, middle), tail)

    def _encode(
        self,
        row: Row | None,
        indexes: Iterable[int],
        head: bytes,
        tail: bytes,
        encode: Callable[[Column, Any], bytes],
    ) -> bytes:
        if row is None:
            raise Malformed(
                UNAVAILABLE_VALUE,
                "the event has no such row",
                "Give the table a replica identity that holds its key.",
                where=self._where,
            )
        if len(row) != len(self._table.columns):
            raise AssertionError(f"{self._where}: {len(row)} fields, {len(self._table.columns)} columns")
        columns = self._table.columns
        fields = [b"%b:%b" % (json_string(columns[i].name), encode(columns[i], row[i])) for i in indexes]
        return b"%b{%b}%b" % (head, b",".join(fields), tail)

    def _key(self, column: Column, field: Any) -> bytes:
        if field is None or isinstance(field, Missing):
            raise self._unavailable(column, field)
        return self._value(column, field)

    def _after(self, column: Column, field: Any) -> bytes:
        if field is None:
            return b"null"
        if isinstance(field, Missing):
            placeholder = self._mapping.form(column.type).placeholder
            if field is ABSENT or placeholder is None:
                raise self._unavailable(column, field)
            return placeholder
        return self._value(column, field)

    def _before(self, column: Column, field: Any) -> bytes:
        return b"null" if field is ABSENT else self._after(column, field)

    def _value(self, column: Column, field: Any) -> bytes:
        try:
            return _by_value(column, self._mapping)(field)
        except CONVERSION_ERRORS as error:
            shown = repr(field)
            if len(shown) > _SHOWN:
                shown = f"{shown[:_SHOWN]}… ({len(shown)} characters)"
            raise Malformed(
                UNCONVERTIBLE,
                f"column {column.name} ({column.type.native}): {error}; the field is {shown}",
                unconvertible(column),
                where=self._where,
            ) from error

    def _unavailable(self, column: Column, field: Missing | None) -> Malformed:
        found = "NULL" if field is None else field.value
        return Malformed(
            UNAVAILABLE_VALUE,
            f"column {column.name} ({column.type.native}) is {found}",
            f"Have the log hold whole rows of {self._table} (PostgreSQL: REPLICA IDENTITY FULL, MySQL: "
            "binlog_row_image=FULL), and leave the column or the table out until this event has passed. What "
            "never is in the log, as MariaDB's generated columns, can only be left out: as a column, or with "
            "format: {unavailable_values: omit} where it is missing.",
            where=self._where,
        )
