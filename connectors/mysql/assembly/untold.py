"""What happens to rows of captured tables without an event of theirs: told to whoever runs the pipeline, as
nothing can be delivered."""

from __future__ import annotations

from typing import Final

from connectors.mysql.assembly.meaning import Statement
from connectors.mysql.assembly.refusals import shortened
from connectors.mysql.assembly.tables import Tables
from connectors.mysql.binlog.messages import Query
from connectors.mysql.position import FilePlace
from tailrace.logs import Logger

_log: Final = Logger(__name__)


def tell(query: Query, statement: Statement, tables: Tables, where: str) -> None:
    """Warn if the pipeline captures a table that the statement is about."""
    about = [(statement.schema, statement.name), *([statement.exchanged] if statement.exchanged else [])]
    named = [tables.as_stored(schema or query.schema, name) for schema, name in about]
    concerned = [f"{schema}.{name}" for schema, name in named if tables.captured(schema, name)]
    if concerned:
        _log.warning(
            "rows have come or gone of which the binary log tells nothing",
            tables=concerned,
            statement=shortened(query.sql),
            at=where,
        )


def ended(xid: str, place: FilePlace) -> None:
    """Warn that an XA transaction must have ended, as another of its name is prepared, and how is not in the
    log: a session had sql_log_bin off, or the server lost it in a crash."""
    _log.warning(
        "an XA transaction has ended of which the binary log tells nothing: its rows are not delivered",
        xid=xid,
        at=str(place),
    )
