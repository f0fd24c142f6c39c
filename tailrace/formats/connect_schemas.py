"""Kafka Connect schemas as JsonConverter writes them, with Debezium's names for its logical types.

What the envelope adds to the schemas of the columns in `connect_types`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tailrace.events import Column, Table
from tailrace.formats.connect_types import Mapping, Schema, field, named, primitive

SNAPSHOT: Final = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"


def key_schema(table: Table, name: str, mapping: Mapping) -> Schema:
    """The schema of a table's keys; `name` is the schema's prefix, as the topic's."""
    fields = [_column(table.columns[i], mapping, optional=False) for i in table.key]
    return _struct(fields, f"{name}.Key", optional=False)


def envelope_schema(table: Table, name: str, mapping: Mapping, nullable: Collection[int] = ()) -> Schema:
    """The schema of a table's change events. `nullable`: columns that are optional here whatever the table
    says.

    In `before` every column outside the key is optional: an old row may be its key alone, and a reader
    refuses null in a field that is not optional.
    """
    columns = list(enumerate(table.columns))
    before = [
        _column(column, mapping, optional=column.optional or i not in table.key) for i, column in columns
    ]
    after = [_column(column, mapping, optional=column.optional or i in nullable) for i, column in columns]
    return _struct(
        [
            field(_struct(before, f"{name}.Value", optional=True), "before"),
            field(_struct(after, f"{name}.Value", optional=True), "after"),
            _source(table, mapping),
            field(_TRANSACTION, "transaction"),
            field(primitive("string"), "op"),
            *(field(primitive("int64", optional=True), unit) for unit in ("ts_ms", "ts_us", "ts_ns")),
        ],
        f"{name}.Envelope",
        optional=False,
        version=2,
    )


def message_key_schema(table: Table, mapping: Mapping) -> Schema:
    """The schema of a logical message's key."""
    fields = [_column(table.columns[i], mapping, optional=True) for i in table.key]
    return _struct(
        fields, f"io.debezium.connector.{table.origin.connector}.MessageKey", optional=False, version=1
    )


def message_schema(table: Table, mapping: Mapping) -> Schema:
    """The schema of a logical message's value."""
    prefix = f"io.debezium.connector.{table.origin.connector}"
    fields = [_column(column, mapping, optional=True) for column in table.columns]
    return _struct(
        [
            field(primitive("string"), "op"),
            field(primitive("int64", optional=True), "ts_ms"),
            _source(table, mapping),
            field(_TRANSACTION, "transaction"),
            field(_struct(fields, f"{prefix}.Message", optional=False, version=1), "message"),
        ],
        f"{prefix}.MessageValue",
        optional=False,
        version=1,
    )


def _source(table: Table, mapping: Mapping) -> Schema:
    origin = table.origin
    snapshot = named("string", "io.debezium.data.Enum", {"allowed": SNAPSHOT}) | {
        "optional": True,
        "default": "false",
    }
    has_schemas = origin.database is not None
    fields = [
        field(primitive("string"), "version"),
        field(primitive("string"), "connector"),
        field(primitive("string"), "name"),
        field(primitive("int64"), "ts_ms"),
        field(snapshot, "snapshot"),
        field(primitive("string"), "db"),
        field(primitive("string", optional=True), "sequence"),
        field(primitive("int64", optional=True), "ts_us"),
        field(primitive("int64", optional=True), "ts_ns"),
        *([field(primitive("string"), "schema")] if has_schemas else []),
        field(primitive("string", optional=not has_schemas), "table"),  # Debezium names it so
    ]
    fields += [
        field(mapping.form(own.type).schema | {"optional": own.optional}, own.name)
        for own in origin.fields
        if own.name != "sequence"
    ]
    struct = _struct(fields, f"io.debezium.connector.{origin.connector}.Source", optional=False, version=1)
    return field(struct, "source")


def _struct(fields: list[Schema], name: str, *, optional: bool, version: int | None = None) -> Schema:
    schema: Schema = {"type": "struct", "fields": fields, "optional": optional, "name": name}
    return schema if version is None else schema | {"version": version}


def _column(column: Column, mapping: Mapping, *, optional: bool) -> Schema:
    return field(mapping.form(column.type).schema | {"optional": optional}, column.name)


_TRANSACTION: Final = _struct(
    [
        field(primitive("string"), "id"),
        field(primitive("int64"), "total_order"),
        field(primitive("int64"), "data_collection_order"),
    ],
    "event.block",
    optional=True,
    version=1,
)
