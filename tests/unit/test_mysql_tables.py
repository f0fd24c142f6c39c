"""Versions of a pipeline's MySQL tables: whose rows they read."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.mysql import codes
from connectors.mysql.tables import Tables
from connectors.mysql.type_options import TypeOptions
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
    assert version.read(event) == [([1, ABSENT], [2, lacking])]
