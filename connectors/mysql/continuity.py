"""Whether everything behind a checkpoint can still be read: history, log, fingerprint."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.catalogue import Catalogue, LogFile
from connectors.mysql.channel import AHEAD, BEGIN_ANEW, LOST_BY_SERVER, PURGED
from connectors.mysql.config import BinlogSettings
from connectors.mysql.position import (
    BinlogPosition,
    Executed,
    FilePlace,
    as_given,
    executed_before,
    number,
    place,
)
from connectors.mysql.server import Server
from tailrace.checkpoint import Identity
from tailrace.errors import Diverged, Gap, NotReady, Stop, code
from tailrace.events import Batch

OTHER_FORM: Final = code(
    "TR-MY-333",
    "a checkpoint of another form",
    "The checkpoint was written while the server named transactions in another way: by GTIDs, or by file and "
    "offset. Where to go on in the new form is said with tailrace offsets set.",
)
INSIDE_TRANSACTION: Final = code(
    "TR-MY-335",
    "the checkpoint stands inside a transaction of another server's log",
    "Changes in a transaction are told apart by counting row events, and another server, or another version, "
    "may have put its rows into other events: going on could leave out or repeat some of them.",
)

OTHER_ORDER: Final = code(
    "TR-MY-336",
    "sinks stand in another order of transactions",
    "Several sinks stand at different places, and between these the server's log has its transactions in "
    "another order than the log from which they were delivered. What a sink has cannot be told by counting.",
)

_OF_GTIDS, _OF_SERVER = "GTIDs of ", "server "

_PATIENCE: Final = 2.0  # seconds for a server to execute what it has sent
_POLL_SECONDS: Final = 0.1
_BEGIN: Final = 4  # offset of the first event of a file

FINGERPRINT: Final = "binlog ordinals=1"
"""Version of the rule by which the row events of a transaction are counted; it stands in `position.py`."""


def counted(settings: BinlogSettings) -> str:
    """What belongs to the fingerprint where a transaction's changes are counted: counts within it go on as
    they began, over the same changes."""
    tables = ",".join((*settings.tables, *(f"-{one}" for one in settings.exclude)))
    return f" counts={tables} keyless={settings.keyless}"


def identity(server: Server) -> Identity:
    """Whose positions are comparable: with GTIDs those of all servers that replicate from each other, of
    which only the log tells; without them those of one server."""
    if server.by_gtids:
        return Identity(f"{_OF_GTIDS}{server.flavor}", "")
    return Identity(f"{_OF_SERVER}{server.name}", "")


def is_other_form(stored: Identity, found: Identity) -> bool:
    """Whether one is of positions by GTIDs and the other one of positions in a server's files."""
    systems = stored.system, found.system
    return any(one.startswith(_OF_SERVER) for one in systems) and f"{_OF_GTIDS}mysql" in systems


async def check(position: BinlogPosition, catalogue: Catalogue, server: Server, where: str) -> None:
    """Gap or Diverged unless the server's log goes on from the position, NotReady where it is of another
    form."""
    executed = position.executed
    if isinstance(executed, FilePlace) == server.by_gtids:
        raise NotReady(
            OTHER_FORM,
            f"the checkpoint is {position}, the server has gtid_mode = {server.variables.get('gtid_mode')}",
            f"Set gtid_mode back. Else go on in the new form: {_in_files(position, server)}",
            where=where,
        )
    if isinstance(executed, GtidSet):
        now = await _executed(position, executed, catalogue, server)
        check_executed(position, executed, now, await catalogue.purged(), where)
    elif isinstance(executed, GtidPosition):
        proof = position.proof
        if server.numbered_alone and proof is not None and proof.server != server.name:
            raise _ahead(
                f"the checkpoint is of server {proof.server}, and server {server.name} is a node of a Galera "
                "cluster that has GTIDs of its own (wsrep_gtid_mode is OFF)",
                where,
            )
        await _check_domains(position, executed, catalogue, server, where)
    else:
        check_file(position, executed, await catalogue.files(), where)
    await _check_proof(position, catalogue, server, where)


def _in_files(position: BinlogPosition, server: Server) -> str:
    """What to do where the server names places in another way than a position does."""
    proof = position.proof
    if server.by_gtids or proof is None or proof.server != server.name:
        return "give each sink the same place in it: tailrace offsets set FILE --sink NAME --at POSITION."
    again = ", and the part of a transaction that was delivered comes twice" if position.inside else ""
    return f"tailrace offsets set FILE --at {proof.place}. Nothing is left out by that{again}."


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
    asked = position.asked
    assert isinstance(asked, GtidSet)
    if lost := purged - asked:
        raise _removed(position, lost.brief(), where, needed=bool(purged - executed), held=executed | purged)


def check_file(position: BinlogPosition, place: FilePlace, files: Sequence[LogFile], where: str) -> None:
    """Without GTIDs: the files that the server has."""
    sizes = {file.name: file.size for file in files}
    size = sizes.get(place.file)
    if size is not None:
        asked = position.asked
        assert isinstance(asked, FilePlace)
        if asked.file not in sizes:
            held = FilePlace(files[0].name, _BEGIN)
            raise _removed(position, f"{asked.file}", where, needed=False, held=held)
    else:
        oldest = FilePlace(files[0].name, 0) if files else None
        if oldest is None or place.number < oldest.number:
            found = f"the checkpoint stands at {place}, the oldest file is {files[0].name if files else '-'}"
            remedy = _go_on(FilePlace(files[0].name, _BEGIN)) if files else BEGIN_ANEW
            raise Gap(PURGED, found, remedy, where=where)
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
    begin = await catalogue.gtids_at(FilePlace(files[0].name, _BEGIN)) if files else None
    asked = position.asked
    assert isinstance(asked, GtidPosition)
    if begin is not None and not asked.covers(begin):
        held = executed
        for domain, server_id, last in begin.domains():
            gtid = f"{domain}-{server_id}-{last}"
            held = held if gtid in held else held.add(gtid)
        needed = not executed.covers(begin)
        raise _removed(position, asked.missing(begin), where, needed=needed, held=held)
    if position.proof is None or position.proof.server != server.name:
        await catalogue.goes_on(asked)  # to have come further is not to have come by it


