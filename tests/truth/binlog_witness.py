"""What a server's own `mysqlbinlog` says of its log, as the events that a pipeline must deliver."""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.servers import MySql
from tests.servers.mysql_releases import RELEASES, Release
from tests.truth.binlog_text import Fields, RowChange, Statement, TableMap, Transaction, transactions
from tests.truth.binlog_values import to_json
from tests.truth.comparison import Delivered
from tests.truth.events import Event, Place, topic_of

_STATUS: Final = {"mysql": "SHOW BINARY LOG STATUS", "mariadb": "SHOW MASTER STATUS"}
_PLAIN: Final = {"mysql": "--ssl-mode=DISABLED", "mariadb": "--skip-ssl"}
_TRUNCATE: Final = re.compile(r"TRUNCATE (?:TABLE )?`?([^`]+?)`?", re.IGNORECASE)


@dataclass(frozen=True)
class Ddl:
    """A statement on the tables of the database, at its place among the events."""

    place: Place
    statement: Statement


def reduced(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """What of an envelope the witness knows."""
    source = envelope["source"]
    kept = {name: envelope[name] for name in ("op", "before", "after")}
    return kept | {name: source[name] for name in ("db", "table", "gtid", "server_id", "ts_us")}


class BinlogWitness:
    """Sees everything that one database's tables get from its making on: make it while nothing else writes,
    and the pipeline stands there too.

    Places are (number of the transaction, number of the row in it, number of the event of the row): which row
    event a row stood in mysqlbinlog does not tell, but the order it does.
    """

    def __init__(self, server: MySql, database: str, captured: Callable[[str], bool]) -> None:
        self.ddl: list[Ddl] = []
        """Of what was read, in order."""
        self._server = server
        self._database = database
        self._captured = captured
        self._begin = self._end()
        self._count = 0  # transactions that were read
        self._numbers: dict[str, int] = {}  # by GTID
        self._transactions: dict[str, int] = {}  # by the number in positions
        self._rows: dict[tuple[str, int, int], int] = {}  # by position

    def moved(self, server: MySql) -> None:
        """Read on from another server, which has logged everything since its log's begin."""
        self._server = server
        self._begin = str(server.execute("SHOW BINARY LOGS")[0][0]), 4

    def read(self) -> Sequence[Event]:
        """The events that must be delivered for what committed since the last call, in order."""
        begin, self._begin = self._begin, self._end()
        events: list[Event] = []
        for transaction in transactions(_printed(self._server, begin), self._server.flavor):
            if transaction.gtid in self._numbers:
                continue
            self._count += 1
            self._numbers[transaction.gtid] = self._count
            events += self._events(transaction)
        return events

    def last_of(self, executed: str) -> int:
        """The number of the last transaction that was read and stands in these GTIDs, as the server writes
        them; 0: none does."""
        return max((number for gtid, number in self._numbers.items() if holds(executed, gtid)), default=0)

    def learn(self, delivered: Iterable[Delivered]) -> None:
        """Relate the positions of what was delivered to places. Transactions must have come whole."""
        rows: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
        for found in delivered:
            transaction, ordinal, index = found.position.split(":")
            rows[transaction].add((int(ordinal), int(index) // 3))
            if found.value is not None:
                assert found.value["gtid"] in self._numbers, f"nothing like it was logged: {found}"
                number = self._numbers[found.value["gtid"]]
                known = self._transactions.setdefault(transaction, number)
                assert known == number, f"two transactions at one place: {found}"
        for transaction, places in rows.items():
            for rank, (event, row) in enumerate(sorted(places)):
                self._rows.setdefault((transaction, event, row), rank)

    def locate(self, position: str) -> Place:
        """The place of an event that was learnt of."""
        number, ordinal, index = position.split(":")
        rank = self._rows[number, int(ordinal), int(index) // 3]
        return self._transactions[number], rank, int(index) % 3

    def _end(self) -> tuple[str, int]:
        [(file, offset, *_)] = self._server.execute(_STATUS[self._server.flavor])
        return str(file), int(offset)

    def _events(self, transaction: Transaction) -> Iterator[Event]:
        row = 0
        for found in transaction.content:
            if isinstance(found, Statement):
                if found.schema == self._database:
                    self.ddl.append(Ddl((self._count, row, 0), found))
                    if (truncate := _TRUNCATE.fullmatch(found.sql)) and self._captured(truncate[1]):
                        value = {"op": "t", "before": None, "after": None}
                        value |= self._source(transaction, truncate[1])
                        yield Event((self._count, 0, 0), topic_of(("", truncate[1])), None, value)
                continue
            schema, table = found.table.name
            if schema == self._database and self._captured(table):
                yield from self._row(transaction, found, (self._count, row))
                row += 1

    def _row(self, transaction: Transaction, change: RowChange, at: tuple[int, int]) -> Iterator[Event]:
        table = change.table
        topic = topic_of(("", table.name[1]))
        source = self._source(transaction, table.name[1])
        before, after = _row(table, change.before), _row(table, change.after)
        old, new = _key(table, change.before, before), _key(table, change.after, after)
        moved = change.op == "UPDATE" and old[0] != new[0]
        if change.op == "DELETE" or moved:
            yield Event((*at, 0), topic, old[1], {"op": "d", "before": before, "after": None, **source})
            yield Event((*at, 1), topic, old[1], None)
        if change.op == "INSERT" or moved:
            value = {"op": "c", "before": None, "after": after, **source}
            yield Event((*at, 2 if moved else 0), topic, new[1], value)
        elif change.op == "UPDATE":
            yield Event((*at, 0), topic, new[1], {"op": "u", "before": before, "after": after, **source})

    def _source(self, transaction: Transaction, table: str) -> dict[str, Any]:
        return {
            "db": self._database,
            "table": table,
            "gtid": transaction.gtid,
            "server_id": transaction.server_id,
            "ts_us": transaction.microseconds,
        }


def _row(table: TableMap, fields: Fields | None) -> dict[str, Any] | None:
    if fields is None:
        return None
    return {column.name: to_json(column, field) for column, field in zip(table.columns, fields, strict=True)}


def _key(table: TableMap, fields: Fields | None, row: dict[str, Any] | None) -> tuple[object, Any]:
    """The key as it is printed, and as JSON."""
    if fields is None or row is None:
        return None, None
    names = [table.columns[place].name for place in table.key]
    return [fields[place] for place in table.key], {name: row[name] for name in names}


def holds(executed: str, gtid: str) -> bool:
    """MySQL's `uuid:1-77:79,…`, MariaDB's `0-1-77,…` of which each is the last one of its domain."""
    for part in filter(None, executed.replace("\n", "").split(",")):
        if ":" not in part:
            domain, _, last = part.split("-")
            held = gtid.split("-")
            if held[0] == domain and int(held[2]) <= int(last):
                return True
            continue
        name, *intervals = part.strip().split(":")
        of, _, number = gtid.partition(":")
        bounds = [[int(end) for end in interval.split("-")] for interval in intervals]
        if of == name.lower() and any(one[0] <= int(number) <= one[-1] for one in bounds):
            return True
    return False


def _printed(server: MySql, begin: tuple[str, int]) -> Iterator[bytes]:
    """What the server's program prints of its log from a place on to the end."""
    command = [
        *_release(server).log_printer(),
        *("--no-defaults", "--read-from-remote-server", "--to-last-log", f"--user={server.user}"),
        *("-vv", "--base64-output=DECODE-ROWS", "--print-table-metadata", _PLAIN[server.flavor]),
        *(f"--host={server.host}", f"--port={server.port}", f"--start-position={begin[1]}", begin[0]),
    ]
    environment = {**os.environ, "TZ": "UTC", "MYSQL_PWD": server.password or ""}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        yield from process.stdout
        told = process.stderr.read()
    assert process.returncode == 0, told.decode(errors="replace")


def _release(server: MySql) -> Release:
    """The one that the server is of, or is nearest to."""
    of_flavor = [release for release in RELEASES.values() if release.flavor == server.flavor]
    major = server.version.partition(".")[0]
    return next((one for one in of_flavor if one.version.startswith(f"{major}.")), of_flavor[-1])
