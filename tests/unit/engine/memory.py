"""A database's log, a source, targets and a sink that live in memory and fail on demand.

They keep the contracts to the letter, so that the engine can be tested at instants that no server can be
brought to: each fault is drawn from a seeded generator, and a pipeline can be dropped at any await.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from tailrace.abc import Finding, Guarantee, Payload, Unit
from tailrace.checkpoint import Checkpoint, Identity
from tailrace.errors import Diverged, Fenced, Gap, Retry, UnknownOutcome, code
from tailrace.events import Batch, Change, Column, Event, Origin, Position, Table, Transaction
from tailrace.types import Kind, LogicalType

TROUBLE = code("TR-TEST-001", "trouble", "A fault that a test ordered.")

TABLE = Table(
    origin=Origin("memory", "orders", "shop", ()),
    schema="public",
    name="t",
    columns=(Column("id", LogicalType(Kind.INT64, "bigint"), False, int, True),),
    key=(0,),
    split=lambda raw: (None, raw),
)

Place = tuple[int, int]  # transaction, ordinal of the next message in it


def place(position: Position) -> Place:
    return int(position["transaction"]), int(position["ordinal"])


def position(transaction: int, ordinal: int = 0) -> Position:
    return {"transaction": transaction, "ordinal": ordinal}


@dataclass
class Faults:
    """Raises the ordered trouble with a probability, from one seed."""

    random: random.Random
    rate: float = 0.0

    def retry(self) -> None:
        if self.random.random() < self.rate:
            raise Retry(TROUBLE, "ordered by the test", "nothing")

    def strikes(self) -> bool:
        return self.random.random() < self.rate


@dataclass
class Server:
    """The log: transaction n (from 0) holds `sizes[n]` changes. `slot` is None or the acknowledged place."""

    system: str = "1"
    sizes: list[int] = field(default_factory=list)
    slot: int | None = None
    slotless: bool = False  # it keeps its log for nobody
    active: bool = False  # not checked: a dropped pipeline leaves its connection behind
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def commit(self, *sizes: int) -> None:
        self.sizes += sizes
        self.grown.set()

    def all_events(self, origin: int = 0) -> list[str]:
        return [
            f"{transaction}:{ordinal}"
            for transaction in range(origin, len(self.sizes))
            for ordinal in range(self.sizes[transaction])
        ]


class MemorySource:
    """Follows a `Server`; batches are cut at random places."""

    fingerprint = "memory-1"

    def __init__(self, server: Server, faults: Faults, largest_batch: int = 3) -> None:
        self._server = server
        self._faults = faults
        self._largest_batch = largest_batch
        self._place: Place = (0, 0)

    async def check(self) -> Sequence[Finding]:
        self._faults.retry()
        return []

    async def identify(self) -> Identity:
        self._faults.retry()
        return Identity(self._server.system, "shop")

    async def anchored(self) -> bool | None:
        return None if self._server.slotless else self._server.slot is not None

    def anchor_place(self) -> str | None:
        return None if self._server.slot is None else str(self._server.slot)

    async def anchor(self) -> Position:
        self._server.slot = len(self._server.sizes)
        self._faults.retry()
        return position(self._server.slot)

    async def verify(self, checkpoint: Checkpoint) -> None:
        assert checkpoint.position is not None
        transaction, _ = place(checkpoint.position)
        if self._server.slot is None or self._server.slot > transaction:
            raise Gap(TROUBLE, f"slot at {self._server.slot}, checkpoint at {transaction}", "nothing")
        if transaction > len(self._server.sizes):
            raise Diverged(TROUBLE, "beyond the end", "nothing")

    async def open(self, resume: Position) -> None:
        self._faults.retry()
        self._place = place(resume)

    async def read(self) -> AsyncIterator[Batch]:
        while True:
            self._faults.retry()
            await asyncio.sleep(0)
            transaction, ordinal = self._place
            if transaction == len(self._server.sizes):
                self._server.grown.clear()
                await self._server.grown.wait()
                continue
            end = min(
                self._server.sizes[transaction], ordinal + self._faults.random.randint(1, self._largest_batch)
            )
            commit = end == self._server.sizes[transaction]
            whole = Transaction(str(transaction), f"{transaction:08}", transaction, {})
            events: list[Event] = [Change("c", TABLE, whole, n, 0, 0, [b"1"]) for n in range(ordinal, end)]
            self._place = (transaction + 1, 0) if commit else (transaction, end)
            yield Batch(
                events,
                position(*self._place),
                commit=commit,
                size=len(events) * 100,
                timestamp=transaction,
                more=self._faults.random.random() < 0.5,
            )

    async def acknowledge(self, position: Position) -> None:
        transaction, _ = place(position)
        assert self._server.slot is not None
        self._server.slot = max(self._server.slot, transaction)

    def covers(self, position: Position, other: Position) -> bool:
        return place(position) >= place(other)

    def after(self, batch: Batch, position: Position) -> Batch:
        if self.covers(position, batch.end):
            return Batch([], position, commit=batch.commit, size=0)
        start = place(position)
        events = [
            event
            for event in batch.events
            if isinstance(event, Change) and (int(event.transaction.position), event.ordinal) >= start
        ]
        return Batch(
            events, batch.end, commit=batch.commit, size=len(events) * 100, timestamp=batch.timestamp
        )

    def before(self, batch: Batch, change: Change) -> Batch | None:
        start = int(change.transaction.position), change.ordinal
        events = [event for event in batch.events if (int(event.transaction.position), event.ordinal) < start]
        if not events:
            return None
        return Batch(events, position(*start), commit=not change.ordinal, size=len(events) * 100)

    def parse(self, text: str) -> Position:
        return position(int(text))

    async def current(self) -> Position:
        self._faults.retry()
        return position(len(self._server.sizes))

    def lag(self, position: Position) -> int | None:
        return len(self._server.sizes) - place(position)[0]

    async def close(self) -> None:
        pass

    async def teardown(self, *, dry_run: bool) -> Sequence[str]:
        return []


@dataclass
class Target:
    """What survives a crash: events and checkpoint change together, under an epoch."""

    epoch: int = 0
    events: list[str] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    commits: int = 0


class MemorySink:
    """Delivers to a `Target`; commits may fail before or after they took effect."""

    guarantee = Guarantee.EXACTLY_ONCE

    def __init__(self, identity: str, target: Target, faults: Faults, unit: Unit | None = None) -> None:
        self.identity = identity
        self.unit = unit or Unit(bytes=1500, seconds=0.05)
        self.target = target
        self._faults = faults
        self._epoch = 0
        self._pending: list[str] = []
        self._usable = False
        self.largest_unit = 0

    async def check(self) -> Sequence[Finding]:
        return []

    async def peek(self) -> Checkpoint | None:
        self._faults.retry()
        return self.target.checkpoint

    async def open(self) -> Checkpoint | None:
        self._faults.retry()
        self.target.epoch += 1
        self._epoch = self.target.epoch
        self._pending = []
        self._usable = True
        await asyncio.sleep(0)
        return self.target.checkpoint

    def prepare(self, batch: Batch) -> Payload:
        return [
            f"{int(event.transaction.position)}:{event.ordinal}"
            for event in batch.events
            if isinstance(event, Change)
        ]

    async def write(self, payload: Payload) -> None:
        assert self._usable, "only open() is legal after abort()"
        self._faults.retry()
        await asyncio.sleep(0)
        self._pending += payload

    async def commit(self, checkpoint: Checkpoint) -> None:
        assert self._usable, "only open() is legal after abort()"
        self.largest_unit = max(self.largest_unit, len(self._pending))
        await asyncio.sleep(0.0005)
        if self._faults.strikes():
            raise UnknownOutcome(TROUBLE, "lost before it took effect", "nothing")
        if self._epoch != self.target.epoch:
            raise Fenced(TROUBLE, "a newer epoch", "nothing")
        self.target.events += self._pending
        self.target.checkpoint = checkpoint
        self.target.commits += 1
        self._pending = []
        if self._faults.strikes():
            raise UnknownOutcome(TROUBLE, "lost after it took effect", "nothing")
        await asyncio.sleep(0)

    async def abort(self) -> None:
        self._usable = False
        self._pending = []

    async def close(self) -> None:
        self._usable = False

    async def store(self, checkpoint: Checkpoint) -> None:
        self.target.epoch += 1
        self.target.checkpoint = checkpoint

    async def forget(self, *, dry_run: bool) -> Sequence[str]:
        return []
