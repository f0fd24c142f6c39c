"""The engine on a log and targets in memory: whatever fails, every target equals the log."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from tailrace.abc import Payload, Sink, Unit
from tailrace.checkpoint import Checkpoint, Owner
from tailrace.engine.backoff import Backoff
from tailrace.engine.lock import ALREADY_RUNNING
from tailrace.engine.pipeline import Pipeline
from tailrace.engine.queue import BatchQueue
from tailrace.engine.start import ADDED_SINK, LOST_CHECKPOINTS, OTHER_DATABASE, STARTED_BEFORE, rehearse
from tailrace.engine.started import StartedMark
from tailrace.engine.status import State
from tailrace.engine.writer import FOREIGN_CHECKPOINT
from tailrace.errors import Diverged, Fenced, Gap, Malformed, Retry, Stop
from tailrace.events import Batch, Position
from tests.unit.engine.lives import NAMES, at_a_position, delivered, make, running, until
from tests.unit.engine.memory import TROUBLE, Faults, MemorySink, MemorySource, Server, Target, position

_NEXT_DELAY = Backoff.next  # before the tests' short delays take its place


def owner(target: Target) -> Owner | None:
    """Who has claimed it last."""
    return None if target.checkpoint is None else target.checkpoint.owner


async def test_delivers_everything_in_order_to_every_sink(tmp_path: Path) -> None:
    server, targets = Server(), {name: Target() for name in NAMES}
    async with running(make(tmp_path, server, targets)) as task:
        await until(at_a_position(*targets.values()))
        server.commit(1, 5, 1, 30, 2)
        await until(delivered(server, *targets.values()))
        assert not task.done()
    assert server.slot == 5


async def test_history_before_the_first_start_is_not_delivered(tmp_path: Path) -> None:
    server, target = Server(sizes=[3, 4]), Target()
    async with running(make(tmp_path, server, {NAMES[0]: target})):
        await until(at_a_position(target))
        server.commit(2)
        await until(delivered(server, target, origin=2))


@pytest.mark.parametrize("seed", range(40))
async def test_faults_and_kills_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    """Every call may fail, every commit may be lost before or after it took effect, and the pipeline is
    dropped at random instants, without a word, and started again."""
    rng = random.Random(seed)
    server = Server()
    targets = {name: Target() for name in NAMES[: rng.randint(1, 3)]}
    for life in range(8):
        pipeline = make(tmp_path, server, targets, seed=seed * 100 + life, rate=0.03, data_dir=f"{life}")
        task = asyncio.create_task(pipeline.run())
        for _ in range(rng.randint(1, 6)):
            if server.slot is not None and at_a_position(*targets.values())():
                server.commit(*(rng.choice((1, 1, 2, 40)) for _ in range(rng.randint(0, 5))))
            await asyncio.sleep(rng.random() * 0.004)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert server.slot is None or all(
            t.checkpoint is None
            or t.checkpoint.position is None
            or server.slot <= int(t.checkpoint.position["transaction"])
            for t in targets.values()
        ), "acknowledged what was not durable everywhere"
    async with running(make(tmp_path, server, targets, seed=seed, rate=0.01)):
        await until(at_a_position(*targets.values()))
        server.commit(7)
        await until(lambda: all(t.events[-1:] == server.all_events()[-1:] for t in targets.values()))
    assert (
        len(
            {
                t.checkpoint.origin["transaction"]
                for t in targets.values()
                if t.checkpoint and t.checkpoint.origin
            }
        )
        == 1
    )
    for target in targets.values():
        assert target.checkpoint is not None
        assert target.checkpoint.origin is not None
        assert target.events == server.all_events(int(target.checkpoint.origin["transaction"]))


async def test_what_a_sink_leaves_out_is_counted_once(tmp_path: Path) -> None:
    """However often a unit is written, and also where the answer to its commit was lost."""

    class Skipping(MemorySink):
        _left_out = 0

        async def open(self) -> Checkpoint | None:
            self._left_out = 0
            return await super().open()

        async def write(self, payload: Payload) -> None:
            await super().write(payload)
            self._left_out += len(payload)

        async def commit(self, checkpoint: Checkpoint) -> None:
            try:
                await super().commit(checkpoint)
            finally:
                self._left_out = 0

        def skipped(self) -> dict[str, int]:
            return {"public.t": self._left_out} if self._left_out else {}

    server, target = Server(), Target()
    pipeline = make(tmp_path, server, {NAMES[0]: target})
    pipeline._sinks[0] = Skipping(NAMES[0], target, Faults(random.Random(3), 0.1))
    async with running(pipeline):
        await until(at_a_position(target))
        server.commit(*([2] * 40))
        await until(delivered(server, target))
    sink = pipeline.status.sinks[NAMES[0]]
    assert sink.retries > 3
    assert sink.skipped == sink.tables == {"public.t": 80}


async def test_two_processes_the_newer_goes_on(tmp_path: Path) -> None:
    server, targets = Server(), {name: Target() for name in NAMES}
    old = asyncio.create_task(make(tmp_path, server, targets, data_dir="one").run())
    await until(at_a_position(*targets.values()))
    server.commit(5, 5)
    await until(delivered(server, *targets.values()))
    async with running(make(tmp_path, server, targets, data_dir="two")) as new:
        await until(lambda: all(t.epoch == 2 for t in targets.values()))
        server.commit(*([3] * 50))
        with pytest.raises(Fenced, match="is claimed by process"):
            await asyncio.wait_for(old, 30)
        await until(delivered(server, *targets.values()))
        assert not new.done()


async def test_of_two_idle_processes_the_one_that_is_thrown_out_asks_before_it_connects_again(
    tmp_path: Path,
) -> None:
    """A server that keeps one reader throws out the one before: they would take turns without end. Whichever
    came last, the owner goes on, and the other one does not connect again."""
    server, targets = Server(), {name: Target() for name in NAMES}
    opened: list[str] = []

    class OneReader(MemorySource):
        def __init__(self, name: str) -> None:
            super().__init__(server, Faults(random.Random(0)))
            self._name = name

        async def open(self, resume: Position) -> None:
            await super().open(resume)
            opened.append(self._name)
            server.grown.set()

        async def read(self) -> AsyncIterator[Batch]:
            reading = super().read()
            while True:
                following = asyncio.ensure_future(anext(reading))
                try:
                    while not following.done():
                        if opened[-1] != self._name:
                            raise Retry(TROUBLE, "thrown out", "nothing")
                        await asyncio.wait({following}, timeout=0.001)
                    yield following.result()
                finally:
                    following.cancel()

    older = make(tmp_path, server, targets, data_dir="one")
    older._source = OneReader("older")
    old = asyncio.create_task(older.run())
    await until(at_a_position(*targets.values()))
    await until(lambda: opened == ["older"])
    newer = make(tmp_path, server, targets, data_dir="two")
    newer._source = OneReader("newer")
    async with running(newer):
        with pytest.raises(Fenced, match="is claimed by process"):
            await asyncio.wait_for(old, 10)
        assert opened == ["older", "newer"]
        opened.append("older, which was held behind its claims")
        await until(lambda: opened[-1] == "newer")
        server.commit(3, 3)
        await until(delivered(server, *targets.values()))


async def test_a_second_process_on_the_same_machine_is_refused_before_it_fences(tmp_path: Path) -> None:
    server, target = Server(), Target()
    async with running(make(tmp_path, server, {NAMES[0]: target})):
        await until(at_a_position(target))
        with pytest.raises(Stop) as refused:
            await make(tmp_path, server, {NAMES[0]: target}).run()
        assert refused.value.code is ALREADY_RUNNING
        assert "process" in refused.value.found
        assert target.epoch == 1


async def test_a_fence_of_our_own_is_opened_again(tmp_path: Path) -> None:
    """A transaction that timed out fences its own producer: the arbiter recognises us, and we go on."""
    server, targets = Server(), {name: Target() for name in NAMES}
    async with running(make(tmp_path, server, targets)):
        await until(at_a_position(*targets.values()))
        targets[NAMES[1]].epoch += 1
        server.commit(4, 4)
        await until(delivered(server, *targets.values()))


async def test_an_older_process_that_was_held_between_its_claims_ends_alone(tmp_path: Path) -> None:
    """It had claimed the first sink, was held across a takeover, and claims the second when it continues."""
    server, targets = Server(), {name: Target() for name in NAMES}
    held, continues = asyncio.Event(), asyncio.Event()

    class Held(MemorySink):
        async def open(self) -> Checkpoint | None:
            held.set()
            await continues.wait()
            return await super().open()

    async with running(make(tmp_path, server, targets)):
        await until(at_a_position(*targets.values()))
        server.commit(4, 4)
        await until(delivered(server, *targets.values()))
    older = make(tmp_path, server, targets, data_dir="one")
    older._sinks[1] = Held(NAMES[1], targets[NAMES[1]], Faults(random.Random(0), 0.0))
    starting = asyncio.create_task(older.run())
    await held.wait()
    async with running(make(tmp_path, server, targets, data_dir="two")):
        await until(
            lambda: targets[NAMES[0]].epoch == 3 and len({owner(target) for target in targets.values()}) == 1
        )
        continues.set()
        with pytest.raises(Fenced, match="is claimed by process"):
            await asyncio.wait_for(starting, 30)  # without a write that would tell it that it was fenced
        server.commit(3, 3)
        await until(delivered(server, *targets.values()))


async def test_an_older_process_that_was_held_in_its_first_start_makes_no_anchor(tmp_path: Path) -> None:
    """A newer one has started meanwhile, and its slot would be taken for one of an attempt that failed."""
    server, targets = Server(), {name: Target() for name in NAMES}
    held, continues = asyncio.Event(), asyncio.Event()

    class Held(MemorySink):
        async def commit(self, checkpoint: Checkpoint) -> None:
            await super().commit(checkpoint)
            if checkpoint.is_new:
                held.set()
                await continues.wait()

    older = make(tmp_path, server, targets, data_dir="one")
    older._sinks[-1] = Held(NAMES[-1], targets[NAMES[-1]], Faults(random.Random(0), 0.0))
    starting = asyncio.create_task(older.run())
    await held.wait()
    async with running(make(tmp_path, server, targets, data_dir="two")):
        await until(at_a_position(*targets.values()))
        server.commit(4, 4)
        await until(delivered(server, *targets.values()))
    slot = server.slot
    server.commit(2, 2)
    continues.set()
    with pytest.raises(Fenced, match="is claimed by process"):
        await asyncio.wait_for(starting, 30)
    assert server.slot == slot


async def test_a_sink_that_somebody_gave_a_position_is_not_taken_for_committed(tmp_path: Path) -> None:
    """On another machine, where no lock refuses it: under the very number of this process's next commit."""
    server, targets = Server(), {name: Target() for name in NAMES}
    running = asyncio.create_task(make(tmp_path, server, targets).run())
    await until(at_a_position(*targets.values()))
    server.commit(4, 4)
    await until(delivered(server, *targets.values()))
    target = targets[NAMES[1]]
    assert target.checkpoint is not None
    given = replace(target.checkpoint, owner=Owner.this_process(), sequence=target.checkpoint.sequence + 1)
    target.epoch += 1
    target.checkpoint = given
    server.commit(3)
    with pytest.raises(Stop) as stopped:
        await asyncio.wait_for(running, 30)
    assert stopped.value.code is FOREIGN_CHECKPOINT
    assert target.checkpoint == given
    assert target.events == server.all_events()[:8]


