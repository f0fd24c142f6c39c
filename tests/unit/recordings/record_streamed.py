"""Record open transactions as real servers stream them: python -m tests.unit.recordings.record_streamed

Writes `streamed<major>.json` beside this file: for each scenario the CopyData payloads as hexadecimal text,
with streaming and, of the same log, without; and what the catalogue says of each relation. What makes the
server stream is rows of a table that is not published, so that little is recorded.
"""

import contextlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.servers import PostgresServer
from tests.unit.recordings.record import Replication, relations

MAJORS = (14, 16, 18)
SETTINGS: dict[str, str | int] = {"logical_decoding_work_mem": "64kB", "max_prepared_transactions": 10}

_STREAM = "INSERT INTO filler SELECT g, repeat('x', 1000) FROM generate_series(1, 90) g"

SCENARIOS: dict[str, list[str]] = {
    # Each statement begins with the session that runs it.
    "one": ["a BEGIN", "a INSERT INTO t VALUES (1, 'ünï')", f"a {_STREAM}",
            "a INSERT INTO t VALUES (2, NULL)",
            "a UPDATE t SET v = 'x' WHERE id = 1; UPDATE t SET id = 3 WHERE id = 2", f"a {_STREAM}",
            "a DELETE FROM t WHERE id = 3; TRUNCATE t",
            "a COMMIT"],
    "messages": ["a BEGIN", "a INSERT INTO t VALUES (1, 'x')", f"a {_STREAM}",
                 "a SELECT pg_logical_emit_message(true, 'told', '\\x00ff'::bytea)", "a COMMIT"],
    "interleaved": ["a BEGIN", "b BEGIN", "a INSERT INTO t VALUES (1, 'a')", f"a {_STREAM}",
                    "b INSERT INTO t VALUES (2, 'b')", f"b {_STREAM}", "c INSERT INTO t VALUES (3, 'c')",
                    "a INSERT INTO t VALUES (4, 'a')", f"a {_STREAM}", "b INSERT INTO t VALUES (5, 'b')",
                    "b COMMIT", "c SELECT pg_logical_emit_message(false, 'early', '')",
                    "c INSERT INTO t VALUES (6, 'c')", "a COMMIT", "c INSERT INTO t VALUES (7, 'c')"],
    "savepoints": ["a BEGIN", "a INSERT INTO t VALUES (1, 'stays')", "a SAVEPOINT one",
                   "a INSERT INTO t VALUES (2, 'goes')", "a SAVEPOINT two", "a INSERT INTO u VALUES (3)",
                   f"a {_STREAM}", "a RELEASE two", f"a {_STREAM}", "a ROLLBACK TO one",
                   "a INSERT INTO u VALUES (4)", f"a {_STREAM}", "a SAVEPOINT three",
                   "a INSERT INTO t VALUES (5, 'stays')", f"a {_STREAM}", "a RELEASE three", "a COMMIT",
                   "b INSERT INTO u VALUES (6)"],
    "rolled back": ["a BEGIN", "a INSERT INTO t VALUES (1, 'goes')", f"a {_STREAM}", "a ROLLBACK",
                    "b INSERT INTO t VALUES (2, 'stays')"],
    "empty": ["a BEGIN", f"a {_STREAM}", "a COMMIT", "b INSERT INTO t VALUES (1, 'x')", "a BEGIN",
              "a SAVEPOINT one", "a INSERT INTO t VALUES (2, 'goes')", f"a {_STREAM}", "a ROLLBACK TO one",
              f"a {_STREAM}", "a COMMIT", "b INSERT INTO t VALUES (3, 'x')"],
    "altered": ["a BEGIN", "a INSERT INTO t VALUES (1, 'a')", f"a {_STREAM}",
                "a ALTER TABLE t ADD w int; INSERT INTO t VALUES (2, 'b', 5)", f"a {_STREAM}", "a COMMIT",
                "b INSERT INTO t VALUES (3, 'c', 6)"],
    "renamed": ["a BEGIN", "a INSERT INTO one.s VALUES (1)", f"a {_STREAM}",
                "b ALTER SCHEMA one RENAME TO two", "b INSERT INTO two.s VALUES (2)", "a COMMIT",
                "b INSERT INTO two.s VALUES (3)"],
    "origin": ["a SELECT pg_replication_origin_create('elsewhere')",
               "a SELECT pg_replication_origin_session_setup('elsewhere')", "a BEGIN",
               "a SELECT pg_replication_origin_xact_setup('0/1234567', '2026-01-01')",
               "a INSERT INTO t VALUES (1, 'x')", f"a {_STREAM}", "a INSERT INTO t VALUES (2, 'y')",
               "a COMMIT"],
    "types": ["a BEGIN", "a CREATE TYPE mood AS ENUM ('sad'); ALTER TABLE t ADD m mood",
              "a INSERT INTO t VALUES (1, 'x', 'sad')", f"a {_STREAM}", "a COMMIT"],
    "prepared": ["a BEGIN", "a INSERT INTO t VALUES (1, 'x')", f"a {_STREAM}",
                 "a PREPARE TRANSACTION 'large'",
                 "b INSERT INTO t VALUES (2, 'y')", "c COMMIT PREPARED 'large'", "a BEGIN",
                 "a INSERT INTO t VALUES (3, 'z')", "a PREPARE TRANSACTION 'small'",
                 "c ROLLBACK PREPARED 'small'"],
}  # fmt: skip

