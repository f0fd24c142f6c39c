"""Whether everything behind a checkpoint can still be read: the server's history, the slot, the fingerprint.

A server asked to start before its slot's position starts at that position, and says nothing
(CreateDecodingContext). What is not refused here would be lost unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from connectors.postgres.position import WalPosition, format_lsn, parse_lsn
from connectors.postgres.slot import Slot
from tailrace.checkpoint import Identity
from tailrace.errors import Diverged, Gap, NotReady, code

SLOT_MISSING = code(
    "TR-PG-310",
    "the replication slot is gone",
    "The sinks hold a position, but the slot that kept the log behind it does not exist: changes may have "
    "been lost.",
)
SLOT_INVALID = code(
    "TR-PG-311",
    "the replication slot is invalidated",
    "The server removed log that the slot was to keep, or the slot cannot decode any more: the changes "
    "behind the checkpoint cannot be read.",
)
SLOT_PASSED = code(
    "TR-PG-312",
    "the replication slot is past the checkpoint",
    "The slot was created again, or somebody else read from it: the server would leave out what lies between "
    "the checkpoint and the slot's position, without a word.",
)
SLOT_FOREIGN = code(
    "TR-PG-313",
    "the replication slot is of another kind",
    "A slot of this pipeline's name exists that was not made for it: another plugin, another database, a "
    "temporary or a two-phase slot.",
)
OTHER_SYSTEM = code(
    "TR-PG-320",
    "another database system",
    "The checkpoint belongs to another database cluster, or another database, than the URL leads to.",
)
OTHER_HISTORY = code(
    "TR-PG-321",
    "another timeline",
    "The server's history parted from the checkpoint's before the checkpoint: after a failover or a restore, "
    "what was delivered is not what the server holds.",
)
BEYOND_THE_END = code(
    "TR-PG-322",
    "the checkpoint is beyond the server's log",
    "The server's log ends before the checkpoint: it was restored from a backup, or is a copy.",
)
INSIDE_TRANSACTION = code(
    "TR-PG-330",
    "the checkpoint stands inside a transaction that this version counts differently",
    "Changes in a transaction are told apart by counting, and what shapes that count has changed: going on "
    "could leave out or repeat some of them.",
)

_ORDINAL_RULE: Final = 1
"""Version of the rule by which the messages of a transaction are counted; it stands in `position.py`."""

_BEGIN_ANEW: Final = (
    "The changes in between are not in the log any more. Bring the targets up to date by other means, then "
    "begin anew: tailrace teardown FILE, and run it again."
)
_LOST_BY_SERVER: Final = (
    "The sinks hold changes that the server has lost, in a failover or a restore: decide which of both is "
    "right, then begin anew: tailrace teardown FILE, and run it again."
)


def check_system(stored: Identity, server: Identity, where: str) -> None:
    """Diverged unless both are the same database of the same cluster."""
    if not stored.same_system(server):
        raise Diverged(
            OTHER_SYSTEM,
            f"the checkpoint is of database {stored.database!r} of system {stored.system}, the server is "
            f"{server.database!r} of {server.system}",
            "Correct the URL. If the database was really replaced, begin anew: tailrace offsets reset FILE.",
            where=where,
        )


def check_timeline(
    position: WalPosition, stored: int | None, server: int | None, history: str, where: str
) -> None:
    """Diverged unless the server's timeline goes on from the checkpoint's at or behind the position.

    `history` is the server's timeline history file; empty on timeline 1.
    """
    if stored == server:
        return
    switches = {}
    for line in history.splitlines():
        words = line.partition("#")[0].split()
        if len(words) >= 2:
            switches[int(words[0])] = parse_lsn(words[1])
    switch = None if stored is None else switches.get(stored)
    if switch is None:
        raise Diverged(
            OTHER_HISTORY,
            f"the checkpoint is of timeline {stored}, the server's timeline {server} does not come from it",
            _BEGIN_ANEW,
            where=where,
        )
    if _reaches_beyond(position, switch):
        raise Diverged(
            OTHER_HISTORY,
            f"the checkpoint stands at {position} of timeline {stored}, the server left that timeline at "
            f"{format_lsn(switch)}",
            _LOST_BY_SERVER,
            where=where,
        )


def check_end(position: WalPosition, flushed: int, where: str) -> None:
    """Diverged if the position lies beyond the end of the server's log."""
    if _reaches_beyond(position, flushed):
        raise Diverged(
            BEYOND_THE_END,
            f"the checkpoint stands at {position}, the server's log ends at {format_lsn(flushed)}",
            _LOST_BY_SERVER,
            where=where,
        )