async def test_a_dead_sink_holds_the_acknowledgement_back(tmp_path: Path) -> None:
    server, targets = Server(), {name: Target() for name in NAMES[:2]}
    pipeline = make(tmp_path, server, targets)
    dead = pipeline._sinks[1]
    assert isinstance(dead, MemorySink)
    async with running(pipeline):
        await until(at_a_position(*targets.values()))
        dead._faults = Faults(random.Random(0), 1.0)
        server.commit(*([1] * 20))
        await until(lambda: targets[NAMES[0]].events == server.all_events())
        assert server.slot == 0
        assert pipeline.status.sinks[NAMES[1]].state is State.RETRYING
        assert pipeline.status.sinks[NAMES[1]].error is not None
        dead._faults = Faults(random.Random(0), 0.0)
        await until(delivered(server, *targets.values()))
        await until(lambda: server.slot == 20)


async def test_a_unit_that_fails_each_time_is_written_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sink can be opened after each failure, which says nothing about the unit."""
    delays: list[float] = []

    def next_delay(self: Backoff) -> float:
        delays.append(_NEXT_DELAY(self))
        return 0.0005

    monkeypatch.setattr(Backoff, "next", next_delay)
    server, target = Server(), Target()
    pipeline = make(tmp_path, server, {NAMES[0]: target})
    sink = sink_of(pipeline)
    write, refusals = sink.write, 5

    async def refuse(payload: Payload) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise Retry(TROUBLE, "ordered by the test", "nothing")
        await write(payload)

    monkeypatch.setattr(sink, "write", refuse)
    async with running(pipeline):
        await until(at_a_position(target))
        server.commit(1)
        await until(delivered(server, target))
        assert delays == sorted(delays)
        assert len(delays) == 5
        assert delays[-1] > 1
        refusals = 1
        server.commit(1)
        await until(delivered(server, target))
    assert delays[5:] == [pytest.approx(0.1, rel=0.25)]


async def test_a_stream_that_ends_each_time_is_begun_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where something is read each time before it ends."""
    delays: list[float] = []

    def next_delay(self: Backoff) -> float:
        delays.append(_NEXT_DELAY(self))
        return 0.0005

    monkeypatch.setattr(Backoff, "next", next_delay)
    server, target = Server(), Target()
    pipeline = make(tmp_path, server, {NAMES[0]: target})
    read, ends = pipeline._source.read, 6

    async def cut_off() -> AsyncIterator[Batch]:
        nonlocal ends
        async for batch in read():
            yield batch
            if batch.events and ends:
                ends -= 1
                raise Retry(TROUBLE, "ordered by the test", "nothing")

    monkeypatch.setattr(pipeline._source, "read", cut_off)
    monkeypatch.setattr("tailrace.engine.reader.time", SimpleNamespace(monotonic=float, time=time.time))
    async with running(pipeline):
        await until(at_a_position(target))
        for _ in range(7):
            server.commit(1)
            await until(delivered(server, target))
    assert delays == sorted(delays)
    assert len(delays) == 6
    assert delays[-1] > 1


