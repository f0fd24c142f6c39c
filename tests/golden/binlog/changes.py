"""Tables for every kind of change: keys, transactions, several rows, defaults, names."""

from __future__ import annotations

from typing import Final

from tests.golden.binlog.families import MARIADB, MYSQL
from tests.golden.binlog.tables import Table

#: The table that is written to last of all.
LAST: Final = "last"

CHANGES: Final = (
    Table(
        "keyed",
        "id int PRIMARY KEY, t text, n int NOT NULL, s varchar(9) NOT NULL",
        (
            "INSERT INTO keyed VALUES (1, 'one', 10, 'a'), (2, NULL, 20, '')",
            "UPDATE keyed SET t = 'two' WHERE id = 2",
            "UPDATE keyed SET t = 'two' WHERE id = 2",
            "UPDATE keyed SET id = 3 WHERE id = 1",
            "UPDATE keyed SET id = id + 10, n = n + 1",
            "DELETE FROM keyed WHERE id = 13",
            "REPLACE INTO keyed VALUES (12, 'new', 1, 'b')",
            "INSERT INTO keyed VALUES (12, 'x', 1, 'b') ON DUPLICATE KEY UPDATE t = 'newer'",
        ),
    ),
    Table(
        "keyed_by_two",
        "t text, a int, b varchar(5), PRIMARY KEY (b, a)",
        (
            "INSERT INTO keyed_by_two VALUES ('x', 1, 'ü')",
            "UPDATE keyed_by_two SET t = NULL",
            "UPDATE keyed_by_two SET a = 2",
            "DELETE FROM keyed_by_two",
        ),
    ),
    Table(
        "keyed_by_prefix",
        "b varbinary(20) NOT NULL, n int, PRIMARY KEY (b(4))",
        ("INSERT INTO keyed_by_prefix VALUES (x'0102030405', 1)", "UPDATE keyed_by_prefix SET n = 2"),
    ),
    Table(
        "keyed_by_many_types",
        "n decimal(6,2), t datetime(6), e enum('a','b'), b binary(3), u bigint unsigned, v int,"
        " PRIMARY KEY (n, t, e, b, u)",
        (
            "INSERT INTO keyed_by_many_types VALUES (1.5, '2026-01-31 13:14:15.5', 'a', x'0100', 7, 1)",
            "UPDATE keyed_by_many_types SET e = 'b', v = NULL",
            "DELETE FROM keyed_by_many_types",
        ),
    ),
    Table(
        "partitioned",
        "id int PRIMARY KEY, n int) PARTITION BY RANGE (id) (PARTITION low VALUES LESS THAN (10),"
        " PARTITION high VALUES LESS THAN MAXVALUE",
        (
            "INSERT INTO partitioned VALUES (1, 1), (11, 1)",
            "UPDATE partitioned SET n = 2",
            "UPDATE partitioned SET id = 12 WHERE id = 1",
        ),
    ),
    Table(
        "together",
        "id int PRIMARY KEY AUTO_INCREMENT, n int",
        (
            "BEGIN",
            "INSERT INTO together (n) VALUES (1), (2), (3)",
            "UPDATE together SET n = n + 1",
            "SAVEPOINT s",
            "INSERT INTO together (n) VALUES (9)",
            "ROLLBACK TO SAVEPOINT s",
            "DELETE FROM together WHERE id > 1",
            "COMMIT",
            "BEGIN",
            "INSERT INTO together (n) VALUES (9)",
            "ROLLBACK",
            "XA START 'a'",
            "UPDATE together SET n = n + 1",
            "XA END 'a'",
            "XA COMMIT 'a' ONE PHASE",
        ),
    ),
    Table(
        "compressed",
        "id int PRIMARY KEY, t text",
        (
            "SET binlog_transaction_compression = ON",
            "INSERT INTO compressed VALUES (1, repeat('x', 300)), (2, NULL)",
            "UPDATE compressed SET id = id + 10",
            "SET binlog_transaction_compression = OFF",
        ),
        MYSQL,
    ),
    Table(
        "defaults",
        "id int PRIMARY KEY, t varchar(9) DEFAULT 'hello', n int NOT NULL DEFAULT 7,"
        " d date DEFAULT '2026-01-31', z timestamp NULL DEFAULT CURRENT_TIMESTAMP,"
        " x decimal(5,2) DEFAULT 1.5, b bit(1) DEFAULT b'1', e enum('a','b') NOT NULL DEFAULT 'a'",
        (
            "INSERT INTO defaults VALUES (1, 'a', 1, '1970-01-01', '1970-01-01 00:00:01', 0, 0, 'b')",
            "INSERT INTO defaults VALUES (2, NULL, 2, NULL, NULL, NULL, NULL, 'b')",
        ),
    ),
    Table(
        "Größe 1.x",
        '`Id` int PRIMARY KEY, `select` text, `größe "x"` text, `a.b` text',
        ("INSERT INTO `Größe 1.x` VALUES (1, 'a', 'b', 'c')",),
    ),
    Table(
        "generated",
        "id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED,"
        " thrice int GENERATED ALWAYS AS (n * 3) VIRTUAL",
        ("INSERT INTO `generated` (id, n) VALUES (1, 21)", "UPDATE `generated` SET n = 22"),
        MYSQL,
    ),
    Table(
        "generated_of_mariadb",
        "id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED",
        ("INSERT INTO generated_of_mariadb (id, n) VALUES (1, 21)",),
        MARIADB,
    ),
    Table(
        "documents_in_part",
        "id int PRIMARY KEY, j json",
        (
            'INSERT INTO documents_in_part VALUES (1, \'{"a": "hello, hello, hello", "b": 2}\')',
            "SET binlog_row_value_options = 'PARTIAL_JSON'",
            "UPDATE documents_in_part SET j = json_set(j, '$.b', 3)",
            "SET binlog_row_value_options = ''",
        ),
        MYSQL,
    ),
    Table(
        "hidden",
        "id int PRIMARY KEY, n int INVISIBLE",
        ("INSERT INTO hidden (id, n) VALUES (1, 1)", "INSERT INTO hidden (id) VALUES (2)"),
    ),
    Table("truncated", "id int PRIMARY KEY", ("INSERT INTO truncated VALUES (1)", "TRUNCATE truncated")),
    Table(
        "altered",
        "id int PRIMARY KEY, a int",
        (
            "INSERT INTO altered VALUES (1, 1)",
            "ALTER TABLE altered ADD b varchar(5), DROP a, ADD c int NOT NULL FIRST",
            "INSERT INTO altered VALUES (2, 2, 'b')",
            "ALTER TABLE altered RENAME COLUMN b TO d, MODIFY c bigint",
            "UPDATE altered SET d = 'x'",
        ),
    ),
    Table(LAST, "id int PRIMARY KEY", (f"INSERT INTO {LAST} VALUES (1)",)),
)
