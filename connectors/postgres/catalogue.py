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
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "lc_monetary": "C",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "TimeZone": "UTC",
    "search_path": "pg_catalog",
    "lock_timeout": "10s",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "local",
    "client_min_messages": "warning",
}
"""Fixed for every connection of the source: how values are written as text, what names mean, and that no wait
but the one for a lock ends by itself."""

REPLICATION_SETTINGS: Final[Mapping[str, str]] = {**SESSION_SETTINGS, "lock_timeout": "0"}
"""The same for those that stream: making a slot waits for transactions as for locks, and says for which."""

_SERVER: Final = SQL("""
    SELECT current_setting('server_version_num')::int, current_setting('server_version'),
           pg_is_in_recovery(), current_setting('wal_level'),
           current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots),
           (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
           (SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'wal_sender_timeout'),
           current_user, current_database(), has_database_privilege(current_database(), 'CREATE'),
           current_setting('server_encoding'),
           (SELECT p.oid::regprocedure::text FROM pg_proc p
            WHERE p.proname = 'pg_logical_emit_message' AND p.pronamespace = 'pg_catalog'::regnamespace
              AND p.proargtypes[2] = 'text'::regtype AND NOT has_function_privilege(p.oid, 'EXECUTE'))
    """)

_RELATIONS: Final = SQL("""
    SELECT c.oid, n.nspname, c.relname, format('%I.%I', n.nspname, c.relname),
           c.relkind::text, c.relpersistence::text,
           pg_has_role(c.relowner, 'USAGE'),
           (SELECT rolname FROM pg_roles WHERE oid = c.relowner AND NOT rolsuper),
           CASE WHEN c.relispartition THEN ARRAY(SELECT a.relid::oid FROM pg_partition_ancestors(c.oid) a)
                ELSE '{}' END,
           ARRAY(SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid AND NOT c.relispartition)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ORDER BY n.nspname, c.relname
    """)

# The index is one that PostgreSQL itself would take (RelationGetReplicaIndex). Generated columns are left out
# of old rows; from 18 on the server refuses to change rows whose identity needs them.
_IDENTITIES: Final = SQL("""
    WITH given (oids, stored) AS (SELECT %s::oid[], %s),
    key AS (
        SELECT c.oid, a.attname::text, a.attgenerated <> '' AND NOT stored AS generated, i.indisprimary,
               CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END
                   AS identifies
        FROM given JOIN pg_class c ON c.oid = ANY (oids) JOIN pg_index i ON i.indrelid = c.oid
             CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE k.place <= i.indnkeyatts
          AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL)
    SELECT c.oid, c.relreplident = 'f',
           ARRAY(SELECT attname FROM key WHERE key.oid = c.oid AND identifies),
           ARRAY(SELECT attname FROM key WHERE key.oid = c.oid AND indisprimary),
           ARRAY(SELECT attname FROM key WHERE key.oid = c.oid AND identifies AND generated
                 UNION SELECT attname::text FROM pg_attribute
                 WHERE attrelid = c.oid AND attgenerated <> '' AND NOT (attgenerated = 's' AND stored)
                   AND NOT attisdropped AND c.relkind = 'r'
                   AND c.relreplident = 'f' AND current_setting('server_version_num')::int >= 180000)
    FROM given JOIN pg_class c ON c.oid = ANY (oids)
    """)

