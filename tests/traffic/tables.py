"""The tables that the traffic writes to: names that need quoting, every replica identity, most types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from psycopg.sql import SQL, Composed, Identifier

from tests.servers import Postgres


@dataclass(frozen=True)
class Column:
    """A column beside the key. `large`: its values are often too large for the row."""

    name: str
    type: str
    large: bool = False
    required: bool = False


@dataclass(frozen=True)
class Table:
    """`key`: what the clients choose rows by, and what identifies them under the identity `index`. It is the
    primary key unless the identity is `index` (a primary key stands beside it) or `primary` is False."""

    schema: str
    name: str
    key: tuple[Column, ...]
    columns: tuple[Column, ...]
    identity: Literal["default", "full", "index"] = "default"
    primary: bool = True

    @property
    def identifier(self) -> Identifier:
        return Identifier(self.schema, self.name)

    @property
    def unique(self) -> bool:
        """Whether no two rows have the same key."""
        return self.primary or self.identity == "index"


_KEY = Column("id", "bigint", required=True)

TABLES = (
    Table(
        "public",
        "orders",
        (_KEY,),
        (
            Column("note", "text", large=True),
            Column("paid", "boolean", required=True),
            Column("count", "smallint"),
            Column("size", "integer", required=True),
            Column("ratio", "double precision"),
            Column("rough", "real"),
            Column("price", "numeric(12,3)", required=True),
            Column("whole", "numeric(6,0)"),
            Column("exact", "numeric"),
            Column("label", "character varying(40)"),
            Column("code", "character(9)"),
            Column("document", "jsonb", large=True),
            Column("raw", "json"),
            Column("mood", "mood"),
        ),
    ),
    Table(
        "public",
        "Mixed Case",
        (Column("Id", "integer", required=True), Column('größe "x"', "text", required=True)),
        (
            Column("day", "date", required=True),
            Column("clock", "time without time zone"),
            Column("Clock", "time(3) without time zone"),
            Column("zoned clock", "time with time zone"),
            Column("at", "timestamp without time zone", required=True),
            Column("at ms", "timestamp(3) without time zone"),
            Column("at.zoned", "timestamp with time zone", required=True),
            Column("select", "bytea", large=True),
        ),
    ),
    Table(
        "ünï schema",
        "täble",
        (Column("key", "uuid", required=True),),
        (
            Column("numbers", "integer[]"),
            Column("texts", "text[]", large=True),
            Column("prices", "numeric(6,2)[]"),
            Column("moods", "mood[]"),
            Column("tail", "text", large=True),
        ),
        identity="full",
    ),
    Table(
        "public",
        "items",
        (Column("region", "text", required=True), Column("since", "date", required=True)),
        (Column("name", "text"), Column("body", "text", large=True), Column("stock", "integer")),
        identity="index",
    ),
    Table(
        "public",
        "ledger",
        (Column("account", "integer"),),
        (Column("amount", "numeric(12,3)"), Column("memo", "text", large=True)),
        identity="full",
        primary=False,
    ),
    Table("private", "secrets", (_KEY,), (Column("text", "text"),)),
)
EXCLUDED = tuple(table for table in TABLES if table.schema == "private")
CAPTURED = tuple(table for table in TABLES if table.schema != "private")


def create(server: Postgres, database: str) -> None:
    """Make the tables in an empty database."""
    with server.connect(database) as connection, connection.transaction():
        connection.execute('CREATE SCHEMA private; CREATE SCHEMA "ünï schema"')
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'so-so', 'it''s \"fine\"')")
        for table in TABLES:
            for statement in _definition(table):
                connection.execute(statement)


def _definition(table: Table) -> list[Composed]:
    key = SQL(", ").join(Identifier(column.name) for column in table.key)
    columns = [_column(column) for column in (*table.key, *table.columns)]
    if table.identity == "index":
        columns.insert(1, SQL("number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY").format())
    elif table.primary:
        columns.append(SQL("PRIMARY KEY ({})").format(key))
    name = table.identifier
    statements = [SQL("CREATE TABLE {} ({})").format(name, SQL(", ").join(columns))]
    statements += [
        SQL("ALTER TABLE {} ALTER {} SET STORAGE EXTERNAL").format(name, Identifier(column.name))
        for column in table.columns
        if column.large
    ]
    if table.identity == "full":
        statements.append(SQL("ALTER TABLE {} REPLICA IDENTITY FULL").format(name))
    elif table.identity == "index":
        index = Identifier(f"{table.name} identity")
        statements.append(SQL("CREATE UNIQUE INDEX {} ON {} ({})").format(index, name, key))
        statements.append(SQL("ALTER TABLE {} REPLICA IDENTITY USING INDEX {}").format(name, index))
    return statements


def _column(column: Column) -> Composed:
    not_null = SQL(" NOT NULL" if column.required else "")
    return SQL("{} {}{}").format(Identifier(column.name), SQL(column.type), not_null)
