"""A slot that somebody else has made: when a first start may take it.

A slot that is there while no sink holds a position may be one whose checkpoints were lost: what it has passed
would be left out without a word. It is taken only while it stands exactly where the settings say that it was
made: nothing that was read from it has been acknowledged, so that nothing can have been passed.
"""

from __future__ import annotations

from connectors.postgres import continuity, slot
from connectors.postgres.config import SlotSettings
from connectors.postgres.membership import NOT_MADE
from connectors.postgres.position import format_lsn
from connectors.postgres.slot import Slot
from tailrace.clients.postgres.connection import Session
from tailrace.errors import NotReady, code

USED = code(
    "TR-PG-307",
    "the slot may have been used",
    "No sink holds a position, and the slot that somebody else has made is not said to be unused: what it "
    "has passed would be missing, unsaid.",
)


def is_unused(found: Slot, settings: SlotSettings) -> bool:
    """Whether it is one that somebody else has made and that still stands where it is said to have been made:
    nothing of what it was read for has been acknowledged."""
    return not settings.create and settings.starts_at == format_lsn(found.confirmed)


async def adopt(session: Session, name: str, settings: SlotSettings, database: str) -> int:
    """Where the stream of a slot that somebody else has made begins. NotReady unless it is there, of the
    right kind, and unused."""
    found, where = await slot.find(session, name), str(session.address)
    if found is None:
        raise not_made(name, where)
    continuity.check_kind(found, database, where)
    if not is_unused(found, settings):
        raise NotReady(
            USED,
            f"slot {name} stands at {format_lsn(found.confirmed)}, the file says "
            f"{f'starts_at: {settings.starts_at}' if settings.starts_at else 'nothing of where it begins'}",
            "If it was made for this pipeline and nothing has been read from it, let the source say so: "
            f"slot: {{create: false, starts_at: {format_lsn(found.confirmed)}}}",
            where=where,
        )
    return found.confirmed


def not_made(name: str, where: str) -> NotReady:
    """The error for a slot that somebody else is to make and has not."""
    return NotReady(
        NOT_MADE,
        f"slot {name} does not exist",
        "Once the publication is there, have somebody who may run: "
        f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput'); and write what it answers into "
        "the file: slot: {create: false, starts_at: …}",
        where=where,
    )
