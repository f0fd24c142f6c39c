"""Replication connections: the server's walsender at the other end, and which server that is."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Final

from psycopg.sql import SQL

from connectors.postgres.catalogue import REPLICATION_SETTINGS, Catalogue, Server
from tailrace.checkpoint import Identity
from tailrace.clients.postgres.address import Address
from tailrace.clients.postgres.connection import Connection, connect, connected, rows
from tailrace.errors import Retry, code

STANDBY: Final = code(
    "TR-PG-304",
    "the server is a standby now",
    "A failover is under way, or the URL leads to a server that only follows another. It is tried again "
    "until the server is a primary.",
)
CHANGED: Final = code(
    "TR-PG-305",
    "another server answered",
    "Between the checks and the start of the stream the URL came to lead to another server, or to another "
    "history of the same. Everything is checked again.",
)


class Replication:
    """Makes the connections of one source. With several hosts each may end at another one."""

    def __init__(self, address: Address, program: str) -> None:
        self._address = address
        self._program = program

    async def connect(self) -> Connection:
        """A new one, which the caller closes."""
        return await connect(self._address, self._program, settings=REPLICATION_SETTINGS, replication=True)

    def connected(self) -> AbstractAsyncContextManager[Connection]:
        """A new one, closed at the end."""
        return connected(self._address, self._program, settings=REPLICATION_SETTINGS, replication=True)

    async def identify(self, connection: Connection) -> Identity:
        """System identifier, database and timeline."""
        ((system, timeline, _, database),) = await rows(connection, self._address, SQL("IDENTIFY_SYSTEM"))
        return Identity(system, database, timeline)

    async def history(self, connection: Connection, identity: Identity) -> str:
        """The timeline's history file; timeline 1 has none."""
        if identity.timeline == 1:
            return ""
        command = SQL("TIMELINE_HISTORY {}").format(SQL(str(identity.timeline)))
        ((_, content),) = await rows(connection, self._address, command)
        return content.decode() if isinstance(content, bytes) else str(content)

    async def refuse_other(self, connection: Connection, expected: Identity | None) -> None:
        """Retry where this is not the server that was checked."""
        if (identity := await self.identify(connection)) != expected:
            found = f"expected {expected}, found {identity}"
            raise Retry(CHANGED, found, "Nothing.", where=str(self._address))

    async def refuse_standby(self, connection: Connection) -> None:
        """Retry where this is a standby: it can decode too, from 16 on."""
        ((standby,),) = await rows(connection, self._address, SQL("SELECT pg_is_in_recovery()"))
        if standby:
            raise self._standby()

    async def primary(self, catalogue: Catalogue) -> Server:
        """The server at an ordinary connection; Retry where it is a standby."""
        server = await catalogue.server()
        if server.standby:
            raise self._standby()
        return server

    def _standby(self) -> Retry:
        return Retry(
            STANDBY,
            "the server follows another one",
            "Nothing during a failover; else let the URL lead to the primary: with several hosts, "
            "?target_session_attrs=primary.",
            where=str(self._address),
        )
