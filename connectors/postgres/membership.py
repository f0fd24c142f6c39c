"""Which captured table belongs in which of a pipeline's publications, and the statements that bring it about.

A table whose old rows the log identifies is published with all its changes. One without a usable replica
identity is published with its inserts alone, where the pipeline's `keyless` says so: the server would refuse
its updates and deletes otherwise, to whoever runs them. A table stands in one of both, never in both: it
would count as published with all its changes.

A table of which another part is to be published than before is taken out and put in again, in the same
transaction: SET TABLE would take out what somebody else has put in.

All statements are one transaction. The server reads publications as they were at the time of each change, so
nothing of what is in the log already is touched by them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL, Composed, Identifier

from connectors.postgres.catalogue import ColumnFacts, Relation
from connectors.postgres.extent import WHOLE, Extent, entry, mark, marking, marks, same, set_here
from connectors.postgres.publication import (
    UNFIT,
    Publication,
    addition,
    creation,
    generating,
    gone,
    removal,
)
from connectors.postgres.tables import TableFilter
from tailrace.clients.postgres.connection import Session
from tailrace.errors import NotReady, code
from tailrace.failpoints import failpoint

NOT_MADE = code(
    "TR-PG-221",
    "something that others make is missing",
    "The configuration says that the slot or the publication is made by somebody else (`create: false`), "
    "and it does not exist, or lacks a captured table.",
)

_HAVE_MADE: Final = "Have somebody who may run: {};"

_created = failpoint("postgres.publication.created")


@dataclass(frozen=True, slots=True)
class Names:
    """The publications that a stream names."""

    main: str
    inserts: str | None  # None: there is none for inserts alone
    generated: bool | None = False  # whether they publish stored generated columns; None: as they do

    @property
    def all(self) -> tuple[str, ...]:
        return (self.main,) if self.inserts is None else (self.main, self.inserts)


@dataclass(frozen=True, slots=True)
class Assignment:
    """The captured tables by what is told of them."""

    whole: Sequence[Relation]  # all changes
    inserts: Sequence[Relation]  # inserts and truncates alone

    @property
    def all(self) -> list[Relation]:
        return [*self.whole, *self.inserts]


class Membership:
    """The publications as they stand, and what they lack for an assignment. `extents`: what of a table is to
    be published, by oid, where the settings say it; None: what they say cannot be, so that it stays as it is.
    In publications that are not `ours` nothing else counts.
    """

    def __init__(
        self,
        names: Names,
        main: Publication | None,
        inserts: Publication | None,
        assignment: Assignment,
        superseded: Sequence[Relation],
        extents: Mapping[int, Extent | None],
        *,
        ours: bool,
    ) -> None:
        self.names = names
        self.main = main
        self.inserts = inserts
        self.assignment = assignment
        self._extents = extents
        self._wanted = {oid: extent for oid, extent in extents.items() if extent is not None}
        self._ours = ours
        in_main = main.listed if main else frozenset()
        in_inserts = inserts.listed if inserts else frozenset()
        self.to_main = main.missing(assignment.whole) if main else list(assignment.whole)
        """Tables to publish with all their changes from now on."""
        self.to_inserts = inserts.missing(assignment.inserts) if inserts else list(assignment.inserts)
        """Tables to publish with their inserts alone from now on."""
        self._from_main = [r for r in [*assignment.inserts, *superseded] if r.oid in in_main]
        self._from_inserts = [r for r in [*assignment.whole, *superseded] if r.oid in in_inserts]
        self._in_main = self._otherwise(main, assignment.whole)
        self._in_inserts = self._otherwise(inserts, assignment.inserts)

    def _otherwise(self, publication: Publication | None, relations: Sequence[Relation]) -> list[Relation]:
        """Which of these tables stand in it, with another part of them than is wanted."""
        if publication is None:
            return []
        return [
            relation
            for relation in relations
            if relation.qualified in publication.tables
            and not same(publication.extent(relation), self._target(publication, relation))
        ]

    def _target(self, publication: Publication, relation: Relation) -> Extent:
        """What of a table that stands in a publication is to be published."""
        wanted, found = self._extents.get(relation.oid, WHOLE), publication.extent(relation)
        if wanted is None:
            return found
        if self._ours:
            return wanted
        return Extent(wanted.columns or found.columns, wanted.where or found.where)

    @property
    def changed(self) -> list[Relation]:
        """Tables of which other columns or rows are told from now on."""
        return [*self._in_main, *self._in_inserts]

    @property
    def absent(self) -> list[str]:
        """The names of the publications that do not exist."""
        absent = [] if self.main else [self.names.main]
        return absent + ([] if self.inserts or self.names.inserts is None else [self.names.inserts])

    @property
    def promoted(self) -> list[Relation]:
        """Tables of which all changes are told from now on, until now inserts alone."""
        return [r for r in self._from_inserts if r in self.to_main]

    @property
    def demoted(self) -> list[Relation]:
        """Tables of which inserts alone are told from now on, until now all changes."""
        return [r for r in self._from_main if r in self.to_inserts]

    @property
    def added(self) -> list[Relation]:
        """Tables of which nothing was told until now."""
        moved = [*self.promoted, *self.demoted]
        return [r for r in [*self.to_main, *self.to_inserts] if r not in moved]

    def statements(self) -> list[Composed]:
        """What makes the publications as they should be; to be run in one transaction."""
        main, inserts = self.names.main, self.names.inserts
        statements = []
        if out := [*self._from_main, *self._in_main]:
            statements.append(removal(main, out))
        if inserts and (out := [*self._from_inserts, *self._in_inserts]):
            statements.append(removal(inserts, out))
        generated = bool(self.names.generated)
        statements += self._entered(main, self.main, [*self.to_main, *self._in_main])
        if inserts is not None:
            entered = [*self.to_inserts, *self._in_inserts]
            statements += self._entered(inserts, self.inserts, entered, inserts_only=True)
        statements += [
            generating(existing.name, generated=generated)
            for existing in (self.main, self.inserts)
            if existing is not None and self._generates_else(existing)
        ]
        if self._ours:
            statements += self._marked(main, self.main, [*self.to_main, *self._in_main], self._from_main)
            if inserts is not None:
                entered = [*self.to_inserts, *self._in_inserts]
                statements += self._marked(inserts, self.inserts, entered, self._from_inserts)
        return statements

    def _entered(
        self,
        name: str,
        publication: Publication | None,
        relations: Sequence[Relation],
        *,
        inserts_only: bool = False,
    ) -> list[Composed]:
        """What makes a publication with these tables, or puts them into it."""
        if publication is None:
            generated = bool(self.names.generated)
            return [creation(name, relations, self._wanted, inserts_only=inserts_only, generated=generated)]
        targets = {r.oid: self._target(publication, r) for r in relations}
        return [addition(name, relations, targets)] if relations else []

    def _marked(
        self,
        name: str,
        publication: Publication | None,
        entered: Sequence[Relation],
        removed: Sequence[Relation],
    ) -> list[Composed]:
        """What marks the parts of tables as set here, if there are such."""
        comment = publication.comment if publication else None
        found = marks(comment)
        touched = {relation.quoted for relation in [*entered, *removed]}
        kept = {quoted: left for quoted, left in found.items() if quoted not in touched}
        parts = {relation.quoted: self._wanted.get(relation.oid, WHOLE) for relation in entered}
        new = {quoted: mark(part) for quoted, part in parts.items() if part != WHOLE}
        return [marking(name, comment, kept | new)] if kept | new != found else []

    def _generates_else(self, existing: Publication) -> bool:
        return self.names.generated is not None and existing.generated != self.names.generated

    @property
    def publishes_generated(self) -> bool:
        """Whether stored generated columns are published, once all statements were run."""
        wanted = self.names.generated
        return wanted if wanted is not None else self.main is not None and self.main.generated

    def alters(self, name: str) -> bool:
        """Whether one of the statements changes this publication."""
        existing, changes = self.main, bool(self.to_main or self._from_main or self._in_main)
        if name != self.names.main:
            existing = self.inserts
            changes = bool(self.to_inserts or self._from_inserts or self._in_inserts)
        return changes or (existing is not None and self._generates_else(existing))

    def published(self, columns: Sequence[ColumnFacts]) -> list[ColumnFacts]:
        """Those of the columns that a column list does not leave out."""
        lists = {relation.quoted: self._list(relation) for relation in self.assignment.all}
        return [c for c in columns if c.generated or (names := lists.get(c.table)) is None or c.name in names]

    def _list(self, relation: Relation) -> Collection[str] | None:
        if (wanted := self._wanted.get(relation.oid, WHOLE)).columns is not None:
            return wanted.columns
        return self.main.columns.get(relation.qualified) if self.main and not self._ours else None

    def parts(self) -> list[str]:
        """In words, what is to be published of tables of which the settings say something."""
        return [
            f"{relation}: {self._wanted[relation.oid]}"
            for relation in self.assignment.all
            if relation.oid in self._wanted
        ]

    def text(self) -> str:
        """The statements, for a person to run."""
        return "; ".join(statement.as_string() for statement in self.statements())

    def unfit(self, relations: Sequence[Relation]) -> NotReady | None:
        """Why the publications would leave out changes of the assigned ones of these relations, or keep users
        from changing them, although all statements were run."""
        if self.main is None:
            return None
        gone = {r.oid for r in self._from_main}
        left = [r for r in relations if r.oid not in gone]
        if error := self.main.unfit(left, self.assignment.whole) or self._foreign() or self._indivisible():
            return error
        stuck = [r for r in self.assignment.inserts if r.qualified in self.main.tables and r.oid not in gone]
        if not stuck:
            return None
        names = ", ".join(r.quoted for r in stuck)
        return NotReady(
            UNFIT,
            f"publication {self.main.name}: it publishes updates and deletes of tables without a usable "
            f"replica identity, which the server therefore refuses: {names}",
            f"Give them a replica identity, as with ALTER TABLE {stuck[0].quoted} REPLICA IDENTITY FULL; or "
            f"let the publication {Identifier(self.main.name).as_string()} name its tables one by one, "
            "without them.",
            where=self.main.name,
        )

    def _foreign(self) -> NotReady | None:
        """Parts of tables that neither the settings want nor this pipeline has set."""
        captured = {relation.qualified: relation for relation in self.assignment.all}
        for publication in (self.main, self.inserts) if self._ours else ():
            if publication is None:
                continue
            found = marks(publication.comment)
            tables, again, shown = [], [], []
            for qualified, (quoted, extent) in publication.extents.items():
                relation = captured.get(qualified)
                wanted = WHOLE if relation is None else self._target(publication, relation)
                if same(extent, wanted) or set_here(found.get(quoted), extent):
                    continue
                tables.append(quoted)
                if relation is not None and wanted != WHOLE:
                    shown.append(f"; of {quoted} it publishes {extent}, the file says {wanted}")
                if wanted.where is not None and wanted.where == wanted.written:
                    shown.append(" (the role may not have conditions tried: write it as it stands there)")
                again.append(entry(relation, wanted).as_string() if relation else f"ONLY {quoted}")
            if tables:
                name, listed = Identifier(publication.name).as_string(), ", ".join(tables)
                return NotReady(
                    UNFIT,
                    f"publication {publication.name}: {listed} stands in it with a row filter or a column "
                    f"list that the pipeline has not set{''.join(shown)}",
                    f"BEGIN; ALTER PUBLICATION {name} DROP TABLE {listed}; "
                    f"ALTER PUBLICATION {name} ADD TABLE {', '.join(again)}; COMMIT;",
                    where=publication.name,
                )
        return None

    def _indivisible(self) -> NotReady | None:
        """Tables of which a part is to be published, and that do not stand in their publication by name."""
        for publication, relations in ((self.main, self._in_main), (self.inserts, self._in_inserts)):
            whole = [r for r in relations if publication is not None and r.oid not in publication.listed]
            if publication is None or not whole:
                continue
            name = Identifier(publication.name).as_string()
            return NotReady(
                UNFIT,
                f"publication {publication.name}: columns or where say which part of "
                f"{', '.join(r.quoted for r in whole)} is to be published, and it publishes all tables, or "
                "all of a schema, as a whole",
                "Take columns and where out of the file; or let it name its tables one by one: "
                f"BEGIN; DROP PUBLICATION {name}; "
                + creation(publication.name, self.assignment.whole, self._wanted).as_string()
                + "; COMMIT;",
                where=publication.name,
            )
        return None

    def not_made(self) -> NotReady | None:
        """What publications that somebody else makes lack, if they do."""
        statements = self.statements()
        if not statements:
            return None
        lacking = ", ".join(str(r) for r in [*self.to_main, *self.to_inserts])
        absent = self.absent
        remedy = _HAVE_MADE.format(self.text())
        if absent:
            found = f"publication {' and '.join(absent)} does not exist"
        elif lacking:
            found = f"publication {self.names.main} lacks {lacking}"
        elif self.changed:
            found = "; ".join(self.differences())
            remedy += (
                " Or correct columns and where in the file, a condition as it is shown here; or take them "
                "out: then what the publication says is meant."
            )
        else:
            found = (
                f"publication {self.names.main} holds tables in another way than the pipeline captures them"
            )
        return NotReady(NOT_MADE, found, remedy, where=self.names.main)

    def differences(self) -> list[str]:
        """For each table of which another part is published than is wanted: both."""
        return [
            f"publication {publication.name} publishes of {relation}: {publication.extent(relation)}; the "
            f"file says: {self._target(publication, relation)}"
            for publication, relations in ((self.main, self._in_main), (self.inserts, self._in_inserts))
            if publication is not None
            for relation in relations
        ]

    def refuse_absent(self) -> None:
        """Gap if one of the publications is gone, for a stream that has begun."""
        for name in self.absent:
            raise gone(name)

    async def establish(self, session: Session) -> None:
        """Run the statements."""
        statements = self.statements()
        if statements:
            await session.query(SQL("; ").join(statements))
            _created()


def superseded_by(
    assignment: Assignment, relations: Sequence[Relation], tables: TableFilter
) -> list[Relation]:
    """What stands for assigned tables in the other way of capturing partitions: the partitions of a table
    that is captured as a whole now, or the table whose partitions are captured one by one now."""
    wanted = {relation.oid for relation in assignment.all}
    above = {oid for relation in assignment.all for oid in relation.ancestors} - wanted
    return [
        relation
        for relation in relations
        if relation.oid not in wanted
        and (
            (relation.oid in above and tables.captured(*relation.qualified))
            or bool(wanted & {*relation.ancestors})
        )
    ]
