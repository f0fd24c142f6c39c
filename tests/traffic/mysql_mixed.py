"""Mixed traffic on a MySQL or MariaDB server, on tables that somebody else changes meanwhile.

Nothing is kept account of: what happened is what the server's log says. A statement that meets a table or a
column that has gone, a lock or a value that does not fit undoes its transaction.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, Protocol, Self

import pymysql

from tests.servers import MySql
from tests.traffic.mysql import COMPRESSED
from tests.traffic.mysql_values import ColumnInfo, catalogue, value

_EVERY_TYPE: Final = """
    id bigint unsigned PRIMARY KEY, version int NOT NULL DEFAULT 0,
    t tinyint, tu tinyint unsigned, s smallint, mu mediumint unsigned, i int, iu int unsigned, b bigint,
    bu bigint unsigned, n decimal(18,4), nw decimal(38,10) NOT NULL DEFAULT 0, f float, d double, b1 bit(1),
    bs bit(21), dt date, dm datetime, dm6 datetime(6), ts timestamp NULL, ts3 timestamp(3) NULL,
    tm time, tm4 time(4), c char(10), v varchar(200), x text, xm mediumtext, bf binary(8), bv varbinary(60),
    bl blob, e enum('a','b c','ö'), se set('x','y','z'), js json, y year"""

TABLES: Final[Mapping[str, str]] = {
    "every type": _EVERY_TYPE,
    "orders": "id int PRIMARY KEY, version int NOT NULL DEFAULT 0, customer varchar(60), total decimal(12,2)",
    "lines": "id int, part int, version int NOT NULL DEFAULT 0, note text, PRIMARY KEY (part, id)",
    "moves": "id varchar(40) PRIMARY KEY, version int NOT NULL DEFAULT 0, x int",
    "charsets": "id int PRIMARY KEY, version int NOT NULL DEFAULT 0, l varchar(50) CHARACTER SET latin1, "
    "k varchar(50) CHARACTER SET cp1251, g varchar(50) CHARACTER SET gbk, j varchar(50) CHARACTER SET sjis, "
    "u varchar(50) CHARACTER SET ucs2, t text CHARACTER SET utf8mb3",
    "bulk": "id int PRIMARY KEY, version int NOT NULL DEFAULT 0, note varchar(200)",
    "large": "id int PRIMARY KEY, version int NOT NULL DEFAULT 0, body longtext, data longblob",
    "parts": "id int PRIMARY KEY, version int NOT NULL DEFAULT 0, v varchar(40)) "
    "PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN (200)",
    "swapped": "id int PRIMARY KEY, version int NOT NULL DEFAULT 0, v varchar(40)",
    "wanders": "id int PRIMARY KEY, version int NOT NULL DEFAULT 0, v varchar(40)",
    "left side": "id int PRIMARY KEY, version int NOT NULL DEFAULT 0, v varchar(40)",
    "right side": "id int PRIMARY KEY, w int, version int NOT NULL DEFAULT 0",
    "rekeyed": "id int PRIMARY KEY, part int NOT NULL DEFAULT 0, version int NOT NULL DEFAULT 0, UNIQUE (id)",
    "emptied": "id int PRIMARY KEY, version int NOT NULL DEFAULT 0, v varchar(40)",
    "uncaptured": "id int PRIMARY KEY, version int NOT NULL DEFAULT 0",
}
"""Their columns; all but the last are to be captured. Each has `id` in its key, and a `version`. A `year` is
the last number: of those behind it mariadb-binlog tells wrongly which have a sign."""

_KEYS: Final = 150  # so many are used again and again
_SOME: Final = "WHERE id >= %s ORDER BY id LIMIT %s"
_LARGE: Final = 120_000  # bytes
_PASSING: Final = frozenset((
    1205, 1213,  # lock timeout, deadlock
    1054, 1136, 1146, 1412, 1356,  # the table is another now
    1048, 1062, 1264, 1265, 1292, 1364, 1366, 1406, 1526, 1690, 3819, 4025,  # a value does not fit it now
))  # fmt: skip
_GONE: Final = (0, 1053, 1077, 2003, 2006, 2013)  # the server ends, or has ended


def create(server: MySql, database: str) -> None:
    """The tables, empty."""
    for name, columns in TABLES.items():
        server.execute(f"CREATE TABLE `{name}` ({columns})", database=database)


class Worker(Protocol):
    """What works on one connection, step by step."""

    def connect(self) -> None:
        """Connect, or connect anew."""

    def step(self) -> None:
        """Do what is next."""

    def close(self) -> None:
        """End the connection."""


class Client:
    """One connection that runs one random transaction after another."""

    def __init__(self, server: MySql, database: str, number: int, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        """Statements by their kind; `undone`: transactions that somebody else was in the way of."""
        self._server = server
        self._database = database
        self._number = number
        self._random = Random(f"{seed}/{number}")
        self.connect()
        self._tables: Mapping[str, Sequence[ColumnInfo]] = {}
        self._known = 0  # transactions for which the catalogue is taken for granted
        self._kinds: Sequence[tuple[str, Callable[[Any], None], int]] = [
            ("insert", self._insert, 8),
            ("update", self._update, 10),
            ("delete", self._delete, 4),
            ("key change", self._change_key, 4),
            ("replace", self._replace, 3),
            ("on duplicate key", self._upsert, 3),
            ("insert select", self._insert_select, 2),
            ("two tables", self._two_tables, 3),
            ("load data", self._load, 1),
            ("large", self._large, 1),
        ]

    def connect(self) -> None:
        self._connection = self._server.connect(
            self._database, autocommit=False, charset="utf8mb4", local_infile=True
        )
        with self._connection.cursor() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = 20, innodb_lock_wait_timeout = 5")
            if self._number == 0 and self._server.flavor == "mysql":
                cursor.execute(COMPRESSED)

    def close(self) -> None:
        with contextlib.suppress(pymysql.MySQLError):  # the server has gone
            self._connection.close()

    def step(self) -> None:
        """One transaction, committed or rolled back."""
        try:
            self._transact()
        except pymysql.err.MySQLError as error:
            if error.args[0] not in _PASSING:
                raise
            self.counts["undone"] += 1
            self._known = 0
            self._connection.rollback()

    def _transact(self) -> None:
        random = self._random
        if not self._known:
            self._connection.commit()
            tables = catalogue(self._connection)
            self._tables = {name: columns for name, columns in tables.items() if not name.startswith("_")}
            self._known = 25
        self._known -= 1
        names, functions, weights = zip(*self._kinds, strict=True)
        with self._connection.cursor() as cursor:
            for _ in range(random.choice((1, 1, 2, 6))):
                undone = random.random() < 0.1
                if undone:
                    cursor.execute("SAVEPOINT s")
                [place] = random.choices(range(len(names)), weights)
                functions[place](cursor)
                self.counts[names[place]] += 1
                if undone:
                    cursor.execute("ROLLBACK TO s")
        if random.random() < 0.05:
            self._connection.rollback()
        else:
            self._connection.commit()

    def _table(self) -> str:
        return self._random.choice(list(self._tables))

    def _key(self, table: str) -> Any:
        columns = self._tables.get(table, ())  # MariaDB does not show one that is being altered
        [kind] = [column.kind for column in columns if column.name == "id"] or ["int"]
        number = self._random.randrange(_KEYS)
        return number if kind != "varchar" else f"ñ{number}"

    def _row(self, table: str) -> list[Any]:
        return [
            self._key(table)
            if column.name == "id"
            else self._random.randrange(3)
            if column.key or column.name == "part"
            else value(column, self._random)
            for column in self._tables[table]
        ]

    def _write(self, cursor: Any, verb: str, table: str, end: str = "", rows: int = 0) -> None:
        columns = ", ".join([f"`{column.name}`" for column in self._tables[table]])
        marks = "(" + ", ".join(["%s"] * len(self._tables[table])) + ")"
        values = [self._row(table) for _ in range(rows or self._random.choice((1, 1, 3, 12)))]
        cursor.execute(
            f"{verb} INTO `{table}` ({columns}) VALUES {', '.join([marks] * len(values))}{end}",
            [field for row in values for field in row],
        )

    def _insert(self, cursor: Any) -> None:
        self._write(cursor, "INSERT IGNORE", self._table())

    def _replace(self, cursor: Any) -> None:
        self._write(cursor, "REPLACE", self._table())

    def _upsert(self, cursor: Any) -> None:
        table = self._table()
        [column] = self._random.choices(self._tables[table])
        end = f", `{column.name}` = VALUES(`{column.name}`)" if not column.key else ""
        self._write(
            cursor, "INSERT", table, f" ON DUPLICATE KEY UPDATE version = MOD(version, 1000) + 1{end}"
        )

    def _update(self, cursor: Any) -> None:
        table = self._table()
        columns = [column for column in self._tables[table] if not column.key and column.name != "version"]
        columns = self._random.sample(columns, min(2, len(columns)))
        changes = "".join([f", `{column.name}` = %s" for column in columns])
        fields = [value(column, self._random) for column in columns]
        cursor.execute(
            f"UPDATE IGNORE `{table}` SET version = MOD(version, 1000) + 1{changes} {_SOME}",
            [*fields, self._key(table), 5],
        )

    def _delete(self, cursor: Any) -> None:
        table = self._table()
        cursor.execute(f"DELETE FROM `{table}` {_SOME}", [self._key(table), 3])

    def _change_key(self, cursor: Any) -> None:
        table = self._random.choice(("moves", "moves", "lines", "orders", "every type"))
        change = "part = MOD(part + 1, 3)" if table == "lines" else "id = %s"
        keys = [self._key(table), self._key(table)][table == "lines" :]
        cursor.execute(
            f"UPDATE IGNORE `{table}` SET {change}, version = MOD(version, 1000) + 1 {_SOME}", [*keys, 1]
        )

    def _insert_select(self, cursor: Any) -> None:
        cursor.execute(
            "INSERT IGNORE INTO bulk (id, version, note) "
            "SELECT id + %s, version, customer FROM orders ORDER BY id LIMIT 40",
            [self._random.randrange(_KEYS)],
        )

    def _two_tables(self, cursor: Any) -> None:
        key = self._key("orders")
        if self._random.random() < 0.7:
            cursor.execute(
                "UPDATE orders JOIN `lines` USING (id) SET orders.version = MOD(orders.version, 1000) + 1, "
                "lines.version = MOD(lines.version, 1000) + 1 WHERE orders.id BETWEEN %s AND %s",
                [key, key + 20],
            )
        else:
            cursor.execute(
                "DELETE orders, `lines` FROM orders JOIN `lines` USING (id) WHERE orders.id = %s", [key]
            )

    def _load(self, cursor: Any) -> None:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".csv") as file:
            for _ in range(60):
                file.write(f"{self._key('bulk')};{self._random.randrange(9)};geladen ä\n")
            file.flush()
            how = self._random.choice(("REPLACE", "IGNORE"))
            cursor.execute(
                f"LOAD DATA LOCAL INFILE '{file.name}' {how} INTO TABLE bulk CHARACTER SET utf8mb4 "
                "FIELDS TERMINATED BY ';' (id, version, note)"
            )

    def _large(self, cursor: Any) -> None:
        size = self._random.randrange(_LARGE)
        cursor.execute(
            "REPLACE INTO large (id, version, body, data) "
            "VALUES (%s, 1, REPEAT('lä', %s), REPEAT(0xff00, %s))",
            [self._random.randrange(20), size // 3, size // 2],
        )


class MixedTraffic:
    """Clients that work from `__enter__` to `__exit__`, at most `rate` transactions a second each. `beside`:
    who else works, so many steps a second. `survives`: a server that goes away is connected to again."""

    def __init__(
        self,
        server: MySql,
        database: str,
        seed: int,
        *,
        clients: int = 3,
        rate: float = 25,
        beside: Worker | None = None,
        beside_rate: float = 8,
        survives: bool = False,
    ) -> None:
        # Also behind a restart of the server; to MariaDB it is on by default.
        server.execute(f"SET {'PERSIST' if server.flavor == 'mysql' else 'GLOBAL'} local_infile = ON")
        self._survives = survives
        self._clients = [Client(server, database, number, seed) for number in range(clients)]
        self._stopping = threading.Event()
        self._failures: list[BaseException] = []
        work: list[tuple[Worker, float]] = [(client, 1 / rate) for client in self._clients]
        if beside is not None:
            work.append((beside, 1 / beside_rate))
        self._threads = [threading.Thread(target=self._run, args=each, daemon=True) for each in work]

    @property
    def counts(self) -> Counter[str]:
        """Statements by kind, of all clients."""
        return sum((client.counts for client in self._clients), Counter[str]())

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
        for client in self._clients:
            client.close()
        if self._failures:
            raise self._failures[0]

    def _run(self, worker: Worker, interval: float) -> None:
        due = time.monotonic()
        try:
            while not self._stopping.is_set():
                try:
                    worker.step()
                except (pymysql.err.OperationalError, pymysql.err.InterfaceError) as error:
                    if not self._survives or error.args[0] not in _GONE:
                        raise
                    self._connect(worker)
                due = max(due + interval, time.monotonic() - 1)
                self._stopping.wait(max(0.0, due - time.monotonic()))
        except BaseException as failure:
            self._failures.append(failure)

    def _connect(self, worker: Worker) -> None:
        worker.close()
        while not self._stopping.wait(0.05):
            with contextlib.suppress(pymysql.err.OperationalError):  # it is not there yet
                worker.connect()
                return
