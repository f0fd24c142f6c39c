"""When a file of a server's log was begun, which its first event tells, and no statement of SQL."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Final

from connectors.mysql.binlog.event import EventType
from connectors.mysql.dump import whole
from connectors.mysql.file_events import events, lost
from tailrace.clients.mysql.address import Address
from tailrace.worker_thread import WorkerThread

_TYPE: Final = 4  # where an event says its type, behind its time


async def begun(address: Address, file: str) -> int:
    """In seconds since the epoch, on the server's clock. In a connection of its own, which is no replica's
    and throws out nobody. Gap where there is no such file, other errors as of a `Channel`."""
    thread = WorkerThread("mysql-file")
    asking = asyncio.ensure_future(thread.call(_begun, address, file))
    thread.end()
    return await asyncio.shield(asking)


def _begun(address: Address, file: str) -> int:
    with closing(events(address, whole(file))) as sent:
        for event in sent:  # it is one of the first two
            if event[_TYPE] == EventType.FORMAT_DESCRIPTION:
                return int.from_bytes(event[:_TYPE], "little")
    raise lost("the file has ended before it began", address)
