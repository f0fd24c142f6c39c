"""What of a database a pipeline captures, as its settings say it and as the catalogue has it now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connectors.postgres import selection
from connectors.postgres.catalogue import Catalogue, Relation, parts, select
from connectors.postgres.config import PostgresSettings
from connectors.postgres.membership import Assignment, Membership, Names, superseded_by
from connectors.postgres.publication import find
from connectors.postgres.tables import Pattern, TableFilter
from connectors.postgres.wanted import Wishes
from tailrace.clients.postgres.connection import Session
from tailrace.errors import NotReady, TailraceError
from tailrace.logs import Logger

_log: Final = Logger(__name__)


@dataclass(frozen=True, slots=True)
class Captured:
    """What there is to capture."""

    relations: Sequence[Relation]  # everything that a pattern may match
    selected: Sequence[Relation]
    assignment: Assignment
    membership: Membership
    unlogged: Sequence[NotReady]
    parts: Sequence[TailraceError]  # columns and rows that cannot be published by themselves
    keyless: Sequence[NotReady]  # tables that cannot be captured for want of a replica identity


class Capture:
    """The settings that select tables. `names` are the publications; `ours`: they are made here."""

    def __init__(self, settings: PostgresSettings, name: str) -> None:
        given = settings.publication
        main = given.name or name
        self.ours: Final = given.create
        self.inserts_only: Final = settings.keyless == "inserts_only"
        self.names: Final = Names(
            main,
            f"{main}_ins" if self.ours or self.inserts_only else None,
            generated=given.generated == "stored" if self.ours else None,
        )
        self.tables: Final = TableFilter(
            [Pattern.parse(text) for text in settings.tables],
            [Pattern.parse(text) for text in settings.exclude],
        )
        self._leaves = settings.partitions == "leaves"
        self._wishes = Wishes(settings.columns, settings.where)
        self._parts: frozenset[tuple[str, str]] = frozenset()

    async def look(self, session: Session) -> Captured:
        """Look at the database."""
        catalogue = Catalogue(session)
        relations = await catalogue.relations()
        selected = select(relations, self.tables, leaves=self._leaves)
        # A partition whose changes are not in the log is a hole in its table either way.
        unlogged = selection.unlogged(relations, select(relations, self.tables))
        main = await find(session, self.names.main)
        inserts = None if self.names.inserts is None else await find(session, self.names.inserts)
        wanted = self.names.generated
        stored = wanted if wanted is not None else main is not None and main.generated
        assignment, keyless = await selection.assign(
            catalogue,
            relations,
            selected,
            inserts_only=self.inserts_only,
            stored=stored,
        )
        superseded = superseded_by(assignment, relations, self.tables) if self.ours else []
        parts_wanted = await self._wishes.look(
            session, relations, assignment, (main, inserts), stored=stored, ours=self.ours
        )
        membership = Membership(
            self.names, main, inserts, assignment, superseded, parts_wanted.extents, ours=self.ours
        )
        self._parts = frozenset(part.qualified for part in parts(relations, self.tables))
        return Captured(relations, selected, assignment, membership, unlogged, parts_wanted.refused, keyless)

    def captured(self, schema: str, table: str) -> bool:
        """Whether changes under this name are wanted. Those of partitions are, however `partitions` is set:
        the log may be from before it was changed."""
        return self.tables.captured(schema, table) or (schema, table) in self._parts

    async def publish(self, session: Session, *, first: bool) -> None:
        """See to it that every captured table is published, and nothing of it left out. `first`: of this run;
        later the publication is left as it is."""
        found = await self.look(session)
        membership = found.membership
        if self.ours:
            membership.refuse_absent()
        self.refuse(found, changing=first)
        if not first:
            return
        await membership.establish(session)
        for words, tables in (
            ("tables added to the publication: only changes from now on arrive", membership.added),
            (
                "tables have a replica identity now: their updates and deletes arrive from now on",
                membership.promoted,
            ),
            (
                "tables have lost their replica identity: their inserts alone arrive from now on",
                membership.demoted,
            ),
        ):
            if tables:
                _log.warning(words, tables=[str(relation) for relation in tables])
        for difference in membership.differences():
            _log.warning("other columns or rows of a table arrive from now on", difference=difference)

    def refuse(self, found: Captured, *, changing: bool) -> None:
        """Raise what speaks against streaming this; `changing`: tables that are not published yet count."""
        membership = found.membership
        if error := membership.unfit(found.relations):
            raise error
        if not changing:
            return
        for fault in (*found.unlogged, *found.keyless, *found.parts):
            raise fault
        if not self.ours and (error := membership.not_made()):
            raise error
