"""The writer: takes batches from its queue and delivers them to one sink, unit by unit.

While one unit is being written and committed the next is prepared. The unit in delivery is kept until it is
durable: after any failure the sink is opened again, and the checkpoint that it then holds says whether the
unit got through or must be written once more. Nobody else's checkpoint is ever accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec.structs import replace

from tailrace.abc import Sink, Skips, Source, Transform
from tailrace.checkpoint import Checkpoint, Identity
from tailrace.engine.backoff import Backoff
from tailrace.engine.fencing import Arbiter, undecided
from tailrace.engine.prefix import before_fault
from tailrace.engine.queue import BatchQueue
from tailrace.engine.status import SinkStatus, State
from tailrace.engine.unit import UnitOfDelivery
from tailrace.errors import Fenced, Malformed, Rejected, Retry, Stop, TailraceError, code
from tailrace.events import Batch, Position
from tailrace.failpoints import failpoint

FOREIGN_CHECKPOINT = code(
    "TR-ENG-005",
    "a checkpoint that this process did not write",
    "After a failure a sink holds a checkpoint that is neither the one before nor the one after the unit in "
    "flight: somebody else writes under this sink's identity.",
)

PLACE_SECONDS = 10.0
PLACE_BYTES = 16 * 1024 * 1024
"""In seconds and bytes of log, how often a place is made durable behind what transforms have dropped."""

_written = failpoint("engine.writer.written")
_committed = failpoint("engine.writer.committed")


class Writer:
    """One sink's writer. `checkpoint` is what is durable; `identity` is stamped into what follows; somebody
    waits for `goal` to be durable."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        queue: BatchQueue,
        checkpoint: Checkpoint,
        identity: Identity,
        arbiter: Arbiter,
        status: SinkStatus,
        on_durable: Callable[[], Awaitable[None]],
        transforms: Sequence[Transform] = (),
        goal: Position | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.identity = identity
        self._source = source
        self._sink = sink
        self._queue = queue
        self._arbiter = arbiter
        self._status = status
        self._on_durable = on_durable
        self._transforms = transforms
        self._goal = goal
        self._held: Position | None = None  # behind which nothing waits, and which is not durable yet
        self._place_at = -math.inf  # when a place alone was made durable
        self._commit_seconds = 0.0
        self._backoff = Backoff()  # kept until a unit is in: a sink that opens may still refuse it
        self._behind = True  # the stream may still repeat what the checkpoint covers
        status.position = checkpoint.position

    @property
    def position(self) -> Position:
        """What is durable. A writer is made only for a sink that is at a position."""
        assert self.checkpoint.position is not None
        return self.checkpoint.position

    @property
    def settled(self) -> Position:
        """Up to where this sink has everything that is for it."""
        return self._held or self.position

    async def run(self) -> None:
        """Deliver until the queue is closed and empty. Raises Stop kinds and Fenced; Retry never leaves."""
        filling = UnitOfDelivery(self._sink)
        delivering: asyncio.Task[None] | None = None
        self._status.enter(State.STREAMING)
        try:
            while True:
                if delivering is not None and delivering.done():
                    await delivering
                    delivering = None
                if delivering is None and filling.batches and self._should_deliver(filling):
                    delivering = asyncio.create_task(self._deliver(filling))
                    filling = UnitOfDelivery(self._sink)
                elif self._queue and not filling.is_full:
                    self._fill(filling, self._queue.take())
                    await asyncio.sleep(0)  # preparing is work: let the sockets be served in between
                elif delivering is not None or not self._queue.closed:
                    await self._something_happens(delivering, filling)
                else:
                    return
        except TailraceError:
            if delivering is not None and not delivering.done():
                await delivering  # an event could not be prepared: what stands before it still arrives
                delivering = None
            if filling.batches and delivering is None:
                await self._deliver(filling)
            raise
        finally:
            if delivering is not None and not delivering.done():
                delivering.cancel()
                with contextlib.suppress(asyncio.CancelledError, TailraceError):
                    await delivering

    def _should_deliver(self, unit: UnitOfDelivery) -> bool:
        if self._queue.closed and not self._queue:
            return True
        nothing_at_hand = not self._queue and not unit.expects_more
        return (nothing_at_hand and not self._may_wait(unit)) or not self._due_in(unit)

    def _may_wait(self, unit: UnitOfDelivery) -> bool:
        """Whether it holds nothing but a place, which nobody waits for and which keeps little of the log:
        what a transform drops wholly would else cost a commit for each of the source's."""
        if not unit.emptied:
            return False
        durable, reached = self._source.lag(self.position), self._source.lag(unit.end)
        if durable is not None and reached is not None and durable - reached >= PLACE_BYTES:
            return False
        return self._goal is None or not self._source.covers(unit.end, self._goal)

    def _due_in(self, unit: UnitOfDelivery) -> float:
        """Seconds until it is worth a commit although more is at hand, or may come."""
        if self._may_wait(unit):
            return max(0.0, self._place_at + PLACE_SECONDS - time.monotonic())
        return unit.due_in(self._commit_seconds)

    def _fill(self, unit: UnitOfDelivery, batch: Batch) -> None:
        if self._behind:
            batch = self._source.after(batch, self.position)
            self._behind = self._source.covers(self.position, batch.end)
            if self._behind and not batch.events:
                return
        try:
            unit.add(self._shaped(batch))
        except (Malformed, Rejected):
            part = before_fault(self._source, batch, lambda part: self._sink.prepare(self._shaped(part)))
            if part is not None:
                unit.add(self._shaped(part))
            raise

    def _shaped(self, batch: Batch) -> Batch:
        for transform in self._transforms:
            batch = batch.shaped(transform)
        return batch

    async def _something_happens(
        self, delivering: asyncio.Task[None] | None, filling: UnitOfDelivery
    ) -> None:
        waits: set[asyncio.Task[None]] = set() if delivering is None else {delivering}
        filled = None
        if not filling.is_full and not self._queue.closed:
            filled = asyncio.create_task(self._queue.filled())
            waits.add(filled)
        # A unit that waits for more from the source still becomes due in time.
        timeout = self._due_in(filling) if filling.batches and delivering is None else None
        self._held = filling.end if timeout is not None and filling.emptied else None
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if filled is not None:
                filled.cancel()

    async def _deliver(self, unit: UnitOfDelivery) -> None:
        target = replace(
            self.checkpoint,
            position=unit.end,
            sequence=self.checkpoint.sequence + 1,
            identity=self.identity,
            fingerprint=self._source.fingerprint,
        )
        skipped: Mapping[str, int] = {}
        while True:
            try:
                for payload in unit.payloads:
                    await self._sink.write(payload)
                skipped = self._sink.skipped() if isinstance(self._sink, Skips) else {}
                _written()
                began = time.monotonic()
                await self._sink.commit(target)
                self._commit_seconds = time.monotonic() - began
                break
            except (Retry, Fenced) as error:
                if await self._recover(error, target):
                    break
                unit.prepare_again()
        _committed()
        self._backoff.reset()
        if unit.emptied:
            self._place_at = time.monotonic()
        self._held = None
        self.checkpoint = target
        self._report(unit, skipped)
        await self._on_durable()

    async def _recover(self, error: TailraceError, target: Checkpoint) -> bool:
        """Open the sink again and read what it holds: True if the unit is in it, False to write it again."""
        while True:
            await self._sink.abort()
            self._status.enter(State.RETRYING, error)
            await asyncio.sleep(self._backoff.next())
            try:
                await self._arbiter.confirm()
                with undecided():  # somebody may open it at the same time
                    opened = await self._sink.open()
                stored = await self._arbiter.recognise(opened, self._sink)
            except Retry as again:
                error = again
                continue
            self._status.enter(State.STREAMING)
            if _same_place(stored, target):
                return True
            if _same_place(stored, self.checkpoint):
                return False
            raise Stop(
                FOREIGN_CHECKPOINT,
                f"{self._sink.identity} holds commit {stored.sequence}, by {stored.owner}, which is neither "
                f"commit {self.checkpoint.sequence} nor commit {target.sequence} of this process",
                "If somebody gave the sink a position (offsets set), start again: it goes on from there. "
                "Else find out first what else writes under this name.",
            )

    def _report(self, unit: UnitOfDelivery, skipped: Mapping[str, int]) -> None:
        status = self._status
        status.count(unit.tables)
        status.skipped.update(skipped)
        status.bytes += unit.size
        status.commits += 1
        status.position = self.checkpoint.position
        status.timestamp = unit.timestamp or status.timestamp
        status.committed_at = time.time()


def _same_place(stored: Checkpoint, mine: Checkpoint) -> bool:
    # Whoever gives the sink a position meanwhile takes a number that may be the next one here too.
    return (stored.sequence, stored.position) == (mine.sequence, mine.position)
