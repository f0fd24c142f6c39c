"""Transforms and formats between a real PostgreSQL and its targets."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tailrace.log import Reader
from tests.kafka_reader import read_committed
from tests.pipelines import Pipeline
from tests.servers import Kafka, Postgres

TABLES = """
CREATE TABLE customers (id int PRIMARY KEY, email text, note text);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, state text NOT NULL, total numeric(8,2));
CREATE TABLE secrets (id int PRIMARY KEY, word text);
ALTER TABLE orders REPLICA IDENTITY FULL;
ALTER TABLE customers ALTER note SET STORAGE EXTERNAL;
"""
WORK = """
INSERT INTO customers VALUES (1, 'ann@example.org', repeat('long ', 1000)), (2, 'bob@example.org', NULL);
INSERT INTO secrets VALUES (1, 'hush');
INSERT INTO orders VALUES (1, 1, 'open', 12.50), (2, 2, 'open', 7);
UPDATE customers SET email = 'anna@example.org' WHERE id = 1;
UPDATE orders SET state = 'paid' WHERE id = 1;
UPDATE orders SET customer = 1 WHERE id = 2;
TRUNCATE secrets;
DELETE FROM orders WHERE id = 1;
UPDATE customers SET id = 3 WHERE id = 2;
"""


def hashed(text: str) -> str:
    return hashlib.sha256(f"pepper{text}".encode()).hexdigest()


class Run:
    """A pipeline on tables of its own, run once idle and once behind some work."""

    def __init__(
        self,
        folder: Path,
        postgres: Postgres,
        database: str,
        sinks: Sequence[Mapping[str, Any]],
        transforms: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.name = f"test_{uuid.uuid4().hex[:8]}"
        self.folder = folder
        source = {"url": postgres.url(database), "tables": ["public.*"]}
        self.pipeline = Pipeline(folder, self.name, source, sinks, transforms)
        postgres.execute(TABLES, database=database)
        self.pipeline.run_until_current()
        postgres.execute(WORK, database=database)

    def log(self, path: str = "log.db") -> dict[str, list[tuple[Any, Any]]]:
        """Key and value of each event by topic."""
        with contextlib.closing(Reader(self.folder / path)) as reader:
            return {
                topic.name.removeprefix(f"{self.name}."): [
                    (entry.key and json.loads(entry.key), entry.value and json.loads(entry.value))
                    for entry in reader.read(topic.name, 0).entries
                ]
                for topic in reader.topics()
            }


def told(events: Sequence[tuple[Any, Any]]) -> list[Any]:
    """Op, before and after of an envelope; a tombstone is its key."""
    return [key if value is None else (value["op"], value["before"], value["after"]) for key, value in events]


async def test_what_is_shaped_for_all_and_for_one_sink(
    tmp_path: Path, postgres16: Postgres, make_database: Any, kafka: Kafka
) -> None:
    """A pipeline's transforms reach every sink; a sink's own, that sink alone. Sinks without any see the same
    bytes as before."""
    run = Run(
        tmp_path,
        postgres16,
        make_database(postgres16),
        [
            {"type": "log", "path": "log.db"},
            {
                "type": "kafka",
                "bootstrap_servers": kafka.bootstrap_servers,
                "headers": {"position": True},
                "transforms": [
                    {"type": "tables", "include": ["public.orders"]},
                    {"type": "filter", "where": "op == 'd' or row.state == 'paid' or before is not None"},
                    {"type": "route", "topic": "{pipeline}.by_customer", "key": ["customer"]},
                    {"type": "rename", "columns": {"total": "amount"}},
                ],
            },
        ],
        [
            {"type": "tables", "exclude": ["public.secrets"]},
            {
                "type": "columns",
                "tables": ["public.customers"],
                "hash": ["email"],
                "salt": "pepper",
                "truncate": {"note": 4},
            },
            {"type": "skip", "operations": ["t"]},
        ],
    )
    run.pipeline.run_until_current()
    found = run.log()
    assert sorted(found) == ["public.customers", "public.orders"]
    ann, anna, bob = (hashed(f"{name}@example.org") for name in ("ann", "anna", "bob"))
    unavailable = "__debezium_unavailable_value"
    assert told(found["public.customers"]) == [
        ("c", None, {"id": 1, "email": ann, "note": "long"}),
        ("c", None, {"id": 2, "email": bob, "note": None}),
        ("u", None, {"id": 1, "email": anna, "note": unavailable}),
        ("d", {"id": 2, "email": None, "note": None}, None),
        {"id": 2},
        ("c", None, {"id": 3, "email": bob, "note": None}),
    ]
    assert [event[0] for event in told(found["public.orders"])[:4]] == ["c", "c", "u", "u"]
    records = await read_committed(kafka, f"{run.name}.by_customer")
    values = [(json.loads(one.key), one.value and json.loads(one.value)) for one in records]
    by_customer = {
        customer: [
            value
            and (
                value["op"],
                (value["after"] or value["before"])["id"],
                list(value["before"] or value["after"]),
            )
            for key, value in values
            if key == {"customer": customer}
        ]
        for customer in (1, 2)
    }
    columns = ["id", "customer", "state", "amount"]
    assert by_customer == {
        1: [("u", 1, columns), ("c", 2, columns), ("d", 1, columns), None],
        2: [("d", 2, columns), None],
    }
    moved = [dict(one.headers) for one in records if "__debezium.newkey" in dict(one.headers)]
    assert [one["__debezium.newkey"] for one in moved] == [b'{"customer":1}'] * 2
    for partition in {one.partition for one in records}:
        positions = [dict(one.headers)["tailrace.position"] for one in records if one.partition == partition]
        places = [(lsn, int(n), int(i)) for lsn, n, i in (one.split(b":") for one in positions)]
        assert places == sorted(set(places))
    assert await read_committed(kafka, f"{run.name}.public.orders") == []


async def test_formats_as_they_arrive(
    tmp_path: Path, postgres16: Postgres, make_database: Any, kafka: Kafka
) -> None:
    flat = {"type": "flat", "deletes": "rewrite", "add_fields": ["op", "lsn"], "add_headers": ["op", "table"]}
    run = Run(
        tmp_path,
        postgres16,
        make_database(postgres16),
        [
            {"type": "log", "path": "log.db", "format": "plain"},
            {
                "type": "kafka",
                "bootstrap_servers": kafka.bootstrap_servers,
                "partitions": 1,
                "format": flat,
                "transforms": [{"type": "skip", "operations": ["t"]}],
            },
        ],
    )
    run.pipeline.run_until_current()
    plain = run.log()["public.orders"]
    assert [value and (value["op"], value.get("row") or value.get("before")) for _, value in plain] == [
        ("c", {"id": 1, "customer": 1, "state": "open", "total": 12.5}),
        ("c", {"id": 2, "customer": 2, "state": "open", "total": 7.0}),
        ("u", {"id": 1, "customer": 1, "state": "paid", "total": 12.5}),
        ("u", {"id": 2, "customer": 1, "state": "open", "total": 7.0}),
        ("d", {"id": 1, "customer": 1, "state": "paid", "total": 12.5}),
        None,
    ]
    customers = run.log()["public.customers"]
    assert [
        value and (value["op"], sorted(value.get("row") or value["before"])) for _, value in customers[2:4]
    ] == [
        ("u", ["email", "id"]),  # the note is too long for the row, and did not change
        ("d", ["id"]),
    ]
    records = await read_committed(kafka, f"{run.name}.public.orders")
    rows = [json.loads(record.value) for record in records]
    assert [(row["id"], row["state"], row["__op"], row["__deleted"]) for row in rows] == [
        (1, "open", "c", "false"),
        (2, "open", "c", "false"),
        (1, "paid", "u", "false"),
        (2, "open", "u", "false"),
        (1, "paid", "d", "true"),
    ]
    assert rows[0]["__lsn"] < rows[1]["__lsn"]
    assert [dict(record.headers) for record in records[:1]] == [{"__op": b"c", "__table": b"orders"}]


def test_a_filter_that_cannot_decide_stops_before_the_event_and_goes_on_once_it_can(
    tmp_path: Path, postgres16: Postgres, make_database: Any
) -> None:
    database = make_database(postgres16)
    sinks = [{"type": "log", "path": "log.db"}]
    run = Run(
        tmp_path,
        postgres16,
        database,
        sinks,
        [{"type": "filter", "tables": ["public.customers"], "where": "after.email.startswith('a')"}],
    )
    with run.pipeline.start("--until-current") as process:
        process.wait(60, expected=1)
    assert "TR-SHAPE-010" in process.stderr
    assert "on the 'd' at" in process.stderr
    before = run.log() if (tmp_path / "log.db").exists() else {}
    source = {"url": postgres16.url(database), "tables": ["public.*"]}
    mended = {"type": "filter", "tables": ["public.customers"], "where": "row.id != 2"}
    again = tmp_path / "again"
    again.mkdir()
    pipeline = Pipeline(
        again, run.name, source, [{"type": "log", "path": str(tmp_path / "log.db")}], [mended]
    )
    pipeline.data_dir = tmp_path / "data"
    pipeline.run_until_current()
    after = run.log()
    assert [key for key, _ in after["public.customers"]] == [{"id": 1}, {"id": 1}, {"id": 3}]
    for topic, events in before.items():
        assert after[topic][: len(events)] == events


def test_what_is_dropped_is_acknowledged_all_the_same(
    tmp_path: Path, postgres16: Postgres, make_database: Any
) -> None:
    """A pipeline that lets nothing pass still frees the server's log."""
    database = make_database(postgres16)
    run = Run(
        tmp_path,
        postgres16,
        database,
        [{"type": "log", "path": "log.db"}],
        [{"type": "filter", "where": "op == 'm'"}],
    )
    [(end,)] = postgres16.execute("SELECT pg_current_wal_flush_lsn()::text", database=database)
    run.pipeline.run_until_current()
    assert run.log() == {}
    [(passed,)] = postgres16.execute(
        "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s",
        (end, f"tailrace_{run.name}"),
    )
    assert passed


def test_a_sink_without_headers_refuses_a_format_that_adds_some(tmp_path: Path) -> None:
    pipeline = Pipeline(
        tmp_path,
        "orders",
        {"url": "postgresql://app@127.0.0.1:1/shop", "tables": ["public.*"]},
        [{"type": "log", "path": "log.db", "format": {"type": "flat", "add_headers": ["op"]}}],
    )
    with pipeline.start("--until-current") as process:
        process.wait(30, expected=2)
    assert "TR-FMT-006" in process.stderr
