"""The start of a pipeline: every sink is claimed, then the source's place in its log is looked at.

The order is what makes a crash at any instant of it harmless: each state that a crash can leave behind is
one row of the table in docs/design.md, and each row has one way on.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from tailrace.abc import Anchors, Finding, NamesServers, Sink, Source
from tailrace.checkpoint import Checkpoint, Identity, Owner, show_position
from tailrace.engine.fencing import Arbiter, undecided
from tailrace.engine.started import StartedMark
from tailrace.errors import Stop, code
from tailrace.failpoints import failpoint
from tailrace.logs import Logger

OTHER_DATABASE = code(
    "TR-ENG-010",
    "another database",
    "A sink's checkpoint was written for another database system than the one that the source now reaches.",
)
ADDED_SINK = code(
    "TR-ENG-011",
    "a sink without a checkpoint",
    "Other sinks of the pipeline hold a position: this one was added later, or has lost its checkpoint. "
    "Starting it in the middle would leave out what came before, unsaid.",
)
LOST_CHECKPOINTS = code(
    "TR-ENG-012",
    "no checkpoint, but a place in the log",
    "The server keeps its log for this pipeline, yet no sink knows how far it came: the checkpoints are "
    "lost, or the slot belongs to somebody else.",
)
STARTED_BEFORE = code(
    "TR-ENG-013",
    "no checkpoint, but an earlier start",
    "The pipeline has had positions on this machine, and no sink holds one now: they are lost. A start at "
    "the log's end would leave out what changed since, unsaid.",
)

_JUDGEMENTS: Final = 3
"""Of positions that move on meanwhile: a process that always has something to deliver is not waited for."""

_log: Final = Logger(__name__)

_claimed = failpoint("engine.start.claimed")
_all_claimed = failpoint("engine.start.all_claimed")
_new_stored = failpoint("engine.start.new_stored")
_anchored = failpoint("engine.start.anchored")
_at_stored = failpoint("engine.start.at_stored")


async def start(
    source: Source, sinks: Sequence[Sink], arbiter: Arbiter, mark: StartedMark
) -> tuple[Identity, list[Checkpoint]]:
    """Claim every sink and find where each goes on; the checkpoints come back in the order of `sinks`, of
    which the first is the arbiter's.

    May be repeated after any error, in this process or the next. Raises Stop kinds for everything that needs
    a person, Retry for what passes, Fenced where a process that started later has claimed the pipeline.
    """
    findings = [*await source.check()]
    for sink in sinks:
        findings += await sink.check()
    for finding in findings:
        if finding.error is not None and not finding.beginning:
            raise finding.error
    identity = await source.identify()
    peeked: list[Checkpoint | None] = []
    for sink in sinks:
        stored = await sink.peek()
        peeked.append(stored)
        refuse_foreign(source, stored, sink, identity)
        if sink is sinks[0]:
            arbiter.admit(stored)
    goes_on = any(stored is not None and stored.position is not None for stored in peeked)
    if not isinstance(source, Anchors):
        await _refuse_unread(source, sinks, peeked)
    for finding in (weighed(finding, goes_on=goes_on) for finding in findings if finding.beginning):
        if finding.error is not None:
            raise finding.error
        _log.warning(finding.found, check=finding.title, remedy=finding.remedy)
    with undecided():
        claims = [await _claim(source, sink, arbiter.owner, identity) for sink in sinks]
        _all_claimed()
        await arbiter.confirm()  # a process held between two claims may have claimed after a newer one did
        started = await _resume(source, sinks, claims, identity, arbiter, mark)
    for checkpoint in started:
        await source.verify(checkpoint)
    return identity, started


def weighed(finding: Finding, *, goes_on: bool) -> Finding:
    """A finding as it counts for a pipeline that goes on from a position, or that begins."""
    if finding.error is None or not (finding.beginning and goes_on):
        return finding
    remedy = finding.remedy or finding.error.remedy
    return dataclasses.replace(finding, error=None, warning=True, remedy=remedy)


async def _resume(
    source: Source,
    sinks: Sequence[Sink],
    stored: list[Checkpoint],
    identity: Identity,
    arbiter: Arbiter,
    mark: StartedMark,
) -> list[Checkpoint]:
    """Each row of the table: from the claims to checkpoints that all hold a position."""
    anchored = await source.anchored()
    _refuse_states(source, sinks, stored, anchored, mark)
    if all(checkpoint.position is None for checkpoint in stored):
        started = await _first_start(source, sinks, stored, identity, arbiter)
    else:
        started = await _join_started(sinks, stored)
    if anchored is None:
        mark.make()
    return started


async def _refuse_unread(source: Source, sinks: Sequence[Sink], peeked: Sequence[Checkpoint | None]) -> None:
    """Raise what `verify` would of the positions that the sinks hold, while nobody is fenced yet. A source
    that has no anchor may be of one identity with servers that have another history."""
    await _judged(sinks, peeked, partial(_verify, source))


async def _verify(source: Source, stored: Sequence[Checkpoint]) -> None:
    """Each that holds a position."""
    for checkpoint in stored:
        if checkpoint.position is not None:
            await source.verify(checkpoint)


async def rehearse(source: Source, sinks: Sequence[Sink], mark: StartedMark) -> bool:
    """Raise what a start would raise for the positions that the sinks hold now; whether there are any. Claims
    and changes nothing: the pipeline may run beside it."""
    identity = await source.identify()

    async def judge(stored: Sequence[Checkpoint]) -> None:
        for sink, checkpoint in zip(sinks, stored, strict=True):
            refuse_foreign(source, checkpoint, sink, identity)
        _refuse_states(source, sinks, stored, await source.anchored(), mark)
        await _verify(source, stored)

    stored = await _judged(sinks, [await sink.peek() for sink in sinks], judge)
    return any(checkpoint.position is not None for checkpoint in stored)


async def _judged(
    sinks: Sequence[Sink],
    peeked: Sequence[Checkpoint | None],
    judge: Callable[[Sequence[Checkpoint]], Awaitable[None]],
) -> Sequence[Checkpoint]:
    """What the sinks hold, `peeked` before, when nothing stands against it; else raise what does, if they
    hold that still: a process that runs may have moved on meanwhile. What stands against each of several in
    turn is not that."""
    nothing = Checkpoint(Owner.this_process())
    stored = [checkpoint or nothing for checkpoint in peeked]
    for again in reversed(range(_JUDGEMENTS)):
        try:
            await judge(stored)
        except Stop:
            found, stored = stored, [await sink.peek() or nothing for sink in sinks]
            if not again or found == stored:
                raise
        else:
            break
    return stored


def _refuse_states(
    source: Source,
    sinks: Sequence[Sink],
    stored: Sequence[Checkpoint],
    anchored: bool | None,
    mark: StartedMark,
) -> None:
    """The rows of the table on which a person must decide. `anchored`: as the source tells it."""
    started = {checkpoint.start for checkpoint in stored if checkpoint.position is not None}
    if anchored is None and mark and all(checkpoint.is_empty for checkpoint in stored):
        raise Stop(
            STARTED_BEFORE,
            f"the pipeline has started before ({mark.path}), and no sink holds a position",
            "If the sinks' data is to go on, restore the checkpoints or give each sink a position "
            "(tailrace offsets set FILE --sink NAME --at POSITION). To begin anew at the log's end: tailrace "
            "offsets reset FILE.",
        )
    if not started and anchored and all(checkpoint.is_empty for checkpoint in stored):
        place = source.anchor_place() if isinstance(source, Anchors) else None
        raise Stop(
            LOST_CHECKPOINTS,
            f"the server keeps its log for this pipeline{f' from {place} on' if place else ''}, and no sink "
            "holds a position",
            "If the sinks' data is to go on, restore the checkpoints or give each sink a position "
            "(tailrace offsets set FILE --sink NAME --at POSITION). "
            + (
                f"From {place} on nothing is left out; what arrived behind it arrives twice. "
                if place
                else ""
            )
            + "To begin anew: tailrace teardown FILE.",
        )
    for sink, checkpoint in zip(sinks, stored, strict=True):
        if started and checkpoint.position is None and checkpoint.start not in started:
            raise Stop(
                ADDED_SINK,
                f"{sink.identity} holds no position, other sinks of the pipeline do",
                "Say where it begins: tailrace offsets set FILE "
                f"--sink {sink.identity.partition('/')[2]} --at POSITION "
                "(tailrace offsets show FILE prints where the others stand).",
            )


async def _claim(source: Source, sink: Sink, owner: Owner, identity: Identity) -> Checkpoint:
    stored = await sink.open()
    refuse_foreign(source, stored, sink, identity)
    claim = Checkpoint(owner) if stored is None else replace(stored, owner=owner)
    await sink.commit(claim)
    _claimed()
    return claim


def refuse_foreign(source: Source, stored: Checkpoint | None, sink: Sink, identity: Identity) -> None:
    """Stop unless the checkpoint belongs to this database system, or to none yet."""
    if stored is None or stored.identity is None or stored.identity.same_system(identity):
        return
    if isinstance(source, NamesServers) and source.is_named_otherwise(stored.identity, identity):
        return
    raise Stop(
        OTHER_DATABASE,
        f"{sink.identity} was filled from {stored.identity}, the source now reaches {identity}",
        "Correct the source's url. Where another pipeline of this name writes to the same target, give this "
        "one another name:. If the database was really replaced, begin anew under another pipeline name, or "
        "forget the old positions first: tailrace offsets reset FILE.",
    )


async def _first_start(
    source: Source, sinks: Sequence[Sink], claims: list[Checkpoint], identity: Identity, arbiter: Arbiter
) -> list[Checkpoint]:
    """`new` in every sink BEFORE there is a slot, the position in every sink before anything may flow."""
    name = str(uuid.uuid4())
    news = [
        replace(claim, sequence=claim.sequence + 1, start=name, identity=identity, origin=None)
        for claim in claims
    ]
    for sink, checkpoint in zip(sinks, news, strict=True):
        await sink.commit(checkpoint)
        _new_stored()
    await (
        arbiter.confirm()
    )  # nothing fences the server: a process that was held would drop a newer one's slot
    origin = await source.anchor()
    _anchored()
    started = [
        replace(
            new, sequence=new.sequence + 1, origin=origin, position=origin, fingerprint=source.fingerprint
        )
        for new in news
    ]
    for sink, checkpoint in zip(sinks, started, strict=True):
        await sink.commit(checkpoint)
        _at_stored()
    _log.info("a first start: what commits behind this position is delivered", position=show_position(origin))
    return started


async def _join_started(sinks: Sequence[Sink], stored: list[Checkpoint]) -> list[Checkpoint]:
    """Some sinks hold a position. Those that were cut off in the same first start take its origin: nothing
    can have flowed before the last of them had it."""
    started = {checkpoint.start: checkpoint for checkpoint in stored if checkpoint.position is not None}
    joined = []
    for sink, checkpoint in zip(sinks, stored, strict=True):
        if checkpoint.position is None:
            first = started[checkpoint.start]
            checkpoint = replace(
                checkpoint,
                sequence=checkpoint.sequence + 1,
                origin=first.origin,
                position=first.origin,
                fingerprint=first.fingerprint,
            )
            await sink.commit(checkpoint)
            _at_stored()
        joined.append(checkpoint)
    return joined
