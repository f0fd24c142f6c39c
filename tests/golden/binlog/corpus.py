"""The statements of the golden files of MySQL and MariaDB."""

from __future__ import annotations

import hashlib
from typing import Final

from tests.golden.binlog.changes import CHANGES
from tests.golden.binlog.families import FAMILIES
from tests.golden.binlog.tables import Table
from tests.servers import MySql

#: Zero dates are written too, which the servers' own mode refuses.
_SESSION: Final = "SET sql_mode = '', time_zone = '+00:00'"


def tables(release: str) -> list[Table]:
    """The tables that a release can have, in the order in which they are written."""
    return [table for table in (*FAMILIES, *CHANGES) if not table.only or release in table.only]


def fingerprint(release: str) -> str:
    """Tells a golden file of these statements from one of others."""
    texts = [text for table in tables(release) for text in (table.create(), *table.statements)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def prepare(server: MySql, release: str, database: str) -> None:
    """Make the tables in an empty database."""
    _run(server, database, [table.create() for table in tables(release)])


def execute(server: MySql, release: str, database: str) -> None:
    """Execute the statements, each as a transaction but where they say otherwise."""
    _run(server, database, [statement for table in tables(release) for statement in table.statements])


def _run(server: MySql, database: str, statements: list[str]) -> None:
    with server.connect(database, charset="utf8mb4") as connection, connection.cursor() as cursor:
        cursor.execute(_SESSION)
        for statement in statements:
            cursor.execute(statement)
