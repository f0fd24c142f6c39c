"""Tables of MySQL and MariaDB without a key: refused, delivered by their inserts alone, or without a key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from connectors.mysql.assembly.tables import KEYLESS
from tailrace.abc import Finding
from tailrace.errors import NotReady
from tailrace.formats.debezium import DebeziumFormat
from tests.integration.mysql_following import Follower, changes, told
from tests.logged import capture_logs
from tests.servers import MySql

KEYED, KEYLESS_TABLE = "t", "k"


@pytest.fixture
def database(every_mysql: MySql, make_database: Callable[[MySql], str]) -> str:
    """With a table that has a primary key, and one without."""
    name = make_database(every_mysql)
    for statement in (
        "CREATE TABLE t (id int PRIMARY KEY, x int)",
        "CREATE TABLE k (id int, x int, KEY (id), UNIQUE (x))",
    ):
        every_mysql.execute(statement, database=name)
    return name


def without_key(findings: list[Finding]) -> Finding:
    (found,) = [finding for finding in findings if finding.title == "primary keys"]
    return found


WORK = tuple(
    statement
    for table in (KEYED, KEYLESS_TABLE)
    for statement in (
        f"INSERT INTO {table} VALUES (1, 1), (2, NULL)",
        f"UPDATE {table} SET id = 3 WHERE id = 1",
        f"DELETE FROM {table} WHERE id = 2",
        f"TRUNCATE {table}",
    )
)


async def test_inserts_alone(every_mysql: MySql, database: str) -> None:
    """And what they are numbered does not depend on it."""
    async with Follower(every_mysql, database, keyless="inserts_only") as follower:
        found = without_key(list(await follower.source.check()))
        assert (found.warning, found.error, f"{database}.k" in found.found) == (True, None, True)
        origin = await follower.start()
        follower.sql(*WORK)
        batches = await follower.until()
    assert [(op, name) for op, name, _, _ in told(batches)] == [
        ("c", "t"), ("c", "t"), ("d", "t"), ("c", "t"), ("d", "t"), ("t", "t"),
        ("c", "k"), ("c", "k"), ("t", "k"),
    ]  # fmt: skip
    assert {change.table.key for change in changes(batches) if change.table.name == "k"} == {()}
    async with Follower(every_mysql, database, keyless="all") as everything:
        await everything.resume(origin)
        positions = {change.position for change in changes(await everything.until())}
    assert {change.position for change in changes(batches)} < positions


async def test_a_table_that_loses_its_key_is_told(every_mysql: MySql, database: str) -> None:
    """From there on its updates are left out, which nobody would see."""
    async with Follower(every_mysql, database, [f"{database}.t"], keyless="inserts_only") as follower:
        await follower.start()
        with capture_logs() as lines:
            follower.sql("INSERT INTO t VALUES (1, 1)")
            assert len(await follower.told()) == 1
            assert not lines
            follower.sql("ALTER TABLE t DROP PRIMARY KEY", *["UPDATE t SET x = x + 1"] * 2)
            assert await follower.told() == []
    assert [(line["level"], line["table"]) for line in lines] == [("warning", f"{database}.t")]


async def test_everything_without_a_key(every_mysql: MySql, database: str) -> None:
    """Both rows are whole, also where the server logs no more of them than it needs."""
    minimal, no_blobs = [f"SET SESSION binlog_row_image = {image}" for image in ("MINIMAL", "NOBLOB")]
    every_mysql.execute("CREATE TABLE b (id int, body text)", database=database)
    async with Follower(every_mysql, database, keyless="all") as follower:
        found = without_key(list(await follower.source.check()))
        assert (found.warning, found.error) == (False, None)
        await follower.start()
        follower.sql(*WORK[4:], "INSERT INTO k VALUES (5, 5)", minimal, "UPDATE k SET x = 6", "DELETE FROM k")
        follower.sql("INSERT INTO b VALUES (1, 'x')", no_blobs, "UPDATE b SET id = 2")
        batches = await follower.until()
    assert told(batches) == [
        ("c", "k", None, {"id": 1, "x": 1}),
        ("c", "k", None, {"id": 2, "x": None}),
        ("u", "k", {"id": 1, "x": 1}, {"id": 3, "x": 1}),
        ("d", "k", {"id": 2, "x": None}, None),
        ("t", "k", None, None),
        ("c", "k", None, {"id": 5, "x": 5}),
        ("u", "k", {"id": 5, "x": 5}, {"id": 5, "x": 6}),
        ("d", "k", {"id": 5, "x": 6}, None),
        ("c", "b", None, {"id": 1, "body": "x"}),
        ("u", "b", {"id": 1, "body": "x"}, {"id": 2, "body": "x"}),
    ]
    records = DebeziumFormat(DebeziumFormat.Settings()).encode(changes(batches))
    assert [(record.key, record.value and json.loads(record.value)["op"]) for record in records] == [
        (None, op) for op in "ccudtcudcu"
    ]


async def test_a_unique_index_of_columns_that_are_not_null_is_a_key(
    every_mysql: MySql, database: str
) -> None:
    """The server takes it for one: neither the check nor the stream asks for another."""
    every_mysql.execute("DROP TABLE k", database=database)
    indexes: dict[str, Any] = {
        "k": "UNIQUE (b, a)",
        "nullable": "UNIQUE (a, c)",
        "part": "UNIQUE (t(3))",
        "plain": "KEY (a)",
    }
    for name, index in indexes.items():
        every_mysql.execute(
            f"CREATE TABLE {name} (a int NOT NULL, b int NOT NULL, c int, t varchar(9) NOT NULL, {index})",
            database=database,
        )
    tables = [f"{database}.t", f"{database}.k"]
    async with Follower(every_mysql, database, tables) as follower:
        await follower.start()
        follower.sql("INSERT INTO k VALUES (1, 2, 3, 'x')", "UPDATE k SET a = 4")
        batches = await follower.until()
    assert [op for op, *_ in told(batches)] == ["c", "d", "c"]
    (table,) = {change.table for change in changes(batches)}
    assert sorted(table.columns[i].name for i in table.key) == ["a", "b"]
    for name in ("nullable", "part", "plain"):
        async with Follower(every_mysql, database, [f"{database}.{name}"]) as refusing:
            assert without_key(list(await refusing.source.check())).error is not None
            await refusing.resume(batches[-1].end)
            refusing.sql(f"INSERT INTO {name} VALUES (1, 2, 3, 'x')")
            with pytest.raises(NotReady) as raised:
                await refusing.until()
            assert raised.value.code is KEYLESS
            assert "keyless: all" in raised.value.remedy
