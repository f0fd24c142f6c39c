"""The format `debezium` with schemas: golden schemas, and every record readable as JsonConverter reads it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.abc import Record
from tailrace.events import ABSENT, Column, Op, Origin, Table
from tailrace.formats.connect_options import Options
from tailrace.formats.connect_types import Mapping
from tailrace.types import Kind, LogicalType
from tests.unit.debezium_samples import ID, change, encode, table, text_column
from tests.unit.test_debezium_envelope import messages
from tests.unit.test_debezium_text import Sample, column, samples

CUSTOMERS = table(ID, text_column("name", optional=False), text_column("e%mail"))

SOURCE = {
    "type": "struct",
    "fields": [
        {"type": "string", "optional": False, "field": "version"},
        {"type": "string", "optional": False, "field": "connector"},
        {"type": "string", "optional": False, "field": "name"},
        {"type": "int64", "optional": False, "field": "ts_ms"},
        {
            "type": "string",
            "optional": True,
            "name": "io.debezium.data.Enum",
            "version": 1,
            "parameters": {
                "allowed": "true,first,first_in_data_collection,last_in_data_collection,"
                "last,false,incremental"
            },
            "default": "false",
            "field": "snapshot",
        },
        {"type": "string", "optional": False, "field": "db"},
        {"type": "string", "optional": True, "field": "sequence"},
        {"type": "int64", "optional": True, "field": "ts_us"},
        {"type": "int64", "optional": True, "field": "ts_ns"},
        {"type": "string", "optional": False, "field": "schema"},
        {"type": "string", "optional": False, "field": "table"},
        {"type": "int64", "optional": True, "field": "txId"},
        {"type": "int64", "optional": True, "field": "lsn"},
        {"type": "int64", "optional": True, "field": "xmin"},
    ],
    "optional": False,
    "name": "io.debezium.connector.postgresql.Source",
    "version": 1,
    "field": "source",
}
TRANSACTION = {
    "type": "struct",
    "fields": [
        {"type": "string", "optional": False, "field": "id"},
        {"type": "int64", "optional": False, "field": "total_order"},
        {"type": "int64", "optional": False, "field": "data_collection_order"},
    ],
    "optional": True,
    "name": "event.block",
    "version": 1,
    "field": "transaction",
}


def row(field: str, *, name_optional: bool) -> dict[str, Any]:
    return {
        "type": "struct",
        "fields": [
            {"type": "int32", "optional": False, "field": "id"},
            {"type": "string", "optional": name_optional, "field": "name"},
            {"type": "string", "optional": True, "field": "e%mail"},
        ],
        "optional": True,
        "name": "orders.public.customers.Value",
        "field": field,
    }


ENVELOPE = {
    "type": "struct",
    "fields": [
        row("before", name_optional=True),
        row("after", name_optional=False),
        SOURCE,
        TRANSACTION,
        {"type": "string", "optional": False, "field": "op"},
        {"type": "int64", "optional": True, "field": "ts_ms"},
        {"type": "int64", "optional": True, "field": "ts_us"},
        {"type": "int64", "optional": True, "field": "ts_ns"},
    ],
    "optional": False,
    "name": "orders.public.customers.Envelope",
    "version": 2,
}
KEY = {
    "type": "struct",
    "fields": [{"type": "int32", "optional": False, "field": "id"}],
    "optional": False,
    "name": "orders.public.customers.Key",
}


def read(data: bytes | None) -> Any:
    """What JsonConverter makes of a record with `schemas.enable`: the payload, refused where it does not fit
    the schema beside it."""
    if data is None:
        return None
    whole = msgspec.json.decode(data)
    assert list(whole) == ["schema", "payload"]
    _check(whole["schema"], whole["payload"])
    return whole["payload"]


_PYTHON: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "int16": (int,),
    "int32": (int,),
    "int64": (int,),
    "float": (float, str),  # str: NaN and the infinities
    "double": (float, str),
    "string": (str,),
    "bytes": (str,),
    "array": (list,),
    "struct": (dict,),
}


def _check(schema: dict[str, Any], payload: Any) -> None:
    if payload is None:
        assert schema["optional"], schema
        return
    assert type(payload) in _PYTHON[schema["type"]], (schema, payload)
    if schema["type"] == "struct":
        assert list(payload) == [field["field"] for field in schema["fields"]]
        for field in schema["fields"]:
            _check(field, payload[field["field"]])
    if schema["type"] == "array":
        for item in payload:
            _check(schema["items"], item)


def same(written: Any, expected: Any) -> bool:
    """Equal in every field's order too."""
    return msgspec.json.encode(written) == msgspec.json.encode(expected)


