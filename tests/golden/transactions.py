"""What Debezium writes of transactions with `provide.transaction.metadata`: the block of each change, the
begins and the ends.

Kept are the records in their order, and what they say of transactions. In an id, the number of the
transaction in the recording stands for its own, and the rank of the place in the log among those of its
transaction for the place: both differ from run to run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.golden import debezium
from tests.golden.recording import text
from tests.servers import Postgres, PostgresServer

NAME: Final = "transactions18"
MAJOR: Final = 18
PATH: Final = Path(__file__).with_name("recorded") / f"{NAME}.json"

TABLES: Final = (
    "CREATE TABLE keyed (id integer PRIMARY KEY, t text); CREATE TABLE other (id integer PRIMARY KEY);"
    "CREATE TABLE ignored (id integer PRIMARY KEY); CREATE TABLE last (id integer PRIMARY KEY)"
)
IGNORED: Final = "ignored"
LAST: Final = "last"
TRANSACTIONS: Final = (
    "INSERT INTO keyed VALUES (1, 'a'); INSERT INTO other VALUES (1); INSERT INTO ignored VALUES (1);"
    "INSERT INTO keyed VALUES (2, 'b'); UPDATE keyed SET id = 3 WHERE id = 1; UPDATE keyed SET t = 'c';"
    "DELETE FROM keyed WHERE id = 2; SELECT pg_logical_emit_message(true, 'p', 'm');"
    "TRUNCATE keyed, other; INSERT INTO keyed VALUES (7)",
    "INSERT INTO ignored VALUES (2)",
    "SELECT pg_logical_emit_message(false, 'p', 'm')",
    "SELECT pg_logical_emit_message(true, 'p', 'm')",
    f"INSERT INTO {LAST} VALUES (1)",
)

Told: TypeAlias = list[dict[str, Any]]


def execute(server: Postgres, database: str) -> None:
    """Execute the statements, a transaction each."""
    with server.connect(database) as connection:
        for statements in TRANSACTIONS:
            connection.execute(f"BEGIN; {statements}; COMMIT")


def tell(records: Iterable[tuple[Any, Any]]) -> Told:
    """What records say of transactions. Keys and values are {schema, payload}; tombstones say nothing."""
    kept = [(key, value) for key, value in records if value is not None]
    ids = [_id(value["payload"]) for _, value in kept]
    numbers = list(dict.fromkeys(xid for xid, _ in filter(None, ids)))
    places = {xid: sorted({place for one, place in filter(None, ids) if one == xid}) for xid in numbers}
    told: Told = []
    schemas: set[str] = set()
    for (key, value), id in zip(kept, ids, strict=True):
        payload = value["payload"]
        shown = id and f"{numbers.index(id[0])}:{places[id[0]].index(id[1])}"
        if "status" in payload:
            assert key["payload"] == {"id": payload["id"]}
            assert payload["ts_ms"] > 0
            one = {**payload, "id": shown, "ts_ms": 0}
            if one["data_collections"] is not None:  # in no order
                one["data_collections"] = sorted(map(_collection, one["data_collections"]), key=str)
            if payload["status"] not in schemas:
                schemas.add(payload["status"])
                one["schemas"] = [key["schema"], value["schema"]]
        else:
            block = payload["transaction"]
            one = {"op": payload["op"], "transaction": block and {**block, "id": shown}}
            if block:
                source = payload["source"]
                assert block["id"] == f"{source['txId']}:{source['lsn']}"
        told.append(one)
    return told


def _id(payload: dict[str, Any]) -> tuple[str, int] | None:
    id = payload["id"] if "status" in payload else payload["transaction"] and payload["transaction"]["id"]
    if not id:
        return None
    xid, place = id.split(":")
    return xid, int(place)


def _collection(one: dict[str, Any]) -> dict[str, Any]:
    """Messages are counted under the name of an object in Debezium's memory, with its address."""
    return {**one, "data_collection": one["data_collection"].partition("@")[0]}


def record() -> Path:
    """Record anew; the file."""
    with PostgresServer(MAJOR) as server:
        database = server.create_database()
        with server.connect(database) as connection:
            connection.execute(TABLES)
        settings = {
            "provide.transaction.metadata": "true",
            "table.exclude.list": f"public.{IGNORED}",
            "skipped.operations": "none",
        }
        records: list[tuple[Any, Any]] = []
        with debezium.engine(server, database, settings) as lines:
            execute(server, database)
            while not (records and _is_last(records[-1][1])):
                found = json.loads(lines.readline())
                records.append((found["key"], found["value"]))
    PATH.write_text(text({"debezium": debezium.VERSION, "records": tell(records)}) + "\n")
    return PATH


def _is_last(value: Any) -> bool:
    counts = (value and value["payload"].get("data_collections")) or ()
    return any(one["data_collection"] == f"public.{LAST}" for one in counts)


def recorded() -> Told:
    """What Debezium wrote."""
    records: Told = json.loads(PATH.read_text())["records"]
    return records
