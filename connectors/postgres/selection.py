"""The tables that the configuration selects: whether each can be captured."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

from psycopg.sql import Identifier

from connectors.postgres.catalogue import Catalogue, ColumnFacts, Relation
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


async def without_identity(catalogue: Catalogue, selected: Sequence[Relation]) -> list[NotReady]:
    """An error for each selected table, or partition of one, that has no usable replica identity."""
    return [
        NotReady(
            NO_IDENTITY,
            f"nothing in the log would identify a row of {name}: no primary key, no other replica identity",
            f"ALTER TABLE {name} ADD PRIMARY KEY (…); or, with a unique index on NOT NULL columns, "
            f"ALTER TABLE {name} REPLICA IDENTITY USING INDEX …; or, at the price of whole old rows in the "
            f"log, ALTER TABLE {name} REPLICA IDENTITY FULL;",
            where=name,
        )
        for name in await catalogue.without_identity(selected)
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


def quoted(relation: Relation) -> str:
    """As it is written in SQL."""
    return Identifier(*relation.qualified).as_string()
