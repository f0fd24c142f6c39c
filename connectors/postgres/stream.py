"""One connection's stream: decoded into batches, idle positions rationed, ended by silence."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

from connectors.postgres.assembly import Assembly, Subtransactions
from connectors.postgres.catalogue import Catalogue
from connectors.postgres.channel import Channel
from connectors.postgres.feedback import Feedback
from connectors.postgres.history import History
from connectors.postgres.position import WalPosition, format_lsn
from connectors.postgres.protocol import Decoder
from connectors.postgres.relations import Relations
from tailrace.clients.postgres.faults import LOST, UNAVAILABLE
from tailrace.errors import Retry, TailraceError, code
from tailrace.events import Batch, Position

STALLED = code(
    "TR-PG-303",
    "the server waits for an acknowledgement that does not come",
    "A server that shuts down waits until everything it sent is durable in the sinks. A sink that stands "
    "still would hold it up without end: the connection is given up instead, and made again later.",
)

_BATCH_BYTES: Final = 1024 * 1024
_IDLE_SECONDS: Final = 10.0
_IDLE_BYTES: Final = 16 * 1024 * 1024
_REPEAT_SECONDS: Final = 1.0  # a request repeated within it is a server that waits for its end
_NUDGE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    status: float  # between two signs of life to the server
    silence: float  # of the server, after which the connection counts as dead
    heartbeat: float = math.inf  # of an idle stream


@dataclass(slots=True)
class Goal:
    """Where a stream is wanted to arrive soon, although nothing else may be written. Lives across streams."""

    lsn: int = 0


class Stream:
    """Reads a channel that was started at `resume`, or before it for the sake of `history`; `assembly` if it
    sends transactions that are still open. Legal to close at any time, also while `batches` is suspended; its
    timers live until then."""

    def __init__(
        self,
        channel: Channel,
        catalogue: Catalogue,
        relations: Relations,
        resume: WalPosition,
        history: History,
        flushed: int,
        timing: Timing,
        goal: Goal,
        assembly: Assembly | None = None,
    ) -> None:
        self._channel = channel
        self._assembly = assembly
        # Of what has arrived, what is still to be decoded.
        self._assembled: Iterator[list[bytes] | Subtransactions] = iter(())
        self._catalogue = catalogue
        self._timing = timing
        self._goal = goal
        self._decoder = Decoder(relations, resume, history)
        self._durable = flushed
        told = flushed if history.proven else 0
        self._feedback = Feedback(channel, timing.status, lambda: self._decoder.server_end, told)
        self._clock = asyncio.get_running_loop().time
        self._reading = False  # somebody waits for the next batch
        self._heard = self._clock()
        self._asked = False  # for a sign of life, since it was last heard
        self._nudges = 0  # towards the goal
        self._nudged_at = -math.inf
        self._beat_at = self._clock()
        self._idle: Batch | None = None  # held back
        self._idle_at = self._clock()  # when the last one was handed out
        self._handed_out = resume.end
        self._place: Position | None = None  # of it, as it was handed out
        self._repeat = False  # it is handed out once more: what was in it may have been held back
        self._wanted = 0  # the idle position that the server asked to have acknowledged
        self._wanted_at = -math.inf
        self._insists = False  # it asked again
        self._server_end = 0
        self._closing = False
        self._failure: TailraceError | None = (
            None  # of what comes next; what was decoded before it goes first
        )
        self._observer = asyncio.create_task(self._observe())

    @property
    def server_end(self) -> int:
        """The newest end of the server's log that is known here."""
        return max(self._server_end, self._decoder.server_end)

    def settled(self, end: int) -> int:
        """Up to where the log holds nothing for who has everything up to `end`: an idle position that is
        held back counts."""
        return self._decoder.end if self._idle is not None and end >= self._handed_out else end

    def acknowledge(self, lsn: int) -> None:
        """Everything before `lsn`, the end of a commit or an idle position, is durable. The server is told
        once its log has proved to be the one in which that was read."""
        self._durable = max(self._durable, lsn)
        if self._decoder.proven:
            self._feedback.acknowledge(self._durable)

    async def close(self) -> None:
        """Send what was acknowledged, if the connection allows, and end it."""
        self._feedback.close()
        self._closing = True
        self._observer.cancel()
        await asyncio.gather(self._observer, return_exceptions=True)
        await self._channel.close()

    async def batches(self) -> AsyncIterator[Batch]:
        """As `tailrace.abc.Source.read`."""
        while True:
            self._reading = True
            self._heard, self._asked = self._clock(), False  # nobody listened before: silence begins now
            batch = await self._next()
            self._reading = False
            if batch.commit:
                self._handed_out, self._place = self._decoder.end, batch.end
            yield batch
            if self._observer.done() and not self._closing:
                self._observer.result()  # a defect in it is one of the stream

    async def _next(self) -> Batch:
        while True:
            if self._failure is not None:
                raise self._failure
            messages = await self._arrived()
            if messages is not None:
                await self._decode(messages)
                self.acknowledge(self._durable)
                self._answer()
            batch = self._cut()
            if batch is not None:
                return batch
            if messages is None:
                await self._wait()

    async def _arrived(self) -> list[bytes] | None:
        """What is to be decoded next: of what has arrived, and then of the channel; None if nothing is there.
        A transaction that was spooled keeps the channel waiting, in which the server's word for our signs of
        life stays: they are sent by a timer of their own."""
        if (messages := await self._assembled_next()) is not None:
            self._heard, self._asked = self._clock(), False  # nobody listens meanwhile
            await asyncio.sleep(0)  # what is not captured makes no batch either: see below
            return messages
        await self._channel.rest()
        drained = self._channel.drain(_BATCH_BYTES)
        if not drained:
            return None
        self._heard, self._asked = self._clock(), False
        if self._assembly is None:
            return drained
        await asyncio.sleep(0)  # a backlog that is spooled makes no batch: others would not get their turn
        self._assembled = self._assembly.feed(drained)
        return await self._assembled_next()

    async def _assembled_next(self) -> list[bytes] | None:
        while isinstance(found := next(self._assembled, None), Subtransactions):
            assert self._assembly is not None
            self._assembly.answer(await self._catalogue.rolled_back(found.xids))
        return found

    async def _decode(self, messages: list[bytes]) -> None:
        try:
            needed = self._decoder.feed(messages)
            while needed is not None:
                needed = self._decoder.describe(await self._catalogue.describe(needed))
        except TailraceError as error:
            self._failure = error

    def _answer(self) -> None:
        """Answer a request for a status update; one for what is not durable yet once, then with the news."""
        decoder = self._decoder
        if not decoder.reply_requested:
            return
        decoder.reply_requested = False
        if decoder.in_transaction or self._feedback.flushed >= decoder.end:
            self._insists = False
        elif decoder.end == self._wanted and self._clock() - self._wanted_at < _REPEAT_SECONDS:
            # Each answer without news would bring the next request at once. The acknowledgement is one.
            self._insists = True
            return
        else:
            self._wanted, self._wanted_at, self._insists = decoder.end, self._clock(), False
            self._repeat = decoder.end == self._handed_out
        self._feedback.send()

    def _cut(self) -> Batch | None:
        """The next batch, if there is one whose time has come."""
        batch = self._decoder.cut()
        if batch is not None and batch.events:
            self._idle, self._repeat = None, False
            return batch
        if self._repeat and self._place is not None and batch is None:
            batch = Batch([], self._place, commit=True, size=0)
        self._idle = batch or self._idle
        if self._idle is None or self._idle_due() > self._clock():
            return None
        batch, self._idle = self._idle, None
        self._idle_at, self._repeat = self._clock(), False
        return batch

    def _idle_due(self) -> float:
        """When the idle position that is held back may go out."""
        end = self._decoder.end
        urgent = (
            self._wanted > self._handed_out
            or self._repeat
            or end - self._handed_out >= _IDLE_BYTES
            or self._handed_out < self._goal.lsn <= end
        )
        return -math.inf if urgent else self._idle_at + _IDLE_SECONDS

    async def _wait(self) -> None:
        """Until something arrives or something is due; then what is due is done."""
        now = self._clock()
        dead_at = self._heard + self._timing.silence
        ask_at = math.inf if self._asked else self._heard + self._timing.silence / 2
        idle_at = math.inf if self._idle is None else self._idle_due()
        stalled_at = self._wanted_at + _REPEAT_SECONDS if self._insists else math.inf
        behind = self._decoder.end < self._goal.lsn and not self._decoder.in_transaction
        beat_at = self._beat_at + self._timing.heartbeat
        nudge_at = max(self._heard, self._nudged_at) + _NUDGE_SECONDS if behind else math.inf
        if now >= dead_at:
            raise Retry(
                LOST,
                f"nothing has come from the server for {self._timing.silence:g} s, although it was asked",
                "Nothing: the connection is made again.",
            )
        if now >= stalled_at and not self._is_satisfied():
            raise Retry(
                STALLED,
                f"the server waits for {format_lsn(self._wanted)} to be acknowledged, "
                f"the sinks are at {format_lsn(self._feedback.flushed)}",
                "Nothing, if the server shuts down; else look why the sinks stand still.",
            )
        if now >= ask_at:
            self._asked = True
            self._feedback.send(ask=True)
        elif now >= nudge_at:
            await self._nudge()
        elif now >= beat_at:
            self._beat_at = now
            await self._catalogue.emit_message()
        else:
            due = min(dead_at, ask_at, idle_at, stalled_at, nudge_at, beat_at)
            await self._channel.readable(due - now)

    def _is_satisfied(self) -> bool:
        if self._feedback.flushed < self._wanted:
            return False
        self._insists = False
        return True

    async def _nudge(self) -> None:
        """Bring a position behind the goal: a keepalive does where the server has read so far; where it waits
        for more log, a message of our own is that."""
        self._nudges, self._nudged_at = self._nudges + 1, self._clock()
        if self._nudges % 2:
            self._feedback.send(ask=True)
        else:
            await self._catalogue.emit_message()

    async def _observe(self) -> None:
        """Look at the end of the server's log for the lag. While nobody reads, this is also what notices a
        server that shuts down: it would wait for us as long as we show signs of life."""
        while True:
            for _ in range(2):  # a session that was lost is connected again, which tells more
                try:
                    self._server_end = await self._catalogue.flushed()
                except TailraceError as error:
                    if error.code is UNAVAILABLE and not self._reading:
                        await self._channel.close()
                        return
                    if error.code is LOST:
                        continue
                break
            if self._closing:  # psycopg may miss a cancellation that comes together with an answer
                return
            await asyncio.sleep(self._timing.status)
