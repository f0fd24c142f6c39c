"""One stream: a reader and the writers that it feeds, until the stop or the first failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

from msgspec.structs import replace

from tailrace.abc import Sink, Source, Transform
from tailrace.checkpoint import Checkpoint, Identity
from tailrace.engine.fencing import Arbiter
from tailrace.engine.queue import BatchQueue
from tailrace.engine.reader import Reader
from tailrace.engine.start import refuse_foreign
from tailrace.engine.status import PipelineStatus
from tailrace.engine.tasks import failure_of
from tailrace.engine.writer import Writer
from tailrace.errors import Diverged, Fenced, Stop
from tailrace.events import Position
from tailrace.failpoints import failpoint

QUEUE_BYTES = 4 * 1024 * 1024
_OBSERVE_SECONDS = 0.5

_before_acknowledge = failpoint("engine.acknowledge.before")


class Stream:
    """`checkpoints` stand in the order of `sinks`; the source is open at the earliest of them."""

    def __init__(
        self,
        source: Source,
        sinks: Sequence[Sink],
        identity: Identity,
        checkpoints: Sequence[Checkpoint],
        arbiter: Arbiter,
        transforms: Sequence[Transform],
        sink_transforms: Mapping[str, Sequence[Transform]],
        status: PipelineStatus,
        flowing: asyncio.Event,
        on_goal: Callable[[], None],
        goal: Position | None,
    ) -> None:
        self._source = source
        self._sinks = sinks
        self._arbiter = arbiter
        self._status = status
        self._goal = goal
        self._on_goal = on_goal
        self._acknowledging = asyncio.Lock()
        self._acknowledged: Position | None = None
        self._queues = [BatchQueue(QUEUE_BYTES) for _ in sinks]
        self._writers = [
            Writer(
                source,
                sink,
                queue,
                checkpoint,
                identity,
                arbiter,
                status.sinks[sink.identity],
                self._acknowledge,
                sink_transforms.get(sink.identity, ()),
                goal,
            )
            for sink, queue, checkpoint in zip(sinks, self._queues, checkpoints, strict=True)
        ]
        self._reader = Reader(
            source, self._queues, self._least_durable(), transforms, self._reopen, flowing, status.source
        )

    async def run(self, stopping: asyncio.Event, stop_seconds: float) -> None:
        """Deliver until `stopping` is set, then let what was read become durable, for `stop_seconds` at most.

        The first failure stops the stream in the same way and is raised at the end, except where nothing
        more may be written (Fenced) or what was read may not be history any more (Diverged).
        """
        await self._acknowledge()  # what an earlier run made durable, perhaps without a chance to say so
        reader = asyncio.create_task(self._reader.run())
        pending = {reader, *(asyncio.create_task(writer.run()) for writer in self._writers)}
        stop = asyncio.create_task(_wait(stopping))
        observer = asyncio.create_task(self._observe())
        failure: BaseException | None = None
        try:
            while pending and failure is None and not stop.done():
                waits = {*pending, stop, observer}
                done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                failure = _decisive_failure(done)
                pending -= done
            if not isinstance(failure, Fenced | Diverged):
                if failure is None:
                    # Half of the time to reach the end of a transaction, the rest to deliver what was read.
                    self._reader.stop()
                    await asyncio.wait({reader}, timeout=stop_seconds / 2)
                reader.cancel()
                if pending:
                    done, _ = await asyncio.wait(pending, timeout=stop_seconds / 2)
                    failure = failure or _decisive_failure(done)
        finally:
            for task in (stop, observer, *pending):
                task.cancel()
            await asyncio.gather(stop, observer, *pending, return_exceptions=True)
        if failure is not None:
            raise failure

    def _least_durable(self) -> Position:
        return earliest(self._source, [writer.checkpoint for writer in self._writers])

    async def _acknowledge(self) -> None:
        async with self._acknowledging:
            least = self._least_durable()
            if least != self._acknowledged:
                _before_acknowledge()
                await self._source.acknowledge(least)
                self._acknowledged = least
            if self._goal is not None and self._source.covers(least, self._goal):
                self._on_goal()

    async def _reopen(self, position: Position) -> None:
        """Connect the source again after `position`, which is at or past what is durable.

        The arbiter is asked first: a newer process may be why the connection has ended, and a server that
        keeps one reader would throw it out in turn.
        """
        await self._arbiter.confirm()
        try:
            await self._verify(position)
            await self._source.open(position)
        except Stop:
            await (
                self._arbiter.confirm()
            )  # a newer process that moves the log on leaves no gap: it takes over
            raise

    async def _verify(self, position: Position) -> None:
        """Every check of a start, for every checkpoint and for the position after what was read."""
        identity = await self._source.identify()
        for writer, sink in zip(self._writers, self._sinks, strict=True):
            refuse_foreign(self._source, writer.checkpoint, sink, identity)
            await self._source.verify(writer.checkpoint)
        newest = replace(
            self._writers[0].checkpoint,
            position=position,
            identity=self._writers[0].identity,  # under which it was read; a sink may be stalled since before
            fingerprint=self._source.fingerprint,
        )
        await self._source.verify(newest)
        for writer in self._writers:
            writer.identity = identity

    async def _observe(self) -> None:
        """Keep the figures of the status that move without any event."""
        while True:
            for writer, sink in zip(self._writers, self._sinks, strict=True):
                self._status.sinks[sink.identity].lag_bytes = self._source.lag(writer.settled)
            await asyncio.sleep(_OBSERVE_SECONDS)


def earliest(source: Source, checkpoints: Sequence[Checkpoint]) -> Position:
    """The position that all the others cover."""
    positions = [checkpoint.position for checkpoint in checkpoints if checkpoint.position is not None]
    return reduce(lambda one, other: other if source.covers(one, other) else one, positions)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _decisive_failure(done: set[asyncio.Task[None]]) -> BaseException | None:
    """Several may fail at once: one after which nothing may be written goes before the others."""
    failures = [failure for task in done if (failure := failure_of(task)) is not None]
    ordered = sorted(failures, key=lambda one: not isinstance(one, Fenced | Diverged))
    return ordered[0] if ordered else None
