"""Drives a MySQL or MariaDB source by hand, in the order of calls that the contract tells."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self, TypeAlias

from connectors.mysql.source import BinlogSource, MariaDbSource, MySqlSource
from tailrace.abc import SourceContext
from tailrace.checkpoint import Checkpoint, Owner
from tailrace.events import ABSENT, UNCHANGED, Batch, Change, Position, Row, Table
from tests.servers import MySql

Told: TypeAlias = tuple[str, str, dict[str, Any] | None, dict[str, Any] | None]
"""Operation, table, values before, values after."""


class Follower:
    """A source for one database and the pipeline that is called like it; `sql` writes there. As an
    asynchronous context manager it is closed at the end."""

    def __init__(
        self,
        server: MySql,
        database: str,
        tables: Sequence[str] = (),
        *,
        redeliver: bool = False,
        **settings: Any,
    ) -> None:
        self.server = server
        self.database = database
        kind = MySqlSource if server.flavor == "mysql" else MariaDbSource
        given = {"url": server.url(), "tables": tables or [f"{database}.*"], "snapshot": "never", **settings}
        self.source: BinlogSource = kind(
            kind.Settings.model_validate(given), SourceContext(database, redeliver)
        )
        self._batches: AsyncIterator[Batch] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def sql(self, *statements: str) -> None:
        """One after the other, in one connection."""
        with self.server.connect(self.database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    async def start(self) -> Position:
        """A first start: nothing may be at fault; returns where the stream begins."""
        for finding in await self.source.check():
            if finding.error is not None:
                raise finding.error
        await self.source.identify()
        origin = await self.source.anchor()
        await self.resume(origin)
        return origin

    async def resume(self, position: Position) -> None:
        """Go on from a checkpoint, or connect again, with every check."""
        await self.close()
        await self.source.verify(await self.checkpoint(position))
        await self.source.open(position)
        self._batches = self.source.read()

    async def checkpoint(self, position: Position) -> Checkpoint:
        """A sink's checkpoint at a position."""
        identity = await self.source.identify()
        return Checkpoint(
            Owner.this_process(),
            start="s",
            identity=identity,
            fingerprint=self.source.fingerprint,
            origin=position,
            position=position,
        )

    async def batch(self, timeout: float = 30) -> Batch:
        """The next batch."""
        assert self._batches is not None
        return await asyncio.wait_for(anext(self._batches), timeout)

    async def until(self, timeout: float = 60) -> list[Batch]:
        """The batches up to the log's end as it is now."""
        goal = await self.source.current()
        batches: list[Batch] = []
        async with asyncio.timeout(timeout):
            while not batches or not self.source.covers(batches[-1].end, goal):
                batches.append(await self.batch())
        return batches

    async def told(self) -> list[Told]:
        """What happened up to the log's end as it is now."""
        return told(await self.until())

    async def close(self) -> None:
        batches, self._batches = self._batches, None
        with contextlib.suppress(AttributeError):
            await batches.aclose()  # type: ignore[union-attr] # of a generator
        await self.source.close()


def told(batches: Sequence[Batch]) -> list[Told]:
    """The changes of batches."""
    found: list[Told] = []
    for change in changes(batches):
        before, after = change.table.split(change.raw)
        found.append(
            (change.op, change.table.name, _values(change.table, before), _values(change.table, after))
        )
    return found


def changes(batches: Sequence[Batch]) -> list[Change]:
    return [event for batch in batches for event in batch.events if isinstance(event, Change)]


def _values(table: Table, row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        column.name: field if field in (None, ABSENT, UNCHANGED) else column.value(field)
        for column, field in zip(table.columns, row, strict=True)
    }
