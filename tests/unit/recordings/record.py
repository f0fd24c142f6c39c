"""Record what real PostgreSQL servers send, for the decoder's tests: python -m tests.unit.recordings.record

Writes `pgoutput<major>.json` beside this file: for each scenario the CopyData payloads as hexadecimal text
and what the catalogue says of each relation.
"""

import json
import select
import struct
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from tests.servers import PostgresServer

SCENARIOS: dict[str, tuple[str, list[str]]] = {
    # name: (statements before the slot, transactions)
    "rows": (
        'CREATE TABLE "Größe" ("Id" int PRIMARY KEY, "naïve col" text, n int NOT NULL)',
        [
            """INSERT INTO "Größe" VALUES (1, 'ünï', 10), (2, NULL, 20), (3, '', 30)""",
            """UPDATE "Größe" SET n = 11 WHERE "Id" = 1; UPDATE "Größe" SET "Id" = 4 WHERE "Id" = 2""",
            """UPDATE "Größe" SET "Id" = "Id" WHERE "Id" = 3; DELETE FROM "Größe" WHERE "Id" = 3""",
        ],
    ),
    "full": (
        "CREATE TABLE f (a text, id int PRIMARY KEY, big text);"
        "ALTER TABLE f ALTER big SET STORAGE EXTERNAL; ALTER TABLE f REPLICA IDENTITY FULL",
        [
            "INSERT INTO f VALUES ('x', 1, repeat('z', 2500)), (NULL, 2, NULL)",
            "UPDATE f SET a = 'y' WHERE id = 1",
            "UPDATE f SET id = 3 WHERE id = 2; UPDATE f SET id = 4 WHERE id = 1",
            "DELETE FROM f WHERE id = 4",
        ],
    ),
    "leading": (
        "CREATE TABLE l (id int PRIMARY KEY, v text); ALTER TABLE l REPLICA IDENTITY FULL",
        [
            "INSERT INTO l VALUES (1, 'N'), (10, NULL)",
            "UPDATE l SET v = 'M' WHERE id = 1; UPDATE l SET id = 2 WHERE id = 1; DELETE FROM l",
        ],
    ),
    "toast": (
        "CREATE TABLE toasted (k text PRIMARY KEY, big text NOT NULL, n int);"
        "ALTER TABLE toasted ALTER k SET STORAGE EXTERNAL, ALTER big SET STORAGE EXTERNAL",
        [
            "INSERT INTO toasted VALUES ('short', repeat('b', 2500), 1), (repeat('k', 2300), 'small', 1)",
            "UPDATE toasted SET n = 2 WHERE k = 'short'",
            "UPDATE toasted SET n = 2 WHERE k <> 'short'",
            "UPDATE toasted SET k = 'other' WHERE k = 'short'",
        ],
    ),
    "index": (
        "CREATE TABLE i (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, v text, UNIQUE (b, a));"
        "ALTER TABLE i REPLICA IDENTITY USING INDEX i_b_a_key",
        [
            "INSERT INTO i VALUES (1, 2, 3, 'x')",
            "UPDATE i SET v = 'y'; UPDATE i SET a = 4; UPDATE i SET id = 9; DELETE FROM i",
        ],
    ),
    "truncate": (
        "CREATE TABLE t1 (id int PRIMARY KEY); CREATE TABLE t2 (id serial PRIMARY KEY, r int REFERENCES t1)",
        [
            "INSERT INTO t1 VALUES (1); INSERT INTO t2 (r) VALUES (1); TRUNCATE t1 RESTART IDENTITY CASCADE",
            "TRUNCATE t2",
        ],
    ),
    "messages": (
        "CREATE TABLE m (id int PRIMARY KEY)",
        [
            "SELECT pg_logical_emit_message(false, 'one', 'first');"
            "SELECT pg_logical_emit_message(false, 'two', '')",
            "INSERT INTO m VALUES (1); SELECT pg_logical_emit_message(true, 'ünï', '\\x00ff'::bytea),"
            " pg_logical_emit_message(true, 'tailrace', 'own'); INSERT INTO m VALUES (2);"
            " SELECT pg_logical_emit_message(false, 'early', 'before its transaction')",
            "SELECT pg_logical_emit_message(false, 'tailrace', 'own')",
            "SELECT pg_logical_emit_message(true, 'tailrace', 'alone')",
        ],
    ),
    "ddl": (
        "CREATE TABLE d (id int PRIMARY KEY, v text)",
        [
            "INSERT INTO d VALUES (1, 'a')",
            "INSERT INTO d VALUES (2, 'b'); ALTER TABLE d ADD w int; INSERT INTO d VALUES (3, 'c', 1)",
            "ALTER TABLE d ALTER v SET DEFAULT 'q'; INSERT INTO d VALUES (4, 'd', 2)",
            "ALTER TABLE d RENAME v TO x; UPDATE d SET w = 5 WHERE id = 1",
        ],
    ),
    "savepoints": (
        "CREATE TABLE s (id int PRIMARY KEY)",
        [
            "INSERT INTO s VALUES (1); SAVEPOINT a; INSERT INTO s VALUES (2); ROLLBACK TO a;"
            "INSERT INTO s VALUES (3); RELEASE a; INSERT INTO s VALUES (4)",
            "INSERT INTO s SELECT generate_series(100, 139)",
        ],
    ),
    "keyless": (
        "CREATE TABLE nokey (v int); ALTER TABLE nokey REPLICA IDENTITY FULL; CREATE TABLE nocolumns ();"
        "ALTER TABLE nocolumns REPLICA IDENTITY FULL",
        [
            "INSERT INTO nokey VALUES (1), (1), (NULL); UPDATE nokey SET v = 2; DELETE FROM nokey",
            "INSERT INTO nocolumns DEFAULT VALUES",
        ],
    ),
    "origin": (
        "CREATE TABLE o (id int PRIMARY KEY); SELECT pg_replication_origin_create('elsewhere')",
        [
            "SELECT pg_replication_origin_session_setup('elsewhere');"
            "SELECT pg_replication_origin_xact_setup('0/1234567', '2026-01-01'); INSERT INTO o VALUES (1)",
        ],
    ),
    "types": (
        """CREATE TYPE mood AS ENUM ('sad', 'so, so', 'it''s "ok"');
           CREATE TABLE y (id int PRIMARY KEY, b bool, by bytea, c "char", nm name, i8 int8, i2 int2,
               f4 float4, f8 float8, ch char(5), vc varchar(7), d date, t time, t3 time(3), ts timestamp,
               ts0 timestamp(0), tz timestamptz, tt timetz, n numeric, n122 numeric(12,2), n3 numeric(3,-2),
               u uuid, js json, jb jsonb, m mood, ms mood[], xs text[], ns numeric(5,1)[],
               ds timestamptz[])""",
        [
            """INSERT INTO y VALUES (1, true, '\\x00ff5c', 'c', 'nm', -9223372036854775808, -32768, 1.1,
               1e-300, 'ab', 'äöü', '2026-01-31', '24:00:00', '23:59:59.999', '2026-01-31 13:14:15.1',
               '2026-01-31 13:14:15', '2026-01-31 13:14:15.123456+02', '13:14:15+05:30',
               '1234567890.0123456789', 14285.57, 12300, 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
               '{ "a" : 1.0 }', '{"a": 1.0}', 'so, so', '{sad,"so, so",NULL}',
               '[0:1][2:3]={{"a,b","NULL"},{"\\\\",""}}', '{{1.5},{NULL}}',
               '{"2026-01-31 13:14:15+00",infinity}')""",
            """INSERT INTO y VALUES (2, false, '', '', '', 9223372036854775807, 32767, 'NaN', '-Infinity',
               '', '', '0044-03-15 BC', '00:00:00', '00:00:00', '0044-03-15 23:59:59.999999 BC',
               '12345-06-07 00:00', '0001-12-31 23:59:59.5+00 BC', '00:00-15:59:59', 'NaN', -0.01, -300,
               NULL, 'null', 'null', 'it''s "ok"', '{}', '{NULL,"nul\nl"}', '{}', '{}')""",
            """INSERT INTO y (id, d, ts, tz, n, f4)
               VALUES (3, 'infinity', '-infinity', 'infinity', 'Infinity', 0.1)""",
        ],
    ),
}


