"""Begins, ends and orders of transactions, from real MySQL and MariaDB servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from connectors.mysql.continuity import INSIDE_TRANSACTION
from tailrace.errors import NotReady
from tailrace.events import Batch, Change
from tailrace.formats.debezium import DebeziumFormat
from tests.golden.binlog import transactions
from tests.integration.mysql_following import Follower, changes
from tests.servers import MySql, MySqlServer

TELLING: dict[str, Any] = {"provide_transaction_metadata": True}


@pytest.fixture
def database(every_mysql: MySql, make_database: Callable[[MySql], str]) -> str:
    """With three empty tables, of which one is excluded."""
    name = make_database(every_mysql)
    for table in ("kept", "partly", "ignored"):
        every_mysql.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, x text)", database=name)
    return name


def following(server: MySql, database: str, **settings: Any) -> Follower:
    return Follower(server, database, **{**TELLING, "exclude": [f"{database}.ignored"], **settings})


def told(found: list[Change]) -> list[dict[str, Any]]:
    """What Debezium's envelope says of transactions, in the order of events; tombstones say nothing."""
    records = DebeziumFormat(DebeziumFormat.Settings()).encode(found)
    values = [json.loads(record.value) for record in records if record.value]
    return [value if "status" in value else {"op": value["op"], **value["transaction"]} for value in values]


