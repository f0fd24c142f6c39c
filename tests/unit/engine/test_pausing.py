"""A pipeline that is paused, while its connection is lost, its sinks fail and it is stopped or killed."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tailrace.engine.status import State
from tests.unit.engine.lives import NAMES, at_a_position, delivered, make, running, until
from tests.unit.engine.memory import Server, Target


@pytest.mark.parametrize("seed", range(12))
async def test_nothing_is_lost_or_doubled(tmp_path: Path, seed: int) -> None:
    """Paused and resumed at random instants; a life ends with a stop or a kill, often while it is paused."""
    rng = random.Random(seed)
    server, targets = Server(), {name: Target() for name in NAMES[: rng.randint(1, 3)]}
    async with running(make(tmp_path, server, targets)):
        await until(at_a_position(*targets.values()))
    for life in range(6):
        pipeline = make(tmp_path, server, targets, seed=seed * 100 + life, rate=0.03, data_dir=f"{life}")
        task = asyncio.create_task(pipeline.run())
        for _ in range(rng.randint(1, 8)):
            rng.choice((pipeline.pause, pipeline.pause, pipeline.resume))()
            server.commit(*(rng.choice((1, 2, 40)) for _ in range(rng.randint(0, 4))))
            await asyncio.sleep(rng.random() * 0.004)
        if rng.random() < 0.5:
            pipeline.stop()
            await asyncio.wait_for(task, 10)
            assert pipeline.status.state is State.STOPPED
        else:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    async with running(make(tmp_path, server, targets, seed=seed, rate=0.01)) as last:
        server.commit(7)
        await until(delivered(server, *targets.values()))
        assert not last.done()
