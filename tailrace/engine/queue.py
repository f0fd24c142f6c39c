"""The queue between the reader and one writer: bounded in bytes, one producer, one consumer."""

from __future__ import annotations

import asyncio
from collections import deque

from tailrace.events import Batch


class BatchQueue:
    """Batches in order. A batch larger than the bound passes alone, so memory is bounded by bound + batch."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: deque[Batch] = deque()
        self._filled = asyncio.Event()  # something is there, or nothing will come any more
        self._room = asyncio.Event()
        self._room.set()
        self.size = 0  # bytes
        self.closed = False

    def __bool__(self) -> bool:
        return bool(self._batches)

    async def room(self) -> None:
        """Wait until `put` is allowed."""
        await self._room.wait()

    def put(self, batch: Batch) -> None:
        """Append. Call `room` before: a full queue takes it all the same. Of batches that move the position
        alone, which have no size, the last is kept."""
        if self._batches and batch.replaces(self._batches[-1]):
            self._batches[-1] = batch
            return
        self._batches.append(batch)
        self.size += batch.size
        self._filled.set()
        if self.size >= self._limit:
            self._room.clear()

    def take(self) -> Batch:
        """The oldest batch; IndexError when there is none."""
        batch = self._batches.popleft()
        self.size -= batch.size
        if self.size < self._limit:
            self._room.set()
        if not self._batches and not self.closed:
            self._filled.clear()
        return batch

    async def filled(self) -> None:
        """Wait until there is something to take, or the queue is closed."""
        await self._filled.wait()

    def close(self) -> None:
        """Nothing more will be put; what is there can still be taken."""
        self.closed = True
        self._filled.set()
