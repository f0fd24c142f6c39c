"""docs/mysql-types.md: values as each format writes them, and under its settings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tailrace import plugins
from tailrace.events import Change
from tests.integration.mysql_following import Follower, changes
from tests.servers import MySql

PAGE = (Path(__file__).parents[2] / "docs" / "mysql-types.md").read_text()
SECTION = PAGE.partition("\n## In each format\n")[2].partition("\n## ")[0]
ROWS = [re.findall(r"`([^`]+)`", line) for line in SECTION.splitlines() if line.startswith("| `")]
"""Of each: type, value in SQL, what `plain` and `debezium` write; perhaps a setting and what it makes."""


def written(format: str, found: Sequence[Change], **settings: Any) -> Mapping[str, str]:
    """Column → its value, as it stands in the record of a created row."""
    made = plugins.load("formats", format)
    (record,) = made(made.Settings(**settings)).encode(found)
    value = msgspec.json.decode(record.value, type=dict[str, msgspec.Raw])
    row = value.get("row") or value.get("after") or record.value
    fields = msgspec.json.decode(bytes(row), type=dict[str, msgspec.Raw])
    return {name: bytes(field).decode() for name, field in fields.items()}


async def test_every_value_is_what_comes_out(mysql: MySql, mysql_database: str) -> None:
    assert len(ROWS) > 10
    columns = ", ".join(f"c{n} {row[0]}" for n, row in enumerate(ROWS))
    mysql.execute(f"CREATE TABLE t (id int PRIMARY KEY, {columns})", database=mysql_database)
    async with Follower(mysql, mysql_database) as follower:
        await follower.start()
        follower.sql(
            "SET time_zone = '+00:00'", f"INSERT INTO t VALUES (1, {', '.join(row[1] for row in ROWS)})"
        )
        found = changes(await follower.until())
    plain, debezium, flat = (written(format, found) for format in ("plain", "debezium", "flat"))
    assert flat == debezium
    for n, (type, _, as_plain, *rest) in enumerate(ROWS):
        as_debezium, *more = rest or [as_plain]  # "the same"
        assert (type, plain[f"c{n}"]) == (type, as_plain)
        assert (type, debezium[f"c{n}"]) == (type, as_debezium)
        if more:
            setting, shown = more
            name, _, mode = setting.partition(": ")
            assert (type, written("debezium", found, **{name: mode})[f"c{n}"]) == (type, shown)
