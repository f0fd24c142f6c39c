"""Seeded traffic on a MySQL or MariaDB server: clients at once, each of which keeps an account of what it has
committed.

No key is ever used again, and each update counts a row's version up: what a target tells of a key is a chain
then, of which no part can be missing unseen (`tests.truth.chains`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from random import Random
from typing import Any, Final, Self

import pymysql

from tests.servers import MySql

TABLES: Final = {
    "accounts": "id bigint unsigned PRIMARY KEY, version int NOT NULL, owner varchar(60), "
    "balance decimal(20,4), opened datetime(6), flags set('a','b','c')",
    "line items": "a int, b int, version int NOT NULL, note text, PRIMARY KEY (b, a)",
    "moves": "name varchar(40) PRIMARY KEY, version int NOT NULL",
    "uncaptured": "id int AUTO_INCREMENT PRIMARY KEY, x int",
}
"""Their columns; all but the last are to be captured."""

COMPRESSED: Final = "SET SESSION binlog_transaction_compression = ON"
"""With which MySQL logs a session's transactions compressed: one client's are."""

_PASSING: Final = (1205, 1213)  # lock timeout, deadlock
_STEP: Final = 1_000_000  # between the ids of two clients


def create(server: MySql, database: str) -> None:
    """The tables, empty."""
    for name, columns in TABLES.items():
        server.execute(f"CREATE TABLE `{name}` ({columns}) ENGINE = InnoDB", database=database)


class Client:
    """One connection and what it has done. `committed` counts by table and operation as an event tells it."""

    def __init__(self, server: MySql, database: str, number: int, seed: int, large: int) -> None:
        self.committed: Counter[tuple[str, str]] = Counter()
        self._connection = server.connect(database, autocommit=False)
        if number == 0 and server.flavor == "mysql":
            with self._connection.cursor() as cursor:
                cursor.execute(COMPRESSED)
        self._random = Random(f"{seed}/{number}")
        self._next = number * _STEP + seed * 10_000 + 1
        self._large = large
        self._live: dict[str, list[Any]] = {"accounts": [], "line items": [], "moves": []}

    def close(self) -> None:
        self._connection.close()

    def transact(self) -> None:
        """One transaction, committed or rolled back; by the server where it is in a deadlock."""
        try:
            self._transact()
        except pymysql.err.OperationalError as error:
            if error.args[0] not in _PASSING:
                raise
            self._connection.rollback()

    def _transact(self) -> None:
        random, done = self._random, Counter[tuple[str, str]]()
        live = {table: list(keys) for table, keys in self._live.items()}
        kind = random.random()
        count = self._large if kind < 0.02 else random.randint(1, 6)
        with self._connection.cursor() as cursor:
            for _ in range(count):
                if random.random() < 0.15:
                    kept, kept_done = {table: list(keys) for table, keys in live.items()}, done.copy()
                    cursor.execute("SAVEPOINT s")
                    self._change(cursor, live, done)
                    if random.random() < 0.5:
                        cursor.execute("ROLLBACK TO s")
                        live, done = kept, kept_done
                else:
                    self._change(cursor, live, done)
        if kind > 0.95:
            self._connection.rollback()
            return
        self._connection.commit()
        self._live = live
        self.committed += done

    def _change(self, cursor: Any, live: dict[str, list[Any]], done: Counter[tuple[str, str]]) -> None:
        random = self._random
        if random.random() < 0.2:
            cursor.execute("INSERT INTO uncaptured (x) VALUES (1), (2)")
        table = random.choice(list(live))
        keys = live[table]
        chance = random.random()
        if not keys or chance < 0.4:
            self._insert(cursor, table, keys, done)
            return
        key = keys[random.randrange(len(keys))]
        where = {
            "accounts": "id = %s",
            "line items": "a = %s AND b = %s",
            "moves": "name = %s",
        }[table]
        of_key = key if isinstance(key, tuple) else (key,)
        if chance < 0.85:
            moved = table == "moves" and random.random() < 0.4
            if moved:
                renamed = f"ñ{self._id()}"
                cursor.execute(
                    "UPDATE moves SET name = %s, version = version + 1 WHERE name = %s", (renamed, key)
                )
                keys[keys.index(key)] = renamed
                done[table, "d"] += 1
                done[table, "c"] += 1
                return
            cursor.execute(f"UPDATE `{table}` SET version = version + 1 WHERE {where}", of_key)
            done[table, "u"] += 1
        else:
            cursor.execute(f"DELETE FROM `{table}` WHERE {where}", of_key)
            keys.remove(key)
            done[table, "d"] += 1

    def _insert(self, cursor: Any, table: str, keys: list[Any], done: Counter[tuple[str, str]]) -> None:
        rows = self._random.choice((1, 1, 2, 30))
        values: list[tuple[Any, ...]] = []
        for _ in range(rows):
            id = self._id()
            if table == "accounts":
                values.append((id, 1, "x" * self._random.randrange(60), f"{id}.0625", "2026-01-31", "a,c"))
                keys.append(id)
            elif table == "line items":
                values.append((id, self._random.randrange(9), 1, "n" * self._random.randrange(400)))
                keys.append(values[-1][:2])
            else:
                values.append((f"m{id}", 1))
                keys.append(f"m{id}")
        marks = ", ".join(["(" + ", ".join(["%s"] * len(values[0])) + ")"] * rows)
        cursor.execute(f"INSERT INTO `{table}` VALUES {marks}", [field for row in values for field in row])
        done[table, "c"] += rows

    def _id(self) -> int:
        self._next += 1
        return self._next


class MySqlTraffic:
    """Clients that work from `__enter__` to `__exit__`, at most `rate` transactions a second each. Seeds of
    one database differ: no key may come again."""

    def __init__(
        self, server: MySql, database: str, seed: int, *, clients: int = 3, rate: float = 25, large: int = 200
    ) -> None:
        self._clients = [Client(server, database, number, seed, large) for number in range(clients)]
        self._interval = 1 / rate
        self._stopping = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(client,), daemon=True) for client in self._clients
        ]

    @property
    def committed(self) -> Counter[tuple[str, str]]:
        """What all clients have committed, once they have ended."""
        return sum((client.committed for client in self._clients), Counter[tuple[str, str]]())

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

    def _run(self, client: Client) -> None:
        due = time.monotonic()
        try:
            while not self._stopping.is_set():
                client.transact()
                due = max(due + self._interval, time.monotonic() - 1)
                self._stopping.wait(max(0.0, due - time.monotonic()))
        except BaseException as failure:
            self._failures.append(failure)
