"""Begins and ends of transactions in each format, and the block of the changes between them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from connectors.postgres.relations import Relations
from tailrace.abc import Format
from tailrace.events import Batch, Change, Event, Op, SchemaChange
from tailrace.formats.debezium import DebeziumFormat
from tailrace.formats.flat import FlatFormat
from tailrace.formats.plain import PlainFormat
from tailrace.topics import TopicTemplate
from tests.unit.debezium_samples import ID, TRANSACTION, change, table

ORDERS = table(ID, name="orders")
BOUNDARIES = table(name="transaction", key=())
TOLD = msgspec.structs.replace(TRANSACTION, block="555:{offset}")
NEXT = msgspec.structs.replace(TOLD, block="556:{offset}")
FORMATS: list[Format] = [
    DebeziumFormat(DebeziumFormat.Settings()),
    FlatFormat(FlatFormat.Settings(add_fields=("lsn",))),
    PlainFormat(PlainFormat.Settings()),
]


def boundary(op: Op, offset: int, *counts: tuple[str, int], transaction: Any = TOLD) -> Change:
    return Change(op, BOUNDARIES, transaction, 1, -1 if op == "b" else 0, offset, counts)


EVENTS: list[Event] = [
    SchemaChange(BOUNDARIES, TOLD, 1),
    boundary("b", 10),
    msgspec.structs.replace(change("c", ORDERS, None, [b"1"], transaction=TOLD, offset=11), order=(1, 1)),
    msgspec.structs.replace(change("u", ORDERS, None, [b"1"], transaction=TOLD, offset=12), order=(2, 2)),
    boundary("e", 13, ("public.orders", 2)),
    boundary("b", 14, transaction=NEXT),
    boundary("e", 15, ("public.orders", 0), transaction=NEXT),
]


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: type(format).__name__)
def test_every_format_writes_them_alike(format: Format) -> None:
    records = [record for record in format.encode(EVENTS) if record.change.op in ("b", "e")]
    assert [(record.index, record.key, record.value) for record in records] == [
        (
            -1,
            b'{"id":"555:10"}',
            b'{"status":"BEGIN","id":"555:10","event_count":null,"data_collections":null,"ts_ms":1559033904863}',
        ),
        (
            0,
            b'{"id":"555:13"}',
            b'{"status":"END","id":"555:13","event_count":2,"data_collections":'
            b'[{"data_collection":"public.orders","event_count":2}],"ts_ms":1559033904863}',
        ),
        (
            -1,
            b'{"id":"556:14"}',
            b'{"status":"BEGIN","id":"556:14","event_count":null,"data_collections":null,"ts_ms":1559033904863}',
        ),
        (
            0,
            b'{"id":"556:15"}',
            b'{"status":"END","id":"556:15","event_count":0,"data_collections":'
            b'[{"data_collection":"public.orders","event_count":0}],"ts_ms":1559033904863}',
        ),
    ]


def test_changes_between_them_have_the_block() -> None:
    records = [record for record in FORMATS[0].encode(EVENTS) if record.change.op not in ("b", "e")]
    assert [json.loads(record.value or b"")["transaction"] for record in records] == [
        {"id": "555:11", "total_order": 1, "data_collection_order": 1},
        {"id": "555:12", "total_order": 2, "data_collection_order": 2},
    ]


def test_they_are_no_changes_of_the_database() -> None:
    """Where changes are counted: in the status and the metrics."""
    topic = TopicTemplate("{pipeline}.transaction")
    relations = Relations(ORDERS.origin, lambda schema, name: True, transaction_topic=topic)
    assert relations.boundaries is not None
    told, message = relations.boundaries.table, relations.messages.table
    events: list[Event] = [
        SchemaChange(told, TOLD, 1),
        Change("b", told, TOLD, 1, -1, 10, ()),
        SchemaChange(ORDERS, TOLD, 1),
        change("c", ORDERS, None, [b"1"], transaction=TOLD, offset=11),
        Change("m", message, TOLD, 2, 0, 12, b""),
        Change("e", told, TOLD, 3, 0, 13, (("public.orders", 1), ("message", 1))),
    ]
    assert Batch(events, {}, commit=True, size=1).changes == {ORDERS: 1, message: 1}