def _go_on(held: Executed) -> str:
    """What to do where the log has nothing before a position that follows on the checkpoint's."""
    return (
        "The changes in between are not in the log any more: bring them to the targets by other means. What "
        "the log still holds is delivered behind them: tailrace offsets set FILE --at "
        f"'{as_given(held)}'. To begin with what changes from the next start on: tailrace offsets reset "
        "FILE, and run it again."
    )


def _removed(position: BinlogPosition, lost: str, where: str, *, needed: bool, held: Executed) -> Gap:
    """The error of transactions that the server's log has no more. `needed`: some of them were not read; else
    they were, and have rows of XA transactions that are in doubt. `held`: behind which the log has all."""
    found = f"the server has removed {lost}"
    if needed:
        return Gap(PURGED, f"{found}, which the checkpoint does not hold", _go_on(held), where=where)
    waiting = ", ".join(one.xid for one in position.in_doubt.with_rows)
    return Gap(
        PURGED,
        f"{found}, where rows of XA transactions stand that are prepared and had not ended: {waiting}",
        f"Look with XA RECOVER which of them are prepared still. If none was committed, roll them back (XA "
        f"ROLLBACK) and go on where the checkpoint stands: tailrace offsets set FILE --at "
        f"'{as_given(position.executed)}'. Else: {BEGIN_ANEW[0].lower()}{BEGIN_ANEW[1:]}",
        where=where,
    )


async def _check_proof(position: BinlogPosition, catalogue: Catalogue, server: Server, where: str) -> None:
    """That the last transaction before the position stands where it stood, or without GTIDs that its file is
    the same; of another server's log, and of a file that is gone, that is not to be told."""
    proof = position.proof
    if proof is None or proof.server != server.name or (proof.begin is None and proof.begun is None):
        return
    file = proof.file
    if file not in {one.name for one in await catalogue.files()}:
        return
    if proof.begun is not None:
        if (begun := await catalogue.begun(file)) != proof.begun:
            raise _ahead(f"{file} was read as one begun at {proof.begun}, this one was at {begun}", where)
        return
    assert proof.begin is not None
    there = await catalogue.transaction_at(file, proof.begin)
    if there != proof.gtid:
        raise _ahead(
            f"{proof.gtid} was read at {file}:{proof.begin}, where {there or 'no transaction'} stands now",
            where,
        )


def was_reset(read: FilePlace | None, files: Sequence[LogFile], where: str) -> Diverged | None:
    """The error of a log that ends before a place up to which it had been read when the files were listed.
    The server tells a reader nothing of that until the new log is as long."""
    if read is None or not files:
        return None
    newest = FilePlace(files[-1].name, max(files[-1].size, _BEGIN))
    if read.number <= newest.number:
        return None
    return _ahead(f"the log was read to {read} and ends at {newest}", where)


def check_order(batch: Batch, position: BinlogPosition, where: str) -> None:
    """Stop if the log's transactions do not part where a sink's position parts them: a server that was not
    read before may have those of several servers or domains in another order."""
    executed, end = position.executed, BinlogPosition.from_document(batch.end)
    cut = bisect_right(batch.events, position.reached, key=place)
    within: list[Executed] = []  # of the position
    beyond: list[Executed] = []  # have all of it
    if position.reached >= end.reached:
        within.append(end.executed)
    elif cut == len(batch.events):
        beyond.append(end.executed)
    if cut > 0:
        last = batch.events[cut - 1].transaction
        within.append(executed_before(last))
        if last.id != position.transaction and not _holds(executed, last.id):
            raise _other_order(position, f"{last.id} stands before its end", where)
    if cut < len(batch.events):
        beyond.append(executed_before(batch.events[cut].transaction))
    for found in within:
        if not _covers(executed, found):
            raise _other_order(position, f"as many transactions are {found}", where)
    for found in beyond:
        if not _covers(found, executed):
            raise _other_order(position, f"as many transactions are {found}", where)


def _holds(executed: Executed, transaction: str) -> bool:
    return isinstance(executed, FilePlace) or transaction in executed


def _covers(one: Executed, other: Executed) -> bool:
    if isinstance(one, GtidSet) and isinstance(other, GtidSet):
        return one.covers(other)
    if isinstance(one, GtidPosition) and isinstance(other, GtidPosition):
        return one.covers(other)
    return number(one) >= number(other)


def _other_order(position: BinlogPosition, found: str, where: str) -> Stop:
    return Stop(
        OTHER_ORDER,
        f"a sink stands at {position}, and in this log {found}",
        "Let the URL lead to the server that was read before until all sinks have come equally far. Else let "
        "all sinks go on from the earliest of their places, so that some changes arrive twice: tailrace "
        "offsets set FILE --sink NAME --at POSITION.",
        where=where,
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
