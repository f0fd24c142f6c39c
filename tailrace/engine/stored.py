"""A sink that cannot keep its checkpoint, and the offset store that keeps it: together they are a sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tailrace.abc import Explanation, Finding, Guarantee, OffsetStore, Payload, Sink, Skips
from tailrace.checkpoint import Checkpoint
from tailrace.errors import Stop, code
from tailrace.events import Batch
from tailrace.failpoints import failpoint

CLAIM_LOST = code(
    "TR-ENG-002",
    "sink written without a claim",
    "The engine asked for a commit before the sink was opened: a defect.",
)

_before_save = failpoint("engine.stored.save.before")


class StoredSink:
    """Data first, then the checkpoint: what is delivered between the two is delivered again after a crash.

    Fenced by the offset store's epoch, that is: at the next `save`, not at the target itself.
    """

    guarantee = Guarantee.AT_LEAST_ONCE

    def __init__(self, sink: Sink, store: OffsetStore) -> None:
        self._sink = sink
        self._store = store
        self._epoch: int | None = None
        self.identity = sink.identity
        self.unit = sink.unit

    async def check(self) -> Sequence[Finding]:
        return [*await self._sink.check(), *await self._store.check()]

    async def peek(self) -> Checkpoint | None:
        return await self._store.peek(self.identity)

    async def open(self) -> Checkpoint | None:
        await self._sink.open()
        self._epoch, checkpoint = await self._store.claim(self.identity)
        return checkpoint

    def prepare(self, batch: Batch) -> Payload:
        return self._sink.prepare(batch)

    async def write(self, payload: Payload) -> None:
        await self._sink.write(payload)

    def skipped(self) -> Mapping[str, int]:
        """See `tailrace.abc.Skips`."""
        return self._sink.skipped() if isinstance(self._sink, Skips) else {}

    async def commit(self, checkpoint: Checkpoint) -> None:
        if self._epoch is None:
            raise Stop(CLAIM_LOST, self.identity, "Report this with the log.")
        await self._sink.commit(checkpoint)
        _before_save()
        await self._store.save(self.identity, self._epoch, checkpoint)

    async def abort(self) -> None:
        await self._sink.abort()

    async def close(self) -> None:
        await self._sink.close()
        await self._store.close()

    async def store(self, checkpoint: Checkpoint) -> None:
        epoch, _ = await self._store.claim(self.identity)
        await self._store.save(self.identity, epoch, checkpoint)

    def explain(self) -> Explanation:
        """What of it is the sink's, and what the store's."""
        sink, store = explanation(self._sink), explanation(self._store)
        return Explanation(
            unit=sink.unit,
            fence=f"nothing at the target itself: an older process may write there until the offset store "
            f"refuses its next checkpoint{f' ({store.fence})' if store.fence else ''}",
            stored={**sink.stored, **(store.stored or {"the offset store": "the checkpoint"})},
            made={**sink.made, **store.made},
            left_out=sink.left_out,
        )

    async def forget(self, *, dry_run: bool) -> Sequence[str]:
        if dry_run:
            found = await self._store.peek(self.identity) is not None
        else:
            found = await self._store.forget(self.identity)
        return [f"checkpoint of {self.identity} in the offset store"] if found else []


def explanation(part: object) -> Explanation:
    """What a source, sink or store says of itself; nothing where it has nothing to say."""
    explain = getattr(part, "explain", None)
    return explain() if explain is not None else Explanation()