class Replication:
    """A replication connection read through libpq."""

    def __init__(self, url: str) -> None:
        session = {"client_encoding": "UTF8", "options": "-c datestyle=ISO -c timezone=UTC"}
        self.connection = pq.PGconn.connect(make_conninfo(url, replication="database", **session).encode())
        assert self.connection.status == pq.ConnStatus.OK, self.connection.error_message

    def read(
        self, slot: str, until: int, start: str = "0/0", options: str = "proto_version '1'"
    ) -> list[bytes]:
        """Every CopyData from `start`, or the slot's own, to the keepalive that has reached `until`."""
        self.connection.exec_(
            f'START_REPLICATION SLOT "{slot}" LOGICAL {start}'
            f" ({options}, publication_names 'all_tables', messages 'true')".encode()
        )
        messages: list[bytes] = []
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            size, copied = self.connection.get_copy_data(1)
            data = bytes(copied)
            if size == 0:
                self.connection.put_copy_data(struct.pack(">cQQQqB", b"r", 0, 0, 0, 0, 1))
                self.connection.flush()
                select.select([self.connection.socket], [], [], 0.5)
                self.connection.consume_input()
            elif size > 0:
                messages.append(data)
                if data[:1] == b"k" and struct.unpack(">Q", data[1:9])[0] >= until:
                    return messages
            else:
                result = self.connection.get_result()
                raise RuntimeError(result and result.error_message)
        raise TimeoutError(slot)


