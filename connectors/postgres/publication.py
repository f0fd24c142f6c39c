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
           ARRAY(SELECT format('%%I.%%I', n.nspname, c.relname)
                 FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid
                      JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE r.prpubid = p.oid
                   AND coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') IS NOT NULL ORDER BY 1),
           ARRAY(SELECT r.prrelid FROM pg_publication_rel r WHERE r.prpubid = p.oid),
           coalesce(to_jsonb(p) ->> 'pubgencols' = 's', false)
    FROM pg_publication p WHERE p.pubname = %s
    """)
_TABLES: Final = SQL("""
    SELECT schemaname, tablename, to_jsonb(t) -> 'attnames' FROM pg_publication_tables t WHERE pubname = %s
    """)


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication as it stands on the server."""

    name: str
    all_tables: bool
    inserts: bool  # publishes inserts and truncates
    updates: bool  # publishes updates and deletes
    via_root: bool
    owned: bool  # the role may change it
    filtered: tuple[str, ...]  # tables with a row filter or a column list
    listed: frozenset[int]  # oids of the tables that are in it by name
    generated: bool  # publishes stored generated columns
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

    def unfit(
        self, relations: Sequence[Relation], selected: Sequence[Relation], *, ours: bool = True
    ) -> NotReady | None:
        """Why it would leave out changes of the selected ones of these relations, if it would. In one that is
        not `ours`, row filters and column lists are meant."""
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
        elif self.filtered and ours:
            found = f"{', '.join(self.filtered)} stands in it with a row filter or a column list"
            tables = ", ".join(self.filtered)
            remedy = (
                f"BEGIN; ALTER PUBLICATION {name} DROP TABLE {tables}; "
                f"ALTER PUBLICATION {name} ADD TABLE ONLY {', ONLY '.join(self.filtered)}; COMMIT;"
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
    (all_tables, inserts, updates, via_root, owned, filtered, listed, generated) = found[0]
    columns = {
        (schema, table): None if names is None else frozenset(names)
        for schema, table, names in await session.query(_TABLES, (name,))
    }
    return Publication(
        name,
        all_tables,
        inserts,
        updates,
        via_root,
        owned,
        tuple(filtered),
        frozenset(listed),
        generated,
        columns,
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
    name: str, relations: Sequence[Relation], *, inserts_only: bool = False, generated: bool = False
) -> Composed:
    """The statement that makes a publication of these tables, or an empty one."""
    return SQL("CREATE PUBLICATION {}{} WITH (publish = '{}', publish_via_partition_root = true{})").format(
        Identifier(name),
        SQL(" FOR TABLE {}").format(_names(relations)) if relations else SQL(""),
        _INSERTS if inserts_only else _ALL,
        SQL(", publish_generated_columns = stored" if generated else ""),
    )


def generating(name: str, *, generated: bool) -> Composed:
    """The statement that lets a publication publish stored generated columns, or not."""
    return SQL("ALTER PUBLICATION {} SET (publish_generated_columns = {})").format(
        Identifier(name), SQL("stored" if generated else "none")
    )


def addition(name: str, relations: Sequence[Relation]) -> Composed:
    """The statement that adds tables to a publication."""
    return SQL("ALTER PUBLICATION {} ADD TABLE {}").format(Identifier(name), _names(relations))


def removal(name: str, relations: Sequence[Relation]) -> Composed:
    """The statement that takes tables out of a publication."""
    return SQL("ALTER PUBLICATION {} DROP TABLE {}").format(Identifier(name), _names(relations))


def _names(relations: Sequence[Relation]) -> Composed:
    # Without ONLY, tables that inherit from these would be published too: they are captured by their own
    # names, and those without a replica identity could not be updated any more.
    return SQL(", ").join(SQL("ONLY {}").format(Identifier(*relation.qualified)) for relation in relations)
