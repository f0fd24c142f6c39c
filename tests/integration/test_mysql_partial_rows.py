"""Servers that log rows without all of their columns, delivered as far as they are logged (`row_images`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from connectors.mysql.assembly.tables import ROW_IMAGE
from connectors.mysql.checks import SETTING
from tailrace.abc import Format
from tailrace.errors import Malformed, NotReady
from tailrace.events import Batch
from tailrace.formats.debezium import DebeziumFormat
from tailrace.formats.flat import FlatFormat
from tailrace.formats.plain import PlainFormat
from tailrace.formats.rows import UNAVAILABLE_VALUE
from tests.integration.mysql_following import Follower, changes
from tests.integration.test_mysql_refusals import changed
from tests.servers import MySql

WORK = (
    "INSERT INTO t (id, n) VALUES (1, 5)",
    "UPDATE t SET n = 6",
    "UPDATE t SET body = 'new'",
    "UPDATE t SET id = 2",
    "DELETE FROM t",
)
OMIT: dict[str, Any] = {"unavailable_values": "omit"}


@pytest.fixture
def database(every_mysql: MySql, make_database: Callable[[MySql], str]) -> str:
    name = make_database(every_mysql)
    table = "CREATE TABLE t (id int PRIMARY KEY, name varchar(20) DEFAULT 'none', n int, m int, body text)"
    every_mysql.execute(table, database=name)
    return name


def written(format: Format, batches: Sequence[Batch]) -> list[dict[str, Any]]:
    """Operation, rows before and after."""
    records = [record for record in format.encode(changes(batches)) if record.value]
    values = [json.loads(record.value or b"") for record in records]
    return [{name: value.get(name) for name in ("op", "before", "after", "row")} for value in values]


def told(op: str, before: Any, after: Any) -> dict[str, Any]:
    return {"op": op, "before": before, "after": after, "row": None}


async def test_the_key_and_what_changed(every_mysql: MySql, database: str) -> None:
    """Nothing is invented: what the log lacks is in no row."""
    with changed(every_mysql, "binlog_row_image", "MINIMAL"):
        async with Follower(every_mysql, database) as refusing:
            (error,) = [one.error for one in await refusing.source.check() if one.error]
            assert (error.code, "row_images: partial" in error.remedy) == (SETTING, True)
        async with Follower(every_mysql, database, row_images="partial") as follower:
            (warning,) = [one for one in await follower.source.check() if one.warning]
            assert (warning.title, "the key and what changed" in warning.found) == ("binlog_row_image", True)
            origin = await follower.start()
            follower.sql(*WORK)
            batches = await follower.until()
    assert written(DebeziumFormat(DebeziumFormat.Settings(**OMIT)), batches) == [
        told("c", None, {"id": 1, "n": 5}),
        told("u", {"id": 1}, {"id": 1, "n": 6}),
        told("u", {"id": 1}, {"id": 1, "body": "new"}),
        told("d", {"id": 1}, None),
        told("c", None, {"id": 2}),
        told("d", {"id": 2}, None),
    ]
    plain = written(PlainFormat(PlainFormat.Settings()), batches)
    assert [one["row"] for one in plain if one["row"]] == [
        {"id": 1, "n": 5},
        {"id": 1, "n": 6},
        {"id": 1, "body": "new"},
        {"id": 2},
    ]
    flat = FlatFormat(FlatFormat.Settings(deletes="drop", **OMIT)).encode(changes(batches))
    assert [json.loads(record.value or b"") for record in flat] == [one["row"] for one in plain if one["row"]]
    with pytest.raises(Malformed) as missing:
        DebeziumFormat(DebeziumFormat.Settings()).encode(changes(batches)[1:2])
    assert missing.value.code is UNAVAILABLE_VALUE
    async with Follower(every_mysql, database) as whole:
        await whole.resume(origin)
        with pytest.raises(NotReady) as lacking:
            await whole.until()
    assert (lacking.value.code, "row_images: partial" in lacking.value.remedy) == (ROW_IMAGE, True)


async def test_everything_but_blobs(every_mysql: MySql, database: str) -> None:
    """MySQL tells that what both rows lack has not changed: a placeholder stands for it. In MariaDB it may be
    generated."""
    with changed(every_mysql, "binlog_row_image", "NOBLOB"):
        async with Follower(every_mysql, database, row_images="partial") as follower:
            await follower.start()
            follower.sql(*WORK[:3])
            batches = await follower.until()
    omitted = written(DebeziumFormat(DebeziumFormat.Settings(**OMIT)), batches)
    row = {"id": 1, "name": "none", "n": 5, "m": None}
    assert omitted == [
        told("c", None, row),
        told("u", row, {**row, "n": 6}),
        told("u", {**row, "n": 6}, {**row, "n": 6, "body": "new"}),
    ]
    placed = DebeziumFormat(DebeziumFormat.Settings())
    if every_mysql.flavor == "mysql":
        (record,) = placed.encode(changes(batches)[1:2])
        assert json.loads(record.value or b"")["after"]["body"] == "__debezium_unavailable_value"
    else:
        with pytest.raises(Malformed):
            placed.encode(changes(batches)[1:2])
