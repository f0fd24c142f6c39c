"""Row filters, tried at the server before anything is made: in a transaction that is rolled back.

Only the server knows whether it takes an expression, which columns that needs, and how it is written when it
is shown: the text with which the one in a publication can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL

from connectors.postgres.catalogue import Relation, ReplicaIdentity
from connectors.postgres.extent import Extent, entry
from tailrace.clients.postgres.connection import Connection, Session, rows
from tailrace.clients.postgres.faults import PERMISSION, REFUSED
from tailrace.errors import NotReady, TailraceError, code

FILTER = code(
    "TR-PG-223",
    "rows that cannot be filtered so",
    "PostgreSQL does not take a row filter of the configuration, or the filter needs columns that the log "
    "does not hold of old rows: the server would refuse updates and deletes of the table once it is "
    "published so.",
)

# Nothing outside of the transaction sees it. It publishes inserts alone, which every table and filter can.
_TRIAL: Final = SQL("""
    CREATE PUBLICATION tailrace_trial FOR TABLE {}
    WITH (publish = 'insert', publish_via_partition_root = true)
    """)
_TRIED: Final = SQL("""
    SELECT pg_get_expr(r.prqual, r.prrelid),
           ARRAY(SELECT a.attname::text
                 FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                 WHERE d.classid = 'pg_publication_rel'::regclass AND d.objid = r.oid AND a.attnum > 0
                   AND d.refclassid = 'pg_class'::regclass ORDER BY a.attnum),
           r.prqual::text ~ ':varattno 0 '
    FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
    WHERE p.pubname = 'tailrace_trial' AND r.prattrs IS NULL AND NOT p.pubupdate
    """)


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
        found = await rows(connection, session.address, _TRIED)
    except TailraceError as error:
        if error.code is PERMISSION:
            return None
        if error.code is not REFUSED:
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
    if len(found) != 1:  # what stood in the text was more than a condition
        return NotReady(
            FILTER,
            f"the row filter of {relation.quoted} is not one condition: {text}",
            "Correct the parentheses.",
            where=relation.quoted,
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
