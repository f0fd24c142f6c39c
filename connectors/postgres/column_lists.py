"""Which columns of a table are published: those that patterns name, with what tells its rows apart."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from connectors.postgres.catalogue import ColumnFacts, Relation, ReplicaIdentity
from tailrace.errors import NotReady, code
from tailrace.patterns import NamePattern

COLUMN_LIST = code(
    "TR-PG-222",
    "columns that cannot be published by themselves",
    "The configuration lists columns that a table does not have, or leaves out some that tell which row an "
    "update or a delete changes: PostgreSQL would refuse such statements once the table is published so.",
)


def chosen(
    relation: Relation, patterns: Sequence[NamePattern], columns: Sequence[ColumnFacts], *, stored: bool
) -> tuple[str, ...] | None:
    """The names of those of the table's columns that a pattern names, in the order of the table; None: the
    pattern `*` is among them, so that columns that come later are meant too. Generated columns count where
    `stored` ones are published. NotReady for a name that is none of them, and where nothing is left."""
    if any(pattern.text == "*" for pattern in patterns):
        return None
    published = [c.name for c in columns if not c.generated or (c.stored and stored)]
    for pattern in patterns:
        if pattern.literal is not None and pattern.literal not in published:
            raise _not_there(relation, pattern.literal, columns, published)
    names = tuple(name for name in published if any(pattern.matches(name) for pattern in patterns))
    if not names:
        listed = ", ".join(pattern.text for pattern in patterns)
        raise NotReady(
            COLUMN_LIST,
            f"no column of {relation.quoted} matches {listed}",
            f"Correct the patterns: it has {', '.join(published) or 'no column'}.",
            where=relation.quoted,
        )
    return names


def _not_there(
    relation: Relation, name: str, columns: Sequence[ColumnFacts], published: Sequence[str]
) -> NotReady:
    if any(column.name == name for column in columns):
        found = f"column {name} of {relation.quoted} is a generated one, which is not published"
        remedy = (
            "Take it out of columns. From PostgreSQL 18 on stored ones are published with publication: "
            "{generated: stored}, virtual ones never."
        )
    else:
        near = difflib.get_close_matches(name, published, n=1)
        found = f"{relation.quoted} has no column {name}"
        remedy = "Correct the name, case included." + (f" Did you mean {near[0]}?" if near else "")
    return NotReady(COLUMN_LIST, found, remedy, where=relation.quoted)


def unidentified(
    relation: Relation,
    leaf: Relation,
    names: Sequence[str],
    identity: ReplicaIdentity,
    *,
    updates: bool,
) -> list[NotReady]:
    """The error, where these columns of a table do not identify its rows. `identity` is that of `leaf`: of
    the table, or of a partition of it. `updates`: they are published, not inserts alone."""
    if updates and identity.full:
        return [
            NotReady(
                COLUMN_LIST,
                f"{leaf.quoted} has REPLICA IDENTITY FULL, which needs all of its columns",
                f"ALTER TABLE {leaf.quoted} REPLICA IDENTITY DEFAULT; with a primary key, or USING INDEX …; "
                f"or take {relation.quoted} out of columns and leave columns out with the transform columns.",
                where=relation.quoted,
            )
        ]
    lacking = ((identity.index if updates else frozenset()) or identity.primary) - {*names}
    if not lacking:
        return []
    return [
        NotReady(
            COLUMN_LIST,
            f"the key of {leaf.quoted} is not among the columns: {', '.join(sorted(lacking))} is missing",
            f"Add {', '.join(sorted(lacking))} to the columns of {relation.quoted}.",
            where=relation.quoted,
        )
    ]
