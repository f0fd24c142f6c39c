"""The statements of the golden files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.golden.changes import CHANGES
from tests.golden.extensions import PLACES, VECTORS
from tests.golden.families import ALONE_AND_IN_ARRAYS, FAMILIES
from tests.golden.tables import Table
from tests.servers import Postgres


@dataclass(frozen=True)
class Corpus:
    """Statements: `preparation` before all tables are made, then each table's own in their order."""

    preparation: str
    every: Sequence[Table]

    def tables(self, major: int) -> list[Table]:
        """The tables that a version of PostgreSQL can have, in the order in which they are written."""
        return [table for table in self.every if table.since <= major]

    def fingerprint(self, major: int) -> str:
        """Tells a golden file of these statements from one of others."""
        texts = [text for table in self.tables(major) for text in (table.create(), *table.statements)]
        return hashlib.sha256("\n".join([self.preparation, *texts]).encode()).hexdigest()[:16]

    def prepare(self, server: Postgres, database: str) -> None:
        """Make the tables in an empty database."""
        with server.connect(database) as connection:
            connection.execute(self.preparation)
            for table in self.tables(server.major):
                connection.execute(table.create())

    def execute(self, server: Postgres, database: str) -> None:
        """Execute the statements, each as a transaction."""
        with server.connect(database, options="-c timezone=UTC") as connection:
            for table in self.tables(server.major):
                for statement in table.statements:
                    connection.execute(statement)


#: Made before the tables. No domain over an enum: with one in the database, Debezium does not start.
PREPARATION: Final = (
    "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION isn; CREATE EXTENSION ltree;"
    """CREATE TYPE mood AS ENUM ('sad', 'so, so', 'it''s "ok"', 'glücklich');"""
    "CREATE TYPE pair AS (number integer, words text);"
    "CREATE DOMAIN quantity AS integer CHECK (VALUE > 0); CREATE DOMAIN amount AS numeric(12,2);"
    "CREATE DOMAIN label AS varchar(20); CREATE DOMAIN moment AS timestamp(3);"
    "CREATE DOMAIN stock AS quantity CHECK (VALUE < 1000); CREATE DOMAIN numbers AS integer[]"
)

POSTGRES: Final = Corpus(PREPARATION, (*FAMILIES, *ALONE_AND_IN_ARRAYS, *CHANGES))
PGVECTOR: Final = Corpus("CREATE EXTENSION vector", VECTORS)
POSTGIS: Final = Corpus("CREATE EXTENSION postgis", PLACES)
