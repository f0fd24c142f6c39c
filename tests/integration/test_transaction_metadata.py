"""Begins, ends and orders of transactions, from a real PostgreSQL to real targets."""

from __future__ import annotations

import contextlib
import json
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.postgres.continuity import INSIDE_TRANSACTION
from connectors.postgres.position import WalPosition
from tailrace import claims
from tailrace.errors import NotReady
from tailrace.formats.debezium import DebeziumFormat
from tailrace.log import Reader
from tailrace.log.layout import LOG
from tests.golden import transactions
from tests.integration.following import Follower, changes, following
from tests.kafka_reader import read_committed
from tests.pipelines import Pipeline
from tests.servers import Kafka, Postgres

TABLES = """
CREATE TABLE kept (id int PRIMARY KEY, t text);
CREATE TABLE partly (id int PRIMARY KEY);
CREATE TABLE ignored (id int PRIMARY KEY);
"""
WORK = (
    # An update that changes the key is two changes, as is a TRUNCATE of two tables; a message is one.
    """BEGIN; INSERT INTO ignored VALUES (1); INSERT INTO kept VALUES (1, 'a');
    INSERT INTO partly VALUES (1), (2); UPDATE kept SET id = 2; DELETE FROM kept;
    SELECT pg_logical_emit_message(true, 'p', 'm');
    TRUNCATE kept, partly; COMMIT""",
    "INSERT INTO ignored VALUES (2)",  # no transaction of ours
    "SELECT pg_logical_emit_message(false, 'p', 'outside')",
    "INSERT INTO kept VALUES (3)",
)
COUNTS = [
    {"data_collection": "public.kept", "event_count": 5},
    {"data_collection": "public.partly", "event_count": 3},
    {"data_collection": "message", "event_count": 1},
]


def make(
    folder: Path, postgres: Postgres, database: str, *sinks: dict[str, Any], **more: Any
) -> tuple[Pipeline, str]:
    """A pipeline that tells transactions, and has been run once while its tables were empty; its name."""
    name = f"test_{uuid.uuid4().hex[:8]}"
    source = {
        "url": postgres.url(database),
        "tables": ["public.*"],
        "exclude": ["public.ignored"],
        "provide_transaction_metadata": True,
    }
    pipeline = Pipeline(folder, name, source, [{"type": "log", "path": "log.db"}, *sinks], **more)
    postgres.execute(TABLES, database=database)
    pipeline.run_until_current()
    return pipeline, name


def log(folder: Path, topic: str, file: str = "log.db") -> list[tuple[Any, Any]]:
    """Key and value of each event of a topic."""
    with contextlib.closing(Reader(folder / file)) as reader:
        page = reader.read(topic, 0)
        found = list(page.entries)
        while not page.end:
            page = reader.read(topic, found[-1].offset + 1)
            found += page.entries
    return [(entry.key and json.loads(entry.key), entry.value and json.loads(entry.value)) for entry in found]


def orders(events: list[tuple[Any, Any]]) -> list[tuple[str, int, int]]:
    """Of each change of a transaction: op and its two numbers."""
    values = [value for _, value in events if value and value["transaction"]]
    for value in values:  # the id ends with the change's own place
        assert value["transaction"]["id"] == f"{value['source']['txId']}:{value['source']['lsn']}"
    blocks = [(value["op"], value["transaction"]) for value in values]
    return [(op, block["total_order"], block["data_collection_order"]) for op, block in blocks]