@pytest.mark.parametrize(
    ("attempts", "seconds", "again"), [(1, 1.1, 0.1), (1, 0.9, 0.2), (9, 9.9, 30), (9, 10.1, 0.1)]
)
def test_what_held_for_long_is_begun_again_soon(attempts: int, seconds: float, again: float) -> None:
    backoff = Backoff()
    for _ in range(attempts):
        _NEXT_DELAY(backoff)
    backoff.held(seconds)
    assert _NEXT_DELAY(backoff) == pytest.approx(again, rel=0.25)


async def test_a_full_queue_stops_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queues: list[BatchQueue] = []

    class SeenQueue(BatchQueue):
        def __init__(self, limit: int) -> None:
            super().__init__(limit)
            queues.append(self)

    monkeypatch.setattr("tailrace.engine.stream.QUEUE_BYTES", 1000)
    monkeypatch.setattr("tailrace.engine.stream.BatchQueue", SeenQueue)
    server, targets = Server(), {name: Target() for name in NAMES[:2]}
    pipeline = make(tmp_path, server, targets)
    dead = pipeline._sinks[1]
    assert isinstance(dead, MemorySink)
    async with running(pipeline):
        await until(at_a_position(*targets.values()))
        dead._faults = Faults(random.Random(0), 1.0)
        server.commit(*([1] * 1000))
        await until(lambda: len(queues) == 2 and queues[1].size >= 1000)
        await asyncio.sleep(0.05)
        # A queue, a unit in delivery and one being filled, each over its bound by a batch at most.
        assert pipeline.status.source.events * 100 <= 1000 + 2 * 1500 + 3 * 300
        dead._faults = Faults(random.Random(0), 0.0)
        await until(delivered(server, *targets.values()))


