"""The replication slot: what makes the server keep its log for a pipeline."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL, Identifier

from connectors.postgres.position import parse_lsn
from tailrace.clients.postgres.connection import Connection, Session, rows
from tailrace.errors import Retry, code
from tailrace.failpoints import failpoint
from tailrace.logs import Logger

ACTIVE = code(
    "TR-PG-301",
    "the slot is in use",
    "Another connection streams from the pipeline's replication slot: another process of this pipeline, or "
    "one that the server has not yet noticed to be gone. It is tried again until the slot is free.",
)
WAITS_FOR_TRANSACTION = code(
    "TR-PG-302",
    "a long transaction holds up the first start",
    "A replication slot can only be created when every transaction that runs at that moment has ended. It is "
    "tried again until it works.",
)
APPEARED = code(
    "TR-PG-306",
    "another slot than the one that was looked at",
    "During the pipeline's first start somebody else made its replication slot, or read from it: another "
    "process of this pipeline, most likely. The start is repeated.",
)

_PLUGIN: Final = "pgoutput"
_POLL_SECONDS: Final = 0.1
_TELL_SECONDS: Final = 5.0

_log: Final = Logger(__name__)

_FIND: Final = SQL("""
    SELECT plugin, database, temporary, active_pid, coalesce(confirmed_flush_lsn, '0/0')::text,
           wal_status, two_phase, to_jsonb(s) ->> 'invalidation_reason',
           coalesce((to_jsonb(s) ->> 'failover')::bool, false),
           coalesce((to_jsonb(s) ->> 'synced')::bool, false)
    FROM pg_replication_slots s WHERE slot_name = %s
    """)
_HOLDER: Final = SQL("""
    SELECT coalesce(nullif(application_name, ''), backend_type), coalesce(client_addr::text, 'the same host')
    FROM pg_stat_activity WHERE pid = %s
    """)
_BLOCKERS: Final = SQL("""
    SELECT a.pid, coalesce(a.usename, '?'), coalesce(a.datname, '?'), a.state,
           extract(epoch FROM clock_timestamp() - a.xact_start)::int, left(a.query, 100)
    FROM unnest(pg_blocking_pids(%s)) AS b(pid) JOIN pg_stat_activity a USING (pid)
    ORDER BY a.xact_start LIMIT 1
    """)
_PREPARED: Final = SQL("SELECT gid FROM pg_prepared_xacts ORDER BY prepared LIMIT 1")

_created = failpoint("postgres.slot.created")
_dropped = failpoint("postgres.slot.dropped")


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot as the server shows it."""

    name: str
    plugin: str | None
    database: str | None
    temporary: bool
    active_pid: int | None
    confirmed: int  # the server sends nothing that was committed before it; 0 where it shows nothing
    wal_status: str | None  # reserved, extended, unreserved, lost
    two_phase: bool
    invalidation: str | None  # from 17 on: why it is invalid
    failover: bool  # standbys keep a copy of it
    synced: bool  # it is such a copy, or was one before its server was promoted

    @property
    def usable_plugin(self) -> bool:
        return self.plugin == _PLUGIN

    @property
    def invalid(self) -> str | None:
        """Why it can never be read again."""
        if self.invalidation is not None:
            return self.invalidation
        return "its log was removed" if self.wal_status == "lost" else None


async def find(session: Session, name: str) -> Slot | None:
    """The slot of this name, if there is one."""
    found = await session.query(_FIND, (name,))
    if not found:
        return None
    ((plugin, database, temporary, pid, confirmed, *rest),) = found
    return Slot(name, plugin, database, temporary, pid, parse_lsn(confirmed), *rest)


async def drop(session: Session, name: str, patience: float) -> bool:
    """Drop the slot, if there is one; wait `patience` seconds for it to be free, then raise Retry."""
    if await idle(session, name, patience) is None:
        return False
    await session.query(
        SQL("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s"),
        (name,),
    )
    _dropped()
    return True


async def replace(session: Session, name: str, seen: Slot | None, patience: float) -> None:
    """Drop the slot that an unfinished attempt left, if it is still as it was `seen`; Retry if somebody uses
    it, or it is not the same any more."""
    found = await idle(session, name, patience)
    if found is None:
        return
    if seen is None or found.confirmed != seen.confirmed:
        raise Retry(
            APPEARED,
            f"slot {name} is not as this start has found it",
            "Nothing: the start is repeated. If that goes on, look which other process runs this pipeline.",
            where=str(session.address),
        )
    await drop(session, name, patience)


