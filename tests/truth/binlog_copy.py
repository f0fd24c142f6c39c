"""A copy of a database's tables, made of the events of a target and the DDL of the log: real tables in
another database of the same server, of which the server itself can tell whether they are the same."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from pymysql.constants import CLIENT

from tests.servers import MySql
from tests.traffic.mysql_values import ColumnInfo, catalogue
from tests.truth.binlog_witness import Ddl
from tests.truth.comparison import Delivered
from tests.truth.events import Place

_REPLAYED: Final = re.compile(r"(ALTER|CREATE|DROP|RENAME) TABLE ", re.IGNORECASE)
_BYTES: Final = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Copy:
    """Its `database` holds the tables as they were where the events begin. What is written there
    does not come into the server's log."""

    def __init__(self, server: MySql, database: str) -> None:
        self.database = database
        self._connection = server.connect(
            database, autocommit=False, charset="utf8mb4", client_flag=CLIENT.FOUND_ROWS
        )
        self._cursor = self._connection.cursor()
        self._cursor.execute("SET SESSION sql_log_bin = 0, time_zone = '+00:00'")
        self._cursor.execute("SET SESSION foreign_key_checks = 0")
        self._tables: Mapping[str, Mapping[str, ColumnInfo]] = {}

    def close(self) -> None:
        self._connection.close()

    def apply(self, events: Iterable[tuple[Place, Delivered]], ddl: Sequence[Ddl]) -> None:
        """In the order of their places, statements before the rows of the same transaction. AssertionError
        for an event that does not find the row that it is of."""
        steps: list[tuple[Place, int, Delivered | Ddl]] = [(one.place, 0, one) for one in ddl]
        steps += [(place, 1, found) for place, found in events if found.value is not None]
        for *_, step in sorted(steps, key=lambda step: step[:2]):
            if isinstance(step, Ddl):
                self._replay(step)
            else:
                self._apply(step)
        self._connection.commit()

    def _replay(self, ddl: Ddl) -> None:
        statement = ddl.statement
        if not _REPLAYED.match(statement.sql):
            return
        self._tables = {}
        self._cursor.execute("SET SESSION timestamp = %s", (statement.seconds,))
        # MySQL's CREATE TABLE … SELECT is one transaction with its rows.
        self._cursor.execute(statement.sql.removesuffix("START TRANSACTION"))

    def _apply(self, found: Delivered) -> None:
        value = found.value
        table, op, after = value["table"], value["op"], value["after"]
        if op == "t":
            self._cursor.execute(f"TRUNCATE TABLE `{table}`")
            return
        columns = self._columns(table)
        row = value["before"] if op == "d" else after
        assert list(row) == list(columns), f"{table} has the columns {list(columns)}: {found}"
        if op == "c":
            marks = ", ".join(["%s"] * len(row))
            names = ", ".join([f"`{name}`" for name in row])
            statement, keyed = f"INSERT INTO `{table}` ({names}) VALUES ({marks})", False
        elif op == "u":
            changes = ", ".join([f"`{name}` = %s" for name in row])
            statement, keyed = f"UPDATE `{table}` SET {changes}", True
        else:
            statement, keyed = f"DELETE FROM `{table}`", True
        fields = [] if op == "d" else [_to_sql(columns[name], field) for name, field in row.items()]
        if keyed:
            statement += " WHERE " + " AND ".join([f"`{name}` = %s" for name in found.key])
            fields += [_to_sql(columns[name], field) for name, field in found.key.items()]
        changed = self._cursor.execute(statement, fields)
        assert changed == 1, f"{changed} rows are changed by {found}"

    def _columns(self, table: str) -> Mapping[str, ColumnInfo]:
        if not self._tables:
            self._tables = {
                name: {column.name: column for column in columns}
                for name, columns in catalogue(self._connection).items()
            }
        return self._tables[table]


def checksums(server: MySql, database: str, tables: Sequence[str]) -> dict[str, int]:
    """What the server's CHECKSUM TABLE says."""
    names = ", ".join([f"`{table}`" for table in tables])
    rows = server.execute(f"CHECKSUM TABLE {names}", database=database)
    return {str(name).partition(".")[2]: int(checksum) for name, checksum in rows}


def _to_sql(column: ColumnInfo, field: Any) -> Any:
    """Debezium's JSON → a parameter of a statement."""
    kind = column.kind
    if field is None:
        return None
    if kind == "decimal":
        return Decimal(int.from_bytes(base64.b64decode(field), "big", signed=True)).scaleb(-column.scale)
    if kind == "bit":
        return int(field) if isinstance(field, bool) else int.from_bytes(base64.b64decode(field), "little")
    if kind in _BYTES:
        return base64.b64decode(field)
    if kind == "date":
        return str(date(1970, 1, 1) + timedelta(days=field))
    if kind == "datetime":
        microseconds = field if column.digits > 3 else field * 1000
        return str((_EPOCH + timedelta(microseconds=microseconds)).replace(tzinfo=None))
    if kind == "timestamp":
        return field.removesuffix("Z").replace("T", " ")
    if kind == "time":
        seconds, fraction = divmod(abs(field), 1_000_000)
        clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"
        return f"-{clock}" if field < 0 else clock
    return field