async def test_until_current_ends_at_the_log_end_seen_at_the_start(tmp_path: Path) -> None:
    server, targets = Server(), {name: Target() for name in NAMES}
    await make(tmp_path, server, targets).run(until_current=True)
    server.commit(2, 3, 4)
    await asyncio.wait_for(make(tmp_path, server, targets).run(until_current=True), 10)
    assert all(target.events == server.all_events() for target in targets.values())
    assert server.slot == 3


async def test_a_stop_inside_a_transaction_goes_on_at_the_same_message(tmp_path: Path) -> None:
    server, target = Server(), Target()
    pipeline = make(tmp_path, server, {NAMES[0]: target})
    pipeline._stop_seconds = 0.1  # too short to reach the end of the transaction
    async with running(pipeline):
        await until(at_a_position(target))
        server.commit(50_000)
        await until(lambda: len(target.events) > 100)
    assert target.checkpoint is not None
    assert target.checkpoint.position is not None
    assert target.checkpoint.position["ordinal"] == len(target.events) < 50_000
    assert server.slot == 0
    async with running(make(tmp_path, server, {NAMES[0]: target}, unit=Unit(), largest_batch=200)):
        await until(delivered(server, target))


async def test_a_stop_waits_for_the_end_of_the_transaction(tmp_path: Path) -> None:
    server, target = Server(), Target()
    pipeline = make(tmp_path, server, {NAMES[0]: target})
    async with running(pipeline):
        await until(at_a_position(target))
        server.commit(500)
        await until(lambda: len(target.events) > 10)
    assert target.events == server.all_events()