async def test_begin_end_and_orders_arrive_everywhere(
    tmp_path: Path, postgres16: Postgres, make_database: Any, kafka: Kafka
) -> None:
    """A filter of the pipeline drops rows of one table: counts and orders are of what the source captured."""
    database = make_database(postgres16)
    pipeline, name = make(
        tmp_path,
        postgres16,
        database,
        {"type": "kafka", "bootstrap_servers": kafka.bootstrap_servers, "partitions": 1},
        transforms=[{"type": "filter", "tables": ["public.partly"], "where": "op == 't' or row.id == 2"}],
    )
    for statement in WORK:
        postgres16.execute(statement, database=database)
    pipeline.run_until_current()

    boundaries = log(tmp_path, f"{name}.transaction")
    assert [key["id"] for key, _ in boundaries] == [value["id"] for _, value in boundaries]
    transactions = [value.pop("id").split(":") for _, value in boundaries]
    assert [value for _, value in boundaries] == [
        {
            "status": status,
            "event_count": None if counts is None else sum(count["event_count"] for count in counts),
            "data_collections": counts,
            "ts_ms": boundaries[place][1]["ts_ms"],
        }
        for place, (status, counts) in enumerate(
            [("BEGIN", None), ("END", COUNTS), ("BEGIN", None),
             ("END", [{"data_collection": "public.kept", "event_count": 1}])]
        )
    ]  # fmt: skip
    kept, partly = (log(tmp_path, f"{name}.public.{table}") for table in ("kept", "partly"))
    messages = log(tmp_path, f"{name}.message")
    assert orders(kept) == [("c", 1, 1), ("d", 4, 2), ("c", 5, 3), ("d", 6, 4), ("t", 8, 5), ("c", 1, 1)]
    assert orders(partly) == [("c", 3, 2), ("t", 9, 3)]
    assert orders(messages) == [("m", 7, 1)]
    assert messages[1][1]["transaction"] is None  # outside of transactions
    # The places that the ids tell: a begin's is that of the first message, an end's is behind the last.
    first, last = kept[0][1]["source"], kept[-1][1]["source"]
    assert transactions[0][0] == transactions[1][0] == str(first["txId"])
    assert int(transactions[0][1]) <= first["lsn"] < partly[-1][1]["source"]["lsn"] < int(transactions[1][1])
    assert int(transactions[2][1]) <= last["lsn"] < int(transactions[3][1])

    for topic in ("transaction", "public.kept", "public.partly", "message"):
        records = await read_committed(kafka, f"{name}.{topic}")
        assert [(record.key and json.loads(record.key), record.value and json.loads(record.value))
                for record in records] == [
            (key, value) for key, value in log(tmp_path, f"{name}.{topic}")
        ]  # fmt: skip


def test_a_kill_inside_a_transaction_changes_no_number(
    tmp_path: Path, postgres16: Postgres, make_database: Any
) -> None:
    database = make_database(postgres16)
    pipeline, name = make(tmp_path, postgres16, database)
    postgres16.execute(
        """BEGIN; INSERT INTO kept SELECT n, repeat('x', 4000) FROM generate_series(1, 1000) AS n;
        UPDATE kept SET id = -id WHERE id <= 10; INSERT INTO partly SELECT generate_series(1, 30);
        UPDATE kept SET t = repeat('y', 4000); COMMIT""",
        database=database,
    )
    for _ in range(2):
        with pipeline.start(failpoints="engine.writer.committed=kill@1") as process:
            process.wait(60, expected=-signal.SIGKILL)
        checkpoint = claims.peek(tmp_path / "log.db", LOG, f"{name}/log")
        assert checkpoint is not None
        assert checkpoint.position is not None
        assert "ordinal" in checkpoint.position
    [(_, begun)] = log(tmp_path, f"{name}.transaction")
    assert begun["status"] == "BEGIN"
    pipeline.run_until_current()

    [(_, same), (_, ended)] = log(tmp_path, f"{name}.transaction")
    assert same == begun
    assert (ended["status"], ended["event_count"]) == ("END", 1000 + 20 + 30 + 1000)
    assert {count["data_collection"]: count["event_count"] for count in ended["data_collections"]} == {
        "public.kept": 2020,
        "public.partly": 30,
    }
    kept = orders(log(tmp_path, f"{name}.public.kept"))
    partly = orders(log(tmp_path, f"{name}.public.partly"))
    assert [own for _, _, own in kept] == list(range(1, 2021))
    assert [own for _, _, own in partly] == list(range(1, 31))
    assert [total for _, total, _ in partly] == list(range(1021, 1051))
    assert sorted(total for _, total, _ in (*kept, *partly)) == list(range(1, 2051))


