"""The statement that a change comes from, where the server writes it into its log (`include_query`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tailrace.events import Change
from tailrace.formats.debezium import DebeziumFormat
from tailrace.formats.flat import FlatFormat
from tests.integration.mysql_following import Follower, changes
from tests.servers import MySql


@pytest.fixture
def database(every_mysql: MySql, make_database: Callable[[MySql], str]) -> str:
    """With two empty tables."""
    name = make_database(every_mysql)
    for table in ("t", "other"):
        every_mysql.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, x text)", database=name)
    return name


def switch(server: MySql, value: str) -> str:
    """For one session."""
    name = {"mysql": "binlog_rows_query_log_events", "mariadb": "binlog_annotate_row_events"}[server.flavor]
    return f"SET SESSION {name} = {value}"


def queries(found: list[Change]) -> list[Any]:
    """As they stand in Debezium's envelope."""
    records = DebeziumFormat(DebeziumFormat.Settings()).encode(found)
    return [json.loads(record.value)["source"]["query"] for record in records if record.value]


async def test_each_change_has_its_own_statement(every_mysql: MySql, database: str) -> None:
    """Of a transaction of several, compressed too; a row in the log of which there is none has none. What
    looks like a placeholder is a text as any."""
    first = "INSERT INTO t VALUES (1, '{offset} {index}'), (2, '{row} ü \\\\ \"')"
    second = "/* why */ UPDATE t SET x = 'b' WHERE id = 1"
    compress = ["SET SESSION binlog_transaction_compression = ON"] if every_mysql.flavor == "mysql" else []
    work = [
        switch(every_mysql, "ON"), "BEGIN", first, second, "REPLACE INTO other VALUES (1, 'other')",
        switch(every_mysql, "OFF"), "DELETE FROM t WHERE id = 1", switch(every_mysql, "ON"),
        "DELETE FROM t WHERE id = 2", "COMMIT",
    ]  # fmt: skip
    expected = [first, first, second, None, "DELETE FROM t WHERE id = 2"]
    settings: dict[str, Any] = {"tables": [f"{database}.t"], "include_query": True}
    async with Follower(every_mysql, database, **settings) as follower:
        await follower.start()
        for before in ([], compress):
            follower.sql(*before, *work)
            found = changes(await follower.until())
            assert queries(found) == expected
            assert len({change.transaction.position for change in found}) == 1
        follower.sql("TRUNCATE t")
        assert queries(changes(await follower.until())) == [None]
    added = FlatFormat(FlatFormat.Settings(add_fields=("query",))).encode(found[:1])
    assert json.loads(added[0].value or b"")["__query"] == first


async def test_statements_are_not_told_unless_wanted(every_mysql: MySql, database: str) -> None:
    async with Follower(every_mysql, database) as follower:
        await follower.start()
        follower.sql(switch(every_mysql, "ON"), "INSERT INTO t VALUES (1, 'secret')")
        assert queries(changes(await follower.until())) == [None]


async def test_a_long_statement_is_cut_and_counted(every_mysql: MySql, database: str) -> None:
    """It stands in each of its changes: batches are as much smaller as that makes them larger."""
    rows = ", ".join(f"({n}, 'x')" for n in range(5000))
    statement = f"INSERT INTO t VALUES {rows}"
    async with Follower(every_mysql, database, include_query=True) as follower:
        await follower.start()
        follower.sql(switch(every_mysql, "ON"), statement)
        batches = [batch for batch in await follower.until() if batch.events]
    found = changes(batches)
    assert len(found) == 5000
    assert set(queries(found[:3])) == {f"{statement[:16384]} … ({len(statement)} characters)"}
    assert sum(batch.size for batch in batches) > 5000 * 16384
    assert len(batches) > 2  # an event of many rows is never cut


async def test_a_server_that_writes_no_statements_is_warned_of(every_mysql: MySql, database: str) -> None:
    name = switch(every_mysql, "").split()[2]
    ((value,),) = every_mysql.execute(f"SELECT @@GLOBAL.{name}")
    async with Follower(every_mysql, database, include_query=True) as follower:
        (found,) = [one for one in await follower.source.check() if one.title == "statements"]
    assert (found.warning, name in found.found) == (not value, True)
    assert every_mysql.flavor == "mariadb" or found.warning  # their defaults