def schema(data: bytes | None) -> Any:
    assert data is not None
    return msgspec.json.decode(data)["schema"]


@pytest.mark.parametrize(
    ("op", "before", "after"),
    [
        ("c", None, [b"1", b"Anne", None]),
        ("u", [b"1", ABSENT, ABSENT], [b"1", b"Anne", b"x"]),
        ("d", [b"1", ABSENT, ABSENT], None),
        ("t", None, None),
    ],
)
def test_a_tables_records_have_one_schema(op: Op, before: Any, after: Any) -> None:
    record, *tombstones = encode(change(op, CUSTOMERS, before, after), schemas=True)
    assert same(schema(record.value), ENVELOPE)
    assert read(record.value)["op"] == op
    if op == "t":
        assert record.key is None
    else:
        assert same(schema(record.key), KEY)
        assert read(record.key) == {"id": 1}
    assert [(tombstone.key, tombstone.value) for tombstone in tombstones] == [(record.key, None)] * (
        op == "d"
    )


def test_the_payload_is_the_record_without_schemas() -> None:
    event = change("u", CUSTOMERS, [b"1", ABSENT, ABSENT], [b"1", b"Anne", b"x"])
    [with_schema], [without] = encode(event, schemas=True), encode(event)
    for whole, payload in ((with_schema.key, without.key), (with_schema.value, without.value)):
        assert whole is not None
        assert payload is not None
        assert whole.endswith(b',"payload":' + payload + b"}")


def test_a_column_that_became_not_null_after_the_change_is_optional_there() -> None:
    early, late = encode(
        change("c", CUSTOMERS, None, [b"1", None, None]),
        change("c", CUSTOMERS, None, [b"1", b"x", None]),
        schemas=True,
    )
    assert read(early.value)["after"] == {"id": 1, "name": None, "e%mail": None}
    assert schema(early.value)["fields"][1] == row("after", name_optional=True)
    assert same(schema(late.value), ENVELOPE)


def test_logical_message() -> None:
    [record] = encode(change("m", messages(), None, [b"foo", b"bar"]), schemas=True)
    assert read(record.key) == {"prefix": "foo"}
    assert read(record.value)["message"] == {"prefix": "foo", "content": "YmFy"}
    assert same(
        schema(record.key),
        {
            "type": "struct",
            "fields": [{"type": "string", "optional": True, "field": "prefix"}],
            "optional": False,
            "name": "io.debezium.connector.postgresql.MessageKey",
            "version": 1,
        },
    )
    assert same(
        schema(record.value),
        {
            "type": "struct",
            "fields": [
                {"type": "string", "optional": False, "field": "op"},
                {"type": "int64", "optional": True, "field": "ts_ms"},
                SOURCE,
                TRANSACTION,
                {
                    "type": "struct",
                    "fields": [
                        {"type": "string", "optional": True, "field": "prefix"},
                        {"type": "bytes", "optional": True, "field": "content"},
                    ],
                    "optional": False,
                    "name": "io.debezium.connector.postgresql.Message",
                    "version": 1,
                    "field": "message",
                },
            ],
            "optional": False,
            "name": "io.debezium.connector.postgresql.MessageValue",
            "version": 1,
        },
    )


def test_a_source_block_without_schemas_has_an_optional_table() -> None:
    origin = Origin("mysql", "orders", None, ())
    [record] = encode(change("c", table(ID, origin=origin), None, [b"1"]), schemas=True)
    source = schema(record.value)["fields"][2]
    names = {field["field"]: field["optional"] for field in source["fields"]}
    assert "schema" not in names
    assert names["table"] is True


@pytest.mark.parametrize("mode", ["precise", "double", "string"])
def test_a_precise_unsigned_bigint_is_a_decimal_in_every_mode(mode: Any) -> None:
    type = LogicalType(Kind.DECIMAL, "bigint unsigned", precision=20, scale=0)
    form = Mapping(Options(decimal_handling_mode=mode)).form(type)
    assert form.schema["name"] == "org.apache.kafka.connect.data.Decimal"
    assert form.encode(Decimal(2**64 - 1)) == b'"AP//////////"'


