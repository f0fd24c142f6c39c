"""Somebody who changes tables while others write to them, one statement after another and round again."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import pymysql
from pymysql.connections import Connection

from tests.servers import MySql

_ADDED: Final = (
    "int NOT NULL DEFAULT 7",
    "varchar(20) DEFAULT 'nöw'",
    "decimal(9,3)",
    "datetime(3)",
    "text CHARACTER SET latin1",
    "bit(5)",
    "enum('p','q') NOT NULL DEFAULT 'q'",
)
_WIDENED: Final = {
    "int NOT NULL DEFAULT 7": "bigint NULL",
    "varchar(20) DEFAULT 'nöw'": "varchar(300) CHARACTER SET utf8mb4",
    "decimal(9,3)": "decimal(20,6)",
    "datetime(3)": "datetime(6) NULL FIRST",
    "text CHARACTER SET latin1": "mediumtext CHARACTER SET utf8mb4",
    "bit(5)": "bit(60)",
    "enum('p','q') NOT NULL DEFAULT 'q'": "enum('o','p','q','r') NULL",
}
_CHANGED: Final = ("every type", "orders", "moves", "bulk", "parts")


class Changes:
    """Of one database, on one connection. All of them are done once in `ROUND` steps."""

    ROUND: Final = 52

    def __init__(self, server: MySql, database: str, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        """Rounds that were begun, by what is done in them."""
        self.steps = 0
        """Statements that were run."""
        self._server = server
        self._database = database
        self._connection: Connection[Any] | None = None
        self._random = Random(f"{seed}/ddl")
        self._numbers = itertools.count(1)
        self._statements = self._forever()

    def connect(self) -> None:
        self._connection = self._server.connect(self._database, charset="utf8mb4")
        with self._connection.cursor() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = 20")

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def step(self) -> None:
        """The next statement."""
        if self._connection is None:
            self.connect()
        statement = next(self._statements)
        while not self._ran(statement):
            pass
        self.steps += 1

    def _ran(self, statement: str) -> bool:
        assert self._connection is not None
        with self._connection.cursor() as cursor:
            try:
                cursor.execute(statement)
            except pymysql.err.OperationalError as error:
                if error.args[0] not in (1205, 1213):  # lock timeout, deadlock
                    raise
                return False
        return True

    def _forever(self) -> Iterator[str]:
        kinds: dict[str, Any] = {
            "column": self._column,
            "rename table": self._rename,
            "exchange of two": self._exchange,
            "gh-ost": self._ghost,
            "pt-osc": self._triggers,
            "partitions": self._partitions,
            "truncate": lambda: ["TRUNCATE TABLE emptied"],
            "create select": self._created,
            "another key": self._rekeyed,
            "rebuild": lambda: [
                "ALTER TABLE `lines` FORCE",
                "ALTER TABLE bulk CONVERT TO CHARACTER SET utf8mb4",
            ],
            "next file": lambda: ["FLUSH BINARY LOGS"],
        }
        if self._server.flavor == "mariadb":
            kinds["compressed"] = self._compressed
        while True:
            for name in self._random.sample(list(kinds), len(kinds)):
                self.counts[name] += 1
                yield from kinds[name]()

    def _column(self) -> Iterator[str]:
        """Its whole life, four times at once."""
        lives = [self._life(table) for table in self._random.sample(_CHANGED, 4)]
        for statements in zip(*lives, strict=True):
            yield from statements

    def _life(self, table: str) -> Iterator[str]:
        number, type = next(self._numbers), self._random.choice(_ADDED)
        place = self._random.choice((" FIRST", " AFTER version"))  # see `mysql_mixed.TABLES`
        yield f"ALTER TABLE `{table}` ADD COLUMN x{number} {type}{place}"
        yield f"ALTER TABLE `{table}` MODIFY x{number} {_WIDENED[type]}"
        yield f"ALTER TABLE `{table}` RENAME COLUMN x{number} TO `ý {number}`"
        yield f"ALTER TABLE `{table}` DROP COLUMN `ý {number}`"

    def _rename(self) -> Iterator[str]:
        yield "RENAME TABLE wanders TO wandered"
        yield "ALTER TABLE wandered ADD COLUMN x int, RENAME TO `wanders on`"
        yield "RENAME TABLE `wanders on` TO wanders"
        yield "ALTER TABLE wanders DROP COLUMN x"

    def _exchange(self) -> Iterator[str]:
        yield "RENAME TABLE `left side` TO meanwhile, `right side` TO `left side`, meanwhile TO `right side`"

    def _ghost(self) -> Iterator[str]:
        """As gh-ost: a copy beside, and one statement that changes the names."""
        yield "CREATE TABLE _swapped_gho LIKE swapped"
        yield f"ALTER TABLE _swapped_gho ADD COLUMN g{next(self._numbers)} int NOT NULL DEFAULT 1 FIRST"
        yield "INSERT IGNORE INTO _swapped_gho (id, version, v) SELECT id, version, v FROM swapped"
        yield "RENAME TABLE swapped TO _swapped_del, _swapped_gho TO swapped"
        yield "DROP TABLE _swapped_del"

    def _triggers(self) -> Iterator[str]:
        """As pt-online-schema-change: triggers keep the copy up to date."""
        yield "CREATE TABLE _swapped_new LIKE swapped"
        yield "ALTER TABLE _swapped_new MODIFY v varchar(80) CHARACTER SET utf8mb4"
        yield (
            "CREATE TRIGGER pt_del AFTER DELETE ON swapped FOR EACH ROW "
            "DELETE IGNORE FROM _swapped_new WHERE id = OLD.id"
        )
        for event in ("insert", "update"):
            yield (
                f"CREATE TRIGGER pt_{event[:3]} AFTER {event} ON swapped FOR EACH ROW "
                "REPLACE INTO _swapped_new (id, version, v) VALUES (NEW.id, NEW.version, NEW.v)"
            )
        yield "INSERT IGNORE INTO _swapped_new (id, version, v) SELECT id, version, v FROM swapped"
        yield "RENAME TABLE swapped TO _swapped_old, _swapped_new TO swapped"
        yield "DROP TABLE _swapped_old"

    def _partitions(self) -> Iterator[str]:
        yield "ALTER TABLE parts ADD PARTITION (PARTITION p2 VALUES LESS THAN (MAXVALUE))"
        yield (
            "ALTER TABLE parts REORGANIZE PARTITION p0, p1 INTO "
            "(PARTITION p0 VALUES LESS THAN (50), PARTITION p1 VALUES LESS THAN (200))"
        )
        yield "ALTER TABLE parts TRUNCATE PARTITION p0"
        yield "ALTER TABLE parts DROP PARTITION p2"

    def _created(self) -> Iterator[str]:
        yield "CREATE TABLE made (id int PRIMARY KEY, version int NOT NULL) SELECT id, version FROM orders"
        yield "ALTER TABLE made ADD COLUMN later varchar(30) FIRST"
        yield "DROP TABLE made"

    def _rekeyed(self) -> Iterator[str]:
        yield "ALTER TABLE rekeyed DROP PRIMARY KEY, ADD PRIMARY KEY (part, id), LOCK = SHARED"
        yield "ALTER TABLE rekeyed DROP PRIMARY KEY, ADD PRIMARY KEY (id), LOCK = SHARED"

    def _compressed(self) -> Iterator[str]:
        """Which is a setting of the whole server."""
        yield "SET GLOBAL log_bin_compress_min_len = 10"
        yield "SET GLOBAL log_bin_compress = ON"
        yield "INSERT IGNORE INTO bulk (id, version, note) VALUES (1, 1, REPEAT('compressed', 15))"
        yield "UPDATE bulk SET note = REPEAT('x', 150) WHERE id < 50"
        yield "SET GLOBAL log_bin_compress = OFF"
