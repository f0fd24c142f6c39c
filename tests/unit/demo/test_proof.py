"""The proof finds every kind of fault that a log can have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tailrace.demo.events import LoggedEvent
from tailrace.demo.proof import Proof, compare, fold, prove
from tailrace.events import Op
from tailrace.hooks import DemoTable, RowChange
from tailrace.types import Kind, LogicalType

COLUMNS = {"id": LogicalType(Kind.INT32, "integer"), "text": LogicalType(Kind.STRING, "text")}
TABLES = {"a": DemoTable(COLUMNS, ("id",)), "b": DemoTable(COLUMNS, ("id",))}


def event(table: str, op: Op | None, id: int, text: str | None, *place: int) -> LoggedEvent:
    """`place`: the number of the transaction, the ordinal, the index if it is not 0."""
    transaction, ordinal, *index = place
    row = None if text is None else {"id": id, "text": text}
    return LoggedEvent(table, op, (id,), row, (f"{transaction:04}", ordinal, *(index or [0])), 0)  # type: ignore[arg-type]  # a star hides the length


# Two tables; the key of a/2 changes to 3; a/1 is deleted.
EVENTS = [
    event("a", "c", 1, "one", 1, 1),
    event("a", "c", 2, "two", 1, 3),
    event("a", "d", 2, None, 2, 1),
    event("a", None, 2, None, 2, 1, 1),
    event("a", "c", 3, "two", 2, 1, 2),
    event("a", "d", 1, None, 4, 1),
    event("a", None, 1, None, 4, 1, 1),
    event("b", "c", 1, "one", 1, 2),
    event("b", "u", 1, "uno", 3, 1),
]
COMMITTED = [
    RowChange("a", "c", (1,)),
    RowChange("b", "c", (1,)),
    RowChange("a", "c", (2,)),
    RowChange("a", "d", (2,)),
    RowChange("a", "c", (3,)),
    RowChange("b", "u", (1,)),
    RowChange("a", "d", (1,)),
]
ROWS = {"a": [{"id": 3, "text": "two"}], "b": [{"id": 1, "text": "uno"}]}


def proof(
    events: Sequence[LoggedEvent] = EVENTS,
    committed: Sequence[RowChange] = COMMITTED,
    rows: dict[str, list[dict[str, Any]]] = ROWS,
) -> Proof:
    return prove(TABLES, committed, events, rows)


def test_it_holds_for_what_is_right() -> None:
    found = proof()
    assert found.holds
    assert (found.changes, found.events) == (7, 7)
    assert (found.tables["a"].rows, found.tables["a"].folded) == (1, 1)


def test_it_holds_for_nothing() -> None:
    assert proof([], [], {"a": [], "b": []}).holds


@pytest.mark.parametrize("missing", [i for i, event in enumerate(EVENTS) if event.op is not None])
def test_a_lost_event(missing: int) -> None:
    found = proof(EVENTS[:missing] + EVENTS[missing + 1 :])
    assert not found.holds
    assert len(found.lost) == 1


def test_a_lost_tombstone() -> None:
    found = proof([event for event in EVENTS if event.place != ("0004", 1, 1)])
    assert not found.holds
    assert found.lost == ["the tombstone of d a 1 at 0004:1:0"]


def test_a_tombstone_behind_no_delete() -> None:
    found = proof([*EVENTS, event("b", None, 7, None, 9, 1, 1)])
    assert not found.holds
    assert found.surplus == ["a tombstone at 0009:1:1"]


@pytest.mark.parametrize("again", range(len(EVENTS)))
def test_a_doubled_event(again: int) -> None:
    """Also where it stands right behind itself, which no row shows."""
    found = proof([*EVENTS[: again + 1], *EVENTS[again:]])
    assert not found.holds
    assert len(found.surplus) == 1
    assert found.surplus[0].endswith("a second time")


def test_an_event_that_was_never_committed() -> None:
    found = proof([*EVENTS, event("b", "u", 1, "uno", 5, 1)])
    assert not found.holds
    assert found.surplus == ["u b 1: never committed"]


def test_events_of_one_table_out_of_order() -> None:
    found = proof([EVENTS[1], EVENTS[0], *EVENTS[2:]])
    assert not found.holds
    assert found.misplaced == ["c a 1 at 0001:1:0: behind 0001:3:0"]


def test_places_that_are_not_the_order_of_the_commits() -> None:
    """Ascending in each table, and wrong across them: b/1 claims a place behind a/2."""
    swapped = [replace(event, place=("0001", 4, 0)) if event.table == "b" else event for event in EVENTS[:8]]
    found = proof([*swapped, EVENTS[8]])
    assert not found.holds
    assert found.misplaced == ["c a 2: where c b 1 was committed", "c b 1: where c a 2 was committed"]


def test_a_value_that_differs() -> None:
    wrong = [replace(event, row={"id": 1, "text": "un"}) if event.op == "u" else event for event in EVENTS]
    found = proof(wrong)
    assert not found.holds
    assert found.differences == ["b 1: text 'uno' in the database, text 'un' in the log"]


@pytest.mark.parametrize(
    ("database", "folded", "difference"),
    [
        ({(1,): {"id": 1}}, {}, "1: not in the log's rows"),
        ({}, {(1, "x"): {"id": 1}}, "1/x: not in the database"),
        ({(1,): {"a": 1, "b": 2}}, {(1,): {"a": 1}}, "1: b 2 in the database, no column None in the log"),
        ({(1,): {"a": 1}}, {(1,): {"b": 1}}, "1: a 1 in the database, b 1 in the log"),
        ({(1,): {"a": None}}, {(1,): {"a": ""}}, "1: a None in the database, a '' in the log"),
    ],
)
def test_differences_between_rows(database: Any, folded: Any, difference: str) -> None:
    assert compare(database, folded) == [difference]


def test_folding_a_truncate() -> None:
    assert fold([event("a", "c", 1, "one", 1, 1), event("a", "t", 0, None, 2, 1)]) == {}


def test_folding_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="cannot fold m a"):
        fold([event("a", "m", 1, None, 1, 1)])
