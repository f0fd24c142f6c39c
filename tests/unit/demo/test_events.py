"""Events are read back as they were written, by a converter that shares nothing with the format."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tailrace.demo.events import LoggedEvent, LogTail, read_value
from tailrace.hooks import DemoTable
from tailrace.log import Reader, Retention, Writer
from tailrace.testing.events import checkpoint
from tailrace.types import Kind, LogicalType

PRICE = LogicalType(Kind.DECIMAL, "numeric", precision=10, scale=2)
INSTANT = LogicalType(Kind.TIMESTAMPTZ, "timestamptz", precision=6)
TABLES = {
    "public.orders": DemoTable({"id": LogicalType(Kind.INT32, "integer"), "total": PRICE}, ("id",)),
    "items": DemoTable({"sku": LogicalType(Kind.STRING, "text")}, ("sku",)),
}


@pytest.mark.parametrize(
    ("type", "written", "value"),
    [
        (PRICE, None, None),
        (PRICE, "AA==", Decimal("0.00")),
        (PRICE, "F20=", Decimal("59.97")),
        (PRICE, "6JM=", Decimal("-59.97")),
        (PRICE, "AIA=", Decimal("1.28")),
        (INSTANT, "1970-01-01T00:00:00.000001Z", 1),
        (INSTANT, "2026-11-24T03:20:15.123456Z", 1795490415123456),
        (INSTANT, "1969-12-31T23:59:59.999999Z", -1),
        (LogicalType(Kind.JSON, "jsonb"), '{"a": 1}', '{"a": 1}'),
        (LogicalType(Kind.INT64, "bigint"), 2**62, 2**62),
    ],
)
def test_values(type: LogicalType, written: Any, value: Any) -> None:
    assert read_value(type, written) == value


def row(transaction: int, index: int, key: dict[str, Any], value: dict[str, Any] | None) -> Sequence[Any]:
    """What the log's writer takes: an empty place for the offset, timestamp, identity, key, value."""
    encoded = None if value is None else json.dumps(value).encode()
    return [None, 1_000_000, f"{transaction:04}", 1, index, json.dumps(key).encode(), encoded]


def test_the_tail_reads_on(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "log.db", "shop/log", Retention())
    writer.append({}, checkpoint(1, {}))
    reader = Reader(tmp_path / "log.db")
    tail = LogTail(reader, TABLES)
    assert tail.read() == []

    orders = {"schema": "public", "table": "orders"}
    created = row(1, 0, {"id": 1}, {"op": "c", "source": orders, "after": {"id": 1, "total": "F20="}})
    writer.append({"shop.public.orders": [*created]}, checkpoint(2, {}))
    (event,) = tail.read()
    assert event == LoggedEvent(
        "public.orders", "c", (1,), {"id": 1, "total": Decimal("59.97")}, ("0001", 1, 0), 1_000_000
    )

    deleted = row(2, 0, {"id": 1}, {"op": "d", "source": orders, "after": None})
    item = row(3, 0, {"sku": "mug"}, {"op": "c", "source": {"table": "items"}, "after": {"sku": "mug"}})
    writer.append(
        {"shop.public.orders": [*deleted, *row(2, 1, {"id": 1}, None)], "shop.items": [*item]},
        checkpoint(3, {}),
    )
    events = {(event.table, event.op): event for event in tail.read()}
    assert events.keys() == {("public.orders", "d"), ("public.orders", None), ("items", "c")}
    assert {dataclasses.astuple(event)[2] for event in events.values()} == {(1,), ("mug",)}
    assert tail.read() == []
    reader.close()
    writer.close()