def _reaches_beyond(position: WalPosition, end: int) -> bool:
    # Inside a transaction its commit record, which begins at the position's LSN, has been read.
    return position.lsn >= end if position.inside else position.lsn > end


def check_kind(slot: Slot, database: str, where: str) -> None:
    """NotReady if a slot of this name was not made for this pipeline; Gap if it is invalid."""
    found = None
    if not slot.usable_plugin:
        found = f"it decodes with {slot.plugin}" if slot.plugin else "it is a physical slot"
    elif slot.database != database:
        found = f"it belongs to database {slot.database!r}"
    elif slot.temporary:
        found = "it is temporary"
    elif slot.two_phase:
        found = "it was created with two_phase, which sends a prepared transaction before its commit"
    if found is not None:
        raise NotReady(
            SLOT_FOREIGN,
            f"slot {slot.name}: {found}",
            "Rename the pipeline, or drop the slot if nobody needs it: "
            f"SELECT pg_drop_replication_slot('{slot.name}');",
            where=where,
        )
    if slot.invalid is not None:
        raise Gap(SLOT_INVALID, f"slot {slot.name}: {slot.invalid}", _BEGIN_ANEW, where=where)


def check_slot(
    position: WalPosition,
    name: str,
    slot: Slot | None,
    database: str,
    where: str,
    *,
    promoted: bool = False,
) -> int:
    """Where the slot stands; Gap unless it still holds everything behind the position. `promoted`: since the
    checkpoint the server, a standby then, has become the primary."""
    if promoted and (slot is None or (slot.synced and slot.temporary)):
        raise Gap(
            SLOT_MISSING,
            f"the server that was promoted has no finished copy of slot {name}, the checkpoint stands at "
            f"{position}",
            f"{_BEGIN_ANEW} From PostgreSQL 17 on `slot: {{failover: true}}` lets standbys copy the slot; "
            "tailrace doctor FILE tells whether they do.",
            where=where,
        )
    if slot is None:
        raise Gap(
            SLOT_MISSING,
            f"slot {name} does not exist, the checkpoint stands at {position}",
            _BEGIN_ANEW,
            where=where,
        )
    check_kind(slot, database, where)
    # Inside a transaction all that was committed before it has been delivered. Another sink may have stopped
    # in front of one of its events: what that one has is acknowledged up to the commit.
    if slot.confirmed > position.lsn:
        raise Gap(
            SLOT_PASSED,
            f"the checkpoint needs the log from {format_lsn(position.lsn)} on, slot {name} stands at "
            f"{format_lsn(slot.confirmed)}: {slot.confirmed - position.lsn} bytes of log would be left out",
            _BEGIN_ANEW,
            where=where,
        )
    return slot.confirmed


def fingerprint(publications: Sequence[str], major: int, options: Mapping[str, str]) -> str:
    """What shapes a transaction's messages, and so the count of them; `major` is the server's version,
    `options` what pgoutput is given beside the usual."""
    names = ",".join(publications)
    more = "".join(f" {name}={value}" for name, value in options.items())
    return f"pgoutput 1 messages{more} publications={names} ordinals={_ORDINAL_RULE} server={major}"


def check_fingerprint(position: WalPosition, stored: str, current: str, where: str) -> None:
    """NotReady if the position stands inside a transaction and was counted differently."""
    if position.inside and stored != current:
        raise NotReady(
            INSIDE_TRANSACTION,
            f"the checkpoint stands {position} inside a transaction; it was counted with [{stored}], this is "
            f"[{current}]",
            "Finish the transaction with the version and settings that it was begun with, or deliver it once "
            "more from its beginning, so that some of its changes arrive twice: "
            "tailrace run FILE --redeliver-transaction",
            where=where,
        )
