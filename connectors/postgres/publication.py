"""The publications of a pipeline: which tables' changes the server sends.

`tailrace_{pipeline}` holds the captured tables with all their changes. `tailrace_{pipeline}_ins`, for tables
of which inserts alone are wanted, exists from the first start on although nothing is in it yet: a stream is
shaped by the publications that it names, and must not change its shape with the first such table.

Both are made before the slot, because the server reads them as they were at the time of each change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg.errors import Diagnostic
from psycopg.sql import SQL, Composed, Identifier

from connectors.postgres.catalogue import Relation
from tailrace.clients.postgres.connection import Session
from tailrace.errors import Gap, NotReady, code
from tailrace.failpoints import failpoint

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
                   AND coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') IS NOT NULL)
    FROM pg_publication p WHERE p.pubname = %s
    """)
_TABLES: Final = SQL("SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = %s")

_main_created = failpoint("postgres.publication.main_created")
_created = failpoint("postgres.publication.created")


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
    tables: frozenset[tuple[str, str]]  # schema and name of what it publishes, however it came in

    def missing(self, relations: Sequence[Relation]) -> list[Relation]:
        """Which of the captured tables it does not publish."""
        return [relation for relation in relations if relation.qualified not in self.tables]

    def extra(self, relations: Sequence[Relation]) -> list[tuple[str, str]]:
        """What it publishes beside the captured tables."""
        return sorted(self.tables - {relation.qualified for relation in relations})

    def unfit(self, relations: Sequence[Relation], selected: Sequence[Relation]) -> NotReady | None:
        """Why it would leave out changes of the selected ones of these relations, if it would."""
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
        elif self.filtered:
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
    (all_tables, inserts, updates, via_root, owned, filtered) = found[0]
    tables = frozenset((schema, table) for schema, table in await session.query(_TABLES, (name,)))
    return Publication(name, all_tables, inserts, updates, via_root, owned, tuple(filtered), tables)


async def create(session: Session, main: str, inserts: str, relations: Sequence[Relation]) -> None:
    """Make those of the two that do not exist, and add captured tables to one that does."""
    existing = await find(session, main)
    if existing is None:
        await session.query(creation(main, relations))
    else:
        await add(session, existing, relations)
    _main_created()
    if await find(session, inserts) is None:
        await session.query(creation_for_inserts(inserts))
    _created()


async def require(session: Session, main: str, inserts: str) -> Publication:
    """The publication of the captured tables; Gap if one of the two is gone, for a stream that has begun."""
    existing = await find(session, main)
    if existing is None:
        raise gone(main)
    if await find(session, inserts) is None:
        raise gone(inserts)
    return existing


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


async def add(session: Session, publication: Publication, relations: Sequence[Relation]) -> None:
    """Add the captured tables that it lacks; what else is in it stays."""
    missing = publication.missing(relations)
    if missing:
        await session.query(addition(publication.name, missing))


async def drop(session: Session, name: str, *, dry_run: bool) -> str | None:
    """Drop a publication: a line about it, None if there is none."""
    if await find(session, name) is None:
        return None
    if not dry_run:
        await session.query(SQL("DROP PUBLICATION {}").format(Identifier(name)))
    return f"publication {name}"


def creation(name: str, relations: Sequence[Relation]) -> Composed:
    """The statement that makes the publication of the captured tables."""
    return SQL(
        "CREATE PUBLICATION {} FOR TABLE {} WITH (publish = '{}', publish_via_partition_root = true)"
    ).format(Identifier(name), _names(relations), _ALL)


def creation_for_inserts(name: str) -> Composed:
    """The statement that makes the publication for inserts, empty."""
    return SQL("CREATE PUBLICATION {} WITH (publish = '{}', publish_via_partition_root = true)").format(
        Identifier(name), _INSERTS
    )


def addition(name: str, relations: Sequence[Relation]) -> Composed:
    """The statement that adds tables to a publication."""
    return SQL("ALTER PUBLICATION {} ADD TABLE {}").format(Identifier(name), _names(relations))


def _names(relations: Sequence[Relation]) -> Composed:
    # Without ONLY, tables that inherit from these would be published too: they are captured by their own
    # names, and those without a replica identity could not be updated any more.
    return SQL(", ").join(SQL("ONLY {}").format(Identifier(*relation.qualified)) for relation in relations)
