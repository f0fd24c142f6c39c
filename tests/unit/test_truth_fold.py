"""Folding events into tables."""

from __future__ import annotations

from typing import Any

import pytest

from tests.truth import Delivered, Fold
from tests.truth.catalogue import TableDescription
from tests.truth.fold import selected
from tests.unit.test_truth_comparison import locate

KEYED = TableDescription(("s", "keyed"), {"id": "bigint", "note": "text"}, ("id",), False, frozenset())
KEYLESS = TableDescription(("s", "keyless"), {"n": "bigint"}, (), True, frozenset())
TABLES = {table.name: table for table in (KEYED, KEYLESS)}
UNAVAILABLE = "__debezium_unavailable_value"


def event(place: str, op: str, table: str, before: Any, after: Any) -> Delivered:
    row = after or before
    key = {"id": row["id"]} if table == "keyed" and row else None
    value = {"op": op, "before": before, "after": after, "schema": "s", "table": table}
    return Delivered("s", table, place, key, value)


def keyed(id: int, note: str | None) -> dict[str, Any]:
    return {"id": id, "note": note}


def test_rows_by_their_key() -> None:
    fold = Fold(TABLES, locate)
    fold.apply(
        [
            event("1:1:0", "c", "keyed", None, keyed(1, "a")),
            event("1:2:0", "c", "keyed", None, keyed(2, "b")),
            event("1:3:0", "u", "keyed", None, keyed(1, UNAVAILABLE)),
            event("2:1:0", "d", "keyed", keyed(2, None), None),
        ]
    )
    assert fold.rows(KEYED.name) == selected([keyed(1, "a")])


def test_a_changed_key_keeps_what_the_log_leaves_out() -> None:
    fold = Fold(TABLES, locate)
    fold.apply(
        [
            event("2:1:2", "c", "keyed", None, keyed(7, UNAVAILABLE)),
            event("2:1:0", "d", "keyed", keyed(1, None), None),
            Delivered("s", "keyed", "2:1:1", {"id": 1}, None),
            event("1:1:0", "c", "keyed", None, keyed(1, "a")),
        ]
    )
    assert fold.rows(KEYED.name) == selected([keyed(7, "a")])


def test_rows_without_a_key_are_counted() -> None:
    fold = Fold(TABLES, locate)
    fold.apply(event(f"1:{i}:0", "c", "keyless", None, {"n": 5}) for i in range(3))
    fold.apply(
        [event("2:1:0", "u", "keyless", {"n": 5}, {"n": 6}), event("2:2:0", "d", "keyless", {"n": 5}, None)]
    )
    assert fold.rows(KEYLESS.name) == selected([{"n": 5}, {"n": 6}])
    with pytest.raises(AssertionError, match="not there"):
        fold.apply([event("3:1:0", "d", "keyless", {"n": 9}, None)])


@pytest.mark.parametrize("table", ["keyed", "keyless"])
def test_truncate_empties_the_table(table: str) -> None:
    fold = Fold(TABLES, locate)
    row = keyed(1, "a") if table == "keyed" else {"n": 1}
    fold.apply([event("1:1:0", "c", table, None, row), event("1:2:0", "t", table, None, None)])
    assert fold.rows(("s", table)) == selected([])


def test_repeats_change_nothing() -> None:
    fold = Fold(TABLES, locate)
    once = event("1:1:0", "c", "keyless", None, {"n": 5})
    fold.apply([once, once])
    fold.apply([once])
    assert fold.rows(KEYLESS.name) == selected([{"n": 5}])