async def test_a_stop_during_a_start_that_is_retried(tmp_path: Path) -> None:
    pipeline = make(tmp_path, Server(), {NAMES[0]: Target()}, rate=1.0)
    task = asyncio.create_task(pipeline.run())
    await until(lambda: pipeline.status.state is State.RETRYING)
    assert pipeline.status.error is not None
    pipeline.stop()
    await asyncio.wait_for(task, 5)
    assert pipeline.status.state is State.STOPPED


async def test_an_event_that_cannot_be_prepared_stops_behind_what_precedes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, target = Server(), Target()
    prepare = MemorySink.prepare

    def poisoned(self: MemorySink, batch: Batch) -> list[str]:
        payload: list[str] = prepare(self, batch)
        if "3:0" in payload:
            raise Malformed(TROUBLE, "not a number", "nothing", where="public.t")
        return payload

    monkeypatch.setattr(MemorySink, "prepare", poisoned)
    pipeline = make(tmp_path, server, {NAMES[0]: target})
    task = asyncio.create_task(pipeline.run())
    await until(at_a_position(target))
    server.commit(2, 2, 2, 1, 5)
    with pytest.raises(Malformed, match=r"public\.t: .*not a number"):
        await asyncio.wait_for(task, 30)
    assert target.events == server.all_events()[:6]
    assert server.slot == 3


@pytest.mark.parametrize("at", range(9))
async def test_what_stands_before_such_an_event_in_its_batch_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    server, target = Server(), Target()
    prepare = MemorySink.prepare

    def poisoned(self: MemorySink, batch: Batch) -> list[str]:
        payload: list[str] = prepare(self, batch)
        if f"0:{at}" in payload:
            raise Malformed(TROUBLE, "not a number", "nothing", where="public.t")
        return payload

    monkeypatch.setattr(MemorySink, "prepare", poisoned)
    pipeline = make(tmp_path, server, {NAMES[0]: target}, largest_batch=9)
    task = asyncio.create_task(pipeline.run())
    await until(at_a_position(target))
    server.commit(9, 1)
    with pytest.raises(Malformed, match="not a number"):
        await asyncio.wait_for(task, 30)
    assert target.events == server.all_events()[:at]


