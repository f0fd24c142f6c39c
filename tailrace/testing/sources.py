"""The acceptance suite for sources.

A source's author subclasses `SourceAcceptance` and provides a fixture `harness`:

    class TestMySource(SourceAcceptance):
        @pytest.fixture
        def harness(self, tmp_path: Path) -> MyHarness:
            return MyHarness(tmp_path)

A harness stands for one database of the test's own and one pipeline on it, which has never run. It makes
source objects, each as another run of the pipeline would have it, and changes the database: rows of one table
with an integer column `id`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final, Protocol, TypeAlias

import msgspec
import pytest

from tailrace.abc import Source
from tailrace.checkpoint import Checkpoint, Owner
from tailrace.errors import Gap, Retry
from tailrace.events import Batch, Change, Position, SchemaChange

_DEADLINE: Final = 60.0  # seconds for whatever must happen
_LARGE: Final = 3000  # rows
_RESUMES: Final = 8  # places to go on from, at the most

_Name: TypeAlias = tuple[str, int, int]
"""What names a change for ever: transaction, ordinal, index."""


class SourceHarness(Protocol):
    """One database, with one table that is empty at first."""

    def source(self) -> Source:
        """A new source object of the pipeline: another run, or another process."""

    async def insert(self, ids: Sequence[int]) -> None:
        """Create a row for each id, in this order, in one transaction where the database has such. Committed
        when this returns. A few hundred bytes a row make several batches of thousands of them."""

    async def lose_the_log(self) -> None:
        """Take away the log up to now, as an administrator or a limit would: drop the slot, remove files. No
        source is open meanwhile."""


class _Log:
    """One pipeline's runs, one after another. What is open is closed at the end."""

    def __init__(self, harness: SourceHarness) -> None:
        self._harness = harness
        self._source: Source | None = None
        self._batches: AsyncIterator[Batch] | None = None

    @property
    def source(self) -> Source:
        """The source of the present run."""
        if self._source is None:
            self._source = self._harness.source()
        return self._source

    async def anchor(self) -> Position:
        """What a first start does: where the stream begins."""
        assert [finding for finding in await self.source.check() if finding.error is not None] == []
        await self.source.identify()
        return await self.source.anchor()

    async def checkpoint(self, position: Position) -> Checkpoint:
        """A sink's, at this position."""
        identity = await self.source.identify()
        return Checkpoint(
            Owner.this_process(),
            sequence=1,
            start="acceptance",
            identity=identity,
            fingerprint=self.source.fingerprint,
            origin=position,
            position=position,
        )

    async def resume(self, position: Position, *, same_object: bool = False) -> None:
        """Go on behind a position, with every check; by another run unless told otherwise."""
        await self.close(same_object=same_object)
        deadline = time.monotonic() + _DEADLINE
        while True:
            try:
                await self.source.verify(await self.checkpoint(position))
                await self.source.open(position)
                break
            except Retry:  # an earlier connection of ours may not be gone yet
                if time.monotonic() > deadline:
                    raise
                await self.source.close()
                await asyncio.sleep(0.1)
        self._batches = self.source.read()

    async def batch(self) -> Batch:
        """The next batch."""
        assert self._batches is not None
        return await asyncio.wait_for(anext(self._batches), _DEADLINE)

    async def until_current(self) -> list[Batch]:
        """The batches up to the log's end as it is now."""
        goal = await self.source.current()
        batches: list[Batch] = []
        async with asyncio.timeout(_DEADLINE):
            while not batches or not self.source.covers(batches[-1].end, goal):
                batches.append(await self.batch())
        return batches

    async def read(self, position: Position) -> list[Batch]:
        """One run, from a position to the log's end."""
        await self.resume(position)
        batches = await self.until_current()
        await self.close()
        return batches

    async def insert(self, *ids: int) -> None:
        await self._harness.insert(ids)

    async def close(self, *, same_object: bool = False) -> None:
        """End the run."""
        batches, self._batches = self._batches, None
        if isinstance(batches, AsyncGenerator):
            await batches.aclose()
        if self._source is not None:
            await self._source.close()
        if not same_object:
            self._source = None


