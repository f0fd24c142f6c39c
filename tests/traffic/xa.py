"""XA transactions of MySQL and MariaDB that are prepared by one session and ended by another."""

from __future__ import annotations

from typing import Final

import pymysql

from tests.servers import MySql
from tests.waiting import wait_until

_UNKNOWN: Final = 1397  # there is none of that name, or its session has not gone yet


def xid(database: str, name: str) -> str:
    """One that no other database's transactions have, as XA statements take it."""
    return f"'{database}','{name}'"


def name_of(xid: str) -> str:
    """The name in one as the binary log has it: X'..',X'..',1."""
    return bytes.fromhex(xid.split("'")[3]).decode()


def prepare(server: MySql, database: str, name: str, *statements: str, setting: str = "") -> None:
    """Run statements in an XA transaction and leave it prepared; with a setting of the session."""
    of = xid(database, name)
    before = [f"SET SESSION {setting}"] if setting else []
    with server.connect(database) as connection, connection.cursor() as cursor:
        for statement in (*before, f"XA START {of}", *statements, f"XA END {of}", f"XA PREPARE {of}"):
            cursor.execute(statement)


def commit(server: MySql, database: str, name: str) -> None:
    """Commit what `prepare` has left, once its session has gone."""
    _end(server, f"XA COMMIT {xid(database, name)}")


def roll_back(server: MySql, database: str, name: str) -> None:
    """The same, undone."""
    _end(server, f"XA ROLLBACK {xid(database, name)}")


def roll_back_the_rest(server: MySql, database: str) -> None:
    """What a test that failed has left prepared: nobody could drop the database."""
    for format, length, _, data in server.execute("XA RECOVER"):
        text = data if isinstance(data, str) else data.decode()
        if text[:length] == database and format == 1:
            roll_back(server, database, text[length:])


def _end(server: MySql, statement: str) -> None:
    def ended() -> bool:
        try:
            server.execute(statement)
        except pymysql.MySQLError as error:
            if error.args[0] != _UNKNOWN:
                raise
            return False
        return True

    wait_until(ended, statement)
