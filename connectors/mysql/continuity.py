"""Whether everything behind a checkpoint can still be read: history, log, fingerprint."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from connectors.mysql.channel import AHEAD, BEGIN_ANEW, LOST_BY_SERVER, PURGED
from connectors.mysql.gtid import GtidPosition, GtidSet
from connectors.mysql.position import BinlogPosition, FilePlace
from connectors.mysql.server import Catalogue, LogFile, Server
from tailrace.checkpoint import Identity
from tailrace.errors import Diverged, Gap, NotReady, code

OTHER_FORM: Final = code(
    "TR-MY-333",
    "a checkpoint of another form",
    "The checkpoint was written while the server named transactions in another way: by GTIDs, or by file and "
    "offset. The one cannot be turned into the other.",
)
INSIDE_TRANSACTION: Final = code(
    "TR-MY-335",
    "the checkpoint stands inside a transaction of another server's log",
    "Changes in a transaction are told apart by counting row events, and another server, or another version, "
    "may have put its rows into other events: going on could leave out or repeat some of them.",
)

_PATIENCE: Final = 2.0  # seconds for a server to execute what it has sent
_POLL_SECONDS: Final = 0.1

FINGERPRINT: Final = "binlog ordinals=1"
"""Version of the rule by which the row events of a transaction are counted; it stands in `position.py`."""


def identity(server: Server) -> Identity:
    """Whose positions are comparable: with GTIDs those of all servers that replicate from each other, of
    which only the log tells; without them those of one server."""
    if server.by_gtids:
        return Identity(f"GTIDs of {server.flavor}", "")
    return Identity(f"server {server.name}", "")


async def check(position: BinlogPosition, catalogue: Catalogue, server: Server, where: str) -> None:
    """Gap or Diverged unless the server's log goes on from the position, NotReady where it is of another
    form."""
    executed = position.executed
    if isinstance(executed, FilePlace) == server.by_gtids:
        raise NotReady(
            OTHER_FORM,
            f"the checkpoint is {position}, the server has gtid_mode = {server.variables.get('gtid_mode')}",
            "Set gtid_mode back. Else give each sink the same place in the new form: tailrace offsets set "
            "FILE --sink NAME --at POSITION.",
            where=where,
        )
    if isinstance(executed, GtidSet):
        now = await _executed(position, executed, catalogue, server)
        check_executed(position, executed, now, await catalogue.purged(), where)
    elif isinstance(executed, GtidPosition):
        await _check_domains(position, executed, catalogue, server, where)
    else:
        check_file(position, executed, await catalogue.files(), where)
    await _check_proof(position, catalogue, server, where)


async def _executed(
    position: BinlogPosition, executed: GtidSet, catalogue: Catalogue, server: Server
) -> GtidSet:
    """What the server has executed; what it has sent it may still be about to execute, while it waits for its
    disk or, with semi-synchronous replication, for a replica."""
    seen = executed.add(position.transaction) if position.inside else executed
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        now, _ = await catalogue.executed(server)
        assert isinstance(now, GtidSet)
        if now.covers(seen) or asyncio.get_running_loop().time() > deadline:
            return now
        await asyncio.sleep(_POLL_SECONDS)


def check_executed(
    position: BinlogPosition, executed: GtidSet, now: GtidSet, purged: GtidSet, where: str
) -> None:
    """MySQL: what the server has executed, and what of that is in its log no more."""
    seen = executed.add(position.transaction) if position.inside else executed
    if not now.covers(seen):
        raise _ahead(f"of what was delivered the server lacks {(seen - now).brief()}", where)
    if lost := purged - executed:
        raise Gap(
            PURGED,
            f"the server has removed {lost.brief()}, which the checkpoint does not hold",
            BEGIN_ANEW,
            where=where,
        )


def check_file(position: BinlogPosition, place: FilePlace, files: Sequence[LogFile], where: str) -> None:
    """Without GTIDs: the files that the server has."""
    sizes = {file.name: file.size for file in files}
    size = sizes.get(place.file)
    if size is None:
        oldest = FilePlace(files[0].name, 0) if files else None
        if oldest is None or place.number < oldest.number:
            found = f"the checkpoint stands at {place}, the oldest file is {files[0].name if files else '-'}"
            raise Gap(PURGED, found, BEGIN_ANEW, where=where)
        raise _ahead(f"the checkpoint stands at {place}, the newest file is {files[-1].name}", where)
    if place.offset > size or (position.inside and place.offset >= size):
        raise _ahead(f"the checkpoint stands at {place}, the file ends at {size}", where)


async def _check_domains(
    position: BinlogPosition, executed: GtidPosition, catalogue: Catalogue, server: Server, where: str
) -> None:
    now, _ = await catalogue.executed(server)
    assert isinstance(now, GtidPosition)
    seen = executed.add(position.transaction) if position.inside else executed
    if not now.covers(seen):
        raise _ahead(f"of what was delivered the server lacks {now.missing(seen)}", where)
    files = await catalogue.files()
    begin = await catalogue.gtids_at(FilePlace(files[0].name, 4)) if files else None
    if begin is not None and not executed.covers(begin):
        raise Gap(
            PURGED,
            f"the server has removed {executed.missing(begin)}, which the checkpoint does not hold",
            BEGIN_ANEW,
            where=where,
        )


async def _check_proof(position: BinlogPosition, catalogue: Catalogue, server: Server, where: str) -> None:
    """That the last transaction before the position stands where it stood; of another server's log, and of a
    file that is gone, that is not to be told."""
    proof = position.proof
    if proof is None or proof.begin is None or proof.server != server.name:
        return
    file = proof.file
    if file not in {one.name for one in await catalogue.files()}:
        return
    there = await catalogue.transaction_at(file, proof.begin)
    if there != proof.gtid:
        raise _ahead(
            f"{proof.gtid} was read at {file}:{proof.begin}, where {there or 'no transaction'} stands now",
            where,
        )


def _ahead(found: str, where: str) -> Diverged:
    return Diverged(AHEAD, found, LOST_BY_SERVER, where=where)


def check_inside(position: BinlogPosition, stored: str, current: str, server: Server, where: str) -> None:
    """NotReady if the position stands inside a transaction that was counted differently."""
    if not position.inside:
        return
    before = position.proof.server if position.proof is not None else "?"
    if stored == current and before in ("?", server.name):
        return
    raise NotReady(
        INSIDE_TRANSACTION,
        f"the checkpoint stands at {position}; it was counted with [{stored}] in the log of {before}, this "
        f"is [{current}] and {server.name}",
        "Let the URL lead to that server until the transaction is delivered, or deliver it once more from "
        "its beginning, so that some of its changes arrive twice: tailrace run FILE --redeliver-transaction",
        where=where,
    )