class TestStart:
    """Every row of the table of states that a start can find."""

    async def test_all_empty_beside_a_slot_is_refused(self, tmp_path: Path) -> None:
        server, target = Server(sizes=[1] * 7, slot=6), Target()
        with pytest.raises(Stop) as refused:
            await make(tmp_path, server, {NAMES[0]: target}).run()
        assert refused.value.code is LOST_CHECKPOINTS
        assert "from 6 on" in refused.value.found
        assert "From 6 on nothing is left out" in refused.value.remedy

    async def test_all_empty_is_no_first_start_where_there_were_positions(self, tmp_path: Path) -> None:
        """A mark in data_dir tells so where no slot can; any start that comes to positions makes it."""
        server, target = Server(slotless=True), Target()
        mark = tmp_path / "data" / "orders.started"
        for _ in range(2):
            async with running(make(tmp_path, server, {NAMES[0]: target})):
                await until(mark.exists)
            mark.unlink()
        async with running(make(tmp_path, server, {NAMES[0]: target})):
            await until(mark.exists)
        with pytest.raises(Stop) as refused:
            await asyncio.wait_for(make(tmp_path, server, {NAMES[0]: Target()}).run(), 10)
        assert refused.value.code is STARTED_BEFORE
        async with running(make(tmp_path, server, {NAMES[0]: Target()}, data_dir="elsewhere")):
            await until((tmp_path / "elsewhere" / "orders.started").exists)

    async def test_a_source_with_a_slot_makes_no_mark(self, tmp_path: Path) -> None:
        server, target = Server(), Target()
        async with running(make(tmp_path, server, {NAMES[0]: target})):
            await until(at_a_position(target))
            server.commit(1)
            await until(delivered(server, target))
        assert not (tmp_path / "data" / "orders.started").exists()

    async def test_new_without_a_position_is_started_again(self, tmp_path: Path) -> None:
        owner = Owner("elsewhere", 1, "x")
        server = Server(sizes=[1, 1], slot=1)
        targets = {
            NAMES[0]: Target(checkpoint=Checkpoint(owner, 2, start="s")),
            NAMES[1]: Target(),
        }
        async with running(make(tmp_path, server, targets)):
            await until(at_a_position(*targets.values()))
            server.commit(1)
            await until(delivered(server, *targets.values(), origin=2))

    async def test_new_of_the_same_start_takes_its_origin(self, tmp_path: Path) -> None:
        owner = Owner("elsewhere", 1, "x")
        server = Server(sizes=[1, 1, 1], slot=1)
        at = Checkpoint(owner, 3, start="s", origin=position(1), position=position(1))
        targets = {
            NAMES[0]: Target(checkpoint=at),
            NAMES[1]: Target(checkpoint=Checkpoint(owner, 2, start="s")),
        }
        async with running(make(tmp_path, server, targets)):
            await until(delivered(server, *targets.values(), origin=1))

    @pytest.mark.parametrize("other", [None, Checkpoint(Owner("elsewhere", 1, "x"), 2, start="other")])
    async def test_an_added_sink_is_refused(self, tmp_path: Path, other: Checkpoint | None) -> None:
        server, first = Server(), Target()
        await make(tmp_path, server, {NAMES[0]: first}).run(until_current=True)
        with pytest.raises(Stop) as refused:
            await make(tmp_path, server, {NAMES[0]: first, NAMES[1]: Target(checkpoint=other)}).run()
        assert refused.value.code is ADDED_SINK

    async def test_a_missing_slot_is_a_gap(self, tmp_path: Path) -> None:
        server, target = Server(), Target()
        await make(tmp_path, server, {NAMES[0]: target}).run(until_current=True)
        server.slot = None
        with pytest.raises(Gap):
            await make(tmp_path, server, {NAMES[0]: target}).run()

    async def test_the_gap_check_looks_at_every_sink(self, tmp_path: Path) -> None:
        server, targets = Server(), {name: Target() for name in NAMES}
        await make(tmp_path, server, targets).run(until_current=True)
        server.commit(1, 1, 1)
        behind = targets[NAMES[1]].checkpoint
        await make(tmp_path, server, targets).run(until_current=True)
        targets[NAMES[1]].checkpoint = behind  # a restored backup
        with pytest.raises(Gap):
            await make(tmp_path, server, targets).run()

    async def test_another_database_is_refused_without_a_fence(self, tmp_path: Path) -> None:
        server, target = Server(), Target()
        await make(tmp_path, server, {NAMES[0]: target}).run(until_current=True)
        epoch = target.epoch
        with pytest.raises(Stop) as refused:
            await make(tmp_path, Server(system="2"), {NAMES[0]: target}).run()
        assert refused.value.code is OTHER_DATABASE
        assert target.epoch == epoch

    async def test_a_checkpoint_beyond_the_server_is_diverged(self, tmp_path: Path) -> None:
        server, target = Server(), Target()
        await make(tmp_path, server, {NAMES[0]: target}).run(until_current=True)
        server.commit(1, 1)
        await make(tmp_path, server, {NAMES[0]: target}).run(until_current=True)
        del server.sizes[:]
        server.slot = 0
        with pytest.raises(Diverged):
            await make(tmp_path, server, {NAMES[0]: target}).run()