def record(server: PostgresServer) -> dict[str, Any]:
    """All scenarios on one server, each in a database of its own."""
    recorded: dict[str, Any] = {"server": server.execute("SHOW server_version")[0][0]}
    for name, (before, transactions) in SCENARIOS.items():
        database = server.create_database()
        with server.connect(database, options="-c timezone=UTC") as connection:
            connection.execute(before)
            connection.execute("CREATE PUBLICATION all_tables FOR ALL TABLES")
            connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (database,))
            for statements in transactions:
                connection.execute(f"BEGIN; {statements}; COMMIT")
            (until,) = connection.execute("SELECT pg_current_wal_flush_lsn() - '0/0'").fetchone() or (0,)
            messages = Replication(server.url(database)).read(database, int(until))
            recorded[name] = {
                "messages": [message.hex() for message in messages],
                "relations": relations(connection),
            }
    return recorded


def relations(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """By oid, what the catalogue says of each table, and of the types that are not built in."""
    types = [
        {"oid": oid, "schema": schema, "name": name, "typtype": kind, "element": element, "labels": labels}
        for oid, schema, name, kind, element, labels in connection.execute(
            """SELECT t.oid, nspname, typname, typtype::text,
                      CASE WHEN typcategory = 'A' THEN typelem ELSE 0 END,
                      ARRAY(SELECT enumlabel::text FROM pg_enum
                            WHERE enumtypid = t.oid ORDER BY enumsortorder)
               FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
               WHERE t.oid >= 16384 AND typrelid = 0
                 AND typelem NOT IN (SELECT oid FROM pg_type WHERE typrelid <> 0)"""
        )
    ]
    return {
        str(oid): {"not_null": not_null, "primary_key": key, "types": types}
        for oid, not_null, key in connection.execute(
            """SELECT c.oid,
                      ARRAY(SELECT attname::text FROM pg_attribute
                            WHERE attrelid = c.oid AND attnum > 0 AND attnotnull ORDER BY attnum),
                      ARRAY(SELECT attname::text
                            FROM pg_index i, unnest(indkey) WITH ORDINALITY k
                                 JOIN pg_attribute a ON a.attnum = k.k AND a.attrelid = c.oid
                            WHERE i.indrelid = c.oid AND indisprimary ORDER BY k.ordinality)
               FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""
        )
    }


def main() -> None:
    for major in (16, 18):
        with PostgresServer(major) as server:
            path = Path(__file__).with_name(f"pgoutput{major}.json")
            path.write_text(json.dumps(record(server), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