def _changes(batches: Sequence[Batch]) -> list[Change]:
    return [event for batch in batches for event in batch.events if isinstance(event, Change)]


def _ids(batches: Sequence[Batch]) -> list[int]:
    """The column `id` of the rows after each change."""
    found = []
    for change in _changes(batches):
        _, after = change.table.split(change.raw)
        assert after is not None
        assert change.op == "c"
        (place,) = [place for place, column in enumerate(change.table.columns) if column.name == "id"]
        found.append(change.table.columns[place].value(after[place]))
    return found


def _names(batches: Sequence[Batch]) -> list[_Name]:
    return [(change.transaction.position, change.ordinal, change.index) for change in _changes(batches)]


class SourceAcceptance:
    """What every source must do."""

    @pytest.fixture
    def harness(self) -> SourceHarness:
        raise NotImplementedError("provide the fixture `harness`; the module's docstring says how")

    @pytest.fixture
    async def log(self, harness: SourceHarness) -> AsyncIterator[_Log]:
        log = _Log(harness)
        yield log
        await log.close()

    async def test_looking_touches_nothing(self, log: _Log) -> None:
        assert not await log.source.anchored()
        await log.source.check()
        identity = await log.source.identify()
        assert await log.source.identify() == identity
        assert not await log.source.anchored()
        assert await log.source.teardown(dry_run=True) == []

    async def test_delivers_what_comes_after_the_anchor_in_order(self, log: _Log) -> None:
        await log.insert(1)
        origin = await log.anchor()
        assert await log.source.anchored() in (True, None)
        await log.insert(2, 3)
        await log.resume(origin)
        await log.insert(4)
        await log.insert(5, 6, 7)
        assert _ids(await log.until_current()) == [2, 3, 4, 5, 6, 7]

    async def test_positions_are_totally_ordered(self, log: _Log) -> None:
        origin = await log.anchor()
        await log.insert(*range(_LARGE))
        await log.insert(_LARGE)
        batches = await log.read(origin)
        positions = [origin, *(batch.end for batch in batches)]
        covers = log.source.covers
        for earlier, one in enumerate(positions):
            assert covers(one, one)
            assert msgspec.json.decode(msgspec.json.encode(one)) == one
            for other in positions[earlier + 1 :]:
                assert covers(other, one)
                assert other == one or not covers(one, other)
        assert covers(positions[-1], positions[0])
        assert not covers(positions[0], positions[-1])
        assert batches[-1].commit

    async def test_changes_have_names_in_order(self, log: _Log) -> None:
        origin = await log.anchor()
        await log.insert(*range(_LARGE))
        await log.insert(_LARGE)
        names = _names(await log.read(origin))
        assert len(names) == _LARGE + 1
        assert names == sorted(set(names))
        assert len({len(position) for position, _, _ in names}) == 1
        assert _names(await log.read(origin)) == names

    async def test_a_table_is_told_before_its_first_change(self, log: _Log) -> None:
        """Where the source tells table versions at all."""
        origin = await log.anchor()
        await log.insert(1)
        events = [event for batch in await log.read(origin) for event in batch.events]
        told = [event.table for event in events if isinstance(event, SchemaChange)]
        if told:
            assert isinstance(events[0], SchemaChange)
            assert {id(event.table) for event in events} == {id(table) for table in told}

    async def test_a_resume_after_every_batch_delivers_exactly_the_rest(self, log: _Log) -> None:
        origin = await log.anchor()
        await log.insert(1)
        await log.insert(*range(10, 10 + _LARGE))
        await log.insert(2, 3)
        batches = await log.read(origin)
        names = _names(batches)
        assert _ids(batches) == [1, *range(10, 10 + _LARGE), 2, 3]
        ends = range(len(batches))
        for number in ends[:: max(1, len(ends) // _RESUMES)]:
            again = await log.read(batches[number].end)
            assert _names(again) == names[len(_names(batches[: number + 1])) :], batches[number].end

    async def test_after_cuts_between_messages(self, log: _Log) -> None:
        """Positions of a run in which each transaction came by itself, and the batches of one that found all
        of them."""
        origin = await log.anchor()
        await log.resume(origin)
        singly: list[Batch] = []
        for number in range(6):
            await log.insert(*range(number * 3, number * 3 + 3))
            singly += await log.until_current()
        together = await log.read(origin)
        source = log.source
        for count, reached in enumerate(singly, 1):
            delivered = {*_names(singly[:count])}
            for batch in together:
                rest = source.after(batch, reached.end)
                assert _names([rest]) == [name for name in _names([batch]) if name not in delivered]
                told = [event for event in batch.events if isinstance(event, SchemaChange)]
                assert [event for event in rest.events if isinstance(event, SchemaChange)] == told
                assert source.covers(rest.end, batch.end)
                assert source.covers(rest.end, reached.end)
                assert rest.end in (batch.end, reached.end)

    async def test_close_is_legal_in_any_state_and_open_afterwards(self, log: _Log) -> None:
        await log.source.close()
        origin = await log.anchor()
        await log.source.close()
        await log.insert(1)
        await log.resume(origin, same_object=True)
        end = (await log.until_current())[-1].end
        await log.close(same_object=True)
        await log.source.close()
        await log.insert(2)
        await log.resume(end, same_object=True)
        assert _ids(await log.until_current()) == [2]

    async def test_a_read_that_is_cancelled_loses_nothing(self, log: _Log) -> None:
        origin = await log.anchor()
        await log.resume(origin)
        end = (await log.until_current())[-1].end
        waiting = asyncio.create_task(log.batch())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await log.insert(1)
        await log.resume(end, same_object=True)
        assert _ids(await log.until_current()) == [1]

    async def test_acknowledging_only_moves_forward(self, log: _Log) -> None:
        origin = await log.anchor()
        await log.resume(origin)
        ends = []
        for number in range(3):
            await log.insert(number)
            ends.append((await log.until_current())[-1].end)
        await log.source.acknowledge(ends[1])
        await log.source.acknowledge(ends[0])
        await log.source.acknowledge(origin)
        await log.close(same_object=True)
        await log.source.acknowledge(ends[1])  # legal without a connection
        assert _ids(await log.read(ends[1])) == [2]

    async def test_an_idle_position_passes_the_end_of_the_log(self, log: _Log) -> None:
        """`current` promises that a batch passes it although nobody writes."""
        origin = await log.anchor()
        await log.resume(origin)
        for _ in range(2):
            batches = await log.until_current()
            assert _changes(batches) == []
            assert batches[-1].commit
        await log.insert(1)
        assert _ids(await log.read(batches[-1].end)) == [1]

    async def test_a_gap_is_refused(self, log: _Log, harness: SourceHarness) -> None:
        origin = await log.anchor()
        await log.insert(1, 2)
        end = (await log.read(origin))[-1].end
        await harness.lose_the_log()
        for position in (origin, end):
            with pytest.raises(Gap):
                await log.source.verify(await log.checkpoint(position))

    async def test_teardown_can_be_repeated(self, log: _Log) -> None:
        await log.anchor()
        planned = await log.source.teardown(dry_run=True)
        assert await log.source.teardown(dry_run=True) == planned
        assert await log.source.teardown(dry_run=False) == planned
        assert await log.source.teardown(dry_run=False) == []
        assert not await log.source.anchored()

    async def test_the_lag_shrinks_as_the_log_is_read(self, log: _Log) -> None:
        origin = await log.anchor()
        await log.insert(*range(_LARGE))
        await log.resume(origin)
        end = (await log.until_current())[-1].end
        behind, here = log.source.lag(origin), log.source.lag(end)
        assert behind is None or (here is not None and 0 <= here < behind)

    async def test_what_is_no_position(self, log: _Log) -> None:
        for text in ("", "nonsense", "-1", "\0"):
            with pytest.raises(ValueError, match=r"."):
                log.source.parse(text)
