"""Which captured table belongs in which of a pipeline's publications, and the statements that bring it about.

A table whose old rows the log identifies is published with all its changes. One without a usable replica
identity is published with its inserts alone, where the pipeline's `keyless` says so: the server would refuse
its updates and deletes otherwise, to whoever runs them. A table stands in one of both, never in both: it
would count as published with all its changes.

All statements are one transaction. The server reads publications as they were at the time of each change, so
nothing of what is in the log already is touched by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL, Composed, Identifier

from connectors.postgres.catalogue import ColumnFacts, Relation
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
    """The publications as they stand, and what they lack for an assignment."""

    def __init__(
        self,
        names: Names,
        main: Publication | None,
        inserts: Publication | None,
        assignment: Assignment,
        superseded: Sequence[Relation],
    ) -> None:
        self.names = names
        self.main = main
        self.inserts = inserts
        self.assignment = assignment
        in_main = main.listed if main else frozenset()
        in_inserts = inserts.listed if inserts else frozenset()
        self.to_main = main.missing(assignment.whole) if main else list(assignment.whole)
        """Tables to publish with all their changes from now on."""
        self.to_inserts = inserts.missing(assignment.inserts) if inserts else list(assignment.inserts)
        """Tables to publish with their inserts alone from now on."""
        self._from_main = [r for r in [*assignment.inserts, *superseded] if r.oid in in_main]
        self._from_inserts = [r for r in [*assignment.whole, *superseded] if r.oid in in_inserts]

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
        if self._from_main:
            statements.append(removal(main, self._from_main))
        if self._from_inserts and inserts:
            statements.append(removal(inserts, self._from_inserts))
        generated = bool(self.names.generated)
        if self.main is None:
            statements.append(creation(main, self.to_main, generated=generated))
        elif self.to_main:
            statements.append(addition(main, self.to_main))
        if inserts is not None:
            if self.inserts is None:
                statements.append(creation(inserts, self.to_inserts, inserts_only=True, generated=generated))
            elif self.to_inserts:
                statements.append(addition(inserts, self.to_inserts))
        statements += [
            generating(existing.name, generated=generated)
            for existing in (self.main, self.inserts)
            if existing is not None and self._generates_else(existing)
        ]
        return statements

    def _generates_else(self, existing: Publication) -> bool:
        return self.names.generated is not None and existing.generated != self.names.generated

    @property
    def publishes_generated(self) -> bool:
        """Whether stored generated columns are published, once all statements were run."""
        wanted = self.names.generated
        return wanted if wanted is not None else self.main is not None and self.main.generated

    def alters(self, name: str) -> bool:
        """Whether one of the statements changes this publication."""
        existing, changes = self.main, bool(self.to_main or self._from_main)
        if name != self.names.main:
            existing, changes = self.inserts, bool(self.to_inserts or self._from_inserts)
        return changes or (existing is not None and self._generates_else(existing))

    def published(self, columns: Sequence[ColumnFacts]) -> list[ColumnFacts]:
        """Those of the columns that a column list does not leave out."""
        columns_of = self.main.columns if self.main else {}
        lists = {relation.quoted: columns_of.get(relation.qualified) for relation in self.assignment.all}
        return [c for c in columns if c.generated or (names := lists.get(c.table)) is None or c.name in names]

    def text(self) -> str:
        """The statements, for a person to run."""
        return "; ".join(statement.as_string() for statement in self.statements())

    def unfit(self, relations: Sequence[Relation], *, ours: bool) -> NotReady | None:
        """Why the publications would leave out changes of the assigned ones of these relations, or keep users
        from changing them, although all statements were run."""
        if self.main is None:
            return None
        gone = {r.oid for r in self._from_main}
        left = [r for r in relations if r.oid not in gone]
        if error := self.main.unfit(left, self.assignment.whole, ours=ours):
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

    def not_made(self) -> NotReady | None:
        """What publications that somebody else makes lack, if they do."""
        statements = self.statements()
        if not statements:
            return None
        lacking = ", ".join(str(r) for r in [*self.to_main, *self.to_inserts])
        absent = self.absent
        if absent:
            found = f"publication {' and '.join(absent)} does not exist"
        elif lacking:
            found = f"publication {self.names.main} lacks {lacking}"
        else:
            found = (
                f"publication {self.names.main} holds tables in another way than the pipeline captures them"
            )
        return NotReady(NOT_MADE, found, _HAVE_MADE.format(self.text()), where=self.names.main)

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