async def test_sinks_at_different_checkpoints_each_get_what_they_lack(tmp_path: Path) -> None:
    server, targets = Server(), {name: Target() for name in NAMES}
    await make(tmp_path, server, targets).run(until_current=True)
    server.commit(5, 40, 5)
    for number, target in enumerate(targets.values()):
        assert target.checkpoint is not None
        events = server.all_events()[: 7 * (number + 1)]
        transaction, ordinal = (int(part) for part in events[-1].split(":"))
        target.events = events
        target.checkpoint = replace(target.checkpoint, position=position(transaction, ordinal + 1))
    await make(tmp_path, server, targets).run(until_current=True)
    assert all(target.events == server.all_events() for target in targets.values())


def sink_of(pipeline: Pipeline) -> MemorySink:
    sink: Sink = pipeline._sinks[0]
    assert isinstance(sink, MemorySink)
    return sink


async def test_units_grow_while_more_is_at_hand(tmp_path: Path) -> None:
    server, target = Server(), Target()
    pipeline = make(tmp_path, server, {NAMES[0]: target}, unit=Unit(bytes=10_000, seconds=1))
    async with running(pipeline):
        await until(at_a_position(target))
        server.commit(*([1] * 2000))
        await until(delivered(server, target))
    assert 10 < sink_of(pipeline).largest_unit <= 103


async def test_a_refusal_waits_for_no_end_of_a_process_that_moves_on(tmp_path: Path) -> None:
    """Of the same name and for another server, as long as the one that runs has something to deliver."""
    server, target = Server(), Target()
    await make(tmp_path, server, {NAMES[0]: target}).run(until_current=True)
    claimed = owner(target)

    class Moving(MemorySink):
        async def peek(self) -> Checkpoint | None:
            await asyncio.sleep(0)
            stored = target.checkpoint
            assert stored is not None
            target.checkpoint = replace(stored, sequence=stored.sequence + 1)
            return stored

    source = MemorySource(Server(system=server.system, slotless=True), Faults(random.Random(0)))
    sinks = [Moving(NAMES[0], target, Faults(random.Random(0)))]
    with pytest.raises(Gap):
        await asyncio.wait_for(rehearse(source, sinks, StartedMark(tmp_path, "other")), 5)
    assert owner(target) == claimed
