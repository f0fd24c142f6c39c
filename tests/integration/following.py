"""Drives a PostgreSQL source by hand, in the order of calls that the contract tells."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from connectors.postgres.source import PostgresSource
from tailrace.abc import SourceContext
from tailrace.checkpoint import Checkpoint, Owner
from tailrace.events import ABSENT, UNCHANGED, Batch, Change, Position, Row, Table
from tests.servers import Postgres
from tests.waiting import eventually

Told: TypeAlias = tuple[str, str, dict[str, Any] | None, dict[str, Any] | None]
"""Operation, table, values before, values after."""


class Follower:
    """A source for one database and the pipeline that is called like it; `sql` writes there."""

    def __init__(
        self,
        server: Postgres,
        database: str,
        tables: Sequence[str] = ("public.*",),
        *,
        redeliver: bool = False,
        pipeline: str | None = None,
        data_dir: Path = Path("data"),
        **settings: Any,
    ) -> None:
        self.server = server
        self.database = database
        pipeline = pipeline or database
        self.name = f"tailrace_{pipeline}"  # of slot and publication
        given = PostgresSource.Settings(
            url=settings.pop("url", server.url(database)), tables=tuple(tables), snapshot="never", **settings
        )
        self.source = PostgresSource(given, SourceContext(pipeline, redeliver, data_dir=data_dir))
        self._batches: AsyncIterator[Batch] | None = None

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """In a connection of its own; several statements are one transaction."""
        return self.server.execute(statement, database=self.database)

    async def start(self) -> Position:
        """A first start: nothing may be at fault; returns where the stream begins."""
        for finding in await self.source.check():
            if finding.error is not None:
                raise finding.error
        await self.source.anchored()
        origin = await self.source.anchor()
        await self.resume(origin)
        return origin

    async def resume(self, position: Position, fingerprint: str | None = None) -> None:
        """Go on from a checkpoint, or connect again, with every check."""
        await self.close()
        await self.source.identify()
        await self.source.verify(await self.checkpoint(position, fingerprint))
        await self.source.open(position)
        self._batches = self.source.read()

    async def checkpoint(self, position: Position, fingerprint: str | None = None) -> Checkpoint:
        """A sink's checkpoint at a position of the server as it is now."""
        identity = await self.source.identify()
        return Checkpoint(
            Owner.this_process(),
            start="s",
            identity=identity,
            fingerprint=self.source.fingerprint if fingerprint is None else fingerprint,
            origin=position,
            position=position,
        )

    async def batch(self, timeout: float = 30) -> Batch:
        """The next batch."""
        assert self._batches is not None
        return await asyncio.wait_for(anext(self._batches), timeout)

    async def until(self, goal: Position | None = None, timeout: float = 60) -> list[Batch]:
        """The batches up to a position, or up to the log's end as it is now."""
        goal = goal or await self.source.current()
        batches: list[Batch] = []
        async with asyncio.timeout(timeout):
            while not (batches and self.source.covers(batches[-1].end, goal)):
                batches.append(await self.batch(timeout))
        return batches

    async def told(self) -> list[Told]:
        """The changes up to the log's end as it is now."""
        return [tell(event) for event in changes(await self.until())]

    async def close(self) -> None:
        self._batches = None
        await self.source.close()

    def confirmed(self) -> str:
        """Up to where the slot lets the log go."""
        (row,) = self.sql(
            f"SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '{self.name}'"
        )
        return str(row[0])


@asynccontextmanager
async def following(*args: Any, **kwargs: Any) -> AsyncIterator[Follower]:
    """A follower that has been started for the first time."""
    follower = Follower(*args, **kwargs)
    try:
        await follower.start()
        yield follower
    finally:
        await follower.close()


async def wait_until_confirmed(follower: Follower, position: Position) -> None:
    """Until the server has taken notice of an acknowledgement; it must not go further."""

    async def confirmed() -> bool:
        found = follower.confirmed()
        assert follower.source.covers(position, {"lsn": found})
        return found == position["lsn"]

    await eventually(confirmed, f"{position} to be confirmed")


def changes(batches: Sequence[Batch]) -> list[Change]:
    """All changes, in order."""
    return [event for batch in batches for event in batch.events if isinstance(event, Change)]


def tell(change: Change) -> Told:
    """A change in plain values."""
    before, after = change.table.split(change.raw)
    return change.op, str(change.table), _values(change.table, before), _values(change.table, after)


def _values(table: Table, row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        column.name: raw if raw is None or raw is UNCHANGED or raw is ABSENT else column.value(raw)
        for column, raw in zip(table.columns, row, strict=True)
    }
