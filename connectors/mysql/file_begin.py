"""When a file of a server's log was begun, which its first event tells, and no statement of SQL."""

from __future__ import annotations

import asyncio
from typing import Final

from connectors.mysql.binlog.event import EventType
from connectors.mysql.binlog.framing import Framing, LogEnd
from connectors.mysql.channel import CHECKSUM, ended
from connectors.mysql.dump import whole
from tailrace.clients.mysql.address import Address
from tailrace.clients.mysql.connection import Connection, abandon, command, connect, execute, stream
from tailrace.clients.mysql.faults import LOST, talking
from tailrace.errors import Retry
from tailrace.worker_thread import WorkerThread

_PROGRAM: Final = "tailrace"
_RECEIVE: Final = 4096  # bytes at a time; the event is one of the first two
_TYPE: Final = 4  # where an event says its type, behind its time


async def begun(address: Address, file: str) -> int:
    """In seconds since the epoch, on the server's clock. In a connection of its own, which is no replica's
    and throws out nobody. Gap where there is no such file, other errors as of a `Channel`."""
    thread = WorkerThread("mysql-file")
    asking = asyncio.ensure_future(thread.call(_begun, address, file))
    thread.end()
    return await asyncio.shield(asking)


def _begun(address: Address, file: str) -> int:
    connection = connect(address, _PROGRAM)
    try:
        dump, framing = whole(file), Framing()
        execute(connection, address, CHECKSUM)
        command(connection, address, dump.command, dump.payload)
        while framing.end is None:
            for event in framing.feed(_received(connection, address)):
                if event[_TYPE] == EventType.FORMAT_DESCRIPTION:
                    return int.from_bytes(event[:_TYPE], "little")
    finally:
        abandon(connection)
    if isinstance(framing.end, LogEnd):
        raise _lost("the file has ended before it began", address)
    raise ended(framing.end, address)


def _received(connection: Connection, address: Address) -> bytes:
    with talking(address):
        if data := stream(connection).recv(_RECEIVE):
            return data
    raise _lost("the server has ended the connection", address)


def _lost(found: str, address: Address) -> Retry:
    return Retry(LOST, found, "Nothing: it is asked again.", where=str(address))
