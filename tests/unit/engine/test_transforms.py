"""Transforms in a running pipeline: for all sinks and for one, through faults and kills."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tailrace.abc import Transform
from tailrace.errors import Malformed, Stop
from tailrace.events import Batch, Change
from tests.unit.engine.lives import NAMES, at_a_position, make, running, until
from tests.unit.engine.memory import TROUBLE, Server, Target


class Every:
    """Lets the changes pass whose ordinals this divides."""

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        self.applied = 0

    def apply(self, batch: Batch) -> Batch:
        self.applied += 1
        kept = [one for one in batch.events if isinstance(one, Change) and one.ordinal % self._divisor == 0]
        return batch.with_events(kept)


class Refusing:
    """Stops at a change."""

    def apply(self, batch: Batch) -> Batch:
        if any(event.ordinal == 5 for event in batch.events):
            raise Stop(TROUBLE, "the fifth", "nothing")
        return batch


def kept(server: Server, origin: int, *divisors: int) -> Sequence[str]:
    events = server.all_events(origin)
    return [one for one in events if all(int(one.split(":")[1]) % divisor == 0 for divisor in divisors)]


@pytest.mark.parametrize("seed", range(12))
async def test_faults_and_kills_lose_and_double_nothing_of_what_passes(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    server = Server()
    targets = {name: Target() for name in NAMES}
    of_one = {NAMES[1]: [Every(3)]}
    for life in range(6):
        pipeline = make(
            tmp_path, server, targets, seed=seed * 100 + life, rate=0.03, data_dir=f"{life}",
            transforms=[Every(2)], sink_transforms=of_one,
        )  # fmt: skip
        task = asyncio.create_task(pipeline.run())
        for _ in range(rng.randint(1, 6)):
            if server.slot is not None and at_a_position(*targets.values())():
                server.commit(*(rng.choice((1, 2, 40)) for _ in range(rng.randint(0, 5))))
            await asyncio.sleep(rng.random() * 0.004)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    last = make(
        tmp_path, server, targets, seed=seed, rate=0.01, transforms=[Every(2)], sink_transforms=of_one
    )
    async with running(last):
        await until(at_a_position(*targets.values()))
        server.commit(7)
        await until(lambda: server.slot == len(server.sizes))  # also what was dropped wholly
    for name, target in targets.items():
        assert target.checkpoint is not None
        assert target.checkpoint.origin is not None
        origin = int(target.checkpoint.origin["transaction"])
        assert target.events == kept(server, origin, *((2, 3) if name == NAMES[1] else (2,)))


async def test_sinks_with_the_same_transform_shape_a_batch_once(tmp_path: Path) -> None:
    server, targets = Server(), {name: Target() for name in NAMES}
    shared = Every(2)
    of_sinks: dict[str, Sequence[Transform]] = {name: [shared] for name in NAMES[:2]}
    async with running(make(tmp_path, server, targets, sink_transforms=of_sinks)):
        await until(at_a_position(*targets.values()))
        server.commit(3, 3)
        await until(lambda: all(target.events for target in targets.values()))
        await until(lambda: server.slot == 2)
    assert targets[NAMES[2]].events == server.all_events()
    assert targets[NAMES[0]].events == targets[NAMES[1]].events == kept(server, 0, 2)
    assert shared.applied <= 6  # batches, of which two sinks take each


@pytest.mark.parametrize("where", ["pipeline", "sink"])
async def test_what_stands_before_a_change_that_a_transform_refuses_is_delivered(
    tmp_path: Path, where: str
) -> None:
    server, targets = Server(), {name: Target() for name in NAMES[:2]}
    pipeline = make(
        tmp_path,
        server,
        targets,
        transforms=[Refusing()] if where == "pipeline" else [],
        sink_transforms={NAMES[0]: [Refusing()]} if where == "sink" else {},
    )
    task = asyncio.create_task(pipeline.run())
    await until(at_a_position(*targets.values()))
    server.commit(4, 9)
    with pytest.raises(Stop, match="the fifth"):
        await asyncio.wait_for(task, 30)
    for target in targets.values():
        assert target.events[:4] == server.all_events()[:4]
    assert all("1:5" not in target.events for target in targets.values()) or where == "sink"
    assert "1:5" not in targets[NAMES[0]].events


class Undecided:
    """Cannot tell what is to become of a change."""

    def __init__(self, ordinal: int) -> None:
        self._ordinal = ordinal

    def apply(self, batch: Batch) -> Batch:
        if any(event.ordinal == self._ordinal for event in batch.events):
            raise Malformed(TROUBLE, "undecided", "nothing", where="public.t")
        return batch


@pytest.mark.parametrize("at", range(9))
@pytest.mark.parametrize("where", ["pipeline", "sink"])
async def test_a_batch_is_cut_before_a_change_that_a_transform_cannot_shape(
    tmp_path: Path, where: str, at: int
) -> None:
    server, target = Server(), Target()
    undecided: list[Transform] = [Undecided(at)]
    pipeline = make(
        tmp_path,
        server,
        {NAMES[0]: target},
        largest_batch=9,
        transforms=undecided if where == "pipeline" else [],
        sink_transforms={NAMES[0]: undecided} if where == "sink" else {},
    )
    task = asyncio.create_task(pipeline.run())
    await until(at_a_position(target))
    server.commit(9, 1)
    with pytest.raises(Malformed, match="undecided"):
        await asyncio.wait_for(task, 30)
    assert target.events == server.all_events()[:at]
