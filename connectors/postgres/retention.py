"""How much of its write-ahead log the server keeps for the pipeline's slot, and how much it may."""

from __future__ import annotations

from typing import Final

from psycopg.sql import SQL

from connectors.postgres.config import SlotSettings
from tailrace.abc import Retention
from tailrace.amounts import show_bytes
from tailrace.clients.postgres.connection import Session

# safe_wal_size: how much may still be written before the slot can be lost; NULL where there is no limit.
_LOOK: Final = SQL("""
    SELECT coalesce(to_jsonb(s) ->> 'invalidation_reason', CASE wal_status WHEN 'lost' THEN wal_status END),
           greatest(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                         ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint,
           CASE WHEN safe_wal_size < 0 THEN 0 ELSE safe_wal_size END
    FROM pg_replication_slots s WHERE slot_name = %s
    """)

_LOST_REMEDY: Final = (
    "What was written since its last acknowledgement is no longer to be had. tailrace teardown FILE, then "
    "run again: it begins with what is committed from then on. Raise max_slot_wal_keep_size before, if that "
    "is what was too small."
)
_REMEDY: Final = (
    "Look at tailrace status FILE which sink holds the others back, and mend or remove it. If none does, let "
    "the pipeline run. If the disk is nearly full and the pipeline must wait: tailrace teardown FILE gives "
    "the log free, and with it what was not delivered."
)


async def look(session: Session, name: str, settings: SlotSettings) -> Retention | None:
    """What the slot keeps; None where there is no such slot."""
    found = await session.query(_LOOK, (name,))
    if not found:
        return None
    ((invalid, kept, free),) = found
    if invalid is not None:
        return Retention(name, kept or 0, 0, "lost", f"slot {name} is lost ({invalid})", _LOST_REMEDY)
    kept = kept or 0
    told = f"slot {name} keeps {show_bytes(kept)} of log"
    if free is not None:
        told += f"; after {show_bytes(free)} more the server throws it away (max_slot_wal_keep_size)"
    if kept >= settings.error_at or (free is not None and free < (kept + free) // 10):
        return Retention(name, kept, free, "error", told, _REMEDY)
    if kept >= settings.warn_at or (free is not None and free < (kept + free) // 2):
        return Retention(name, kept, free, "warning", told, _REMEDY)
    return Retention(name, kept, free, "ok", told)
