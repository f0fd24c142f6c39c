"""Positions that the decoder hands out, asked of a real server: nothing is lost, doubled or reordered."""

from collections.abc import Callable
from typing import Any

import pytest

from connectors.postgres.position import WalPosition, format_lsn
from connectors.postgres.protocol import Decoder
from connectors.postgres.relations import RelationDetails
from tailrace.events import SchemaChange
from tests.servers import Postgres
from tests.unit.pgoutput import changes, described, feed, relations
from tests.unit.recordings.record import SCENARIOS, Replication
from tests.unit.recordings.record import relations as catalogue
from tests.waiting import wait_until


class Log:
    """A database with one scenario behind a slot that is never acknowledged."""

    def __init__(self, server: Postgres, database: str, scenario: str) -> None:
        self._server = server
        self._database = database
        before, transactions = SCENARIOS[scenario]
        with server.connect(database, options="-c timezone=UTC") as connection:
            connection.execute(before)
            connection.execute("CREATE PUBLICATION all_tables FOR ALL TABLES")
            connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (database,))
            for statements in transactions:
                connection.execute(f"BEGIN; {statements}; COMMIT")
            (until,) = connection.execute("SELECT pg_current_wal_flush_lsn() - '0/0'").fetchone() or (0,)
            self._until = int(until)
            self.details: dict[int, RelationDetails] = {
                int(oid): described(relation) for oid, relation in catalogue(connection).items()
            }

    def read(self, start: WalPosition) -> list[bytes]:
        """What the server sends to who asks for this position."""
        replication = Replication(self._server.url(self._database))
        try:
            return replication.read(self._database, self._until, format_lsn(start.end))
        finally:
            replication.connection.finish()
            wait_until(self._free, "the slot is free")

    def _free(self) -> bool:
        active = "SELECT active FROM pg_replication_slots WHERE slot_name = %s"
        return self._server.execute(active, (self._database,)) == [(False,)]


def same(event: Any) -> tuple[Any, ...]:
    # A message outside of transactions has the time at which it was sent, anew each time.
    committed = event.transaction.timestamp if event.ordinal else None
    return event.op, str(event.table), committed, event.position, event.table.split(event.raw)


@pytest.mark.parametrize("scenario", ["messages", "truncate", "ddl", "full", "origin"])
def test_any_cut_goes_on_where_it_stood(
    postgres: Postgres, make_database: Callable[[Postgres], str], scenario: str
) -> None:
    log = Log(postgres, make_database(postgres), scenario)
    messages = log.read(WalPosition(0))
    batch = feed(Decoder(relations(), WalPosition(0)), messages, log.details)
    assert batch
    whole = [same(change) for change in changes(batch.events)]
    tried = set()
    for at in range(1, len(messages)):
        known = relations()
        first = feed(Decoder(known, WalPosition(0)), messages[:at], log.details)
        if first is None or (position := WalPosition.from_document(first.end)) in tried:
            continue
        tried.add(position)
        second = feed(Decoder(known, position), log.read(position), log.details)
        events = [*first.events, *(second.events if second else ())]
        assert [same(change) for change in changes(events)] == whole, position
        told = [event.table for event in events if isinstance(event, SchemaChange)]
        assert len(told) == len(set(told)), position
    assert len(tried) >= len({event.position.rpartition(":")[0] for event in changes(batch.events)})
