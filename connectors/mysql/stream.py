"""One connection's stream: decoded into batches, idle positions rationed, ended by silence."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from connectors.mysql.assembly.assembler import Assembler
from connectors.mysql.channel import Channel
from connectors.mysql.extent import Extent
from connectors.mysql.position import BinlogPosition, FilePlace
from tailrace.clients.mysql.faults import LOST
from tailrace.errors import Retry, TailraceError
from tailrace.events import Batch

_DRAIN_BYTES: Final = 1024 * 1024
_IDLE_SECONDS: Final = 10.0
_IDLE_BYTES: Final = 16 * 1024 * 1024


@dataclass(slots=True)
class Goal:
    """Where a stream is wanted to arrive soon: a position's number. Lives across streams."""

    number: int | None = None


class Stream:
    """Reads a channel whose dump was asked for from where `assembler` is resumed. Legal to close at any time,
    also while `batches` is suspended."""

    def __init__(
        self,
        channel: Channel,
        assembler: Assembler,
        extent: Extent,
        silence: float,
        goal: Goal,
    ) -> None:
        """`silence`: seconds after which the connection counts as dead."""
        self._channel = channel
        self._assembler = assembler
        self._extent = extent
        self._silence = silence
        self._goal = goal
        self._clock = asyncio.get_running_loop().time
        self._heard = self._clock()
        self._idle: Batch | None = None  # held back
        self._idle_at = self._clock()  # when the last one was handed out
        self._skipped = 0  # bytes since then that no event came of
        self._failure: TailraceError | None = None  # of what comes next; what stands before it goes first

    @property
    def place(self) -> FilePlace | None:
        """See `Progress.place`."""
        return self._assembler.progress.place

    def wake(self) -> None:
        """Let it look at its goal."""
        self._channel.wake()

    def give_up(self, failure: TailraceError) -> None:
        """End with this failure, behind what has arrived."""
        self._channel.give_up(failure)

    def close(self) -> None:
        """End the connection."""
        self._channel.close()
        self._assembler.close()

    async def batches(self) -> AsyncIterator[Batch]:
        """As `tailrace.abc.Source.read`."""
        while True:
            self._heard = self._clock()  # nobody listened before: silence begins now
            events = await self._next()
            for batch in self._read(events):
                yield self._handed_out(batch)
            if (rest := self._cut()) is not None:
                yield self._handed_out(rest)
            if self._failure is not None:
                raise self._failure

    async def _next(self) -> Sequence[bytes]:
        """What has arrived; nothing, when an idle position is due."""
        while not (events := self._channel.drain(_DRAIN_BYTES)):
            now = self._clock()
            dead_at = self._heard + self._silence
            due = self._idle_due()
            if now >= due:
                return ()
            if now >= dead_at:
                raise Retry(
                    LOST,
                    f"nothing has come from the server for {self._silence:g} s",
                    "Nothing: the connection is made again.",
                )
            await self._channel.readable(min(dead_at, due) - now)
        self._heard = self._clock()
        self._skipped += sum(map(len, events))
        return events

    def _read(self, events: Sequence[bytes]) -> Iterator[Batch]:
        try:
            yield from self._assembler.feed(events)
        except TailraceError as error:
            self._failure = error
        self._extent.read_to(self._assembler.progress.place)

    def _cut(self) -> Batch | None:
        """The next batch, if there is one whose time has come."""
        batch = self._assembler.cut()
        if batch is not None and batch.events:
            self._idle = None
            return batch
        self._idle = batch or self._idle
        if self._idle_due() > self._clock():
            return None
        due, self._idle = self._idle or self._assembler.idle(), None
        return due

    def _handed_out(self, batch: Batch) -> Batch:
        self._idle_at, self._skipped = self._clock(), 0
        goal = self._goal.number
        if goal is not None and batch.commit and self._reached(batch) >= goal:
            self._goal.number = None
        return batch

    def _reached(self, batch: Batch) -> int:
        return BinlogPosition.from_document(batch.end).reached[0]

    def _idle_due(self) -> float:
        """When an idle position may go out."""
        goal = self._goal.number
        arrived = goal is not None and self._assembler.progress.number >= goal
        if arrived and not self._assembler.in_transaction:
            return -math.inf
        if self._idle is None:
            return math.inf
        return -math.inf if self._skipped >= _IDLE_BYTES else self._idle_at + _IDLE_SECONDS
