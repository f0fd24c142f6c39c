"""The publications of a pipeline: which tables' changes the server sends.

`tailrace_{pipeline}` holds the captured tables with all their changes. `tailrace_{pipeline}_ins`, for tables
of which inserts alone can be told, exists from the first start on although nothing may be in it: a stream is
shaped by the publications that it names, and must not change its shape with the first such table.

Both are made before the slot, because the server reads them as they were at the time of each change. What is
in which of them is said in `membership.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from psycopg.errors import Diagnostic
from psycopg.sql import SQL, Composed, Identifier

from connectors.postgres.catalogue import Relation
from connectors.postgres.extent import WHOLE, Extent, entry
from tailrace.clients.postgres.connection import Session
from tailrace.errors import Gap, NotReady, code

GONE = code(
    "TR-PG-314",
    "the publication is gone",
    "The slot exists and a publication that its stream is shaped by does not, or did not while a part of the "
    "log was written: what was written then cannot be told from what was never to be captured.",
)
UNFIT = code(
    "TR-PG-220",
    "the publication leaves changes out",
    "A publication of the pipeline's name exists that does not publish every change of its tables: some "
    "would be missing, unsaid.",
)

_UNDEFINED_OBJECT: Final = "42704"
_SKIPPED: Final = "55000"

_ALL: Final = SQL("insert, update, delete, truncate")
_INSERTS: Final = SQL("insert, truncate")

# Columns and views of later versions are reached by name through JSON: 14 has neither filters nor lists.
_STATE: Final = SQL("""
    SELECT p.puballtables, p.pubinsert AND p.pubtruncate, p.pubupdate AND p.pubdelete, p.pubviaroot,
           pg_has_role(p.pubowner, 'USAGE'),
           ARRAY(SELECT r.prrelid FROM pg_publication_rel r WHERE r.prpubid = p.oid),
           coalesce(to_jsonb(p) ->> 'pubgencols' = 's', false),
           obj_description(p.oid, 'pg_publication')
    FROM pg_publication p WHERE p.pubname = %s
    """)
_TABLES: Final = SQL("""
    SELECT schemaname, tablename, to_jsonb(t) -> 'attnames', to_jsonb(t) ->> 'rowfilter'
    FROM pg_publication_tables t WHERE pubname = %s
    """)
_EXTENTS: Final = SQL("""
    SELECT n.nspname, c.relname, format('%%I.%%I', n.nspname, c.relname),
           to_jsonb(r) ->> 'prattrs' IS NOT NULL, to_jsonb(r) ->> 'prqual' IS NOT NULL
    FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE p.pubname = %s AND coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') IS NOT NULL
    ORDER BY 3
    """)
_HIDDEN: Final = (
    "…"  # the filter of a table that is published by way of something else, where it does not count
)


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication as it stands on the server."""

    name: str
    all_tables: bool
    inserts: bool  # publishes inserts and truncates
    updates: bool  # publishes updates and deletes
    via_root: bool
    owned: bool  # the role may change it
    listed: frozenset[int]  # oids of the tables that are in it by name
    generated: bool  # publishes stored generated columns
    comment: str | None
    extents: Mapping[tuple[str, str], tuple[str, Extent]]
    """By schema and name, the tables with a row filter or a column list: quoted, and what is published of
    them. In the order of names."""

    columns: Mapping[tuple[str, str], frozenset[str] | None]
    """The published columns of what it publishes, however it came in, by schema and name; None before 15: all
    but the generated ones."""

    @property
    def tables(self) -> Set[tuple[str, str]]:
        """Schema and name of what it publishes."""
        return self.columns.keys()

    def missing(self, relations: Sequence[Relation]) -> list[Relation]:
        """Which of the captured tables it does not publish."""
        return [relation for relation in relations if relation.qualified not in self.tables]

    def extra(self, relations: Sequence[Relation]) -> list[tuple[str, str]]:
        """What it publishes beside the captured tables."""
        return sorted(self.tables - {relation.qualified for relation in relations})

    def extent(self, relation: Relation) -> Extent:
        """What of a table that is in it is published."""
        return self.extents.get(relation.qualified, (relation.quoted, WHOLE))[1]

    def unfit(self, relations: Sequence[Relation], selected: Sequence[Relation]) -> NotReady | None:
        """Why it would leave out changes of the selected ones of these relations, if it would; but for its
        row filters and column lists."""
        name = Identifier(self.name).as_string()
        if not (self.inserts and self.updates):
            found = "it does not publish inserts, updates, deletes and truncates alike"
            remedy = f"ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate');"
        elif not self.via_root and any(relation.kind == "p" for relation in selected):
            found = "it publishes partitions under their own names"
            remedy = f"ALTER PUBLICATION {name} SET (publish_via_partition_root = true);"
        elif self.via_root and (whole := self._wholes(relations, selected)):
            leaf, table = whole[0]
            found = f"it publishes {leaf.quoted} as a part of {table.quoted}, under that name"
            remedy = (
                f"Name {table.quoted} under tables: instead; or, if no partitioned table is captured as a "
                f"whole, ALTER PUBLICATION {name} SET (publish_via_partition_root = false);"
            )
        else:
            return None
        return NotReady(UNFIT, f"publication {self.name}: {found}", remedy, where=self.name)

    def _wholes(
        self, relations: Sequence[Relation], selected: Sequence[Relation]
    ) -> list[tuple[Relation, Relation]]:
        """Selected partitions that belong to a published table; it is not selected itself."""
        published = {relation.oid: relation for relation in relations if relation.qualified in self.tables}
        return [
            (leaf, published[oid])
            for leaf in selected
            for oid in leaf.ancestors
            if oid in published and oid != leaf.oid
        ]


