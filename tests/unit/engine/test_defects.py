"""What a pipeline does when a part breaks its contract: it ends, closes everything, and says so."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tailrace.abc import Payload
from tailrace.checkpoint import Checkpoint
from tailrace.engine.stream import _decisive_failure
from tailrace.errors import Diverged, Fenced, Stop, TailraceError
from tailrace.events import Batch
from tests.unit.engine.lives import NAMES, at_a_position, make, until
from tests.unit.engine.memory import TROUBLE, MemorySink, MemorySource, Server, Target


class Closings:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.closed: list[str] = []
        source_close, sink_close = MemorySource.close, MemorySink.close

        async def close_source(source: MemorySource) -> None:
            self.closed.append("source")
            await source_close(source)

        async def close_sink(sink: MemorySink) -> None:
            self.closed.append(sink.identity)
            await sink_close(sink)

        monkeypatch.setattr(MemorySource, "close", close_source)
        monkeypatch.setattr(MemorySink, "close", close_sink)


@pytest.mark.parametrize("step", ["prepare", "write", "commit"])
@pytest.mark.parametrize("error", [KeyError("x"), asyncio.CancelledError()])
async def test_a_defect_in_a_sink_ends_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    server, targets = Server(), {name: Target() for name in NAMES}
    pipeline = make(tmp_path, server, targets)
    broken = pipeline._sinks[1]
    task = asyncio.create_task(pipeline.run())
    await until(at_a_position(*targets.values()))
    if step == "prepare":

        def prepare(batch: Batch) -> Payload:
            raise error

        monkeypatch.setattr(broken, "prepare", prepare)
    else:

        async def call(argument: object) -> None:
            raise error

        monkeypatch.setattr(broken, step, call)
    closings = Closings(monkeypatch)
    server.commit(3, 3)
    with pytest.raises((KeyError, RuntimeError)):
        await asyncio.wait_for(task, 30)
    assert sorted(closings.closed) == [*NAMES, "source"]
    for healthy in (targets[NAMES[0]], targets[NAMES[2]]):
        assert healthy.events == server.all_events()[: len(healthy.events)]
    assert server.slot == 0


async def test_a_close_that_fails_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, targets = Server(), {name: Target() for name in NAMES}
    pipeline = make(tmp_path, server, targets)
    task = asyncio.create_task(pipeline.run())
    await until(at_a_position(*targets.values()))
    closings = Closings(monkeypatch)

    async def close() -> None:
        raise OSError("cannot be closed")

    async def commit(checkpoint: Checkpoint) -> None:
        raise Stop(TROUBLE, "the real trouble", "nothing")

    monkeypatch.setattr(pipeline._source, "close", close)
    monkeypatch.setattr(pipeline._sinks[1], "commit", commit)
    server.commit(3)
    with pytest.raises(Stop, match="the real trouble") as ended:
        await asyncio.wait_for(task, 30)
    assert ended.value.__notes__ == ["closing failed too: OSError('cannot be closed')"]
    assert closings.closed == [*NAMES]


async def test_a_start_that_is_cancelled_by_nobody_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make(tmp_path, Server(), {NAMES[0]: Target()})

    async def open() -> Checkpoint | None:
        raise asyncio.CancelledError

    monkeypatch.setattr(pipeline._sinks[0], "open", open)
    with pytest.raises(RuntimeError, match="cancelled from inside"):
        await asyncio.wait_for(pipeline.run(), 5)


@pytest.mark.parametrize("decisive", [Fenced(TROUBLE, "", ""), Diverged(TROUBLE, "", "")])
async def test_of_two_failures_at_once_the_one_that_forbids_writing_decides(decisive: TailraceError) -> None:
    async def fail(error: TailraceError) -> None:
        raise error

    for errors in ([decisive, Stop(TROUBLE, "", "")], [Stop(TROUBLE, "", ""), decisive]):
        tasks = {asyncio.create_task(fail(error)) for error in errors}
        await asyncio.wait(tasks)
        assert _decisive_failure(tasks) is decisive
