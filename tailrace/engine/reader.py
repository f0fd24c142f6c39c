"""The reader: one source, its batches put into the queues of all writers, reconnecting when it must."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

from tailrace.abc import Source, Transform
from tailrace.engine.backoff import Backoff
from tailrace.engine.prefix import before_fault
from tailrace.engine.queue import BatchQueue
from tailrace.engine.status import SourceStatus, State
from tailrace.errors import Malformed, Rejected, Retry
from tailrace.events import Batch, Position


class Reader:
    """Puts each batch into all queues or into none, so that one position says where all of them stand.

    `reopen` connects the source again after the given position, with every check of a start. While `flowing`
    is not set nothing is put behind the end of a transaction: the source keeps its connection by itself.
    """

    def __init__(
        self,
        source: Source,
        queues: Sequence[BatchQueue],
        position: Position,
        transforms: Sequence[Transform],
        reopen: Callable[[Position], Awaitable[None]],
        flowing: asyncio.Event,
        status: SourceStatus,
    ) -> None:
        self._source = source
        self._queues = queues
        self._position = position  # after the last batch that was put into the queues
        self._transforms = transforms
        self._reopen = reopen
        self._flowing = flowing
        self._status = status
        self._stopping = asyncio.Event()
        self._at_commit = True

    def stop(self) -> None:
        """End at the next commit's end; `run` then returns and the queues are closed."""
        self._stopping.set()

    async def run(self) -> None:
        """Read until stopped. Raises Stop kinds and Diverged; Retry never leaves."""
        self._status.enter(State.STREAMING)
        backoff = Backoff()
        try:
            while True:
                began = time.monotonic()
                try:
                    await self._stream()
                    return
                except Retry as error:
                    # Not by what was read meanwhile: what ends the stream each time may come behind it.
                    backoff.held(time.monotonic() - began)
                    if not await self._reconnect(error, backoff):
                        return
        finally:
            for queue in self._queues:
                queue.close()

    async def _stream(self) -> None:
        stop = asyncio.create_task(self._stopping.wait())
        batches = self._source.read()
        try:
            while not (self._stopping.is_set() and self._at_commit):
                following = asyncio.ensure_future(anext(batches))
                try:
                    await asyncio.wait({following, stop}, return_when=asyncio.FIRST_COMPLETED)
                    if not following.done() and self._at_commit:
                        return
                    batch = await following
                    if self._at_commit and not self._flowing.is_set():
                        resume = asyncio.create_task(_set(self._flowing))
                        try:
                            await asyncio.wait({resume, stop}, return_when=asyncio.FIRST_COMPLETED)
                        finally:
                            resume.cancel()
                        if not self._flowing.is_set():
                            return
                    await self._put(batch)
                finally:
                    following.cancel()
        finally:
            stop.cancel()

    async def _put(self, batch: Batch) -> None:
        try:
            shaped = self._shaped(batch)
        except (Malformed, Rejected):
            part = before_fault(self._source, batch, self._shaped)
            if part is not None:
                await self._hand_out(self._shaped(part))
            raise
        await self._hand_out(shaped)

    def _shaped(self, batch: Batch) -> Batch:
        for transform in self._transforms:
            batch = transform.apply(batch)
        return batch

    async def _hand_out(self, batch: Batch) -> None:
        for queue in self._queues:
            await queue.room()
        for queue in self._queues:
            queue.put(batch)
        self._position = batch.end
        self._at_commit = batch.commit
        if batch.events:
            self._status.events += sum(batch.changes.values())
            self._status.read_at = time.time()
        self._status.timestamp = batch.timestamp or self._status.timestamp

    async def _reconnect(self, error: Retry, backoff: Backoff) -> bool:
        """Whether the stream goes on: False when a stop was asked for meanwhile."""
        while True:
            self._status.enter(State.RETRYING, error)
            await self._source.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff.next())
            if self._stopping.is_set():
                return False
            try:
                await self._reopen(self._position)
            except Retry as again:
                error = again
            else:
                self._status.enter(State.STREAMING)
                return True


async def _set(event: asyncio.Event) -> None:
    await event.wait()