async def idle(session: Session, name: str, patience: float) -> Slot | None:
    """The slot once nobody streams from it; Retry, naming who does, when `patience` seconds have passed."""
    deadline = asyncio.get_running_loop().time() + patience
    while (slot := await find(session, name)) is not None and slot.active_pid is not None:
        if asyncio.get_running_loop().time() > deadline:
            raise await in_use(session, name, slot.active_pid)
        await asyncio.sleep(_POLL_SECONDS)
    return slot


async def in_use(session: Session, name: str, pid: int) -> Retry:
    """The error for a slot that this server process streams from."""
    who = await session.query(_HOLDER, (pid,))
    holder = f" for {who[0][0]} on {who[0][1]}" if who else ""
    return Retry(
        ACTIVE,
        f"slot {name} is streamed by server process {pid}{holder}",
        "Nothing, if that is an earlier run of this pipeline: the server notices its end within its "
        f"wal_sender_timeout. Else stop the other one, or on the server: SELECT pg_terminate_backend({pid});",
        where=str(session.address),
    )


async def settled(session: Session, name: str, patience: float) -> Slot | None:
    """The slot once its copying from the primary before has come to an end, None if there is none after
    `patience` seconds: around a promotion it may be missing, or temporary, for a moment."""
    deadline = asyncio.get_running_loop().time() + patience
    while (slot := await find(session, name)) is None or (slot.synced and slot.temporary):
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(_POLL_SECONDS)
    return slot


async def protect(connection: Connection, session: Session, name: str) -> None:
    """Let standbys keep a copy of a slot that nobody streams from, over a replication connection."""
    await rows(
        connection, session.address, SQL("ALTER_REPLICATION_SLOT {} (FAILOVER true)").format(Identifier(name))
    )


async def create(
    connection: Connection, session: Session, name: str, patience: float, *, failover: bool
) -> int:
    """Create the slot over a replication connection and return its consistent point: everything that commits
    behind it will be sent. Retry, naming the transaction that it waits for, after `patience` seconds; the
    server then keeps nothing of the attempt. Retry also where somebody else has made it."""
    creating = asyncio.create_task(_create(connection, session, name, failover))
    try:
        for elapsed in _seconds(patience):
            if (await asyncio.wait({creating}, timeout=elapsed))[0]:
                return await creating
            blocker = await _blocker(session, connection.info.backend_pid)
            _log.warning("the replication slot waits for a transaction", slot=name, transaction=blocker)
    finally:
        creating.cancel()  # psycopg cancels the command on the server, which gives up the slot
        await asyncio.gather(creating, return_exceptions=True)
    raise Retry(
        WAITS_FOR_TRANSACTION,
        f"slot {name} waits for {blocker}",
        "End that transaction, or wait: the slot is tried again.",
        where=str(session.address),
    )


def _seconds(patience: float) -> list[float]:
    """The patience in pieces, at the end of which it is told what holds things up."""
    whole, rest = divmod(patience, _TELL_SECONDS)
    return [_TELL_SECONDS] * int(whole) + ([rest] if rest else [])


async def _create(connection: Connection, session: Session, name: str, failover: bool) -> int:
    # The old form of the options is the one that 14 knows; no snapshot is exported because nobody reads one.
    options = SQL("(FAILOVER true, SNAPSHOT 'nothing')" if failover else "NOEXPORT_SNAPSHOT")
    command = SQL("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput {}").format(Identifier(name), options)
    # `create` has its own idea of how long the server may wait.
    created = await rows(connection, session.address, command, deadline=False)
    ((_, consistent_point, *_),) = created
    _created()
    return parse_lsn(consistent_point)


async def _blocker(session: Session, pid: int) -> str:
    """What a server process waits for, in words."""
    for holder, user, database, state, seconds, query in await session.query(_BLOCKERS, (pid,)):
        return (
            f"the transaction of server process {holder}, {user} on database {database}, open for "
            f"{seconds} s, {state}: {query}"
        )
    for (gid,) in await session.query(_PREPARED):
        return f"the prepared transaction {gid!r}, or one that the server does not show"
    return "a transaction that the server does not show"
