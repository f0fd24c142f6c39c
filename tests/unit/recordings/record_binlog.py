"""Record binary logs of real servers, for the decoder's tests: python -m tests.unit.recordings.record_binlog

Behind it, which releases (all by default), or `mysql9:values` for one scenario alone.

Writes into `binlog/` beside this file, for each release of a server and each scenario, the file that the
server wrote; for each release what it sent over a connection (`<release>.packets`); and in `<release>.json`
what the server itself says of each file (SHOW BINLOG EVENTS) and of the tables (information_schema).
"""

from __future__ import annotations

import json
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.mysql import MySqlServer

FOLDER = Path(__file__).with_name("binlog")
RELEASES = ("mysql9", "mariadb10", "mariadb11")

_COLUMNS = """
    id int unsigned NOT NULL, tiny tinyint, utiny tinyint unsigned, small smallint, medium mediumint unsigned,
    big bigint, ubig bigint unsigned, num decimal(12,3), unum decimal(5,0) unsigned, f float,
    d double unsigned, y year, b bit(13), dt date, t time(3), dtm datetime(6), ts timestamp(2) NULL,
    c char(10), clatin char(20) CHARACTER SET latin1, cwide char(255), bin binary(16), vbin varbinary(300),
    v varchar(40) COLLATE utf8mb4_bin NOT NULL, vlatin varchar(40) CHARACTER SET latin1, tx text,
    txlatin longtext CHARACTER SET latin1, bl blob, tbl tinyblob, e enum('a','b','é'),
    elatin enum('x','ü') CHARACTER SET latin1, s set('p','q','r'), j json, g geometry, p point,
    gen int AS (tiny + 1) VIRTUAL, hidden int {invisible} DEFAULT 7
"""
_OWN_COLUMNS = {
    "mysql9": ", vec vector(3)",
    "mariadb10": ", i6 inet6, i4 inet4, u uuid, vcomp varchar(500) COMPRESSED, tcomp text COMPRESSED",
    "mariadb11": ", i6 inet6, i4 inet4, u uuid, vcomp varchar(500) COMPRESSED, tcomp text COMPRESSED,"
    " vec vector(3)",
}
_OWN_VALUES = {
    "mysql9": (", vec", ", STRING_TO_VECTOR('[1,-2.5,3]')"),
    "mariadb10": (
        ", i6, i4, u, vcomp, tcomp",
        ", '::1', '1.2.3.4', '123e4567-e89b-12d3-a456-426655440000', REPEAT('c', 200), REPEAT('d', 200)",
    ),
    "mariadb11": (
        ", i6, i4, u, vcomp, tcomp, vec",
        ", '::1', '1.2.3.4', '123e4567-e89b-12d3-a456-426655440000', REPEAT('c', 200), REPEAT('d', 200),"
        " VEC_FROMTEXT('[1,-2.5,3]')",
    ),
}
_FILLED = (
    "INSERT INTO filled (id, tiny, utiny, small, medium, big, ubig, num, unum, f, d, y, b, dt, t, dtm, ts, c,"
    " clatin, cwide, bin, vbin, v, vlatin, tx, txlatin, bl, tbl, e, elatin, s, j, g, p, hidden{own_names})"
    " VALUES (%d, -128, 255, -32768, 16777215, -9223372036854775808, 18446744073709551615, -123456789.125,"
    " 99999, 1.5, 1e300, 2155, b'1010101010101', '2026-01-31', '-12:34:56.789', '9999-12-31 23:59:59.999999',"
    " '2038-01-19 03:14:07.99', 'äb', 'Zoë', REPEAT('w', 200), x'00ff00', x'deadbeef', 'text', 'été',"
    " REPEAT('t', 300), 'été', REPEAT('b', 300), x'00', 'é', 'ü', 'p,q', '{document}',"
    " ST_GeomFromText('LINESTRING(0 0,1 1)'), ST_GeomFromText('POINT(1 2)', 4326), 7{own_values})"
)
_MOMENTS = (
    "JSON_ARRAY(CAST(1.5 AS decimal(5,2)), CAST('2026-01-31' AS date), CAST('-13:14:15.5' AS time(6)),"
    " CAST('2026-01-31 13:14:15.5' AS datetime(6)), CAST(x'00ff' AS binary))"
)
_DOCUMENT = (
    '{"a": [1, -2, 70000, -70000, 5000000000, 1.5, "x", null, true, {"b": {}}], "long": "'
    + "so it is " * 20
    + '"}'
)
_INSERT = (
    "INSERT INTO kinds (id, tiny, v, tx, e, s, j, g, hidden) VALUES "
    "(1, -1, 'one', REPEAT('text ', 20), 'é', 'p,r', '{{\"k\": 1}}', ST_GeomFromText('POINT(1 2)'), 8),"
    "(2, NULL, 'two', NULL, NULL, NULL, NULL, NULL, NULL)"
)


