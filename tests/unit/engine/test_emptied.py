"""Batches of which transforms leave nothing become durable now and then, not at a commit each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tailrace.engine.pipeline import Pipeline
from tailrace.engine.queue import BatchQueue
from tailrace.events import Batch, Change
from tests.unit.engine.lives import NAMES, at_a_position, make, running, until
from tests.unit.engine.memory import MemorySource, Server, Target, place, position


class Dropping:
    """Lets the changes of every hundredth transaction pass."""

    def apply(self, batch: Batch) -> Batch:
        return batch.with_events(
            [
                one
                for one in batch.events
                if isinstance(one, Change) and int(one.transaction.position) % 100 == 99
            ]
        )


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than any of the tests."""
    monkeypatch.setattr("tailrace.engine.writer.PLACE_SECONDS", 60.0)


@pytest.fixture(params=["pipeline", "sink"])
def dropping(request: pytest.FixtureRequest, tmp_path: Path, server: Server, target: Target) -> Pipeline:
    """A pipeline, or its sink, that drops nearly everything."""
    of_pipeline = request.param == "pipeline"
    return make(
        tmp_path,
        server,
        {NAMES[0]: target},
        transforms=[Dropping()] if of_pipeline else [],
        sink_transforms={} if of_pipeline else {NAMES[0]: [Dropping()]},
    )


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def target() -> Target:
    return Target()


def reached(target: Target) -> int:
    """The transaction that is the next for the target."""
    assert target.checkpoint is not None
    assert target.checkpoint.position is not None
    return place(target.checkpoint.position)[0]


async def drop(server: Server, pipeline: Pipeline, count: int) -> None:
    """Commit transactions of which nothing is left, one after the other, as their reader follows."""
    for _ in range(count):
        server.commit(2)
        await until(lambda: (pipeline.status.source.timestamp or 0) == len(server.sizes) - 1)


async def test_they_cost_no_commits_and_the_next_change_takes_their_place_along(
    dropping: Pipeline, server: Server, target: Target
) -> None:
    async with running(dropping):
        await until(at_a_position(target))
        before = target.commits
        await drop(server, dropping, 99)
        assert target.commits <= before + 1  # the first of them
        server.commit(1)
        await until(lambda: target.events == ["99:0"])
        assert reached(target) == 100
        await until(lambda: server.slot == 100)
        assert target.commits <= before + 2


async def test_a_stop_makes_their_place_durable(dropping: Pipeline, server: Server, target: Target) -> None:
    async with running(dropping):
        await until(at_a_position(target))
        await drop(server, dropping, 20)
        await until(lambda: dropping.status.sinks[NAMES[0]].lag_bytes == 0)  # nothing waits for the sink
    assert reached(target) == server.slot == 20


async def test_their_place_becomes_durable_in_time(
    dropping: Pipeline, server: Server, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.engine.writer.PLACE_SECONDS", 0.2)
    async with running(dropping):
        await until(at_a_position(target))
        await drop(server, dropping, 20)
        await until(lambda: server.slot == 20)


async def test_they_keep_no_more_of_the_log_than_idle_positions(
    dropping: Pipeline, server: Server, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.engine.writer.PLACE_BYTES", 5)  # transactions, in this log
    async with running(dropping):
        await until(at_a_position(target))
        for _ in range(20):
            await drop(server, dropping, 1)
            await until(lambda: server.slot is not None and len(server.sizes) - server.slot <= 5)


async def test_until_current_ends_behind_them(dropping: Pipeline, server: Server, target: Target) -> None:
    async with running(dropping):
        await until(at_a_position(target))
    server.commit(*([2] * 20))
    again = make(Path(dropping._data_dir).parent, server, {NAMES[0]: target}, transforms=[Dropping()])
    await asyncio.wait_for(again.run(until_current=True), 10)
    assert reached(target) == server.slot == 20


async def test_an_idle_position_of_the_source_is_made_durable_at_once(
    dropping: Pipeline, server: Server, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source sends it when somebody waits for it: a server that shuts down."""
    read = MemorySource.read

    async def with_idle(self: MemorySource) -> AsyncIterator[Batch]:
        async for batch in read(self):
            yield batch
            if batch.end == position(20):
                yield Batch([], batch.end, commit=True, size=0)

    monkeypatch.setattr(MemorySource, "read", with_idle)
    async with running(dropping):
        await until(at_a_position(target))
        await drop(server, dropping, 20)
        await until(lambda: server.slot == 20)


def test_of_batches_that_move_the_position_alone_a_queue_keeps_the_last() -> None:
    """They have no size: a queue of a sink that stands still would grow without end."""
    queue = BatchQueue(100)
    for number in range(1000):
        queue.put(Batch([], position(number), commit=True, size=0, timestamp=number))
    idle = Batch([], position(1000), commit=True, size=0)
    queue.put(idle)
    assert queue.take().end == position(999)
    assert queue.take() is idle
    assert not queue
