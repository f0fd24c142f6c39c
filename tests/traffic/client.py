"""One client: a connection on which it runs one random transaction after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Literal, TypeAlias

import psycopg
from psycopg import errors

from tests.traffic.statements import Statement, Writer

Step: TypeAlias = Statement | Literal["SAVEPOINT s", "ROLLBACK TO s", "RELEASE s"]

_PASSING = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)
_KINDS = {
    "single row": 30,
    "several rows": 30,
    "savepoints": 12,
    "rolled back": 6,
    "messages": 10,
    "truncate": 2,
    "large": 1,
}


class Client:
    """`run` works until it is told to stop. `counts`: what came of the transactions.

    A transaction that fails because of other clients (deadlock, serialization, lock timeout) is tried again
    as it was; one that meets a row of theirs where it wants its own is given up.
    """

    def __init__(self, url: str, seed: str, large: int) -> None:
        self.counts: Counter[str] = Counter()
        self._url = url
        self._random = Random(seed)
        self._writer = Writer(self._random)
        self._large = large

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of its own."""
        connection = psycopg.connect(self._url, autocommit=True, application_name="traffic")
        connection.execute("SET lock_timeout = '2s'; SET deadlock_timeout = '20ms'")
        return connection

    def run(self, connection: psycopg.Connection[Any], stop: Callable[[], bool]) -> None:
        """Transactions until `stop`, which is asked before each. Raises what the connection raises when the
        server goes away; legal to call again with another connection."""
        while not stop():
            kind, isolation, steps, end = self._transaction()
            self._repeat(connection, kind, isolation, steps, end)

    def _transaction(self) -> tuple[str, str, list[Step], Literal["COMMIT", "ROLLBACK"]]:
        """All of it is decided before it begins, so that what others do changes nothing in what follows."""
        kind = self._random.choices(list(_KINDS), list(_KINDS.values()))[0]
        isolation = self._random.choices(("READ COMMITTED", "REPEATABLE READ"), (4, 1))[0]
        return kind, isolation, list(self._steps(kind)), "ROLLBACK" if kind == "rolled back" else "COMMIT"

    def _steps(self, kind: str) -> Iterator[Step]:
        writer = self._writer
        if kind == "single row":
            yield writer.change()
        elif kind in ("several rows", "rolled back"):
            yield from self._changes(2, 12)
        elif kind == "savepoints":
            yield from self._changes(0, 2)
            for _ in range(self._random.randint(1, 3)):
                yield "SAVEPOINT s"
                yield from self._changes(1, 4)
                yield self._random.choice(("ROLLBACK TO s", "RELEASE s"))
            yield from self._changes(0, 2)
        elif kind == "messages":
            for _ in range(self._random.randint(1, 3)):
                yield writer.message()
                yield from self._changes(0, 2)
        elif kind == "truncate":
            yield from self._changes(0, 3)
            yield writer.truncate_any()
            yield from self._changes(0, 3)
        else:
            yield from self._changes(0, 1)
            yield writer.large(self._large)
            yield from self._changes(0, 1)

    def _changes(self, least: int, most: int) -> Iterator[Statement]:
        for _ in range(self._random.randint(least, most)):
            yield self._writer.change()

    def _repeat(
        self,
        connection: psycopg.Connection[Any],
        kind: str,
        isolation: str,
        steps: list[Step],
        end: Literal["COMMIT", "ROLLBACK"],
    ) -> None:
        for _ in range(20):
            try:
                connection.execute(f"BEGIN ISOLATION LEVEL {isolation}")
                for step in steps:
                    if isinstance(step, Statement):
                        connection.execute(step.text, step.parameters)
                    else:
                        connection.execute(step)
                connection.execute(end)
            except _PASSING:
                connection.execute("ROLLBACK")
                self.counts["tried again"] += 1
            except errors.UniqueViolation:
                connection.execute("ROLLBACK")
                self.counts["given up"] += 1
                return
            else:
                self.counts[kind] += 1
                return
        self.counts["given up"] += 1