async def find(session: Session, name: str) -> Publication | None:
    """The publication of this name, if there is one."""
    found = await session.query(_STATE, (name,))
    if not found:
        return None
    (all_tables, inserts, updates, via_root, owned, listed, generated, comment) = found[0]
    tables = {
        (schema, table): (names, where)
        for schema, table, names, where in await session.query(_TABLES, (name,))
    }
    extents = {}
    for schema, table, quoted, has_list, has_filter in await session.query(_EXTENTS, (name,)):
        names, where = tables.get((schema, table), ((), None))
        extents[schema, table] = (
            quoted,
            Extent(tuple(names) if has_list else None, (where or _HIDDEN) if has_filter else None),
        )
    return Publication(
        name,
        all_tables,
        inserts,
        updates,
        via_root,
        owned,
        frozenset(listed),
        generated,
        comment,
        extents,
        {key: None if names is None else frozenset(names) for key, (names, _) in tables.items()},
    )


def missed(names: Sequence[str], told: Diagnostic) -> Gap | None:
    """The error, where a stream's server tells that one of the publications did not exist at a place in the
    log, also if it exists again. Up to 17 the stream ends with that; from 18 on it is a warning, and what was
    written meanwhile is left out."""
    if told.sqlstate in (_UNDEFINED_OBJECT, _SKIPPED):
        for name in sorted(names, key=len, reverse=True):  # one begins with the other
            if name in (told.message_primary or ""):
                return gone(name, "did not exist when what comes next in the log was written")
    return None


def gone(name: str, found: str = "does not exist, the slot does") -> Gap:
    """The error for a publication that does not exist although the slot does."""
    return Gap(
        GONE,
        f"publication {name} {found}",
        "Bring the targets up to date by other means, then begin anew: tailrace teardown FILE, run it again.",
        where=name,
    )


async def drop(session: Session, name: str, *, dry_run: bool) -> str | None:
    """Drop a publication: a line about it, None if there is none."""
    if await find(session, name) is None:
        return None
    if not dry_run:
        await session.query(SQL("DROP PUBLICATION {}").format(Identifier(name)))
    return f"publication {name}"


def creation(
    name: str,
    relations: Sequence[Relation],
    extents: Mapping[int, Extent],
    *,
    inserts_only: bool = False,
    generated: bool = False,
) -> Composed:
    """The statement that makes a publication of these tables, or an empty one. `extents`: what of a table is
    published, by oid, where that is not all."""
    return SQL("CREATE PUBLICATION {}{} WITH (publish = '{}', publish_via_partition_root = true{})").format(
        Identifier(name),
        SQL(" FOR TABLE {}").format(_entries(relations, extents)) if relations else SQL(""),
        _INSERTS if inserts_only else _ALL,
        SQL(", publish_generated_columns = stored" if generated else ""),
    )


def generating(name: str, *, generated: bool) -> Composed:
    """The statement that lets a publication publish stored generated columns, or not."""
    return SQL("ALTER PUBLICATION {} SET (publish_generated_columns = {})").format(
        Identifier(name), SQL("stored" if generated else "none")
    )


def addition(name: str, relations: Sequence[Relation], extents: Mapping[int, Extent]) -> Composed:
    """The statement that adds tables to a publication; `extents` as in `creation`."""
    return SQL("ALTER PUBLICATION {} ADD TABLE {}").format(Identifier(name), _entries(relations, extents))


def removal(name: str, relations: Sequence[Relation]) -> Composed:
    """The statement that takes tables out of a publication."""
    return SQL("ALTER PUBLICATION {} DROP TABLE {}").format(Identifier(name), _entries(relations, {}))


def _entries(relations: Sequence[Relation], extents: Mapping[int, Extent]) -> Composed:
    return SQL(", ").join(entry(relation, extents.get(relation.oid, WHOLE)) for relation in relations)