def test_a_sink_that_stops_inside_a_transaction_goes_on_there_beside_one_that_is_further(
    tmp_path: Path, postgres16: Postgres, make_database: Any
) -> None:
    """Of an update the large value is not in the log, and one sink's filter asks for it. Once that is mended
    both have everything once, with the same numbers."""
    database = make_database(postgres16)
    asking: dict[str, Any] = {"type": "log", "name": "asking", "path": "asking.db"}
    pipeline, name = make(tmp_path, postgres16, database, asking)
    asking["transforms"] = [{"type": "filter", "tables": ["public.kept"], "where": "row.t != 'no'"}]
    postgres16.execute(
        """ALTER TABLE kept ALTER t SET STORAGE EXTERNAL;
        BEGIN; INSERT INTO kept SELECT n, repeat('x', 4000) FROM generate_series(1, 1000) AS n;
        UPDATE kept SET id = -id WHERE id = 5;
        INSERT INTO kept SELECT n, repeat('x', 4000) FROM generate_series(1001, 4000) AS n; COMMIT""",
        database=database,
    )
    with pipeline.start("--until-current") as process:
        process.wait(60, expected=1)
    stands = {}
    for sink in ("log", "asking"):
        checkpoint = claims.peek(tmp_path / f"{sink}.db", LOG, f"{name}/{sink}")
        assert checkpoint is not None
        assert checkpoint.position is not None
        stands[sink] = WalPosition.from_document(checkpoint.position)
    assert (stands["asking"].lsn, stands["asking"].ordinal) == (stands["log"].lsn, 1000)
    assert stands["log"].ordinal > 1001

    del asking["transforms"]
    pipeline.run_until_current()
    for topic in ("transaction", "public.kept"):
        assert log(tmp_path, f"{name}.{topic}") == log(tmp_path, f"{name}.{topic}", "asking.db")
    [(_, begun), (_, ended)] = log(tmp_path, f"{name}.transaction")
    assert (begun["status"], ended["status"], ended["event_count"]) == ("BEGIN", "END", 4002)
    numbers = list(range(1, 4003))
    assert [(total, own) for _, total, own in orders(log(tmp_path, f"{name}.public.kept"))] == list(
        zip(numbers, numbers, strict=True)
    )


async def test_transactions_are_told_as_debezium_tells_them(
    postgres18: Postgres, make_database: Callable[[Postgres], str]
) -> None:
    """But for two differences that are meant: transactions in which nothing was captured, and the name under
    which messages are counted."""
    database = make_database(postgres18)
    postgres18.execute(transactions.TABLES, database=database)
    settings: dict[str, Any] = {
        "exclude": (f"public.{transactions.IGNORED}",),
        "provide_transaction_metadata": True,
    }
    async with following(postgres18, database, **settings) as follower:
        transactions.execute(postgres18, database)
        events = changes(await follower.until())
    format = DebeziumFormat(DebeziumFormat.Settings(schemas=True))
    found = transactions.tell(
        (record.key and json.loads(record.key), record.value and json.loads(record.value))
        for record in format.encode(events)
    )

    theirs = transactions.recorded()
    empty = [one["id"].partition(":")[0] for one in theirs if one.get("event_count") == 0]
    assert len(empty) == 1
    kept = [one for one in theirs if not (one.get("id") or "").startswith(f"{empty[0]}:")]
    assert len(kept) == len(theirs) - 2
    messages = "io.debezium.connector.postgresql.LogicalDecodingMessageMonitor$LogicalDecodingMessageId"
    renamed = json.loads(json.dumps(kept).replace(messages, "message"))
    for one in renamed:  # transactions that are not told have no number
        for block in filter(None, (one, one.get("transaction"))):
            if "id" in block:
                number, _, place = block["id"].partition(":")
                block["id"] = f"{int(number) - (int(number) > int(empty[0]))}:{place}"
        if one.get("data_collections"):
            one["data_collections"].sort(key=str)
    assert found == renamed


async def test_numbers_that_would_not_go_on_are_refused(
    postgres18: Postgres, make_database: Callable[[Postgres], str]
) -> None:
    """A checkpoint inside a transaction, and a source that counts something else, or nothing."""
    database = make_database(postgres18)
    postgres18.execute(TABLES, database=database)
    counting: dict[str, Any] = {"provide_transaction_metadata": True}
    async with following(postgres18, database, **counting) as follower:
        begun = follower.source.fingerprint
        postgres18.execute(WORK[0], database=database)
        [first, *_] = [event for event in changes(await follower.until()) if event.op == "c"]
        lsn = int(first.transaction.position, 16)
        inside = WalPosition(lsn, first.ordinal, lsn).document()
        await follower.resume(inside, begun)
    other: dict[str, Any] = {"exclude": ("public.ignored",)}
    for settings in (dict[str, Any](), {**counting, **other}):
        changed = Follower(postgres18, database, **settings)
        with pytest.raises(NotReady, match=INSIDE_TRANSACTION.id):
            await changed.resume(inside, begun)
        await changed.resume({"lsn": inside["lsn"]}, begun)
        await changed.close()
    # Without metadata what is captured may change at any time.
    plain, more = (Follower(postgres18, database, **settings) for settings in (dict[str, Any](), other))
    for one in (plain, more):
        await one.source.identify()
        await one.close()
    assert plain.source.fingerprint == more.source.fingerprint
