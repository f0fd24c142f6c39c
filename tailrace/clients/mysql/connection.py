"""Connections to MySQL and MariaDB: PyMySQL's, in a thread beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import pymysql
from pymysql.cursors import Cursor

from tailrace.clients.mysql.address import Address
from tailrace.clients.mysql.faults import connecting, of_each, read_only, talking
from tailrace.errors import Retry
from tailrace.secrets import reveal
from tailrace.worker_thread import WorkerThread

Connection: TypeAlias = "pymysql.connections.Connection[Cursor]"

_CONNECT_SECONDS: Final = 10
_ANSWER_SECONDS: Final = 60  # a line may be dead although something in between acknowledges what is sent
_CLOSE_SECONDS: Final = 2.0  # a stop has 8 in all

_READ_ONLY: Final = "SELECT @@global.read_only"
_FIX: Final = "SET SESSION time_zone = '+00:00', autocommit = 1"  # whatever the server has by default


def connect(address: Address, program: str) -> Connection:
    """A connection in autocommit, with times in UTC. Blocks, for about 10 seconds at most for each server.
    Retry where none can be reached, takes connections and is the one that is wanted, NotReady where one
    refuses this one.

    `program` is shown by the server where it keeps such (performance_schema.session_connect_attrs).
    """
    failures: list[Retry] = []
    for server in address.each():
        try:
            return _connect(server, program)
        except Retry as failure:
            failures.append(failure)
    raise failures[0] if len(failures) == 1 else of_each(failures, address)


def located(connection: Connection, address: Address) -> Address:
    """The server of an address to which a connection leads."""
    return address.at(connection.host, connection.port)


def _connect(address: Address, program: str) -> Connection:
    tls = address.tls
    context = tls.context()
    password = "" if address.password is None else reveal(address.password)
    with connecting(address):
        connection: Connection = pymysql.connect(
            host=address.host,
            port=address.port,
            user=address.user,
            password=password.encode(),  # the library would take Latin-1
            database=address.database or None,
            charset="utf8mb4",
            autocommit=None,
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_ANSWER_SECONDS,
            write_timeout=_ANSWER_SECONDS,
            program_name=program,
            ssl=context if tls.mode != "preferred" else None,
            ssl_disabled=tls.mode in ("disabled", "preferred"),
            defer_connect=True,
        )
        if tls.mode == "preferred":
            # The library would load all of the machine's authorities at each connection, and ask none.
            vars(connection).update(ssl=True, ctx=context, _ssl_required=False)
        connection.connect()
    try:
        execute(connection, address, _FIX)
        if address.primary and not _takes_writes(execute(connection, address, _READ_ONLY)):
            raise read_only(address)
    except BaseException:
        abandon(connection)
        raise
    return connection


def _takes_writes(answer: Sequence[tuple[Any, ...]]) -> bool:
    ((found,),) = answer
    return str(found).upper() in ("0", "OFF")


def execute(
    connection: Connection, address: Address, statement: str, parameters: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    """Run one statement; its rows, none if it has none. Blocks; Retry where no answer comes in a minute."""
    with talking(address), connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return list(cursor.fetchall())


def encrypted(connection: Connection) -> bool:
    """Whether the line is TLS."""
    return hasattr(stream(connection), "cipher")


def stream(connection: Connection) -> socket.socket:
    """The socket beneath. Once a command's whole answer was read nothing of the stream is in the library's
    own buffer."""
    found: socket.socket = connection._sock  # type: ignore[attr-defined] # the library has no other door
    return found


def command(connection: Connection, address: Address, number: int, payload: bytes) -> None:
    """Send a command of the protocol that is no statement; its answer is not read."""
    with talking(address):
        connection._execute_command(number, payload)  # type: ignore[attr-defined] # as above


def answer(connection: Connection, address: Address) -> None:
    """Read the OK of a command that has one."""
    with talking(address):
        connection._read_ok_packet()  # type: ignore[attr-defined] # as above


def abandon(connection: Connection) -> None:
    """Close without a word to the server. Never raises."""
    with contextlib.suppress(Exception):
        connection._force_close()  # type: ignore[attr-defined] # as above


class Session:
    """A connection that is made when it is first needed, and made again after it was lost: to the same server
    of those that the address names, until that fails or the session is closed.

    Statements of several tasks are run one after the other, in a thread of the session's own.
    """

    def __init__(self, address: Address, program: str) -> None:
        self.address = address
        self._program = program
        self._thread = WorkerThread("mysql")
        self._connection: Connection | None = None
        self._located: Address | None = None

    async def located(self) -> Address:
        """The one server that is asked; connects where it is not connected."""
        return await self._thread.call(lambda: located(self._connected(), self.address))

    async def takes_writes(self) -> bool:
        """Whether that server is a primary."""
        return _takes_writes(await self.query(_READ_ONLY))

    async def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, which is its own transaction; its rows, none if it has none."""
        return await self._thread.call(self._query, statement, parameters)

    async def variables(self, *names: str) -> Mapping[str, str]:
        """The server's own settings of these names; what it does not have is left out."""
        listed = ", ".join(["%s"] * len(names))
        found = await self.query(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})", names)
        return {str(name).lower(): str(value) for name, value in found}

    async def encrypted(self) -> bool:
        """Whether the session's line is TLS; connects where it is not connected."""
        return await self._thread.call(lambda: encrypted(self._connected()))

    async def close(self) -> None:
        """End the connection; the next query makes a new one."""
        connection = self._connection
        if connection is not None and (line := stream(connection)) is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)  # whatever waits for an answer ends now
        closing = asyncio.ensure_future(self._thread.call(self._drop))
        await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)
        self._thread.end()
        self._located = None

    def _query(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        connection = self._connected()
        try:
            return execute(connection, self._located or self.address, statement, parameters)
        finally:
            if not connection.open:
                self._drop()

    def _connected(self) -> Connection:
        if self._connection is None:
            wanted, self._located = self._located or self.address, None
            self._connection = connect(wanted, self._program)
            self._located = located(self._connection, wanted)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            abandon(connection)
