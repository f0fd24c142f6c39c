"""Whether the pipeline would go on after a failover: the slot's copies on standbys, and what they need.

From 17 on a standby can keep a copy of a slot (`sync_replication_slots`). What it needs is set on the
standby, which can be looked at only where the URL names it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL, Literal

from connectors.postgres import slot
from connectors.postgres.catalogue import SESSION_SETTINGS, Server
from connectors.postgres.position import format_lsn
from connectors.postgres.slot import Slot
from tailrace.abc import Finding
from tailrace.clients.postgres.address import Address
from tailrace.clients.postgres.connection import Session
from tailrace.errors import NotReady, TailraceError, code

NO_FAILOVER = code(
    "TR-PG-205",
    "no failover slots",
    "`slot: {failover: true}` asks for a slot that standbys keep a copy of, which PostgreSQL has from 17 on.",
)

_OLDEST: Final = 170_000
_TITLE: Final = "failover"
_STANDBY_SECONDS: Final = 5.0

# Who streams without a logical slot: standbys, pg_receivewal, a base backup; a pipeline for a moment.
_PRIMARY: Final = SQL("""
    SELECT coalesce(current_setting('synchronized_standby_slots', true), ''),
           ARRAY(SELECT slot_name::text FROM pg_replication_slots WHERE slot_type = 'physical' AND active),
           (SELECT count(*) FROM pg_stat_replication r
            WHERE coalesce(r.application_name, '') NOT LIKE 'tailrace %'
              AND NOT EXISTS (SELECT FROM pg_replication_slots s
                              WHERE s.active_pid = r.pid AND s.slot_type = 'logical'))
    """)

# primary_conninfo, which may hold a password, is shown to few.
_STANDBY: Final = SQL("""
    SELECT pg_is_in_recovery(), current_setting('sync_replication_slots', true) = 'on',
           current_setting('hot_standby_feedback') = 'on', current_setting('primary_slot_name') <> '',
           CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE')
                THEN current_setting('primary_conninfo') ~ 'dbname *=|://[^?]*/.' ELSE true END
    """)


@dataclass(frozen=True, slots=True)
class _Follower:
    """A standby that the URL names."""

    standby: bool
    synchronizes: bool | None  # None: it cannot
    feedback: bool
    slot: bool
    database: bool  # True also where the role may not see it


async def findings(
    session: Session, program: str, name: str, found: Slot | None, server: Server, *, wanted: bool
) -> list[Finding]:
    """What a failover would do to the pipeline; nothing where there is neither a standby nor the wish."""
    ((synchronized, active, standbys),) = await session.query(_PRIMARY)
    if not wanted:
        return _unprotected(found, server, standbys)
    if server.version_number < _OLDEST:
        error = NotReady(
            NO_FAILOVER,
            f"slot: {{failover: true}}, and the server is PostgreSQL {server.version}",
            "Upgrade to PostgreSQL 17 or later, or take failover out of the file: after a failover the "
            "pipeline must then begin anew.",
        )
        return [Finding(_TITLE, error.found, error=error, remedy=error.remedy)]
    shown = [_own(found), *_waits(synchronized, active)]
    servers = session.address.each()
    if len(servers) == 1:
        shown.append(
            Finding(
                _TITLE,
                "the URL names no standby: whether one has a copy of the slot is not known",
                warning=True,
                remedy="Let the URL name every server, with ?target_session_attrs=primary.",
            )
        )
        return shown
    looked = await asyncio.gather(*(_look(address, program, name) for address in servers))
    return shown + [finding for finding in looked if finding is not None]


def _unprotected(found: Slot | None, server: Server, standbys: int) -> list[Finding]:
    if not standbys or (found is not None and found.failover):
        return []
    can = server.version_number >= _OLDEST
    return [
        Finding(
            _TITLE,
            f"{standbys} standby servers follow, and none of them keeps a copy of the slot: it is lost in a "
            "failover",
            warning=True,
            remedy="Set slot: {failover: true}, then run tailrace doctor FILE again."
            if can
            else "PostgreSQL 17 and later can; until then a failover means to begin anew.",
        )
    ]


def _own(found: Slot | None) -> Finding:
    if found is None:
        return Finding(_TITLE, "the slot will be made for standbys to copy")
    if found.failover:
        return Finding(_TITLE, f"slot {found.name} is one that standbys copy")
    return Finding(_TITLE, f"slot {found.name} is altered at the next start, so that standbys copy it")


def _waits(synchronized: str, active: list[str]) -> list[Finding]:
    """Whether the server sends only what a standby has already."""
    names = [name.strip().strip('"') for name in synchronized.split(",") if name.strip()]
    if not names:
        example = active[0] if active else "…"
        return [
            Finding(
                _TITLE,
                "synchronized_standby_slots is empty: what the sinks got and no standby did is lost in a "
                "failover, and the pipeline refuses to go on",
                warning=True,
                remedy=f"ALTER SYSTEM SET synchronized_standby_slots = {_quoted(example)}; "
                "SELECT pg_reload_conf(); with the names of the standbys' physical slots.",
            )
        ]
    if missing := [name for name in names if name not in active]:
        return [
            Finding(
                _TITLE,
                f"synchronized_standby_slots names {', '.join(missing)}, and nobody streams from there: the "
                "server sends nothing until somebody does",
                warning=True,
                remedy="Start those standbys, or take their slots out of synchronized_standby_slots.",
            )
        ]
    return [Finding(_TITLE, f"only what {', '.join(names)} has is sent")]


async def _look(address: Address, program: str, name: str) -> Finding | None:
    """What another server of the URL would do when it is promoted; None for the primary itself."""
    session = Session(address, program, SESSION_SETTINGS)
    try:
        async with asyncio.timeout(_STANDBY_SECONDS):
            follower = _Follower(*(await session.query(_STANDBY))[0])
            if not follower.standby:
                return None
            return _told(address, follower, await slot.find(session, name))
    except (TailraceError, TimeoutError) as error:
        found = error.found if isinstance(error, TailraceError) else f"no answer in {_STANDBY_SECONDS:g} s"
        remedy = error.remedy if isinstance(error, TailraceError) else "See that it runs."
        return Finding(_TITLE, f"{address} cannot be looked at: {found}", warning=True, remedy=remedy)
    finally:
        await session.close()


def _told(address: Address, follower: _Follower, copy: Slot | None) -> Finding:
    if follower.synchronizes is None:
        return Finding(_TITLE, f"{address} is too old to copy slots", warning=True, remedy="Upgrade it.")
    statements = []
    if not follower.synchronizes:
        statements.append("ALTER SYSTEM SET sync_replication_slots = on;")
    if not follower.feedback:
        statements.append("ALTER SYSTEM SET hot_standby_feedback = on;")
    if not follower.slot:
        statements.append("ALTER SYSTEM SET primary_slot_name = '…';")
    if not follower.database:
        statements.append("ALTER SYSTEM SET primary_conninfo = '… dbname=postgres';")
    if statements:
        return Finding(
            _TITLE,
            f"{address} does not copy slots",
            warning=True,
            remedy=f"There: {' '.join([*statements, 'SELECT pg_reload_conf();'])}",
        )
    if copy is None or copy.temporary or not copy.synced:
        return Finding(
            _TITLE,
            f"{address} has no finished copy of the slot",
            warning=True,
            remedy="Nothing if the slot is new: it is copied once the standby has reached its position; else "
            "look into the standby's log.",
        )
    if copy.invalid is not None:
        return Finding(
            _TITLE,
            f"{address} has an invalid copy of the slot: {copy.invalid}",
            warning=True,
            remedy="It is copied anew by itself; see that max_slot_wal_keep_size there is large enough.",
        )
    return Finding(_TITLE, f"{address} would take over: its copy stands at {format_lsn(copy.confirmed)}")


def _quoted(name: str) -> str:
    return Literal(name).as_string()
