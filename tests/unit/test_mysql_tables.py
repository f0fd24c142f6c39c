"""Versions of a pipeline's MySQL tables: whose rows they read."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from connectors.mysql import codes
from connectors.mysql.assembly.tables import Tables
from connectors.mysql.binlog.messages import Place, TableMap
from connectors.mysql.columns.type_options import TypeOptions
from tailrace.events import ABSENT, UNCHANGED, Origin
from tailrace.patterns import Pattern, TableFilter
from tests.unit.row_images import column, image, rows, table


@pytest.mark.parametrize(("flavor", "lacking"), [("mysql", UNCHANGED), ("mariadb", ABSENT)])
def test_what_both_rows_of_an_update_lack_is_told_by_the_server(flavor: str, lacking: Any) -> None:
    columns = [column(codes.LONG), column(codes.LONG)]
    key = [True, False]
    tables = Tables(
        Origin(flavor, "orders", None, ()), TableFilter([Pattern.parse("shop.*")], []), TypeOptions()
    )
    version = tables.version(table(*columns))
    assert version
    event = rows("u", 2, image(columns, [1, 0], key) + image(columns, [2, 0], key), key, key)
    assert version.read(event) == [((1, ABSENT), (2, lacking))]


def test_a_key_whose_zero_gets_another_sign_is_another_key() -> None:
    """It is written otherwise, and equal to the database."""
    tables = Tables(
        Origin("mysql", "orders", None, ()), TableFilter([Pattern.parse("shop.*")], []), TypeOptions()
    )
    version = tables.version(replace(table(column(codes.LONG), column(codes.DOUBLE, 8)), key=(0, 1)))
    assert version
    changed = [(0.0, -0.0), (-0.0, 0.0), (1.5, 1.5), (0.0, 0.0), (1.5, 2.5)]
    found = [version.changes_key(((7, before), (7, after))) for before, after in changed]
    assert found == [True, True, False, False, True]


def test_a_table_that_has_the_name_of_a_sequence_later_is_captured() -> None:
    """And one that had it before is no reason to refuse the sequence."""
    tables = Tables(
        Origin("mariadb", "orders", None, ()), TableFilter([Pattern.parse("shop.*")], []), TypeOptions()
    )
    names = (
        "next_not_cached_value", "minimum_value", "maximum_value", "start_value", "increment", "cache_size",
        "cycle_option", "cycle_count",
    )  # fmt: skip
    columns = tuple([column(codes.LONGLONG, name=name) for name in names])
    sequence = TableMap(Place(0, 0, 0, 0), 1, "shop", "orders", columns, (), b"sequence")
    assert tables.version(sequence) is None
    version = tables.version(table(column(codes.LONG)))
    assert version
    assert tables.version(sequence) is None
    assert tables.version(table(column(codes.LONG))) is version


def test_tables_that_come_and_go_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first; one that comes again is a version of its own."""
    monkeypatch.setattr("connectors.mysql.assembly.tables._MOST", 3)
    filter = TableFilter([Pattern.parse("shop.*")], [Pattern.parse("shop.x*")])
    tables = Tables(Origin("mysql", "orders", None, ()), filter, TypeOptions())

    def version(name: str) -> object:
        return tables.version(replace(table(column(codes.LONG)), table=name))

    first, second, third = version("a"), version("b"), tables.truncated("shop", "c")
    assert (version("a"), version("b"), version("x")) == (first, second, None)
    assert len(tables._versions) == 3
    assert (version("b"), tables.truncated("shop", "c"), version("x")) == (second, third, None)
    assert version("a") is not first
    assert len(tables._versions) == 3