def test_names_that_kafka_refuses_are_replaced_in_schema_names() -> None:
    [record] = encode(change("c", table(ID, name='Odd "name"'), None, [b"1"]), schemas=True)
    assert schema(record.key)["name"] == "orders.public.Odd__name_.Key"
    assert schema(record.value)["name"] == "orders.public.Odd__name_.Envelope"
    assert read(record.value)["source"]["table"] == 'Odd "name"'


def named(type: str, name: str, **parameters: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": type, "optional": True, "name": name, "version": 1}
    return schema | {"parameters": parameters} if parameters else schema


VARIABLE = {
    "type": "struct",
    "fields": [
        {"type": "int32", "optional": False, "field": "scale"},
        {"type": "bytes", "optional": False, "field": "value"},
    ],
    "optional": True,
    "name": "io.debezium.data.VariableScaleDecimal",
    "version": 1,
    "doc": "Variable scaled decimal",
}
DECIMAL = named("bytes", "org.apache.kafka.connect.data.Decimal") | {
    "parameters": {"scale": "2", "connect.decimal.precision": "12"}
}


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        (LogicalType(Kind.BOOLEAN, "bool"), {"type": "boolean", "optional": True}),
        (LogicalType(Kind.INT16, "int2"), {"type": "int16", "optional": True}),
        (LogicalType(Kind.FLOAT32, "float4"), {"type": "float", "optional": True}),
        (LogicalType(Kind.FLOAT64, "float8"), {"type": "double", "optional": True}),
        (LogicalType(Kind.BYTES, "bytea"), {"type": "bytes", "optional": True}),
        (LogicalType(Kind.DECIMAL, "numeric", precision=12, scale=2), DECIMAL),
        (LogicalType(Kind.DECIMAL, "numeric"), VARIABLE),
        (LogicalType(Kind.DATE, "date"), named("int32", "io.debezium.time.Date")),
        (LogicalType(Kind.TIME, "time", precision=3), named("int32", "io.debezium.time.Time")),
        (LogicalType(Kind.TIME, "time", precision=4), named("int64", "io.debezium.time.MicroTime")),
        (LogicalType(Kind.TIMETZ, "timetz"), named("string", "io.debezium.time.ZonedTime")),
        (LogicalType(Kind.TIMESTAMP, "timestamp", precision=0), named("int64", "io.debezium.time.Timestamp")),
        (LogicalType(Kind.TIMESTAMP, "timestamp"), named("int64", "io.debezium.time.MicroTimestamp")),
        (LogicalType(Kind.TIMESTAMPTZ, "timestamptz"), named("string", "io.debezium.time.ZonedTimestamp")),
        (LogicalType(Kind.UUID, "uuid"), named("string", "io.debezium.data.Uuid")),
        (LogicalType(Kind.JSON, "jsonb"), named("string", "io.debezium.data.Json")),
        (
            LogicalType(Kind.ENUM, "mood", labels=("sad", "ok")),
            named("string", "io.debezium.data.Enum", allowed="sad,ok"),
        ),
        (
            LogicalType(Kind.ARRAY, "numeric[]", element=LogicalType(Kind.DECIMAL, "numeric")),
            {"type": "array", "items": VARIABLE, "optional": True},
        ),
    ],
)
def test_type(type: LogicalType, expected: Any) -> None:
    assert same(Mapping().form(type).schema | {"optional": True}, expected)


@given(st.lists(st.tuples(samples, st.booleans(), st.booleans()), min_size=1))
def test_every_record_fits_its_schema(shape: list[tuple[Sample, bool, bool]]) -> None:
    """Also where a column holds NULL that should not."""
    columns: list[Column] = [
        column(f"c{i}", sample, optional=optional) for i, (sample, optional, _) in enumerate(shape)
    ]
    fields = [None if null and i else sample[2].encode() for i, (sample, _, null) in enumerate(shape)]
    key_only = [fields[0], *[ABSENT] * (len(fields) - 1)]
    rows: Table = table(*columns)
    records: Sequence[Record] = encode(
        change("c", rows, None, fields),
        change("u", rows, fields, fields),
        change("d", rows, key_only),
        schemas=True,
    )
    for record in records:
        read(record.key)
        read(record.value)
