"""What Debezium's connectors for MySQL and MariaDB write of transactions and of statements, with
`provide.transaction.metadata` and `include.query`.

Kept are the records in their order, and what they say of these two. In place of a transaction's id stands its
number in the recording. Transactions in which nothing was captured are not kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.golden.binlog import engine
from tests.golden.recording import text
from tests.servers import MySql, MySqlServer

RELEASES: Final[Mapping[str, str]] = {
    "transactions-mysql9": "mysql9",
    "transactions-mariadb11": "mariadb11",
}
"""By the name of the golden file."""

TABLES: Final = (
    "CREATE TABLE keyed (id int PRIMARY KEY, x text)",
    "CREATE TABLE other (id int PRIMARY KEY)",
    "CREATE TABLE without (id int, x int)",
    "CREATE TABLE indexed (a int NOT NULL, b int NOT NULL, UNIQUE (b, a))",
    "CREATE TABLE ignored (id int PRIMARY KEY)",
    "CREATE TABLE last (id int PRIMARY KEY)",
)
IGNORED: Final = "ignored"
_LAST: Final = "last"
STATEMENTS: Final = (
    "BEGIN",
    "INSERT INTO ignored VALUES (1)",
    "INSERT INTO keyed VALUES (1, 'a'), (2, 'b')",
    "INSERT INTO other VALUES (1)",
    "UPDATE keyed SET id = 3 WHERE id = 1",
    "/* {offset} */ UPDATE keyed SET x = 'ü' WHERE id = 3",
    "DELETE FROM keyed WHERE id = 2",
    "COMMIT",
    "INSERT INTO ignored VALUES (2)",
    "INSERT INTO without VALUES (1, 1)",
    "UPDATE without SET x = 2",
    "DELETE FROM without",
    "INSERT INTO indexed VALUES (1, 2)",
    "INSERT INTO last VALUES (1)",
)

Told: TypeAlias = list[dict[str, Any]]


def execute(server: MySql, database: str) -> None:
    """Execute the statements, with the server writing them beside their rows."""
    name = {"mysql": "binlog_rows_query_log_events", "mariadb": "binlog_annotate_row_events"}[server.flavor]
    with server.connect(database) as connection, connection.cursor() as cursor:
        for statement in (f"SET SESSION {name} = ON", *STATEMENTS):
            cursor.execute(statement)


def prepare(server: MySql, database: str) -> None:
    """Create the tables."""
    for statement in TABLES:
        server.execute(statement, database=database)


def tell(records: Iterable[tuple[Any, Any]], database: str) -> Told:
    """What records say. Keys and values are {schema, payload}; tombstones say nothing."""
    kept = [(key and key["payload"], value["payload"]) for key, value in records if value is not None]
    empty = {value["id"] for _, value in kept if value.get("event_count") == 0}
    ids: dict[str, int] = {}
    told: Told = []
    for key, value in kept:
        block = value if "status" in value else value["transaction"]
        if block["id"] in empty:
            continue
        number = ids.setdefault(block["id"], len(ids))
        if "status" in value:
            assert key == {"id": value["id"]}
            assert value["ts_ms"] > 0
            one = {**value, "id": number, "ts_ms": 0}
            if one["data_collections"] is not None:  # in no order
                one["data_collections"] = sorted(one["data_collections"], key=str)
        else:
            one = {"op": value["op"], "key": key, "transaction": {**block, "id": number}}
            one["query"] = value["source"]["query"]
        told.append(one)
    renamed: Told = json.loads(json.dumps(told).replace(f'"{database}.', '"golden.'))
    return renamed


def record(name: str) -> Path:
    """Record anew; the file."""
    with MySqlServer(RELEASES[name]) as server:
        database = server.create_database()
        prepare(server, database)
        settings = {
            "provide.transaction.metadata": "true",
            "include.query": "true",
            "table.exclude.list": f"{database}.{IGNORED}",
        }
        records: list[tuple[Any, Any]] = []
        with engine.engine(server, database, settings) as lines:
            execute(server, database)
            while not (records and _is_last(records[-1][1])):
                found = json.loads(lines.readline())
                records.append((found["key"], found["value"]))
        version, flavor = server.version, server.flavor
    described = {"debezium": engine.VERSIONS[flavor], flavor: version, "records": tell(records, database)}
    _path(name).write_text(text(described) + "\n")
    return _path(name)


def _is_last(value: Any) -> bool:
    counts = (value and value["payload"].get("data_collections")) or ()
    return any(one["data_collection"].endswith(f".{_LAST}") for one in counts)


def recorded(name: str) -> Told:
    """What Debezium wrote."""
    records: Told = json.loads(_path(name).read_text())["records"]
    return records


def _path(name: str) -> Path:
    return Path(__file__).parents[1] / "recorded" / f"{name}.json"
