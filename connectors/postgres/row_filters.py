"""Row filters, tried at the server before anything is made: in a transaction that is rolled back.

Only the server knows whether it takes an expression, which columns that needs, and how it is written when it
is shown: the text with which the one in a publication can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg.sql import SQL

from connectors.postgres.catalogue import Relation, ReplicaIdentity
from connectors.postgres.extent import Extent, entry
from tailrace.clients.postgres.connection import Connection, Session, rows
from tailrace.clients.postgres.faults import BUSY, PERMISSION, REFUSED
from tailrace.errors import NotReady, Retry, TailraceError, code

FILTER = code(
    "TR-PG-223",
    "rows that cannot be filtered so",
    "PostgreSQL does not take a row filter of the configuration, or the filter needs columns that the log "
    "does not hold of old rows: the server would refuse updates and deletes of the table once it is "
    "published so.",
)

# Nothing outside of the transaction sees it, and no pipeline can have a blank in its name. It publishes
# inserts alone, which every table and filter can.
_NAME: Final = "tailrace trial"
_TRIAL: Final = SQL("""
    CREATE PUBLICATION "tailrace trial" FOR TABLE {}
    WITH (publish = 'insert', publish_via_partition_root = true)
    """)
# The columns stand in the expression as it is stored. What depends on them is the column list too.
_FOUND: Final = SQL("""
    SELECT pg_get_expr(r.prqual, r.prrelid),
           ARRAY(SELECT DISTINCT a.attname::text
                 FROM regexp_matches(r.prqual::text, ':varattno ([0-9]+) ', 'g') AS used (number)
                      JOIN pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = number[1]::int2),
           r.prqual::text ~ ':varattno 0 '
    FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
    WHERE p.pubname = %s AND r.prrelid = %s AND r.prqual IS NOT NULL
    """)
_ONE_CONDITION: Final = SQL("""
    SELECT count(*) = 1 AND count(r.prqual) = 1
    FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
    WHERE p.pubname = 'tailrace trial' AND NOT p.pubupdate
    """)

_MISTAKE: Final = re.compile(r"\(SQLSTATE (?:0A|22|42)")  # in the expression, not of the server's state


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A filter that the server takes."""

    text: str  # as the server shows it
    columns: frozenset[str]  # that it needs
    row: bool  # it needs the row as a whole


async def tried(
    session: Session, filters: Iterable[tuple[Relation, str]]
) -> list[tuple[Relation, RowFilter | TailraceError | None]]:
    """What the server says of each; None where the role lacks the right to publish the table."""
    async with session.apart() as connection:
        return [(relation, await _tried(connection, session, relation, text)) for relation, text in filters]


async def _tried(
    connection: Connection, session: Session, relation: Relation, text: str
) -> RowFilter | TailraceError | None:
    await rows(connection, session.address, SQL("BEGIN"))
    try:
        await rows(connection, session.address, _TRIAL.format(entry(relation, Extent(where=f"{text}\n"))))
        ((single,),) = await rows(connection, session.address, _ONE_CONDITION)
        if not single:
            return _not_one(relation, text)
        return _read(await rows(connection, session.address, _FOUND, (_NAME, relation.oid)))
    except TailraceError as error:
        if error.code is PERMISSION:
            return None
        if error.code is not REFUSED or not _MISTAKE.search(error.found):
            raise
        return NotReady(
            FILTER,
            f"the row filter of {relation.quoted}, {text}: {error.found}",
            "Correct the condition under where: one on columns of the table, with PostgreSQL's own types, "
            "operators and immutable functions.",
            where=relation.quoted,
        )
    finally:
        await rows(connection, session.address, SQL("ROLLBACK"))


def _not_one(relation: Relation, text: str) -> NotReady:
    """What stood in the text was more than a condition."""
    return NotReady(
        FILTER,
        f"the row filter of {relation.quoted} is not one condition: {text}",
        "Correct the parentheses.",
        where=relation.quoted,
    )


async def existing(session: Session, publication: str, relation: Relation) -> RowFilter:
    """The filter that a table has in a publication. Retry where it has none any more."""
    return _read(await session.query(_FOUND, (publication, relation.oid)))


def _read(found: Sequence[tuple[Any, ...]]) -> RowFilter:
    if not found:
        raise Retry(
            BUSY, "a row filter was changed while it was looked at", "Nothing: it is looked at again."
        )
    ((shown, columns, row),) = found
    return RowFilter(shown, frozenset(columns), row)


def misfit(
    relation: Relation, leaf: Relation, filter: RowFilter, identity: ReplicaIdentity
) -> list[NotReady]:
    """The error, where a filter needs more of old rows than the log holds. `identity` is that of `leaf`: of
    the table, or of a partition of it."""
    lacking = sorted(filter.columns - identity.index)
    if identity.full or not (lacking or filter.row):
        return []
    needs = f"the columns {', '.join(lacking)}" if lacking else "whole rows"
    return [
        NotReady(
            FILTER,
            f"the row filter of {relation.quoted} needs {needs}, which are not in the replica identity of "
            f"{leaf.quoted} ({', '.join(sorted(identity.index))})",
            f"ALTER TABLE {leaf.quoted} REPLICA IDENTITY FULL; or USING INDEX … with a unique index over "
            "them; or, where updates and deletes may be judged by the new row alone, use the transform "
            "filter.",
            where=relation.quoted,
        )
    ]
