"""The acceptance suite for sinks.

A sink's author subclasses the class for the guarantee that the sink keeps and provides a fixture `harness`:

    class TestMySink(ExactlyOnceSinkAcceptance):
        @pytest.fixture
        def harness(self, tmp_path: Path) -> MyHarness:
            return MyHarness(tmp_path)

A harness stands for one target, empty and of the test's own, and does two things (`SinkHarness`): it makes
sink objects, each as another run of the pipeline would have it, and it reads the target back as a careful
reader sees it: only what is committed, each table in its own order. Where a target has no order over a whole
table (partitions), the harness configures one.

Sinks are made with the format `tailrace.testing.events.PlainFormat`. A sink may refuse nothing of what is
delivered here: tables with and without a key, tombstones, non-ASCII text.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import pytest

from tailrace.abc import Guarantee, Sink
from tailrace.checkpoint import Owner
from tailrace.errors import Fenced
from tailrace.events import Batch, Table
from tailrace.testing.events import Delivered, PlainFormat, Stream, checkpoint, delivered, table

FORMAT = PlainFormat()
ORDERS = table("orders")
AUDIT = table("audit", keyed=False)


class SinkHarness(Protocol):
    """One target, empty at first."""

    def sink(self, name: str = "main") -> Sink:
        """A new sink object on the target. Equal names are one identity: another run, or another process."""

    async def read_back(self, table: Table) -> Sequence[Delivered]:
        """Key and value of everything committed for this table, in the target's order. A table that the
        target does not know yet is empty."""


class _Sinks:
    """Makes sinks and closes them at the end, also those that a test left as a crash would."""

    def __init__(self, harness: SinkHarness) -> None:
        self._harness = harness
        self._made: list[Sink] = []

    def __call__(self, name: str = "main") -> Sink:
        self._made.append(self._harness.sink(name))
        return self._made[-1]

    async def close(self) -> None:
        for sink in self._made:
            await sink.close()


async def _write(sink: Sink, *batches: Batch) -> None:
    for batch in batches:
        await sink.write(sink.prepare(batch))


class SinkAcceptance:
    """What every sink must do, whatever it guarantees."""

    @pytest.fixture
    def harness(self) -> SinkHarness:
        raise NotImplementedError("provide the fixture `harness`; the module's docstring says how")

    @pytest.fixture
    async def sinks(self, harness: SinkHarness) -> AsyncIterator[_Sinks]:
        sinks = _Sinks(harness)
        yield sinks
        await sinks.close()

    async def _expect(self, harness: SinkHarness, *batches: Batch) -> None:
        """The target holds exactly these batches, each table in order."""
        expected = delivered(*batches)
        for each in (ORDERS, AUDIT):
            assert list(await harness.read_back(each)) == expected.get(each.name, [])

    async def test_delivers_in_order(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        batches = [
            stream.batch(("c", ORDERS, 1, "one"), ("c", AUDIT, 1, "first"), ("u", ORDERS, 1, "oné")),
            stream.batch(("c", AUDIT, 2, "second"), ("d", ORDERS, 1, "")),
            stream.inserts(ORDERS, range(2, 500), "x" * 300),
        ]
        await sink.open()
        await _write(sink, *batches[:2])
        await sink.commit(checkpoint(1, batches[1].end))
        await _write(sink, batches[2])
        await sink.commit(checkpoint(2, stream.end))
        await self._expect(harness, *batches)

    async def test_a_large_unit(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        batches = [stream.inserts(ORDERS, range(n * 500, n * 500 + 500), "y" * 1000) for n in range(10)]
        await sink.open()
        await _write(sink, *batches)
        await sink.commit(checkpoint(1, stream.end))
        await self._expect(harness, *batches)

    async def test_empty_batches_and_schema_changes(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        batches = [
            stream.schema_change(ORDERS),
            stream.inserts(ORDERS, [1]),
            stream.idle(),
            stream.schema_change(ORDERS),
        ]
        await sink.open()
        await _write(sink, *batches)
        await sink.commit(checkpoint(1, stream.end))
        await self._expect(harness, *batches)

    async def test_commits_nothing(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        await sink.open()
        for sequence in range(1, 4):
            stream.idle()
            await sink.commit(checkpoint(sequence, stream.end))
        await self._expect(harness)

    async def test_preparing_changes_nothing(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        batch = stream.inserts(ORDERS, range(20))
        await sink.open()
        sink.prepare(batch)
        payload = sink.prepare(batch)
        sink.prepare(stream.inserts(ORDERS, range(20, 30)))
        await sink.write(payload)
        await sink.commit(checkpoint(1, batch.end))
        await self._expect(harness, batch)

    async def test_prepares_while_it_commits(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        batches = [stream.inserts(ORDERS, range(n * 10, n * 10 + 10)) for n in range(3)]
        await sink.open()
        payload = sink.prepare(batches[0])
        for sequence, following in enumerate(batches[1:], 1):
            await sink.write(payload)
            commit = asyncio.create_task(sink.commit(checkpoint(sequence, stream.end)))
            await asyncio.sleep(0)
            payload = sink.prepare(following)
            await commit
        await self._expect(harness, *batches[:2])

    async def test_close_is_legal_in_any_state(self, harness: SinkHarness, sinks: _Sinks) -> None:
        never_opened, opened, written, aborted = (sinks(name) for name in ("a", "b", "c", "d"))
        await never_opened.close()
        await opened.open()
        await written.open()
        await _write(written, Stream().inserts(ORDERS, [1]))
        await aborted.open()
        await aborted.abort()
        for sink in (never_opened, opened, written, aborted) * 2:
            await sink.close()

    async def test_abort_never_raises(self, harness: SinkHarness, sinks: _Sinks) -> None:
        sink = sinks()
        await sink.abort()
        await sink.open()
        await sink.abort()
        await sink.abort()
        await sink.open()


class AtLeastOnceSinkAcceptance(SinkAcceptance):
    """For sinks that keep no checkpoint: the engine keeps it for them."""

    async def test_says_what_it_guarantees(self, harness: SinkHarness, sinks: _Sinks) -> None:
        assert sinks().guarantee is Guarantee.AT_LEAST_ONCE

    async def test_loses_nothing_over_an_abort(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        batch = stream.inserts(ORDERS, range(10))
        await sink.open()
        await _write(sink, batch)
        await sink.abort()
        await sink.open()
        await _write(sink, batch)
        await sink.commit(checkpoint(1, stream.end))
        expected = delivered(batch)[ORDERS.name]
        assert list(await harness.read_back(ORDERS))[-len(expected) :] == expected


class ExactlyOnceSinkAcceptance(SinkAcceptance):
    """For sinks that commit data and checkpoint together."""

    async def test_says_what_it_guarantees(self, harness: SinkHarness, sinks: _Sinks) -> None:
        assert sinks().guarantee is Guarantee.EXACTLY_ONCE

    async def test_starts_empty(self, harness: SinkHarness, sinks: _Sinks) -> None:
        assert await sinks().peek() is None
        sink = sinks()
        assert await sink.open() is None
        assert await sinks().peek() is None

    async def test_keeps_a_claim(self, harness: SinkHarness, sinks: _Sinks) -> None:
        claim = checkpoint(1, {"transaction": 0})
        sink = sinks()
        await sink.open()
        await sink.commit(claim)
        assert await sinks().peek() == claim
        assert await sinks().open() == claim

    async def test_data_and_checkpoint_appear_together(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        claim = checkpoint(1, stream.end)
        await sink.open()
        await sink.commit(claim)
        batch = stream.inserts(ORDERS, range(100))
        await _write(sink, batch)
        assert await sinks().peek() == claim
        await self._expect(harness)
        await sink.commit(checkpoint(2, stream.end))
        assert await sinks().peek() == checkpoint(2, stream.end)
        await self._expect(harness, batch)

    async def test_opens_with_the_last_of_many_checkpoints(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        batches = [stream.inserts(ORDERS, [n]) for n in range(20)]
        await sink.open()
        for sequence, batch in enumerate(batches, 1):
            await _write(sink, batch)
            await sink.commit(checkpoint(sequence, batch.end))
        await sink.close()
        assert await sinks().open() == checkpoint(20, stream.end)
        await self._expect(harness, *batches)

    async def test_abort_discards(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        first, second = stream.inserts(ORDERS, range(10)), stream.inserts(ORDERS, range(10, 2000), "z" * 500)
        await sink.open()
        await _write(sink, first)
        await sink.commit(checkpoint(1, first.end))
        await _write(sink, second)
        await sink.abort()
        assert await sinks().peek() == checkpoint(1, first.end)
        assert await sink.open() == checkpoint(1, first.end)
        await self._expect(harness, first)
        await _write(sink, second)
        await sink.commit(checkpoint(2, second.end))
        await self._expect(harness, first, second)

    async def test_close_discards(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        await sink.open()
        await sink.commit(checkpoint(1, stream.end))
        await _write(sink, stream.inserts(ORDERS, range(10)))
        await sink.close()
        again = sinks()
        assert await again.open() == checkpoint(1, {"transaction": 0})
        await again.commit(checkpoint(2, {"transaction": 0}))
        await self._expect(harness)

    async def test_survives_a_crash_in_mid_unit(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, crashed = Stream(), sinks()
        await crashed.open()
        await crashed.commit(checkpoint(1, stream.end))
        batch = stream.inserts(ORDERS, range(1000), "z" * 500)
        await _write(crashed, batch)
        sink = sinks()
        assert await sink.open() == checkpoint(1, {"transaction": 0})
        await self._expect(harness)
        await _write(sink, batch)
        await sink.commit(checkpoint(2, stream.end))
        await self._expect(harness, batch)

    async def test_the_newest_claim_fences_the_older(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, old, new = Stream(), sinks(), sinks()
        await old.open()
        await old.commit(checkpoint(1, stream.end, Owner("a", 1, "old")))
        late, batch = stream.inserts(ORDERS, range(10)), stream.inserts(ORDERS, range(10, 20))
        await _write(old, late)
        assert await new.open() == checkpoint(1, {"transaction": 0}, Owner("a", 1, "old"))
        claim = checkpoint(2, {"transaction": 0}, Owner("b", 2, "new"))
        await new.commit(claim)
        with pytest.raises(Fenced):
            await old.commit(checkpoint(2, late.end, Owner("a", 1, "old")))
        await old.abort()
        assert await sinks().peek() == claim
        await _write(new, batch)
        await new.commit(checkpoint(3, batch.end))
        await self._expect(harness, batch)

    async def test_an_idle_sink_is_fenced_too(self, harness: SinkHarness, sinks: _Sinks) -> None:
        old, new = sinks(), sinks()
        await old.open()
        await old.commit(checkpoint(1, {"transaction": 1}))
        await new.open()
        await new.commit(checkpoint(2, {"transaction": 1}))
        with pytest.raises(Fenced):
            await old.commit(checkpoint(2, {"transaction": 2}))
        assert await sinks().peek() == checkpoint(2, {"transaction": 1})

    async def test_peek_fences_nobody(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink, other = Stream(), sinks(), sinks()
        await sink.open()
        batches = []
        for sequence in range(1, 4):
            batches.append(stream.inserts(ORDERS, [sequence]))
            await _write(sink, batches[-1])
            await other.peek()
            await sink.commit(checkpoint(sequence, stream.end))
            assert await other.peek() == checkpoint(sequence, stream.end)
        await self._expect(harness, *batches)

    async def test_checkpoints_move_without_data(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        await sink.open()
        for sequence in range(1, 4):
            stream.idle()
            await sink.commit(checkpoint(sequence, stream.end))
            assert await sinks().peek() == checkpoint(sequence, stream.end)

    async def test_identities_do_not_disturb_each_other(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, one, two = Stream(), sinks("one"), sinks("two")
        first, second = stream.inserts(ORDERS, [1]), stream.inserts(AUDIT, [2])
        await one.open()
        await one.commit(checkpoint(1, {"transaction": 0}))
        assert await two.open() is None
        await two.commit(checkpoint(1, {"transaction": 0}))
        await _write(one, first)
        await one.commit(checkpoint(2, first.end))
        await _write(two, second)
        await two.commit(checkpoint(5, second.end))
        assert await sinks("one").peek() == checkpoint(2, first.end)
        assert await sinks("two").peek() == checkpoint(5, second.end)
        await self._expect(harness, first, second)

    async def test_store_replaces_the_checkpoint_and_fences(
        self, harness: SinkHarness, sinks: _Sinks
    ) -> None:
        running = sinks()
        await running.open()
        await running.commit(checkpoint(1, {"transaction": 1}))
        await sinks().store(checkpoint(7, {"transaction": 9}))
        with pytest.raises(Fenced):
            await running.commit(checkpoint(2, {"transaction": 2}))
        assert await sinks().peek() == checkpoint(7, {"transaction": 9})
        assert await sinks().open() == checkpoint(7, {"transaction": 9})

    async def test_store_on_an_empty_target(self, harness: SinkHarness, sinks: _Sinks) -> None:
        await sinks().store(checkpoint(1, {"transaction": 1}))
        assert await sinks().open() == checkpoint(1, {"transaction": 1})

    async def test_forget_leaves_the_data(self, harness: SinkHarness, sinks: _Sinks) -> None:
        stream, sink = Stream(), sinks()
        batch = stream.inserts(ORDERS, range(5))
        await sink.open()
        await _write(sink, batch)
        await sink.commit(checkpoint(1, batch.end))
        await sink.close()
        planned = await sinks().forget(dry_run=True)
        assert planned
        assert await sinks().peek() == checkpoint(1, batch.end)
        assert await sinks().forget(dry_run=False) == planned
        assert await sinks().peek() is None
        assert await sinks().forget(dry_run=False) == []
        assert await sinks().open() is None
        await self._expect(harness, batch)

    async def test_forget_on_an_empty_target(self, harness: SinkHarness, sinks: _Sinks) -> None:
        assert await sinks().forget(dry_run=True) == []
        assert await sinks().forget(dry_run=False) == []

    async def test_check_finds_no_fault_and_changes_nothing(
        self, harness: SinkHarness, sinks: _Sinks
    ) -> None:
        assert [finding for finding in await sinks().check() if finding.error is not None] == []
        assert await sinks().peek() is None
        running = sinks()
        await running.open()
        await sinks().check()
        await running.commit(checkpoint(1, {"transaction": 1}))
        assert [finding for finding in await sinks().check() if finding.error is not None] == []
