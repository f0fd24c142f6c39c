"""What the settings `columns` and `where` want published of each captured table, and whether it can be.

A list or a filter that lacks what identifies a row would not be refused by the server itself: it would refuse
the updates and deletes of whoever runs them. So it is refused here, before anything is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from connectors.postgres.catalogue import Catalogue, Relation, Server, partitions
from connectors.postgres.column_lists import chosen, unidentified
from connectors.postgres.extent import Extent, marks, set_here, written_so
from connectors.postgres.membership import Assignment
from connectors.postgres.publication import Publication
from connectors.postgres.row_filters import RowFilter, existing, misfit, tried
from connectors.postgres.selection import NO_MATCH
from connectors.postgres.tables import Pattern
from tailrace.clients.postgres.connection import Session
from tailrace.errors import NotReady, TailraceError, code
from tailrace.patterns import NamePattern

TOO_OLD_FOR = code(
    "TR-PG-206",
    "PostgreSQL is too old for a setting",
    "The configuration asks for something that a later version of PostgreSQL brought.",
)

_KNOWS_EXTENTS: Final = 150_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be published of tables, by oid: of those of which the settings say something."""

    extents: Mapping[int, Extent | None] = field(default_factory=dict)  # None: refused
    refused: Sequence[TailraceError] = ()  # why some of it cannot be


class Wishes:
    """The two settings. Of several patterns that name a table the first counts. A partition goes by its own
    name, and by those of the tables that it is a part of."""

    def __init__(self, columns: Mapping[str, Sequence[str]], where: Mapping[str, str]) -> None:
        self._columns = [
            (Pattern.parse(text), [NamePattern.parse(name) for name in names])
            for text, names in columns.items()
        ]
        self._where = [(Pattern.parse(text), condition) for text, condition in where.items()]

    async def look(
        self,
        session: Session,
        relations: Sequence[Relation],
        assignment: Assignment,
        publications: Sequence[Publication | None],
        *,
        stored: bool,
        ours: bool,
    ) -> Wanted:
        """Look at the database. `stored`: stored generated columns are published; `ours`: the publications
        are made here. In others a filter is compared as it is written: it was taken already."""
        if not (self._columns or self._where):
            return Wanted()
        catalogue = Catalogue(session)
        server = await catalogue.server()
        if server.version_number < _KNOWS_EXTENTS:
            return Wanted(refused=[self._too_old(server)])
        refused: list[TailraceError] = self._unmatched(relations, assignment.all)
        parts = {
            table.oid: [table, *(leaf for leaf in partitions(relations, table) if leaf.publishable)]
            for table in assignment.all
        }
        identities = await catalogue.identities([r for part in parts.values() for r in part], stored=stored)
        updates = {table.oid for table in assignment.whole}

        columns: dict[int, tuple[str, ...] | None] = {}
        facts = await catalogue.columns(assignment.all)
        for table, patterns in named(self._columns, relations, assignment.all):
            own = [column for column in facts if column.table == table.quoted]
            try:
                names = columns[table.oid] = chosen(table, patterns, own, stored=stored)
            except NotReady as error:
                refused.append(error)
                continue
            for leaf in parts[table.oid] if names is not None else ():
                refused += unidentified(
                    table, leaf, names or (), identities[leaf.oid], updates=table.oid in updates
                )

        where = {table.oid: text for table, text in named(self._where, relations, assignment.all)}
        written = dict(where)
        filtered = [(table, where[table.oid]) for table in assignment.all if table.oid in where]
        for table, found in await _filters(session, filtered, publications) if ours else ():
            if isinstance(found, RowFilter):
                where[table.oid] = found.text
                for leaf in parts[table.oid] if table.oid in updates else ():
                    refused += misfit(table, leaf, found, identities[leaf.oid])
            elif found is not None:
                refused.append(found)
        at_fault = {error.where for error in refused}
        extents = {
            table.oid: None
            if table.quoted in at_fault
            else Extent(columns.get(table.oid), where.get(table.oid), written.get(table.oid))
            for table in assignment.all
            if table.oid in columns or table.oid in where or table.quoted in at_fault
        }
        return Wanted(extents, refused)

    def _too_old(self, server: Server) -> NotReady:
        given = " and ".join(
            name for name, said in (("columns", self._columns), ("where", self._where)) if said
        )
        return NotReady(
            TOO_OLD_FOR,
            f"{given} needs PostgreSQL 15, this is {server.version}",
            f"Take {given} out of the file, or upgrade the server. The transforms columns and filter do the "
            "like to what has arrived.",
        )

    def _unmatched(self, relations: Sequence[Relation], captured: Sequence[Relation]) -> list[TailraceError]:
        names = {relation.oid: relation.qualified for relation in relations}
        patterns = [pattern for pattern, _ in self._columns] + [pattern for pattern, _ in self._where]
        return [
            NotReady(
                NO_MATCH,
                f"no captured table matches {pattern.text}, of which columns or where says something",
                "Correct the pattern, or capture the table. A table whose partitions are captured as a whole "
                "goes by its own name.",
                where=pattern.text,
            )
            for pattern in patterns
            if not any(_applies(pattern, table, names) for table in captured)
        ]


async def _filters(
    session: Session, written: Sequence[tuple[Relation, str]], publications: Sequence[Publication | None]
) -> list[tuple[Relation, RowFilter | TailraceError | None]]:
    """What the server makes of each filter. It is tried only where it is not the one that was set already:
    that needs a lock, for which a start would wait behind VACUUM."""
    found: list[tuple[Relation, RowFilter | TailraceError | None]] = []
    new = []
    for table, text in written:
        for publication in publications:
            if publication is None or table.qualified not in publication.extents:
                continue
            left = marks(publication.comment).get(table.quoted)
            if set_here(left, publication.extent(table)) and written_so(left, text):
                found.append((table, await existing(session, publication.name, table)))
                break
        else:
            new.append((table, text))
    return found + (await tried(session, new) if new else [])


def named(
    wishes: Sequence[tuple[Pattern, T]], relations: Sequence[Relation], captured: Sequence[Relation]
) -> Iterator[tuple[Relation, T]]:
    """Captured tables with what the first pattern that names them wants."""
    names = {relation.oid: relation.qualified for relation in relations}
    for table in captured:
        for pattern, wish in wishes:
            if _applies(pattern, table, names):
                yield table, wish
                break


def _applies(pattern: Pattern, table: Relation, names: Mapping[int, tuple[str, str]]) -> bool:
    return any(pattern.matches(*names[oid]) for oid in (table.oid, *table.ancestors) if oid in names)