@dataclass(frozen=True)
class Scenario:
    """Statements of one session, between two rotations of the log."""

    name: str
    statements: Sequence[str]
    before: Sequence[str] = ()  # run before the log is rotated
    releases: Sequence[str] = RELEASES


_MARIADB = ("mariadb10", "mariadb11")
SCENARIOS = (
    Scenario(
        "rows",
        [
            "CREATE TABLE kinds ({columns}, PRIMARY KEY (id, v(5)))",
            _INSERT,
            "UPDATE kinds SET tiny = 5 WHERE id = 1",
            "UPDATE kinds SET id = 3, v = 'three' WHERE id = 2",
            "DELETE FROM kinds",
            "CREATE TABLE keyless (a int, b varchar(10))",
            "INSERT INTO keyless VALUES (1, 'x')",
            "TRUNCATE TABLE keyless",
        ],
    ),
    Scenario(
        "partitioned",
        [
            "CREATE TABLE größe (`naïve id` int, b int, a int, PRIMARY KEY (a, `naïve id`))"
            " PARTITION BY HASH (a) PARTITIONS 4",
            "INSERT INTO größe VALUES (1, 2, 3), (4, 5, 6)",
            "UPDATE größe SET a = 8 WHERE b = 5",
        ],
    ),
    Scenario(
        "hidden",  # columns that are there for an index, or instead of a key
        [
            "CREATE TABLE expressions (id int PRIMARY KEY, v varchar(20), j json, KEY ((UPPER(v))),"
            " KEY ((CAST(j->'$.a' AS UNSIGNED ARRAY))))",
            "INSERT INTO expressions VALUES (1, 'x', '{{\"a\": [1, 2]}}')",
            "SET SESSION sql_generate_invisible_primary_key = ON",
            "CREATE TABLE withkey (v varchar(20))",
            "INSERT INTO withkey VALUES ('x')",
        ],
        releases=["mysql9"],
    ),
    Scenario(
        "hidden",
        [
            "CREATE TABLE versioned (id int PRIMARY KEY, v varchar(20)) WITH SYSTEM VERSIONING",
            "INSERT INTO versioned VALUES (1, 'x')",
            "UPDATE versioned SET v = 'y'",
        ],
        releases=_MARIADB,
    ),
    Scenario(
        "values",  # of every type, in every kind of image
        [
            "CREATE TABLE filled ({columns}, PRIMARY KEY (id))",
            _FILLED % 1,
            _FILLED % 2,
            "UPDATE filled SET tiny = tiny + 1, v = 'other', dtm = '2026-01-31 13:14:15.123456', e = 'a'",
            "SET SESSION binlog_row_image = MINIMAL",
            "UPDATE filled SET num = 1.125, tx = 'short', b = 7, s = 'r' WHERE id = 1",
            "SET SESSION binlog_row_image = FULL",
            "CREATE TABLE more (id int PRIMARY KEY, b bit(64), s set({labels}), n decimal(65,30), t time,"
            " t6 time(6), dt datetime, dt3 datetime(3), ts timestamp NULL, ts6 timestamp(6) NULL,"
            " mb mediumblob, u varchar(20) CHARACTER SET utf16, sj varchar(20) CHARACTER SET sjis,"
            " g varchar(20) CHARACTER SET gbk, j json)",
            "INSERT INTO more VALUES (1, 18446744073709551615, 'l0,l9,l19',"
            " -12345678901234567890.123456789012345, '838:59:59', '-00:00:00.000001', '0999-01-01',"
            " '2026-01-31 13:14:15.123', '2026-01-31 13:14:15', '2026-01-31 13:14:15.123456', x'00ff',"
            " 'äöü€', '日本語', '中文', {moments}), (2, 0, '', 0, '00:00', '00:00', '9999-12-31',"
            " '1000-01-01', '1970-01-01 00:00:01', '1970-01-01 00:00:01', '', '', '', '', '[]')",
            "UPDATE more SET b = 5, j = '{{}}'",
            "{partial}",
            "UPDATE filled SET j = {changed}",
            "DELETE FROM filled",
        ],
    ),
    Scenario(
        "minimal",  # what is described and what is logged
        [
            "SET SESSION binlog_row_image = MINIMAL",
            _INSERT,
            "UPDATE kinds SET tiny = 5 WHERE id = 1",
            "SET SESSION binlog_row_image = NOBLOB",
            "UPDATE kinds SET tiny = 6 WHERE id = 1",
            "DELETE FROM kinds",
        ],
        ["SET GLOBAL binlog_row_metadata = MINIMAL"],
    ),
    Scenario(
        "transactions",
        [
            "CREATE TABLE a (id int PRIMARY KEY, n int)",
            "CREATE TABLE b (id int PRIMARY KEY, n int)",
            "BEGIN",
            "INSERT INTO a VALUES (1, 1), (2, 2)",
            "SAVEPOINT one",
            "INSERT INTO b VALUES (1, 1)",
            "ROLLBACK TO one",
            "UPDATE a, b SET a.n = 3, b.n = 3 WHERE a.id = 1",
            "INSERT INTO b VALUES (2, 2)",
            "COMMIT",
            "XA START 'global', 'branch', 5",
            "INSERT INTO a VALUES (3, 3)",
            "XA END 'global', 'branch', 5",
            "XA PREPARE 'global', 'branch', 5",
            "XA COMMIT 'global', 'branch', 5",
            "XA START X'00ff'",
            "INSERT INTO a VALUES (4, 4)",
            "XA END X'00ff'",
            "XA PREPARE X'00ff'",
            "XA ROLLBACK X'00ff'",
            "XA START 'phase'",
            "INSERT INTO a VALUES (5, 5)",
            "XA END 'phase'",
            "XA COMMIT 'phase' ONE PHASE",
            "DROP TABLE a, b",
        ],
    ),
    Scenario(
        "undone",  # a savepoint, over a table that knows none
        [
            "CREATE TABLE c (id int PRIMARY KEY)",
            "CREATE TABLE d (id int PRIMARY KEY) ENGINE = MyISAM",
            "BEGIN",
            "INSERT INTO c VALUES (1)",
            "SAVEPOINT one",
            "INSERT INTO c VALUES (2)",
            "INSERT INTO d VALUES (2)",
            "ROLLBACK TO one",
            "COMMIT",
        ],
        releases=_MARIADB,
    ),
    Scenario(
        "statements",
        [
            "SET SESSION binlog_format = STATEMENT",
            "CREATE TABLE n (id int PRIMARY KEY AUTO_INCREMENT, r double, v varchar(40))",
            "SET @who = 'Zoë'",
            "INSERT INTO n (r, v) VALUES (rand(), @who)",
            "LOAD DATA INFILE '{folder}/rows.csv' INTO TABLE n FIELDS TERMINATED BY ','",
            "INSERT INTO n (r, v) SELECT 0, 'é'",
        ],
    ),
    Scenario(
        "annotated",
        [
            "SET SESSION binlog_rows_query_log_events = ON",
            "INSERT INTO n (id, v) VALUES (100, 'Zoë') /* {long} */",
        ],
        releases=["mysql9"],
    ),
    Scenario(
        "plain",  # without checksums
        ["INSERT INTO n (id, v) VALUES (200, 'x')", "DELETE FROM n WHERE id = 200"],
        ["SET GLOBAL binlog_checksum = NONE"],
    ),
    Scenario(
        "wide",
        ["CREATE TABLE wide (id int PRIMARY KEY{many})", "INSERT INTO wide (id, c299) VALUES (1, 2)"],
    ),
    Scenario(
        "compressed",
        [
            "SET SESSION binlog_transaction_compression = ON",
            "BEGIN",
            "INSERT INTO n (id, v) VALUES (300, REPEAT('x', 40)), (301, REPEAT('y', 40))",
            "UPDATE n SET v = REPEAT('z', 40) WHERE id = 300",
            "COMMIT",
            "DELETE FROM n WHERE id = 301",
        ],
        releases=["mysql9"],
    ),
    Scenario(
        "compressed",
        [
            "SET SESSION binlog_annotate_row_events = OFF",
            "BEGIN",
            "INSERT INTO n (id, v) VALUES (300, REPEAT('x', 40)), (301, REPEAT('y', 40))",
            "UPDATE n SET v = REPEAT('z', 40)",
            "COMMIT",
            "DELETE FROM n",
            "CREATE TABLE o (id int) COMMENT '{long}'",
        ],
        ["SET GLOBAL log_bin_compress = ON", "SET GLOBAL log_bin_compress_min_len = 10"],
        _MARIADB,
    ),
    Scenario(
        "tagged",
        [
            "SET gtid_next = 'AUTOMATIC:east'",
            "INSERT INTO n (id) VALUES (400)",
            "SET gtid_next = 'AUTOMATIC:_w1'",
            "INSERT INTO n (id) VALUES (401)",
            "SET gtid_next = 'FFFFFFFF-0000-0000-00FF-123456789ABC:far:1099511627776'",
            "INSERT INTO n (id) VALUES (402)",
            "SET gtid_next = 'AUTOMATIC'",
        ],
        releases=["mysql9"],
    ),
    Scenario("tagged before", ["INSERT INTO n (id) VALUES (403)"], releases=["mysql9"]),
    Scenario(
        "json",
        [
            "CREATE TABLE j (id int PRIMARY KEY, doc json)",
            "SET SESSION binlog_row_value_options = PARTIAL_JSON",
            'INSERT INTO j VALUES (1, \'{{"a": "a long enough text to be worth it", "n": 1}}\')',
            "UPDATE j SET doc = JSON_SET(doc, '$.n', 2)",
        ],
        releases=["mysql9"],
    ),
    Scenario(
        "domains",
        [
            "SET SESSION gtid_domain_id = 7, SESSION server_id = 99",
            "INSERT INTO n (id) VALUES (500)",
        ],
        releases=_MARIADB,
    ),
    Scenario("domains before", ["INSERT INTO n (id) VALUES (501)"], releases=_MARIADB),
    Scenario(
        "anonymous",
        ["INSERT INTO n (id) VALUES (600)"],
        ["SET GLOBAL gtid_mode = ON_PERMISSIVE", "SET GLOBAL gtid_mode = OFF_PERMISSIVE"],
        ["mysql9"],
    ),
)


