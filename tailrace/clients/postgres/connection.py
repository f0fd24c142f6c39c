"""Connections to PostgreSQL on the event loop, their errors turned into tailrace's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import sql

from tailrace.clients.postgres.address import Address
from tailrace.clients.postgres.certificates import distrust
from tailrace.clients.postgres.faults import LOST, POOLER, TLS, TO_THE_SERVER, connecting, talking
from tailrace.errors import NotReady, Retry

Connection: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]
Statement: TypeAlias = sql.SQL | sql.Composed

_NO_SETTINGS: Final[Mapping[str, str]] = {}

_ANSWER_SECONDS: Final = 60.0  # a line may be dead although something in between acknowledges what is sent
_CANCEL_SECONDS: Final = 2.0  # a stop has 8 in all

_KIND: Final = sql.SQL(
    "SELECT backend_type FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())"
)

# A server does not know the settings of later versions. Names are qualified: any search_path may be in force.
_FIX: Final = sql.SQL("""
    SELECT pg_catalog.set_config(name, value, false) FROM (VALUES {}) AS fixed(name, value)
    WHERE pg_catalog.current_setting(name, true) OPERATOR(pg_catalog.<>) value
    """)


async def connect(
    address: Address,
    program: str,
    *,
    settings: Mapping[str, str] = _NO_SETTINGS,
    replication: bool = False,
) -> Connection:
    """A connection in autocommit that prepares nothing; `replication` makes it a logical walsender.

    `settings` are fixed for the session, whatever role, database, URL and environment say; those that the
    server does not know are left out. Retry where the server cannot be reached or takes no connections,
    NotReady where it refuses this one.
    """
    try:
        with connecting(address):
            connection = await psycopg.AsyncConnection.connect(
                address.conninfo(program, replication=replication), autocommit=True, prepare_threshold=None
            )
    except NotReady as refused:
        if refused.code is TLS and "verify failed" in refused.found and (more := await distrust(address)):
            raise NotReady(TLS, *more, where=refused.where) from None
        raise
    try:
        if replication:
            await _refuse_pooler(connection, address)
        await _fix(connection, address, settings)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _refuse_pooler(connection: Connection, address: Address) -> None:
    """One that was told to ignore what it does not know makes an ordinary connection of a replication one."""
    [(kind,)] = await rows(connection, address, _KIND)
    if kind != "walsender":
        raise NotReady(
            POOLER,
            f"asked for a replication connection, something in between made it a {kind}",
            TO_THE_SERVER,
            where=str(address),
        )


async def _fix(connection: Connection, address: Address, settings: Mapping[str, str]) -> None:
    # Not in the connection string: libpq's PGDATESTYLE and PGTZ would come after what stands there.
    if settings:
        pairs = [sql.SQL("({}, {})").format(name, value) for name, value in settings.items()]
        await rows(connection, address, _FIX.format(sql.SQL(", ").join(pairs)))


@contextlib.asynccontextmanager
async def connected(
    address: Address,
    program: str,
    *,
    settings: Mapping[str, str] = _NO_SETTINGS,
    replication: bool = False,
) -> AsyncIterator[Connection]:
    """`connect`, closed at the end."""
    connection = await connect(address, program, settings=settings, replication=replication)
    try:
        yield connection
    finally:
        await connection.close()


async def rows(
    connection: Connection,
    address: Address,
    statement: Statement,
    parameters: Sequence[Any] = (),
    *,
    deadline: bool = True,
) -> list[tuple[Any, ...]]:
    """Run one statement; its rows, none if it has none. Without parameters it goes out as a simple query,
    which is what replication commands need.

    Retry where no answer comes within a minute, unless there is no `deadline`. Cancelled, it tries to cancel
    the statement on the server; where that takes more than 2 seconds, the connection is closed.
    """
    running = asyncio.create_task(_execute(connection, statement, parameters))
    try:
        if not (await asyncio.wait({running}, timeout=_ANSWER_SECONDS if deadline else None))[0]:
            raise Retry(
                LOST,
                f"no answer has come from the server for {_ANSWER_SECONDS:g} s",
                "Nothing: the connection is made again.",
                where=str(address),
            )
        with talking(address):
            return running.result()
    finally:
        if not running.done():
            await _give_up(running)


async def _execute(
    connection: Connection, statement: Statement, parameters: Sequence[Any]
) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(statement, parameters or None)
    return await cursor.fetchall() if cursor.description else []


async def _give_up(running: asyncio.Task[list[tuple[Any, ...]]]) -> None:
    """End a statement. psycopg takes the first cancellation to the server, for ten seconds if that does not
    answer; at the second one it closes the connection."""
    running.cancel()
    try:
        await asyncio.wait({running}, timeout=_CANCEL_SECONDS)
    finally:
        running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class Session:
    """A connection that is made when it is first needed, and made again after it was lost.

    Statements of several tasks are run one after the other.
    """

    def __init__(self, address: Address, program: str, settings: Mapping[str, str]) -> None:
        self.address = address
        self._program = program
        self._settings = settings
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    async def query(self, statement: Statement, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement, which is its own transaction; its rows, none if it has none."""
        return await rows(await self._connected(), self.address, statement, parameters)

    def apart(self) -> contextlib.AbstractAsyncContextManager[Connection]:
        """A connection beside it, for a transaction of several statements."""
        return connected(self.address, self._program, settings=self._settings)

    async def close(self) -> None:
        """End the connection; the next query makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connected(self) -> Connection:
        async with self._connecting:
            if self._connection is None or self._connection.closed:
                self._connection = await connect(self.address, self._program, settings=self._settings)
            return self._connection
