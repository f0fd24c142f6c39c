"""The example configurations, as they are typed: validated, looked at by doctor, run, torn down."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.kafka_reader import read_committed
from tests.servers import Kafka, MySql, Postgres

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))

Tailrace = Callable[..., str]

WORK = """
INSERT INTO items VALUES (1, 'apple'), (2, 'pear');
UPDATE items SET name = 'quince' WHERE id = 2;
DELETE FROM items WHERE id = 1;
"""
EXPECTED = [
    ({"id": 1}, "c", {"id": 1, "name": "apple"}),
    ({"id": 2}, "c", {"id": 2, "name": "pear"}),
    ({"id": 2}, "u", {"id": 2, "name": "quince"}),
    ({"id": 1}, "d", None),
    ({"id": 1}, None, None),
]


def tailrace(*words: str | Path, environment: Mapping[str, str]) -> str:
    """Run the command; its standard output. It must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "tailrace", *words],
        env={"PATH": "", **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"tailrace {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def example(name: str, folder: Path) -> tuple[Path, str]:
    """A copy of an example under a pipeline name of its own, and that name."""
    [config] = [config for config in CONFIGS if config.name == name]
    text = config.read_text()
    pipeline = f"test_{uuid.uuid4().hex[:8]}"
    lines = [f"name: {pipeline}" if line.startswith("name:") else line for line in text.splitlines()]
    copy = folder / name
    copy.write_text("\n".join(lines) + "\n")
    return copy, pipeline


def run_through(
    config: Path, pipeline: str, postgres: Postgres, database: str, environment: Mapping[str, str]
) -> None:
    """A first start, some work, a second run; what doctor and offsets say of it."""
    postgres.execute("CREATE TABLE items (id int PRIMARY KEY, name text)", database=database)
    assert "checks passed" in tailrace("doctor", config, environment=environment)
    tailrace("run", config, "--until-current", environment=environment)
    postgres.execute(WORK, database=database)
    tailrace("run", config, "--until-current", environment=environment)
    assert "checks passed" in tailrace("doctor", config, environment=environment)
    [checkpoint] = json.loads(tailrace("offsets", "show", config, "--json", environment=environment))[
        "sinks"
    ].values()
    assert checkpoint["identity"]["database"] == database
    confirmed = postgres.execute(
        "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s",
        (f"tailrace_{pipeline}",),
    )
    assert confirmed == [(checkpoint["position"]["lsn"],)]


def tear_down(config: Path, pipeline: str, postgres: Postgres, environment: Mapping[str, str]) -> None:
    """What teardown promised is gone."""
    listed = tailrace("teardown", config, "--dry-run", environment=environment)
    assert f"tailrace_{pipeline}" in listed
    tailrace("teardown", config, "--yes", environment=environment)
    slots = postgres.execute(
        "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'tailrace_' || %s", (pipeline,)
    )
    assert slots == []
    shown = json.loads(tailrace("offsets", "show", config, "--json", environment=environment))
    assert set(shown["sinks"].values()) == {None}
    assert tailrace("teardown", config, "--yes", environment=environment) == "nothing is there\n"


def told(key: Any, value: Any) -> tuple[Any, str | None, Any]:
    """A record as (key, op, after); a tombstone has neither."""
    return (key, None, None) if value is None else (key, value["op"], value["after"])


@pytest.mark.parametrize("config", CONFIGS, ids=[config.name for config in CONFIGS])
def test_every_example_is_right_as_it_stands(config: Path) -> None:
    assert tailrace("validate", config, environment={}).startswith(f"✓ {config}")


def test_the_examples_can_run_side_by_side() -> None:
    """On one machine: names, which are those of locks, transactional ids and topics, are different."""
    told = tailrace("validate", *CONFIGS, environment={}).splitlines()
    assert len(told) >= len(CONFIGS)
    assert tailrace("validate", CONFIGS[0].parent, environment={}).splitlines() == told


def test_every_example_is_run_here() -> None:
    assert [config.name for config in CONFIGS] == [
        "mariadb-to-kafka.yaml",
        "mysql-to-kafka.yaml",
        "postgres-shaped.yaml",
        "postgres-to-kafka.yaml",
        "postgres-to-log.yaml",
    ]


async def test_postgres_to_kafka(
    postgres: Postgres, postgres_database: str, kafka: Kafka, tmp_path: Path
) -> None:
    config, pipeline = example("postgres-to-kafka.yaml", tmp_path)
    environment = {
        "DATABASE_URL": postgres.url(postgres_database),
        "KAFKA_SERVERS": kafka.bootstrap_servers,
    }
    run_through(config, pipeline, postgres, postgres_database, environment)
    records = await read_committed(kafka, f"{pipeline}.public.items")
    found = [told(json.loads(record.key), record.value and json.loads(record.value)) for record in records]
    for key in ({"id": 1}, {"id": 2}):  # each stands in one partition, in its order
        assert [row for row in found if row[0] == key] == [row for row in EXPECTED if row[0] == key]
    tear_down(config, pipeline, postgres, environment)


@pytest.fixture
def shop(every_mysql: MySql) -> Iterator[MySql]:
    """A server with the database that the examples name."""
    every_mysql.execute("CREATE DATABASE shop")
    yield every_mysql
    every_mysql.drop_database("shop")


async def test_mysql_and_mariadb_to_kafka(shop: MySql, kafka: Kafka, tmp_path: Path) -> None:
    config, pipeline = example(f"{shop.flavor}-to-kafka.yaml", tmp_path)
    environment = {
        f"{shop.flavor.upper()}_URL": shop.url(),
        "KAFKA_SERVERS": kafka.bootstrap_servers,
    }
    shop.execute("CREATE TABLE items (id int PRIMARY KEY, name text)", database="shop")
    assert "checks passed" in tailrace("doctor", config, environment=environment)
    tailrace("run", config, "--until-current", environment=environment)
    shop.script(WORK.replace(";", ";\n"), database="shop")
    tailrace("run", config, "--until-current", environment=environment)
    records = await read_committed(kafka, f"{pipeline}.shop.items")
    found = [told(json.loads(record.key), record.value and json.loads(record.value)) for record in records]
    for key in ({"id": 1}, {"id": 2}):  # each stands in one partition, in its order
        assert [row for row in found if row[0] == key] == [row for row in EXPECTED if row[0] == key]


def test_postgres_shaped(
    postgres18: Postgres, make_database: Callable[[Postgres], str], tmp_path: Path
) -> None:
    postgres, postgres_database = postgres18, make_database(postgres18)
    config, pipeline = example("postgres-shaped.yaml", tmp_path)
    environment = {"DATABASE_URL": postgres.url(postgres_database), "HASH_SALT": "pepper"}
    postgres.execute(
        "CREATE TABLE customers (id int PRIMARY KEY, email text, phone text);"
        "CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, total numeric(9,2) NOT NULL);"
        "ALTER TABLE orders REPLICA IDENTITY FULL",
        database=postgres_database,
    )
    tailrace("run", config, "--until-current", environment=environment)
    postgres.execute(
        "INSERT INTO customers VALUES (7, 'ann@example.org', '555 0100');"
        "INSERT INTO orders VALUES (1, 7, 50), (2, 7, 200);"
        "UPDATE orders SET customer = 8 WHERE id = 2;"
        "DELETE FROM orders WHERE id = 2;"
        "TRUNCATE customers",
        database=postgres_database,
    )
    tailrace("run", config, "--until-current", environment=environment)

    def read(topic: str, log: str) -> list[tuple[Any, Any]]:
        path = tmp_path / "data" / f"{log}.db"
        lines = tailrace("log", "read", topic, "--log", path, "--json", environment=environment)
        return [(event["key"], event["value"]) for event in map(json.loads, lines.splitlines())]

    [(key, value)] = read(f"{pipeline}.public.customers", "shaped")
    email = hashlib.sha256(b"pepperann@example.org").hexdigest()
    assert (key, value["row"]) == ({"id": 7}, {"id": 7, "email": email, "phone": "****"})
    assert [(key, value["__op"], value["__deleted"]) for key, value in read("by_customer", "large")] == [
        ({"customer": 7, "id": 2}, "c", "false"),
        ({"customer": 7, "id": 2}, "d", "true"),
        ({"customer": 8, "id": 2}, "c", "false"),
        ({"customer": 8, "id": 2}, "d", "true"),
    ]
    assert len(read(f"{pipeline}.public.orders", "shaped")) == 5  # and a tombstone
    tear_down(config, pipeline, postgres, environment)


def test_postgres_to_log(postgres: Postgres, postgres_database: str, tmp_path: Path) -> None:
    config, pipeline = example("postgres-to-log.yaml", tmp_path)
    environment = {"DATABASE_URL": postgres.url(postgres_database)}
    run_through(config, pipeline, postgres, postgres_database, environment)
    lines = tailrace("log", "read", f"{pipeline}.public.items", config, "--json", environment=environment)
    found = [json.loads(line) for line in lines.splitlines()]
    assert [told(event["key"], event["value"]) for event in found] == EXPECTED
    tear_down(config, pipeline, postgres, environment)
