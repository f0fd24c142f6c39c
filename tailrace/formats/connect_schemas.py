"""Kafka Connect schemas as JsonConverter writes them, with Debezium's names for its logical types.

A schema is a dict in JsonConverter's order of fields: type, items or fields, optional, name, version, doc,
parameters, default, and in a struct the field's name.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, TypeAlias

from tailrace.events import Column, Table
from tailrace.formats.connect_values import in_milliseconds, is_one_bit
from tailrace.types import Kind, LogicalType

Schema: TypeAlias = dict[str, Any]

SNAPSHOT: Final = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"

# The Connect type of a kind, and the name of its meaning where it has one.
_TYPES: Final[dict[Kind, tuple[str, str | None]]] = {
    Kind.BOOLEAN: ("boolean", None),
    Kind.INT16: ("int16", None),
    Kind.INT32: ("int32", None),
    Kind.INT64: ("int64", None),
    Kind.FLOAT32: ("float", None),
    Kind.FLOAT64: ("double", None),
    Kind.STRING: ("string", None),
    Kind.BYTES: ("bytes", None),
    Kind.DATE: ("int32", "io.debezium.time.Date"),
    Kind.TIMETZ: ("string", "io.debezium.time.ZonedTime"),
    Kind.TIMESTAMPTZ: ("string", "io.debezium.time.ZonedTimestamp"),
    Kind.UUID: ("string", "io.debezium.data.Uuid"),
    Kind.JSON: ("string", "io.debezium.data.Json"),
    Kind.MAP: ("string", "io.debezium.data.Json"),
    Kind.XML: ("string", "io.debezium.data.Xml"),
    Kind.INTERVAL: ("int64", "io.debezium.time.MicroDuration"),
    Kind.ENUM: ("string", "io.debezium.data.Enum"),
}


# Texts that have a name of their own there.
_NATIVE: Final = {"tsvector": "io.debezium.data.Tsvector", "ltree": "io.debezium.data.Ltree"}

_UNBOUNDED: Final = 2**31 - 1  # bits


def type_schema(type: LogicalType, *, optional: bool) -> Schema:
    """The schema of a type's values."""
    if type.kind is Kind.DECIMAL and type.scale is None:
        return {
            "type": "struct",
            "fields": [_field(_primitive("int32"), "scale"), _field(_primitive("bytes"), "value")],
            "optional": optional,
            "name": "io.debezium.data.VariableScaleDecimal",
            "version": 1,
            "doc": "Variable scaled decimal",
        }
    if type.kind is Kind.DECIMAL:
        parameters = {"scale": str(type.scale)}
        if type.precision is not None:
            parameters["connect.decimal.precision"] = str(type.precision)
        return _named("bytes", "org.apache.kafka.connect.data.Decimal", optional, parameters)
    if type.kind is Kind.TIME:
        if in_milliseconds(type):
            return _named("int32", "io.debezium.time.Time", optional)
        return _named("int64", "io.debezium.time.MicroTime", optional)
    if type.kind is Kind.TIMESTAMP:
        unit = "Timestamp" if in_milliseconds(type) else "MicroTimestamp"
        return _named("int64", f"io.debezium.time.{unit}", optional)
    if type.kind is Kind.BITS:
        if is_one_bit(type):
            return _primitive("boolean", optional=optional)
        length = _UNBOUNDED if type.length is None else type.length
        return _named("bytes", "io.debezium.data.Bits", optional, {"length": str(length)})
    if type.kind is Kind.POINT:
        return _point(optional)
    if type.kind is Kind.ARRAY:
        if type.element is None:
            raise ValueError(f"array type {type.native} has no element type")
        return {"type": "array", "items": type_schema(type.element, optional=True), "optional": optional}
    connect, name = _TYPES[type.kind]
    if type.kind is Kind.STRING:
        name = _NATIVE.get(type.native)
    if name is None:
        return _primitive(connect, optional=optional)
    if type.kind is Kind.ENUM:
        return _named(connect, name, optional, {"allowed": ",".join(type.labels)})
    return _named(connect, name, optional)


def key_schema(table: Table, name: str) -> Schema:
    """The schema of a table's keys; `name` is the schema's prefix, as the topic's."""
    fields = [_column(table.columns[i], optional=False) for i in table.key]
    return _struct(fields, f"{name}.Key", optional=False)