async def test_begin_end_and_orders(every_mysql: MySql, database: str) -> None:
    """With the id that Debezium's connector gives: the GTID. A transaction without captured changes, or that
    is rolled back, is not told."""
    async with following(every_mysql, database) as follower:
        await follower.start()
        before = every_mysql.gtids()
        follower.sql(
            "BEGIN",
            "INSERT INTO ignored VALUES (1, 'x')",
            "INSERT INTO kept VALUES (1, 'a'), (2, 'b')",
            "SAVEPOINT s",
            "INSERT INTO partly VALUES (9, 'undone')",
            "ROLLBACK TO s",
            "INSERT INTO partly VALUES (1, 'a')",
            "UPDATE kept SET id = 3 WHERE id = 1",
            "DELETE FROM kept WHERE id = 2",
            "INSERT INTO ignored VALUES (2, 'x')",
            "COMMIT",
            "INSERT INTO ignored VALUES (3, 'x')",
            "TRUNCATE partly",
        )
        batches = await follower.until()
    found = changes(batches)
    first, second = dict.fromkeys(change.transaction.id for change in found)
    assert (first not in before, second not in before) == (True, True)
    moments = {change.transaction.id: change.transaction.timestamp // 1000 for change in found}

    def boundary(status: str, id: str, *counts: tuple[str, int]) -> dict[str, Any]:
        named = [{"data_collection": f"{database}.{name}", "event_count": count} for name, count in counts]
        ended = status == "END"
        return {
            "status": status,
            "id": id,
            "event_count": sum(count for _, count in counts) if ended else None,
            "data_collections": named if ended else None,
            "ts_ms": moments[id],
        }

    def change(op: str, id: str, total: int, own: int) -> dict[str, Any]:
        return {"op": op, "id": id, "total_order": total, "data_collection_order": own}

    assert told(found) == [
        boundary("BEGIN", first),
        change("c", first, 1, 1),
        change("c", first, 2, 2),
        change("c", first, 3, 1),
        change("d", first, 4, 3),
        change("c", first, 5, 4),
        change("d", first, 6, 5),
        boundary("END", first, ("kept", 5), ("partly", 1)),
        boundary("BEGIN", second),
        change("t", second, 1, 1),
        boundary("END", second, ("partly", 1)),
    ]
    begin, end = found[0], found[7]
    assert (begin.position, begin.table.topic) == (
        f"{found[1].transaction.position}:2:-1",
        f"{database}.transaction",
    )
    assert end.ordinal == found[6].ordinal + 2  # behind the row event that is not captured too


async def test_a_start_inside_a_transaction_changes_no_number(every_mysql: MySql, database: str) -> None:
    """At each place where a batch ends; and what is counted must be what was counted."""
    rows = ", ".join(f"({n}, repeat('x', 1000))" for n in range(3000))
    async with following(every_mysql, database) as follower:
        await follower.start()
        follower.sql(
            "BEGIN",
            f"INSERT INTO kept VALUES {rows}",
            "UPDATE kept SET id = -id WHERE id BETWEEN 1 AND 10",
            "INSERT INTO partly VALUES (1, 'a')",
            "COMMIT",
        )
        batches = [batch for batch in await follower.until() if batch.events]
        fingerprint = follower.source.fingerprint
    assert len(batches) > 2
    whole = places(batches)
    assert [one[0] for one in whole].count("b") == [one[0] for one in whole].count("e") == 1
    assert told(changes(batches))[-1]["event_count"] == 3000 + 20 + 1
    insides = [batch.end for batch in batches if not batch.commit]
    assert insides
    for place in insides:
        async with following(every_mysql, database) as again:
            await again.resume(place)
            rest = places(await again.until())
        assert rest == whole[-len(rest) :]
    others: list[dict[str, Any]] = [
        {"exclude": []},
        {"keyless": "all"},
        {"provide_transaction_metadata": False},
    ]
    for settings in others:
        async with following(every_mysql, database, **settings) as other:
            inside, behind = [
                msgspec.structs.replace(await other.checkpoint(place), fingerprint=fingerprint)
                for place in (insides[0], batches[-1].end)
            ]
            with pytest.raises(NotReady) as raised:
                await other.source.verify(inside)
            assert raised.value.code is INSIDE_TRANSACTION
            await other.source.verify(behind)


def places(batches: list[Batch]) -> list[tuple[Any, ...]]:
    """Everything that readers see of the changes' places; of boundaries, their counts too."""
    return [
        (one.op, str(one.table), one.position, one.order, one.transaction.block,
         one.raw if one.table.of_boundaries else None)
        for one in changes(batches)
    ]  # fmt: skip


async def test_without_gtids_an_id_is_the_place_of_its_begin(make_mysql: Callable[..., MySqlServer]) -> None:
    server = make_mysql("mysql9", {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"})
    server.execute("CREATE DATABASE shop")
    server.execute("CREATE TABLE shop.t (id int PRIMARY KEY)")
    async with Follower(server, "shop", **TELLING) as follower:
        await follower.start()
        place = dict(await follower.source.current())
        follower.sql("INSERT INTO t VALUES (1)")
        found = changes(await follower.until())
    ((_, begin, *_),) = server.execute(
        f"SHOW BINLOG EVENTS IN '{place['file']}' FROM {place['pos']} LIMIT 1, 1"
    )
    assert {value["id"] for value in told(found)} == {f"file={place['file']},pos={begin}"}


async def test_transactions_and_statements_are_told_as_debezium_tells_them(
    every_mysql: MySql, make_database: Callable[[MySql], str]
) -> None:
    """MariaDB 10 as MariaDB 11."""
    database = make_database(every_mysql)
    transactions.prepare(every_mysql, database)
    settings: dict[str, Any] = {"keyless": "all", "include_query": True, **TELLING}
    settings["exclude"] = [f"{database}.{transactions.IGNORED}"]
    async with Follower(every_mysql, database, **settings) as follower:
        await follower.start()
        transactions.execute(every_mysql, database)
        events = changes(await follower.until())
    records = DebeziumFormat(DebeziumFormat.Settings(schemas=True)).encode(events)
    found = transactions.tell(
        [
            (record.key and json.loads(record.key), record.value and json.loads(record.value))
            for record in records
        ],
        database,
    )
    release = {"mysql": "mysql9", "mariadb": "mariadb11"}[every_mysql.flavor]
    assert found == transactions.recorded(f"transactions-{release}")


async def test_a_prepared_xa_transaction_is_told_where_it_is_committed(
    every_mysql: MySql, database: str
) -> None:
    """With the statements of its rows; also by a start between both."""
    async with following(every_mysql, database, include_query=True) as follower:
        await follower.start()
        name = {"mysql": "binlog_rows_query_log_events", "mariadb": "binlog_annotate_row_events"}
        first, second = "INSERT INTO kept VALUES (1, 'a')", "UPDATE kept SET id = 2 WHERE id = 1"
        follower.sql(
            f"SET SESSION {name[every_mysql.flavor]} = ON",
            "XA START 'told'", first, second, "XA END 'told'", "XA PREPARE 'told'",
        )  # fmt: skip
        follower.sql("INSERT INTO partly VALUES (1, 'x')")
        [between, *_] = [batch for batch in await follower.until() if batch.events]
        await follower.resume(between.end)
        follower.sql("XA COMMIT 'told'")
        found = changes(await follower.until())
    assert [one["status"] for one in told(changes([between])) if "status" in one] == ["BEGIN", "END"]
    assert [(one.op, one.order, one.transaction.source["query"]) for one in found] == [
        ("b", None, None),
        ("c", (1, 1), first),
        ("d", (2, 2), second),
        ("c", (3, 3), second),
        ("e", None, None),
    ]
    assert len({one.transaction.block for one in found}) == 1
