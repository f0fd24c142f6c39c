"""A server's log, read in a connection of its own, which is no replica's and throws out nobody."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from connectors.mysql.binlog.framing import Framing, LogEnd
from connectors.mysql.channel import CHECKSUM, Dump, ended
from tailrace.clients.mysql.address import Address
from tailrace.clients.mysql.connection import Connection, abandon, command, connect, execute, stream
from tailrace.clients.mysql.faults import LOST, talking
from tailrace.errors import Retry

_PROGRAM: Final = "tailrace"
_RECEIVE: Final = 64 * 1024  # bytes at a time


def events(address: Address, dump: Dump) -> Generator[bytes, None, None]:
    """What the server sends, to its log's end. Blocks. Gap where it has no such file, other errors as of a
    `Channel`."""
    connection = connect(address, _PROGRAM)
    try:
        framing = Framing()
        for statement in (CHECKSUM, *dump.statements):
            execute(connection, address, statement)
        command(connection, address, dump.command, dump.payload)
        while framing.end is None:
            yield from framing.feed(_received(connection, address))
    finally:
        abandon(connection)
    if not isinstance(framing.end, LogEnd):
        raise ended(framing.end, address)


def lost(found: str, address: Address) -> Retry:
    """The error of a connection that ended too early."""
    return Retry(LOST, found, "Nothing: it is asked again.", where=str(address))


def _received(connection: Connection, address: Address) -> bytes:
    with talking(address):
        if data := stream(connection).recv(_RECEIVE):
            return data
    raise lost("the server has ended the connection", address)
