"""The statements of the golden files."""

from __future__ import annotations

import hashlib
from typing import Final

from tests.golden.changes import CHANGES
from tests.golden.families import ALONE_AND_IN_ARRAYS, FAMILIES
from tests.golden.tables import Table
from tests.servers import Postgres

#: Made before the tables. No domain over an enum: with one in the database, Debezium does not start.
PREPARATION: Final = (
    "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION isn; CREATE EXTENSION ltree;"
    """CREATE TYPE mood AS ENUM ('sad', 'so, so', 'it''s "ok"', 'glücklich');"""
    "CREATE TYPE pair AS (number integer, words text);"
    "CREATE DOMAIN quantity AS integer CHECK (VALUE > 0); CREATE DOMAIN amount AS numeric(12,2);"
    "CREATE DOMAIN label AS varchar(20); CREATE DOMAIN moment AS timestamp(3);"
    "CREATE DOMAIN stock AS quantity CHECK (VALUE < 1000); CREATE DOMAIN numbers AS integer[]"
)


def tables(major: int) -> list[Table]:
    """The tables that a version of PostgreSQL can have, in the order in which they are written."""
    return [table for table in (*FAMILIES, *ALONE_AND_IN_ARRAYS, *CHANGES) if table.since <= major]


def fingerprint(major: int) -> str:
    """Tells a golden file of these statements from one of others."""
    texts = [text for table in tables(major) for text in (table.create(), *table.statements)]
    return hashlib.sha256("\n".join([PREPARATION, *texts]).encode()).hexdigest()[:16]


def prepare(server: Postgres, database: str) -> None:
    """Make the tables in an empty database."""
    with server.connect(database) as connection:
        connection.execute(PREPARATION)
        for table in tables(server.major):
            connection.execute(table.create())


def execute(server: Postgres, database: str) -> None:
    """Execute the statements, each as a transaction."""
    with server.connect(database, options="-c timezone=UTC") as connection:
        for table in tables(server.major):
            for statement in table.statements:
                connection.execute(statement)
