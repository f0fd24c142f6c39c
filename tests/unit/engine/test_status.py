"""What the engine counts, in a running pipeline."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tailrace.engine.status import SinkStatus
from tailrace.events import Batch, Change, SchemaChange
from tests.unit.engine.lives import NAMES, at_a_position, make, running, until
from tests.unit.engine.memory import TABLE, MemorySink, MemorySource, Server, Target


async def test_changes_alone_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what announces a table's version nor the begins and ends of transactions."""
    read = MemorySource.read
    boundaries = dataclasses.replace(TABLE, name="transaction", columns=(), pseudo=True)

    async def told(self: MemorySource) -> AsyncIterator[Batch]:
        async for batch in read(self):
            first = batch.events[0]
            begin = Change("b", boundaries, first.transaction, first.ordinal, -1, 0, ())
            announced = SchemaChange(TABLE, first.transaction, first.ordinal)
            yield batch.with_events([announced, begin, *batch.events])

    def creates(_: MemorySink, batch: Batch) -> Sequence[str]:
        return [str(one.ordinal) for one in batch.events if isinstance(one, Change) and one.op == "c"]

    monkeypatch.setattr(MemorySource, "read", told)
    monkeypatch.setattr(MemorySink, "prepare", creates)
    server, target = Server(), Target()
    pipeline = make(tmp_path, server, {NAMES[0]: target})
    async with running(pipeline):
        await until(at_a_position(target))
        server.commit(3, 4)
        await until(lambda: len(target.events) == 7 and server.slot == 2)
        sink = pipeline.status.sinks[NAMES[0]]
        assert (pipeline.status.source.events, sink.events, sink.tables) == (7, 7, {"public.t": 7})


def test_tables_that_changed_last_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.engine.status.TABLES", 3)
    sink = SinkStatus(NAMES[0])
    sink.count({"lasting": 1})
    for number in range(5):
        sink.count({f"dropped_{number}": 2, "lasting": 1})
    assert sink.tables == {"dropped_3": 2, "dropped_4": 2, "lasting": 6}
    assert sink.events == 16
