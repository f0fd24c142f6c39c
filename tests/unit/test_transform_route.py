"""The transforms `route`, `rename`, `skip` and `tables`."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tailrace.errors import Stop
from tailrace.events import ABSENT, UNCHANGED, Change, Column, Event, Op, SchemaChange, Table
from tailrace.topics import TopicTemplate
from tailrace.transforms.route import Route
from tailrace.types import Kind, LogicalType
from tests.unit.debezium_samples import ID, TRANSACTION, change, encode, table, text_column
from tests.unit.shaping import changes, names, shape, transform

COLUMNS = (ID, text_column("customer"), text_column("state"))
ORDERS = table(*COLUMNS, name="orders")
OLD, NEW = [b"1", b"ann", b"open"], [b"1", b"bob", b"open"]


def topic(of: Table, template: str = "{pipeline}.{schema}.{table}", **settings: Any) -> str:
    [event] = shape([change("t", of)], transform("route", **settings))
    return TopicTemplate(template).topic(event.table)


def test_a_topic_is_a_template() -> None:
    assert topic(ORDERS, topic="{database}.{table}") == "shop.orders"
    assert topic(table(*COLUMNS, name="a b"), topic="x.{table}") == "x.a_b"


def test_a_topic_is_a_replacement() -> None:
    shards = {"regex": r"public\.(\w+)_\d+", "replacement": "sales.$1"}
    assert topic(table(*COLUMNS, name="orders_1"), **shards) == "sales.orders"
    assert topic(table(*COLUMNS, name="orders_1"), regex=r".*_(?P<n>\d+)", replacement=r"n\g<n>.\1") == "n1.1"
    assert topic(ORDERS, **shards) == "orders.public.orders"  # the sink's own


def test_a_chosen_topic_is_not_shared_by_accident() -> None:
    template = TopicTemplate("{table}")
    [event] = shape([change("t", ORDERS)], transform("route", topic="items"))
    assert template.topic(event.table) == "items"
    with pytest.raises(Stop) as caught:
        template.topic(table(*COLUMNS, name="items"))
    assert caught.value.code.id == "TR-SINK-002"
    events = [change("t", table(*COLUMNS, name=name)) for name in ("a b", "a_b")]
    with pytest.raises(Stop):
        shape(events, transform("route", regex=r"public\.(.*)", replacement="x.$1"))
    assert len(shape(events, transform("route", regex=r"public\..*", replacement="all"))) == 2


def keyed(op: Op, before: Any, after: Any) -> list[Change]:
    return changes(shape([change(op, ORDERS, before, after)], transform("route", key=["customer", "id"])))


def test_a_message_key_has_its_columns_in_its_order() -> None:
    [event] = keyed("c", None, NEW)
    assert encode(event)[0].key == b'{"customer":"bob","id":1}'


def test_an_update_that_changes_the_message_key_is_a_delete_and_a_create() -> None:
    found = keyed("u", OLD, NEW)
    assert [(one.op, one.index) for one in found] == [("d", 0), ("c", 2)]
    records = encode(*found)
    assert [(record.index, record.key) for record in records] == [
        (0, b'{"customer":"ann","id":1}'),
        (1, b'{"customer":"ann","id":1}'),
        (2, b'{"customer":"bob","id":1}'),
    ]
    assert [one.op for one in keyed("u", OLD, [b"1", b"ann", b"paid"])] == ["u"]
    assert [one.op for one in keyed("u", OLD, [b"1", UNCHANGED, b"paid"])] == ["u"]


def test_a_zero_of_another_sign_is_another_message_key() -> None:
    number = Column("x", LogicalType(Kind.FLOAT64, "double"), False, float, text=False)
    of = table(ID, number, name="points")
    for after, ops in ((-0.0, ["d", "c"]), (0.0, ["u"])):
        event = change("u", of, [b"1", 0.0], [b"1", after])
        assert [one.op for one in changes(shape([event], transform("route", key=["x"])))] == ops


@pytest.mark.parametrize("before", [None, [b"1", ABSENT, ABSENT]])
def test_an_update_whose_old_message_key_is_unknown_stops(before: Any) -> None:
    with pytest.raises(Stop) as caught:
        keyed("u", before, NEW)
    assert caught.value.code.id == "TR-SHAPE-007"
    assert "PostgreSQL: ALTER TABLE public.orders REPLICA IDENTITY FULL" in caught.value.remedy
    assert "MySQL: binlog_row_image=FULL" in caught.value.remedy


def test_a_part_of_the_primary_key_needs_no_old_row() -> None:
    of = table(*COLUMNS, name="orders", key=(0, 1))
    [event] = changes(shape([change("u", of, None, NEW)], transform("route", key=["customer"])))
    assert (event.op, event.table.key) == ("u", (1,))


def test_columns_and_tables_are_renamed() -> None:
    [event] = shape(
        [change("c", ORDERS, None, NEW)],
        transform("rename", columns={"id": "number", "customer": "id"}, to_table="{schema}_{table}_v2"),
    )
    assert (names(event), str(event.table)) == (["number", "id", "state"], "public.public_orders_v2")
    assert encode(event)[0].key == b'{"number":1}'  # type: ignore[arg-type]  # a change


def test_two_columns_do_not_get_one_name() -> None:
    with pytest.raises(Stop) as caught:
        shape([change("c", ORDERS, None, NEW)], transform("rename", columns={"id": "state"}))
    assert caught.value.code.id == "TR-SHAPE-003"


@pytest.mark.parametrize("type", ["rename", "route"])
def test_columns_that_are_not_there_are_named(type: str) -> None:
    settings: dict[str, Any] = {"columns": {"x": "y"}} if type == "rename" else {"key": ["x"]}
    with pytest.raises(Stop) as caught:
        shape([change("c", ORDERS, None, NEW)], transform(type, **settings))
    assert caught.value.code.id == "TR-SHAPE-002"


def test_operations_are_skipped() -> None:
    events: list[Event] = [
        SchemaChange(ORDERS, TRANSACTION, 1),
        change("c", ORDERS, None, NEW),
        change("t", ORDERS),
        change("d", ORDERS, OLD),
    ]
    assert shape(events, transform("skip", operations=["t", "d"])) == events[:2]
    assert shape(events, transform("skip", ["audit.*"], operations=["t", "d"])) == events


def test_tables_are_included_and_excluded() -> None:
    events = [change("t", table(ID, name=name)) for name in ("a", "ab", "b")]
    kept = shape(events, transform("tables", include=["public.a*"], exclude=["public.ab"]))
    assert [event.table.name for event in kept] == ["a"]


@pytest.mark.parametrize("regex", ["(", "a{99999999999}"])
def test_an_expression_that_is_none_is_refused_with_the_file(regex: str) -> None:
    with pytest.raises(ValidationError, match="regex"):
        Route.Settings(regex=regex, replacement="x")