_TABLES = """
    CREATE SCHEMA one;
    CREATE TABLE one.s (id int PRIMARY KEY);
    CREATE TABLE t (id int PRIMARY KEY, v text);
    CREATE TABLE u (id int PRIMARY KEY);
    CREATE TABLE filler (id int, v text);
    ALTER TABLE filler ALTER v SET STORAGE PLAIN;
    CREATE PUBLICATION all_tables FOR TABLE t, u, one.s;
    """


PLAIN = "proto_version '1'"
STREAMED = {14: "proto_version '2', streaming 'on'", 16: "proto_version '4', streaming 'on'"}
PARALLEL = "proto_version '4', streaming 'parallel'"
TWO_PHASE = "proto_version '3', two_phase 'on'"
TWO_PHASE_STREAMED = f"{TWO_PHASE}, streaming 'on'"


def record(server: PostgresServer) -> dict[str, Any]:
    """All scenarios on one server, each in a database of its own."""
    recorded: dict[str, Any] = {"server": server.execute("SHOW server_version")[0][0]}
    major = server.major
    for name, statements in SCENARIOS.items():
        database = server.create_database()
        ways = {"plain": PLAIN, "streamed": STREAMED[min(major, 16)]}
        slots = dict.fromkeys(ways, database)
        if major >= 16 and name == "savepoints":
            ways["parallel"], slots["parallel"] = PARALLEL, database
        if major >= 16 and name == "prepared":
            ways |= {"two phase": TWO_PHASE, "two phase streamed": TWO_PHASE_STREAMED}
            slots |= dict.fromkeys(("two phase", "two phase streamed"), f"{database}_2")
        with contextlib.ExitStack() as sessions:
            connections = {
                session: sessions.enter_context(server.connect(database, options="-c timezone=UTC"))
                for session in "abc"
            }
            connections["a"].execute(_TABLES)
            for slot in sorted({*slots.values()}):
                connections["a"].execute(
                    "SELECT pg_create_logical_replication_slot(%s, 'pgoutput', false, %s)",
                    (slot, slot != database),
                )
            for statement in statements:
                session, _, words = statement.partition(" ")
                connections[session].execute(words)
            [(until,)] = connections["c"].execute("SELECT pg_current_wal_insert_lsn() - '0/0'")
            recorded[name] = {"relations": relations(connections["c"])}
            # Each way begins anew, as nothing is acknowledged.
            for way, options in ways.items():
                replication = Replication(server.url(database))
                messages = replication.read(slots[way], int(until), options=options)
                replication.connection.finish()
                recorded[name][way] = [
                    message.hex()
                    for message, behind in pairwise([*messages, b""])
                    if message[:1] != b"k" or behind[:1] != b"k"  # of several keepalives the last
                ]
    return recorded


def main() -> None:
    for major in MAJORS:
        with PostgresServer(major, SETTINGS) as server:
            path = Path(__file__).with_name(f"streamed{major}.json")
            path.write_text(json.dumps(record(server), ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    main()
