"""Who owns the pipeline: the newest claim on its first sink, the arbiter."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tailrace.abc import Sink
from tailrace.checkpoint import Checkpoint, Owner
from tailrace.errors import Fenced, Retry, Stop, code

TAKEN_OVER = code(
    "TR-ENG-003",
    "another process owns this pipeline",
    "A newer start of the same pipeline has claimed its sinks. The newest claim goes on, this process stops.",
)
CLAIM_GONE = code(
    "TR-ENG-004",
    "the claim is gone",
    "The checkpoint that this process stored in the sink has disappeared while it ran.",
)


class Arbiter:
    """Decides after a fence, before a start is tried again and before a sink or the source is opened again,
    whether this process may go on.

    Kafka fences for two reasons that look alike: another process, or a transaction that timed out. The claim
    that stands in the first sink by name tells which.
    """

    def __init__(self, sink: Sink, owner: Owner) -> None:
        self.owner = owner
        self._sink = sink
        self._known: set[str | None] = set()  # owners that are not newer than this process

    def admit(self, stored: Checkpoint | None) -> None:
        """Let a start go on that found this in the sink. Fenced where another process has claimed it since
        the first attempt: that one is newer, and must not be fenced by an older one that tries again."""
        holder = None if stored is None else stored.owner.id
        if not self._known:
            self._known = {holder, self.owner.id}
        if stored is not None and holder not in self._known:
            raise _taken_over(stored, self._sink)

    async def confirm(self) -> None:
        """Return if the newest claim is this process's; Fenced if not. Retry where it cannot be read."""
        stored = self._present(await self._sink.peek(), self._sink)
        if stored.owner.id != self.owner.id:
            raise _taken_over(stored, self._sink)

    async def recognise(self, opened: Checkpoint | None, sink: Sink) -> Checkpoint:
        """What a sink held when it was opened again, if this process may go on from there; else as `confirm`.

        Another's claim on it is a newer process's, or that of an older one which was held while it started,
        and claimed this sink last of all.
        """
        stored = self._present(opened, sink)
        if stored.owner.id != self.owner.id:
            await self.confirm()
        return stored

    @staticmethod
    def _present(stored: Checkpoint | None, sink: Sink) -> Checkpoint:
        if stored is None:
            raise Stop(
                CLAIM_GONE,
                f"{sink.identity} holds no checkpoint any more",
                "Find out who removed it. Then start again, or give the sink a position with offsets set.",
            )
        return stored


@contextlib.contextmanager
def undecided() -> Iterator[None]:
    """Turn a sink's Fenced into Retry: what is tried again begins with the arbiter, which decides."""
    try:
        yield
    except Fenced as lost:
        raise Retry(lost.code, lost.found, lost.remedy, where=lost.where) from lost


def _taken_over(stored: Checkpoint, sink: Sink) -> Fenced:
    return Fenced(
        TAKEN_OVER,
        f"{sink.identity} is claimed by {stored.owner}",
        "Nothing, if that is the one meant to run. Else stop it there and start this one again.",
    )
