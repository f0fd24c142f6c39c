"""What a server's log tells and no statement of SQL does. Each is asked in a connection of its own, which is
no replica's and throws out nobody."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Final

from connectors.mysql.binlog.event import TYPE, EventType
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.dump import behind, whole
from connectors.mysql.file_events import events, lost
from tailrace.clients.mysql.address import Address
from tailrace.worker_thread import call_alone

_THREAD: Final = "mysql-file"


async def begun(address: Address, file: str) -> int:
    """When a file was begun: seconds since the epoch, on the server's clock. Gap where there is no such file,
    other errors as of a `Channel`."""
    return await asyncio.shield(call_alone(_THREAD, _begun, address, file))


async def goes_on(address: Address, executed: GtidPosition) -> None:
    """MariaDB: errors as of a `Channel` unless its log goes on from a position, which it looks for there."""
    await asyncio.shield(call_alone(_THREAD, _goes_on, address, executed))


def _begun(address: Address, file: str) -> int:
    with closing(events(address, whole(file))) as sent:
        for event in sent:  # it is one of the first two
            if event[TYPE] == EventType.FORMAT_DESCRIPTION:
                return int.from_bytes(event[:TYPE], "little")
    raise lost("the file has ended before it began", address)


def _goes_on(address: Address, executed: GtidPosition) -> None:
    with closing(events(address, behind(executed))) as sent:
        for event in sent:
            if event[TYPE] == EventType.MARIADB_GTID:
                return
