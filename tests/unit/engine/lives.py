"""Pipelines on a log and targets in memory: made, run for a while, ended."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from tailrace.abc import Transform, Unit
from tailrace.engine.pipeline import Pipeline
from tests.unit.engine.memory import Faults, MemorySink, MemorySource, Server, Target

NAMES = ("orders/a", "orders/b", "orders/c")


def make(
    tmp_path: Path,
    server: Server,
    targets: dict[str, Target],
    *,
    seed: int = 0,
    rate: float = 0.0,
    data_dir: str = "data",
    unit: Unit | None = None,
    largest_batch: int = 3,
    transforms: Sequence[Transform] = (),
    sink_transforms: Mapping[str, Sequence[Transform]] = {},
) -> Pipeline:
    faults = Faults(random.Random(seed), rate)
    sinks = [MemorySink(name, target, faults, unit) for name, target in targets.items()]
    return Pipeline(
        "orders",
        MemorySource(server, faults, largest_batch),
        sinks,
        data_dir=tmp_path / data_dir,
        transforms=transforms,
        sink_transforms=sink_transforms,
    )


@contextlib.asynccontextmanager
async def running(pipeline: Pipeline) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(pipeline.run())
    try:
        yield task
        pipeline.stop()
        await asyncio.wait_for(task, 30)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the condition is a state of the target, not an event
            await asyncio.sleep(0.001)


def delivered(server: Server, *targets: Target, origin: int = 0) -> Callable[[], bool]:
    wanted = server.all_events(origin)
    return lambda: all(target.events == wanted for target in targets)


def at_a_position(*targets: Target) -> Callable[[], bool]:
    """Whether the first start is done: each target knows where its stream begins."""
    return lambda: all(target.checkpoint and target.checkpoint.position for target in targets)
