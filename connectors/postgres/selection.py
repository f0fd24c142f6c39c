"""The tables that the configuration selects: whether each can be captured."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

from connectors.postgres.catalogue import (
    Catalogue,
    ColumnFacts,
    Relation,
    ReplicaIdentity,
    partitions,
)
from connectors.postgres.membership import Assignment
from connectors.postgres.tables import Pattern, TableFilter
from connectors.postgres.types import column, is_known
from tailrace.errors import NotReady, code

NO_TABLE = code(
    "TR-PG-210",
    "no such table",
    "The configuration names a table that the database does not have, or something that is not a table.",
)
NO_MATCH = code(
    "TR-PG-211",
    "a pattern matches nothing",
    "No table that can be captured has a name that this pattern of the configuration matches.",
)
NO_IDENTITY = code(
    "TR-PG-212",
    "no usable replica identity",
    "The log would not tell which row an update or a delete of this table changes, and PostgreSQL would "
    "refuse such statements once the table is published.",
)

NOT_LOGGED = code(
    "TR-PG-213",
    "a partition that is not in the log",
    "A captured table has a partition whose changes the server does not log: they would be missing, unsaid.",
)

_KINDS: Final = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


def unmatched(relations: Sequence[Relation], tables: TableFilter) -> list[NotReady]:
    """An error for each pattern that selects nothing."""
    errors = []
    for pattern in tables.include:
        matches = [relation for relation in relations if pattern.matches(*relation.qualified)]
        if any(relation.publishable for relation in matches):
            continue
        if pattern.literal is None:
            errors.append(
                NotReady(
                    NO_MATCH,
                    f"no table matches {pattern.text}",
                    f"Correct the pattern.{_similar(pattern, relations)}",
                    where=pattern.text,
                )
            )
        elif not matches:
            errors.append(
                NotReady(
                    NO_TABLE,
                    f"there is no table {pattern.text}",
                    f"Correct the name, case included, or create the table.{_similar(pattern, relations)}",
                    where=pattern.text,
                )
            )
        else:
            errors.append(
                NotReady(
                    NO_TABLE, f"{pattern.text} is {_kind(matches[0])}", "Take it out.", where=pattern.text
                )
            )
    if not errors and not any(r.publishable and tables.captured(*r.qualified) for r in relations):
        texts = ", ".join(pattern.text for pattern in tables.exclude)
        errors.append(
            NotReady(NO_MATCH, f"exclude takes out every table: {texts}", "Correct exclude.", where="exclude")
        )
    return errors


def _kind(relation: Relation) -> str:
    if relation.kind in "rp":
        return "an unlogged table, whose changes are not in the log" if relation.persistence == "u" else (
            "a temporary table"
        )  # fmt: skip
    return f"{_KINDS[relation.kind]}, whose changes are not in the log"


def _similar(pattern: Pattern, relations: Sequence[Relation]) -> str:
    """What may have been meant."""
    names = {str(relation).casefold(): str(relation) for relation in relations if relation.publishable}
    near = difflib.get_close_matches(pattern.text.casefold(), list(names), n=1)
    return f" Did you mean {names[near[0]]}?" if near else ""


async def assign(
    catalogue: Catalogue,
    relations: Sequence[Relation],
    selected: Sequence[Relation],
    *,
    inserts_only: bool,
    stored: bool = False,
) -> tuple[Assignment, list[NotReady]]:
    """What is told of each selected table; and an error for each, or for a partition of one, whose old rows
    the log would not identify, unless of such tables `inserts_only` are to be told."""
    faults = await _without_identity(catalogue, relations, selected, stored)
    keyless = {table.oid for table, _ in faults} if inserts_only else set()
    return (
        Assignment(
            [table for table in selected if table.oid not in keyless],
            [table for table in selected if table.oid in keyless],
        ),
        [] if inserts_only else [error for _, error in faults],
    )


async def _without_identity(
    catalogue: Catalogue, relations: Sequence[Relation], selected: Sequence[Relation], stored: bool
) -> list[tuple[Relation, NotReady]]:
    leaves = [
        (table, leaf) for table in selected for leaf in partitions(relations, table) if leaf.publishable
    ]
    tables = [*selected, *(leaf for _, leaf in leaves)]
    identities = await catalogue.identities(tables, stored=stored)
    faults = [
        (table, _no_identity(table, own)) for table in selected if not (own := identities[table.oid]).usable
    ]
    for table, leaf in leaves:
        if identities[table.oid].usable:
            unlike = _unlike(table, identities[table.oid], leaf, identities[leaf.oid])
            faults += [(table, error) for error in unlike]
    return faults


def _no_identity(relation: Relation, identity: ReplicaIdentity) -> NotReady:
    name = relation.quoted
    if identity.generated:
        return NotReady(
            NO_IDENTITY,
            f"the replica identity of {name} needs generated columns, which are not published: "
            f"{', '.join(sorted(identity.generated))}",
            f"With a unique index on NOT NULL columns that are not generated, ALTER TABLE {name} REPLICA "
            "IDENTITY USING INDEX …; before PostgreSQL 18 FULL will do too.",
            where=name,
        )
    return NotReady(
        NO_IDENTITY,
        f"nothing in the log would identify a row of {name}: no primary key, no other replica identity",
        f"ALTER TABLE {name} ADD PRIMARY KEY (…); or, with a unique index on NOT NULL columns, "
        f"ALTER TABLE {name} REPLICA IDENTITY USING INDEX …; or, at the price of whole old rows in the "
        f"log, ALTER TABLE {name} REPLICA IDENTITY FULL; or, if its inserts are enough, keyless: "
        "inserts_only.",
        where=name,
    )


def _unlike(
    table: Relation, own: ReplicaIdentity, leaf: Relation, identity: ReplicaIdentity
) -> list[NotReady]:
    """An old row holds what the partition's identity says, and is read as what the table's says."""
    if not identity.usable:
        return [_no_identity(leaf, identity)]
    key = own.primary if own.full else own.index
    if identity.full or (key and key <= identity.index):
        return []
    by = f"the columns {', '.join(sorted(key))}" if key else "whole old rows"
    return [
        NotReady(
            NO_IDENTITY,
            f"rows of {table.quoted} are identified by {by}, the log of its partition {leaf.quoted} holds "
            f"{', '.join(sorted(identity.index))} alone",
            f"ALTER TABLE {leaf.quoted} REPLICA IDENTITY FULL; or give both a primary key and the default "
            "replica identity.",
            where=leaf.quoted,
        )
    ]


def unlogged(relations: Sequence[Relation], selected: Sequence[Relation]) -> list[NotReady]:
    """An error for each partition of a selected table whose changes are not in the log."""
    return [
        NotReady(
            NOT_LOGGED,
            f"{leaf.quoted}, a partition of {table.quoted}, is {_kind(leaf)}",
            (f"ALTER TABLE {leaf.quoted} SET LOGGED; or n" if leaf.persistence == "u" else "N")
            + f"ame its other partitions under tables: in place of {table.quoted}.",
            where=leaf.quoted,
        )
        for table in selected
        for leaf in partitions(relations, table)
        if not leaf.publishable
    ]


async def unsupported(catalogue: Catalogue, columns: Sequence[ColumnFacts]) -> list[NotReady]:
    """An error for each column whose type is not mapped."""
    types = await catalogue.types({facts.type for facts in columns if not is_known(facts.type)})
    errors = []
    for facts in columns:
        try:
            column(facts.table, facts.name, facts.type, facts.typmod, optional=True, types=types)
        except NotReady as error:
            errors.append(error)
    return errors
