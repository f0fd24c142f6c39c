"""The servers of a URL that names several: which of them are there, and which take writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tailrace.abc import Finding
from tailrace.clients.mysql.address import Address
from tailrace.clients.mysql.connection import Session
from tailrace.errors import Stop, TailraceError

_TITLE: Final = "hosts"


async def look(address: Address, program: str) -> Finding:
    """Ask each of them, whichever is wanted."""
    told: list[str] = []
    away = primaries = 0
    refused = ""
    for one in address.each():
        session = Session(replace(one, primary=False), program)
        try:
            writes = await session.takes_writes()
        except TailraceError as error:
            away += 1
            if isinstance(error, Stop):
                refused = f"A pipeline that comes to {one} stops there. {error.remedy}"
            told.append(f"{one}: {error.found}")
        else:
            primaries += writes
            told.append(f"{one} {'takes writes' if writes else 'is read_only'}")
        finally:
            await session.close()
    found = "; ".join(told)
    if primaries > 1 and address.primary:
        remedy = "The first of them is read. SET GLOBAL read_only = ON on those that are replicas."
        return Finding(_TITLE, found, warning=True, remedy=remedy)
    if away:
        remedy = "Bring them up, or correct the URL: while they are away a failover ends at none of them."
        return Finding(_TITLE, found, warning=True, remedy=refused or remedy)
    return Finding(_TITLE, found)
