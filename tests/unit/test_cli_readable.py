"""`tailrace log read` shows fields as people expect them: as they were before the format wrote them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tailrace.cli.events import event_line
from tailrace.cli.readable import readable
from tailrace.events import UNCHANGED, Column
from tailrace.formats.connect_options import Options
from tailrace.formats.connect_types import Mapping
from tailrace.log import Entry
from tailrace.types import Kind, LogicalType
from tests.unit.debezium_samples import ID, change, encode, table

PRICE = LogicalType(Kind.DECIMAL, "numeric", precision=12, scale=2)
NUMERIC = LogicalType(Kind.DECIMAL, "numeric")
MOMENT = LogicalType(Kind.TIMESTAMP, "timestamp", precision=6)
MOMENT_3 = LogicalType(Kind.TIMESTAMP, "timestamp", precision=3)
DURATION = LogicalType(Kind.DURATION, "time", precision=6)
TIME = LogicalType(Kind.TIME, "time", precision=6)
DATE = LogicalType(Kind.DATE, "date")
BITS = LogicalType(Kind.BITS, "bit", length=5)


@pytest.mark.parametrize(
    ("type", "value", "options", "shown"),
    [
        (PRICE, Decimal("14285.57"), {}, "14285.57"),
        (PRICE, Decimal("-0.01"), {}, "-0.01"),
        (PRICE, Decimal("12.50"), {"decimal_handling_mode": "string"}, "12.50"),
        (PRICE, Decimal("12.50"), {"decimal_handling_mode": "double"}, 12.5),
        (LogicalType(Kind.DECIMAL, "numeric", precision=5, scale=-3), Decimal(12_000), {}, "12000"),
        (NUMERIC, Decimal("1.10"), {}, "1.1"),
        (LogicalType(Kind.ARRAY, "numeric[]", element=PRICE), [Decimal("1.50"), None], {}, ["1.50", None]),
        (LogicalType(Kind.BYTES, "bytea"), b"\x00\xff", {}, "\\x00ff"),
        (LogicalType(Kind.BYTES, "bytea"), b"\x00\xff", {"binary_handling_mode": "hex"}, "00ff"),
        (BITS, "00101", {}, "00101"),
        (LogicalType(Kind.BITS, "varbit"), "101", {}, "101"),
        (LogicalType(Kind.POINT, "point"), (1.5, -2.0), {}, "(1.5,-2.0)"),
        (LogicalType(Kind.GEOMETRY, "geometry"), (None, b"\x01\xab"), {}, "01AB"),
        (DATE, -1, {}, "1969-12-31"),
        (DATE, math.inf, {}, "infinity"),
        (DATE, 0, {"time_precision_mode": "connect"}, "1970-01-01"),
        (TIME, 47_655_500_000, {}, "13:14:15.5"),
        (DURATION, -47_655_500_000, {}, "-13:14:15.5"),
        (DURATION, 3_020_399_000_000, {}, "838:59:59"),
        (TIME, 86_400_000_000, {"time_precision_mode": "nanoseconds"}, "24:00:00"),
        (MOMENT, -1, {}, "1969-12-31T23:59:59.999999"),
        (MOMENT, -math.inf, {}, "-infinity"),
        (MOMENT, 1_000_001, {"time_precision_mode": "nanoseconds"}, "1970-01-01T00:00:01.000001"),
        (MOMENT_3, 1_500_000, {}, "1970-01-01T00:00:01.5"),
        (MOMENT, 1_500_000, {"time_precision_mode": "connect"}, "1970-01-01T00:00:01.5"),
    ],
)
def test_with_schemas(type: LogicalType, value: Any, options: dict[str, Any], shown: Any) -> None:
    form = Mapping(Options(**options)).form(type)
    assert readable(msgspec.json.decode(form.encode(value)), form.schema) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"scale": 2, "value": "BOI="}, "12.50"),
        ({"scale": 2, "value": "no base64"}, {"scale": 2, "value": "no base64"}),
        ({"scale": "x", "value": 3}, {"scale": "x", "value": 3}),
        ({"x": 1.5, "y": 2.0, "wkb": "AQ==", "srid": None}, "(1.5,2.0)"),
        ("BOI=", "BOI="),
        (17109, 17109),
    ],
)
def test_without_schemas_what_has_a_shape_is_known(value: Any, shown: Any) -> None:
    assert readable(value) == shown


def test_a_line_shows_numbers_and_leaves_out_what_did_not_change() -> None:
    columns = [Column(name, PRICE, True, lambda field: field, text=False) for name in ("price", "old")]
    [record] = encode(
        change("u", table(ID, *columns), None, [b"7", Decimal("12.50"), UNCHANGED]), schemas=True
    )
    line = event_line(Entry(0, 0, "0", 1, 0, record.key, record.value), None)
    assert line.endswith("public.customers  id=7  price=12.50")
