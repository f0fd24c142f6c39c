"""The slot of test_decoding beside a pipeline's own, read piece by piece."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from tests.servers import Postgres
from tests.truth.catalogue import TableDescription, describe
from tests.truth.decoding import LogicalMessage, Name, transactions
from tests.truth.events import Event, Expectation, Place
from tests.truth.fold import selected

_SESSION = "-c DateStyle=ISO -c TimeZone=UTC -c bytea_output=hex -c IntervalStyle=postgres"


class Witness:
    """Sees everything that commits from its making on: make it while nothing else writes, before the pipeline
    first starts, so that both begin at the same place.

    It reads through SQL, with a connection of its own for each call, and survives a crash of the server: what
    the slot repeats then is dropped.
    """

    def __init__(
        self, server: Postgres, database: str, pipeline: str, captured: Callable[[Name], bool]
    ) -> None:
        self._server = server
        self._database = database
        self._slot = f"witness_{pipeline}"
        self._ends: list[int] = []  # of the transactions so far
        self._seen = 0
        with self._connect() as connection:
            self.tables: dict[Name, TableDescription] = describe(connection, captured)
            connection.execute(
                "SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", (self._slot,)
            )
        self._expectation = Expectation(database, self.tables)

    def read(self) -> Sequence[Event]:
        """The events that must be delivered for what committed since the last call, in order."""
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT lsn::text, data FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, "
                "'include-timestamp', '1')",
                (self._slot,),
            ).fetchall()
        events: list[Event] = []
        for found in transactions(rows):
            at = found.lsn if isinstance(found, LogicalMessage) else found.end
            if at <= self._seen:  # the slot repeats itself after a crash of the server
                continue
            self._seen = at
            if not isinstance(found, LogicalMessage):
                self._ends.append(at)
            events += self._expectation.events(found)
        return events

    def locate(self, position: str) -> Place:
        """The place of an event by the text of its position, `<16 hex digits of the LSN of its commit record,
        or of its end without a transaction>:<ordinal>:<index>`. Only for what was read."""
        digits, ordinal, index = position.split(":")
        if len(digits) != 16:
            raise ValueError(f"not a position: {position}")
        lsn = int(digits, 16)
        if ordinal != "0":
            following = bisect_right(self._ends, lsn)
            lsn = self._ends[following] if following < len(self._ends) else lsn
        return lsn, int(ordinal), int(index)

    def rows(self, name: Name) -> Counter[str]:
        """What SELECT returns now, in the form of `Fold.rows`."""
        table = self.tables[name]
        columns = list(table.columns)
        query = SQL("SELECT {} FROM {}").format(
            SQL(", ").join(Identifier(column) for column in columns), Identifier(*name)
        )
        with self._connect() as connection:
            # Raw text, because a cast to text is not what an output function writes.
            result = connection.execute(query).pgresult
        assert result is not None
        return selected(
            table.row(
                {
                    column: None if (field := result.get_value(row, i)) is None else field.decode()
                    for i, column in enumerate(columns)
                }
            )
            for row in range(result.ntuples)
        )

    def drop(self) -> None:
        """Drop the slot, so that the server need not keep its log."""
        with self._connect() as connection:
            connection.execute("SELECT pg_drop_replication_slot(%s)", (self._slot,))

    def _connect(self) -> psycopg.Connection[Any]:
        return self._server.connect(self._database, options=_SESSION, client_encoding="UTF8")