def envelope_schema(table: Table, name: str, nullable: Collection[int] = ()) -> Schema:
    """The schema of a table's change events. `nullable`: columns that are optional here whatever the table
    says.

    In `before` every column outside the key is optional: an old row may be its key alone, and a reader
    refuses null in a field that is not optional.
    """
    columns = list(enumerate(table.columns))
    before = [_column(column, optional=column.optional or i not in table.key) for i, column in columns]
    after = [_column(column, optional=column.optional or i in nullable) for i, column in columns]
    return _struct(
        [
            _field(_struct(before, f"{name}.Value", optional=True), "before"),
            _field(_struct(after, f"{name}.Value", optional=True), "after"),
            _source(table),
            _field(_TRANSACTION, "transaction"),
            _field(_primitive("string"), "op"),
            *(_field(_primitive("int64", optional=True), unit) for unit in ("ts_ms", "ts_us", "ts_ns")),
        ],
        f"{name}.Envelope",
        optional=False,
        version=2,
    )


def message_key_schema(table: Table) -> Schema:
    """The schema of a logical message's key."""
    fields = [_column(table.columns[i], optional=True) for i in table.key]
    return _struct(
        fields, f"io.debezium.connector.{table.origin.connector}.MessageKey", optional=False, version=1
    )


def message_schema(table: Table) -> Schema:
    """The schema of a logical message's value."""
    prefix = f"io.debezium.connector.{table.origin.connector}"
    fields = [_column(column, optional=True) for column in table.columns]
    return _struct(
        [
            _field(_primitive("string"), "op"),
            _field(_primitive("int64", optional=True), "ts_ms"),
            _source(table),
            _field(_TRANSACTION, "transaction"),
            _field(_struct(fields, f"{prefix}.Message", optional=False, version=1), "message"),
        ],
        f"{prefix}.MessageValue",
        optional=False,
        version=1,
    )


def _source(table: Table) -> Schema:
    origin = table.origin
    snapshot = _named("string", "io.debezium.data.Enum", True, {"allowed": SNAPSHOT}) | {"default": "false"}
    fields = [
        _field(_primitive("string"), "version"),
        _field(_primitive("string"), "connector"),
        _field(_primitive("string"), "name"),
        _field(_primitive("int64"), "ts_ms"),
        _field(snapshot, "snapshot"),
        _field(_primitive("string"), "db"),
        _field(_primitive("string", optional=True), "sequence"),
        _field(_primitive("int64", optional=True), "ts_us"),
        _field(_primitive("int64", optional=True), "ts_ns"),
        _field(_primitive("string"), "schema"),
        _field(_primitive("string"), "table"),
    ]
    fields += [
        _field(type_schema(field.type, optional=field.optional), field.name)
        for field in origin.fields
        if field.name != "sequence"
    ]
    struct = _struct(fields, f"io.debezium.connector.{origin.connector}.Source", optional=False, version=1)
    return _field(struct, "source")


def _point(optional: bool) -> Schema:
    return {
        "type": "struct",
        "fields": [
            _field(_primitive("double"), "x"),
            _field(_primitive("double"), "y"),
            _field(_primitive("bytes", optional=True), "wkb"),
            _field(_primitive("int32", optional=True), "srid"),
        ],
        "optional": optional,
        "name": "io.debezium.data.geometry.Point",
        "version": 1,
        "doc": "Geometry (POINT)",
    }


def _primitive(type: str, *, optional: bool = False) -> Schema:
    return {"type": type, "optional": optional}


def _named(type: str, name: str, optional: bool, parameters: dict[str, str] | None = None) -> Schema:
    schema: Schema = {"type": type, "optional": optional, "name": name, "version": 1}
    return schema | {"parameters": parameters} if parameters else schema


def _struct(fields: list[Schema], name: str, *, optional: bool, version: int | None = None) -> Schema:
    schema: Schema = {"type": "struct", "fields": fields, "optional": optional, "name": name}
    return schema if version is None else schema | {"version": version}


def _field(schema: Schema, name: str) -> Schema:
    return schema | {"field": name}


def _column(column: Column, *, optional: bool) -> Schema:
    return _field(type_schema(column.type, optional=optional), column.name)


_TRANSACTION: Final = _struct(
    [
        _field(_primitive("string"), "id"),
        _field(_primitive("int64"), "total_order"),
        _field(_primitive("int64"), "data_collection_order"),
    ],
    "event.block",
    optional=True,
    version=1,
)
