"""Chains of transforms: table versions, order, positions, tables that a transform is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.abc import Derived
from tailrace.engine.shaping import Shaping, Step
from tailrace.errors import Stop
from tailrace.events import Batch, Change, Event, Op, SchemaChange, Table
from tailrace.formats.debezium import DebeziumFormat
from tests.unit.debezium_samples import ID, TRANSACTION, change, table, text_column
from tests.unit.shaping import changes, names, rows, shape, transform

ORDERS = table(ID, text_column("state"), text_column("note"), name="orders")
ITEMS = table(ID, text_column("state"), text_column("note"), name="items")
MESSAGES = table(text_column("prefix", optional=False), name="message")
NEW = [b"1", b"paid", b"-"]


class Counting:
    """Derives a table and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def derive(self, table: Table) -> Derived:
        self.asked.append(str(table))
        return Derived(table)


class Reversing:
    """A transform of batches that shows which batches it got."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def apply(self, batch: Batch) -> Batch:
        self.seen.append(len(batch.events))
        return batch.with_events([event for event in batch.events if event.ordinal % 2])


def test_a_table_version_is_derived_once_and_anew_for_the_next_version() -> None:
    counting = Counting()
    shaping = Shaping([Step(counting), transform("rename", columns={"note": "remark"})])
    newer = table(ID, text_column("note"), name="orders")
    found = []
    for version in (ORDERS, ORDERS, newer, newer):
        row = [b"1"] * len(version.columns)
        batch = Batch([change("c", version, None, row)] * 3, {}, commit=True, size=1)
        found.append(shaping.apply(batch).events[0].table)
    assert counting.asked == ["public.orders"] * 2
    assert found[0] is found[1]
    assert found[2] is found[3]
    assert names(change("c", found[2])) == ["id", "remark"]


def test_a_batch_that_no_transform_touches_is_handed_on_as_it_is() -> None:
    batch = Batch([change("c", ORDERS, None, NEW)], {}, commit=True, size=1)
    steps = [
        transform("rename", ["public.items"], columns={"note": "x"}),
        transform("skip", operations=["t"]),
    ]
    assert Shaping(steps).apply(batch) is batch


def test_transforms_see_the_names_that_those_before_them_gave() -> None:
    [event] = shape(
        [change("c", ORDERS, None, NEW)],
        transform("rename", ["public.orders"], to_table="sales", to_schema="{schema}_{table}"),
        transform("rename", ["public_orders.sales"], columns={"note": "remark"}),
        transform("rename", ["public.orders"], columns={"state": "never"}),
    )
    assert (str(event.table), names(event)) == ("public_orders.sales", ["id", "state", "remark"])


def test_schema_changes_come_with_the_derived_table_and_before_its_changes() -> None:
    schema_change = SchemaChange(ORDERS, TRANSACTION, 4)
    told, created = shape(
        [schema_change, change("c", ORDERS, None, NEW)], transform("columns", exclude=["note"])
    )
    assert isinstance(told, SchemaChange)
    assert told.table is created.table
    assert (told.transaction, told.ordinal) == (TRANSACTION, 4)
    kept = shape([schema_change], transform("filter", where="row.state == 'never'"))
    assert [type(event) for event in kept] == [SchemaChange]


def test_a_table_that_is_left_out_takes_its_schema_changes_along() -> None:
    events: list[Event] = [SchemaChange(ORDERS, TRANSACTION, 1), change("c", ORDERS, None, NEW)]
    assert list(shape(events, transform("tables", exclude=["public.orders"]))) == []


def test_logical_messages_pass_what_is_about_tables() -> None:
    message = change("m", MESSAGES, None, [b"app"])
    steps = [
        transform("tables", include=["public.orders"]),
        transform("filter", where="row.state == 'paid'"),
        transform("columns", exclude=["note"]),
        transform("rename", to_table="x"),
        transform("route", topic="all", key=["id"]),
    ]
    assert shape([message], *steps) == [message]
    assert shape([message], transform("skip", ["*.*"], operations=["m"])) == [message]
    assert shape([message], transform("skip", operations=["m"])) == []


def test_what_is_no_table_passes_with_its_schema_change() -> None:
    messages, boundaries = replace(MESSAGES, pseudo=True), replace(MESSAGES, name="boundary", pseudo=True)
    events: list[Event] = [
        SchemaChange(boundaries, TRANSACTION, 1),
        change("b", boundaries),
        SchemaChange(messages, TRANSACTION, 1),
        change("m", messages, None, [b"app"]),
        change("e", boundaries),
    ]
    steps = [
        transform("tables", include=["public.orders"]),
        transform("filter", where="row.state == 'paid'"),
        transform("columns", exclude=["note"]),
        transform("rename", to_table="x"),
        transform("route", topic="all", key=["id"]),
        transform("skip", operations=["c", "u", "d", "r", "t"]),
    ]
    assert shape(events, *steps) == events


def test_a_change_keeps_its_order_in_another_table() -> None:
    ordered = msgspec.structs.replace(change("c", ORDERS, None, NEW), order=(3, 2))
    for step in (transform("rename", to_table="x"), transform("filter", where="op == 'c'")):
        [shaped] = changes(shape([ordered], step))
        assert shaped.order == (3, 2)


def test_two_tables_do_not_get_one_name() -> None:
    events = [change("c", ORDERS, None, NEW), change("c", ITEMS, None, NEW)]
    with pytest.raises(Stop) as caught:
        shape(events, transform("rename", ["public.orders"], to_table="items"))
    assert caught.value.code.id == "TR-SHAPE-001"
    assert "public.orders" in caught.value.found


def test_the_names_of_tables_that_come_and_go_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.engine.shaping._MOST_NAMES", 3)
    shaping = Shaping([transform("rename", to_table="{table}_1")])
    for name in "abcdeabcde":
        of = table(ID, name=name)
        [event] = shaping.apply(Batch([change("c", of, None, [b"1"])], {}, commit=True, size=1)).events
        assert event.table.name == f"{name}_1"
        [alone] = shaping._passes
        assert len(alone._named) <= 3  # type: ignore[attr-defined]  # it derives tables


def test_a_transform_of_batches_for_some_tables_sees_their_runs_alone() -> None:
    reversing = Reversing()
    tables = [ORDERS, ORDERS, ITEMS, ORDERS]
    events = [numbered("c", one, n) for n, one in enumerate(tables)]
    step = Step(reversing, transform("tables", ["public.orders"], include=["*.*"]).tables)
    assert [event.ordinal for event in shape(events, step)] == [1, 2, 3]
    assert reversing.seen == [2, 1]


def numbered(op: Op, table: Table, ordinal: int, index: int = 0) -> Change:
    before, after = [b"1", b"paid", b"x"], [b"1", b"void" if ordinal % 2 else b"paid", b"y"]
    raw = (before if op in "ud" else None, after if op != "d" else None)
    return Change(op, table, TRANSACTION, ordinal, index, 0, raw)


STEPS = [
    transform("tables", exclude=["public.items"]),
    transform("columns", mask={"note": 3}),
    transform("rename", columns={"id": "number"}),
    transform("filter", where="op == 'd' or row.state == 'paid'"),
    transform("skip", operations=["u"]),
    transform("route", ["public.orders"], topic="sales.{table}", key=["state"]),
]


@given(
    ops=st.lists(st.tuples(st.sampled_from(["c", "u", "d", "t"]), st.sampled_from([ORDERS, ITEMS]))),
    steps=st.lists(st.sampled_from([0, 1, 3, 4, 5]), unique=True),
)
def test_order_and_positions_stay(ops: list[tuple[Op, Table]], steps: Sequence[int]) -> None:
    """Whatever the transforms: what comes out stands in the order of the log, under places of the log, none
    twice."""
    events = [numbered(op, one, n) for n, (op, one) in enumerate(ops, 1)]
    found = changes(shape(events, *(STEPS[i] for i in steps)))
    places = [(one.ordinal, one.index) for one in found]
    assert places == sorted(set(places))
    assert {one.ordinal for one in found} <= {one.ordinal for one in events}
    assert all(one.raw is events[one.ordinal - 1].raw for one in found)


def test_steps_work_on_what_the_steps_before_made() -> None:
    hashed, created = shape(
        [numbered("u", ORDERS, 1)],
        transform("columns", truncate={"state": 1}),
        transform("filter", where="after.state == 'v' and before.state == 'p'"),
        transform("rename", columns={"state": "s"}),
        transform("route", key=["s"]),
    )
    assert [(one.op, one.index) for one in changes([hashed, created])] == [("d", 0), ("c", 2)]
    assert rows(created) == ([b"1", b"p", b"x"], [b"1", b"v", b"y"])
    assert created.table.key == (1,)


def test_a_batch_is_shaped_and_encoded_once_for_all_who_share_a_transform() -> None:
    batch = Batch([change("c", ORDERS, None, NEW)] * 2, {}, commit=True, size=1)
    shaping, other = Shaping([transform("columns", exclude=["note"])]), Shaping([])
    first = batch.shaped(shaping)
    format, equal = (DebeziumFormat(DebeziumFormat.Settings()) for _ in range(2))
    assert batch.shaped(shaping) is first
    assert first.encoded(format) is batch.shaped(shaping).encoded(equal)
    assert batch.shaped(other) is batch
    assert batch.encoded(format) is not first.encoded(format)