_COLUMNS: Final = SQL("""
    SELECT format('%%I.%%I', n.nspname, c.relname), a.attname, a.atttypid, a.atttypmod,
           a.attgenerated <> '', a.attgenerated = 's'
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

# An array is what its element's type names as its array: int2vector and oidvector only look like some.
_TYPES: Final = SQL("""
    WITH RECURSIVE wanted AS (
        SELECT unnest(%s::oid[]) AS oid
        UNION SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END
        FROM wanted JOIN pg_type t USING (oid) WHERE t.typtype = 'd' OR t.typelem <> 0)
    SELECT t.oid, n.nspname, t.typname, t.typtype::text,
           CASE WHEN e.typarray = t.oid THEN e.oid ELSE 0 END, t.typdelim::text,
           ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder),
           t.typbasetype, t.typtypmod
    FROM wanted JOIN pg_type t USING (oid) JOIN pg_namespace n ON n.oid = t.typnamespace
         LEFT JOIN pg_type e ON e.oid = t.typelem
    """)

# A number on the wire is the lower half of one that does not wrap around: the one that is nearest to now.
_STATUS: Final = SQL("""
    SELECT xid, pg_xact_status((((xid - now + 2147483648) & 4294967295) - 2147483648 + now)::text::xid8)
    FROM unnest(%s::bigint[]) AS given (xid),
         (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS now) AS newest
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
    max_slot_wal_keep_size: int  # MB; -1: without a bound
    wal_sender_timeout: float  # seconds; 0: none
    role: str
    database: str
    may_create: bool  # in the database
    encoding: str  # of the database
    barred: str | None  # the function that writes logical messages, where the role may not call it


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, or what could be taken for one."""

    oid: int
    schema: str
    name: str
    quoted: str  # both, for SQL and for patterns
    kind: str  # pg_class.relkind
    persistence: str  # pg_class.relpersistence
    owned: bool  # the role may do what its owner may
    owner: str | None  # whose member a role may become; None: a superuser owns it
    ancestors: Sequence[int]  # of a partition, itself among them
    parents: Sequence[int]  # the tables that it inherits from; a partition has none

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
class ReplicaIdentity:
    """What of an old row the log holds."""

    full: bool
    index: frozenset[str]  # the columns of the index that identifies rows; none: there is none
    primary: frozenset[str]  # those of the primary key
    generated: frozenset[str]  # generated columns that it needs, and that no publication of ours holds

    @property
    def usable(self) -> bool:
        """Whether it tells which row an update or a delete changes."""
        return (self.full or bool(self.index)) and not self.generated


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """A column of a captured table."""

    table: str
    name: str
    type: int
    typmod: int
    generated: bool
    stored: bool  # generated, and stored


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

    async def identities(
        self, relations: Collection[Relation], *, stored: bool = False
    ) -> dict[int, ReplicaIdentity]:
        """Replica identities by oid. `stored`: stored generated columns are published."""
        oids = [relation.oid for relation in relations]
        rows = await self._session.query(_IDENTITIES, (oids, stored))
        return {oid: ReplicaIdentity(full, *map(frozenset, names)) for oid, full, *names in rows}

    async def columns(self, relations: Collection[Relation]) -> list[ColumnFacts]:
        """The columns of these tables."""
        rows = await self._session.query(_COLUMNS, ([relation.oid for relation in relations],))
        return [ColumnFacts(*row) for row in rows]

    async def types(self, oids: Collection[int]) -> dict[int, TypeDetails]:
        """Details by oid, of these types, of what arrays among them hold and of what domains stand on."""
        if not oids:
            return {}
        rows = await self._session.query(_TYPES, (list(oids),))
        return {
            oid: TypeDetails(oid, schema, name, typtype, element, delimiter, tuple(labels), base, typmod)
            for oid, schema, name, typtype, element, delimiter, labels, base, typmod in rows
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

    async def rolled_back(self, xids: Sequence[int]) -> list[int] | None:
        """Which of these subtransactions, of a transaction that has committed, were rolled back; None where
        they are so old that the server has forgotten it."""
        rows = await self._session.query(_STATUS, (list(xids),))
        if any(status is None for _, status in rows):
            return None
        return [xid for xid, status in rows if status == "aborted"]

    async def emit_message(self) -> None:
        """Write a transactional message of our own into the log; flushed when this returns."""
        await self._session.query(_EMIT, (OWN_PREFIX.decode(),))

    async def flushed(self) -> int:
        """The end of the server's log."""
        ((lsn,),) = await self._session.query(SQL("SELECT pg_current_wal_flush_lsn()::text"))
        return parse_lsn(lsn)


def select(relations: Sequence[Relation], tables: TableFilter, *, leaves: bool = False) -> list[Relation]:
    """What a publication for these tables holds: what the filter names and can be published. A partition goes
    with its table; with `leaves`, the table's partitions stand in its place."""
    named = {r.oid: r for r in relations if r.publishable and tables.captured(*r.qualified)}
    if leaves:
        return [r for r in relations if r.publishable and r.kind != "p" and r.oid in named] + [
            r for r in parts(relations, tables) if r.publishable and r.oid not in named
        ]
    return [r for r in named.values() if not any(oid in named for oid in r.ancestors if oid != r.oid)]


def parts(relations: Sequence[Relation], tables: TableFilter) -> list[Relation]:
    """What holds the rows of the partitioned tables that the filter names, but for what it excludes."""
    named = {r.oid for r in relations if r.kind == "p" and tables.captured(*r.qualified)}
    return [
        r
        for r in relations
        if r.kind != "p"
        and named & {*r.ancestors}
        and not any(pattern.matches(*r.qualified) for pattern in tables.exclude)
    ]


def partitions(relations: Sequence[Relation], table: Relation) -> list[Relation]:
    """What holds the rows of a partitioned table."""
    return [r for r in relations if r.kind != "p" and r.oid != table.oid and table.oid in r.ancestors]