def record(release: str, only: str = "") -> None:
    """`only`: the name of a scenario; nothing is recorded anew of the others."""
    told: dict[str, Any] = json.loads((FOLDER / f"{release}.json").read_text()) if only else {}
    mysql = release.startswith("mysql")
    with MySqlServer(release, {"server_id": 11}) as server:
        words = {
            "columns": _COLUMNS.format(invisible="INVISIBLE") + _OWN_COLUMNS[release],
            "many": "".join(f", c{i} int" for i in range(300)),
            "folder": server.process.directory,
            "long": "so that it is long, " * 20,
            "document": _DOCUMENT,
            "own_names": _OWN_VALUES[release][0],
            "own_values": _OWN_VALUES[release][1],
            "labels": ", ".join(f"'l{n}'" for n in range(20)),
            "moments": _MOMENTS if mysql else "'[1]'",
            "partial": "SET SESSION binlog_row_value_options = PARTIAL_JSON" if mysql else "DO 0",
            "changed": "JSON_SET(j, '$.long', 'short', '$.a[1]', 'x')" if mysql else "'{}'",
        }
        rows = server.process.directory / "rows.csv"
        rows.write_text("10,1.5,ten\n11,2.5,eleven\n")
        rows.chmod(0o644)
        server.execute("CREATE DATABASE shop")
        for scenario in SCENARIOS:
            if release not in scenario.releases or only not in ("", scenario.name):
                continue
            globals = [before for before in scenario.before if before.startswith("SET GLOBAL")]
            names = [before.split()[2] for before in globals]
            kept = [server.execute(f"SELECT @@GLOBAL.{name}")[0][0] for name in names]
            for before in scenario.before:
                server.execute(before)
            server.execute("FLUSH BINARY LOGS")
            file = current(server)
            with server.connect("shop") as connection, connection.cursor() as cursor:
                for statement in scenario.statements:
                    cursor.execute(statement.format(**words))
            server.execute("FLUSH BINARY LOGS")
            told[scenario.name] = [
                [position, type, server_id, end, info[:200]]
                for _, position, type, server_id, end, info in server.execute(
                    f"SHOW BINLOG EVENTS IN '{file}'"
                )
            ]
            (FOLDER / f"{release}-{scenario.name.replace(' ', '-')}.binlog").write_bytes(
                (server.data / file).read_bytes()
            )
            for name, value in zip(reversed(names), reversed(kept), strict=True):
                if name != "gtid_mode":
                    server.execute(f"SET GLOBAL {name} = %s", (value,))
            if scenario.name in ("rows", "partitioned", "hidden"):
                told["tables"] = tables(server)
            if scenario.name == "rows":
                (FOLDER / f"{release}.packets").write_bytes(b"".join(sent(server, file)))
    lines = (f"{json.dumps(name)}: {json.dumps(part, ensure_ascii=False)}" for name, part in told.items())
    (FOLDER / f"{release}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def current(server: MySqlServer) -> str:
    status = "BINARY LOG" if server.flavor == "mysql" else "MASTER"
    return str(server.execute(f"SHOW {status} STATUS")[0][0])


def tables(server: MySqlServer) -> dict[str, Any]:
    """What the server says of its tables' columns, in their order, and of their keys."""
    found: dict[str, Any] = {}
    collations, name = {
        "mysql": ("collations", "collation_name"),
        "mariadb": ("collation_character_set_applicability", "full_collation_name"),
    }[server.flavor]
    columns = server.execute(
        "SELECT c.table_name, c.column_name, c.column_type, c.is_nullable, o.id, c.extra"
        f" FROM information_schema.columns c LEFT JOIN information_schema.{collations} o"
        f" ON o.{name} = c.collation_name"
        " WHERE c.table_schema = 'shop' ORDER BY c.table_name, c.ordinal_position"
    )
    for table, *column in columns:
        found.setdefault(table, {"columns": [], "key": []})["columns"].append(column)
    keys = server.execute(
        "SELECT table_name, column_name FROM information_schema.statistics"
        " WHERE table_schema = 'shop' AND index_name = 'PRIMARY' ORDER BY table_name, seq_in_index"
    )
    for table, column in keys:
        found[table]["key"].append(column)
    return found


def sent(server: MySqlServer, file: str) -> Iterator[bytes]:
    """What comes over a connection that asks for a file, to its end and a heartbeat behind it."""
    connection: Any = server.connect(ssl_disabled=True)
    with connection, connection.cursor() as cursor:
        cursor.execute("SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'")
        cursor.execute("SET @master_heartbeat_period = 200000000, @source_heartbeat_period = 200000000")
        if server.flavor == "mariadb":
            cursor.execute("SET @mariadb_slave_capability = 4")
        # COM_BINLOG_DUMP: position, flags, server id, file. The flag asks for MySQL's newer heartbeats, of
        # MariaDB for the statements beside rows.
        connection._execute_command(0x12, struct.pack("<IHI", 4, 2, 4242) + file.encode())
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            connection._sock.settimeout(2)
            yield connection._sock.recv(1 << 16)
        connection._force_close()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for argument in sys.argv[1:] or RELEASES:
        record(*argument.split(":"))
