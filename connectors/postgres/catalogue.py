"""What the database's catalogue says: server, tables, columns, types."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL

from connectors.postgres.position import parse_lsn
from connectors.postgres.protocol import OWN_PREFIX
from connectors.postgres.relations import RelationDetails, Undescribed
from connectors.postgres.tables import TableFilter
from connectors.postgres.types import TypeDetails
from tailrace.clients.postgres.connection import Session

SESSION_SETTINGS: Final[Mapping[str, str]] = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "TimeZone": "UTC",
    "search_path": "pg_catalog",
    "statement_timeout": "0",
    "idle_session_timeout": "0",
    "synchronous_commit": "local",
    "client_min_messages": "warning",
}
"""Fixed for every connection of the source: how values are written as text, what names mean."""

_SERVER: Final = SQL("""
    SELECT current_setting('server_version_num')::int, current_setting('server_version'),
           pg_is_in_recovery(), current_setting('wal_level'),
           current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots),
           current_setting('max_wal_senders')::int,
           (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
           (SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'wal_sender_timeout'),
           current_user, current_database(), has_database_privilege(current_database(), 'CREATE')
    """)

_RELATIONS: Final = SQL("""
    SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relpersistence::text,
           pg_has_role(c.relowner, 'USAGE'),
           CASE WHEN c.relispartition THEN ARRAY(SELECT a.relid::oid FROM pg_partition_ancestors(c.oid) a)
                ELSE '{}' END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY n.nspname, c.relname
    """)

# A usable identity: FULL, or an index that PostgreSQL itself would take (RelationGetReplicaIndex).
_WITHOUT_IDENTITY: Final = SQL("""
    SELECT format('%%I.%%I', n.nspname, c.relname)
    FROM (SELECT unnest(%s::oid[]) UNION
          SELECT t.relid FROM unnest(%s::oid[]) AS root(oid), pg_partition_tree(root.oid) t) AS wanted(oid)
         JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relreplident <> 'f'
      AND (c.relreplident = 'n' OR NOT EXISTS (
          SELECT 1 FROM pg_index i
          WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
            AND CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END))
    ORDER BY 1
    """)

_COLUMNS: Final = SQL("""
    SELECT format('%%I.%%I', n.nspname, c.relname), a.attname, a.atttypid, a.atttypmod,
           a.attgenerated <> ''
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE a.attrelid = ANY (%s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY 1, a.attnum
    """)

_NOT_NULL: Final = SQL("""
    SELECT attname FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND attnotnull AND NOT attisdropped
    """)

_PRIMARY_KEY: Final = SQL("""
    SELECT a.attname
    FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
         JOIN pg_attribute a ON a.attnum = k.attnum
    WHERE i.indrelid = %s AND i.indisprimary AND a.attrelid = i.indrelid AND k.place <= i.indnkeyatts
    ORDER BY k.place
    """)

_TYPES: Final = SQL("""
    WITH wanted AS (
        SELECT unnest(%s::oid[]) AS oid
        UNION SELECT typelem FROM pg_type WHERE oid = ANY (%s::oid[]) AND typcategory = 'A')
    SELECT t.oid, n.nspname, t.typname, t.typtype::text,
           CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END, t.typdelim::text,
           ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)
    FROM wanted JOIN pg_type t USING (oid) JOIN pg_namespace n ON n.oid = t.typnamespace
    """)

_EMIT: Final = SQL("SELECT pg_logical_emit_message(true, %s, ''::text)")


@dataclass(frozen=True, slots=True)
class Server:
    """The server's settings, and what the role may do there."""

    version_number: int  # 160004
    version: str
    standby: bool
    wal_level: str
    max_slots: int
    slots: int  # in use
    max_wal_senders: int
    max_slot_wal_keep_size: int  # MB; -1: without a bound
    wal_sender_timeout: float  # seconds; 0: none
    role: str
    database: str
    may_create: bool  # in the database


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, or what could be taken for one."""

    oid: int
    schema: str
    name: str
    kind: str  # pg_class.relkind
    persistence: str  # pg_class.relpersistence
    owned: bool  # the role may do what its owner may
    ancestors: Sequence[int]  # of a partition, itself among them

    @property
    def publishable(self) -> bool:
        """Whether a publication can hold it: a logged table, partitioned or not."""
        return self.kind in "rp" and self.persistence == "p"

    @property
    def qualified(self) -> tuple[str, str]:
        return self.schema, self.name

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """A column of a captured table."""

    table: str
    name: str
    type: int
    typmod: int
    generated: bool


class Catalogue:
    """Questions to the catalogue, each in a transaction of its own."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def server(self) -> Server:
        """Settings and rights."""
        (row,) = await self._session.query(_SERVER)
        return Server(*row)

    async def relations(self) -> list[Relation]:
        """Everything that a pattern may match, in the order of names; the system's own left out."""
        rows = await self._session.query(_RELATIONS)
        return [Relation(*row) for row in rows]

    async def selected(self, tables: TableFilter) -> list[Relation]:
        """What a publication for these tables holds."""
        return select(await self.relations(), tables)

    async def without_identity(self, relations: Collection[Relation]) -> list[str]:
        """Tables (and partitions) whose updates and deletes the log could not describe, quoted for SQL."""
        oids = [relation.oid for relation in relations]
        rows = await self._session.query(_WITHOUT_IDENTITY, (oids, oids))
        return [name for (name,) in rows]

    async def columns(self, relations: Collection[Relation]) -> list[ColumnFacts]:
        """The columns of these tables."""
        rows = await self._session.query(_COLUMNS, ([relation.oid for relation in relations],))
        return [ColumnFacts(*row) for row in rows]

    async def types(self, oids: Collection[int]) -> dict[int, TypeDetails]:
        """Details by oid, of these types and of what arrays among them hold."""
        if not oids:
            return {}
        rows = await self._session.query(_TYPES, (list(oids), list(oids)))
        return {
            oid: TypeDetails(oid, schema, name, typtype, element, delimiter, tuple(labels))
            for oid, schema, name, typtype, element, delimiter, labels in rows
        }

    async def describe(self, relation: Undescribed) -> RelationDetails:
        """What the decoder asks for."""
        not_null = await self._session.query(_NOT_NULL, (relation.oid,))
        key = await self._session.query(_PRIMARY_KEY, (relation.oid,))
        return RelationDetails(
            frozenset(name for (name,) in not_null),
            tuple(name for (name,) in key),
            await self.types(relation.types),
        )

    async def emit_message(self) -> None:
        """Write a transactional message of our own into the log; flushed when this returns."""
        await self._session.query(_EMIT, (OWN_PREFIX.decode(),))

    async def flushed(self) -> int:
        """The end of the server's log."""
        ((lsn,),) = await self._session.query(SQL("SELECT pg_current_wal_flush_lsn()::text"))
        return parse_lsn(lsn)


def select(relations: Sequence[Relation], tables: TableFilter) -> list[Relation]:
    """The relations that the filter names and a publication can hold; a partition goes with its table."""
    named = {r.oid: r for r in relations if r.publishable and tables.captured(*r.qualified)}
    return [r for r in named.values() if not any(oid in named for oid in r.ancestors if oid != r.oid)]
