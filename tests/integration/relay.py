"""A relay between tailrace and a server, which may lead elsewhere, cut its lines, hold what is sent on them,
or damage what passes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Set
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

import psutil

from tests.servers import MySql, Postgres
from tests.servers.process import free_port

T = TypeVar("T")


class Endpoint(NamedTuple):
    """A server of any kind. What passes is bytes."""

    host: str
    port: int


class Way:
    """One direction of one connection. While it is held, what is sent stays on the way; nobody is told."""

    def __init__(self, client: int) -> None:
        self.client = client  # the client's port
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        await self.open.wait()
        writer.write(data)
        await writer.drain()


class Relay:
    """Listens on 127.0.0.1 while it is entered. What it does can be changed at any time:

    `target` is where new connections lead; `damage` is applied to the payload of each CopyData that
    PostgreSQL sends: one message of the replication stream, and to each packet of MySQL and MariaDB;
    `before_stream` is sent before the answer that begins a stream of PostgreSQL's. Neither TLS nor GSSAPI
    passes to it.
    """

    def __init__(self, target: Postgres | MySql | Endpoint) -> None:
        self.target = target
        self.damage: Callable[[bytes], bytes] = bytes
        self.before_stream = b""
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._connections: set[asyncio.Task[None]] = set()
        self._ways: set[tuple[Way, Way]] = set()  # to the server, to the client
        self._holding = False

    def url(self, database: str) -> str:
        """The URL by which the target's superuser reaches a database through the relay."""
        assert isinstance(self.target, Postgres)
        parts = urlsplit(self.target.url(database))
        through = parts._replace(netloc=parts.netloc.replace(f":{self.target.port}", f":{self.port}"))
        return through.geturl() + "?sslmode=disable&gssencmode=disable"

    def cut(self) -> None:
        """End all connections; new ones are taken."""
        self._run(self._cut())

    def hold(self, process: int, *, to_server: bool = True, to_client: bool = True) -> None:
        """From now on nothing comes through on the connections that this process has open, or only in the
        other direction; neither end is told. New connections are taken."""
        ports = {one.laddr.port for one in psutil.Process(process).net_connections("tcp")}
        self._run(self._hold(ports, (to_server, to_client)))

    def hold_all(self) -> None:
        """From now on nothing comes through, on new connections neither; neither end is told."""
        self._run(self._hold_all())

    def release_all(self) -> None:
        """Pass on again, also what came meanwhile."""
        self._run(self._release_all())

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _close(self) -> None:
        self._server.close()
        await self._cut()
        await self._server.wait_closed()

    async def _cut(self) -> None:
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _hold(self, ports: Set[int], directions: tuple[bool, bool]) -> None:
        meant = [ways for ways in self._ways if ways[0].client in ports]
        assert meant, "there is a connection"
        for ways in meant:
            for way, held in zip(ways, directions, strict=True):
                if held:
                    way.open.clear()

    async def _hold_all(self) -> None:
        self._holding = True
        for ways in self._ways:
            for way in ways:
                way.open.clear()

    async def _release_all(self) -> None:
        self._holding = False
        for ways in self._ways:
            for way in ways:
                way.open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Started by asyncio in a task of its own, which it does not expect to be cancelled.
        connection = asyncio.create_task(self._relay(reader, writer))
        self._connections.add(connection)
        await asyncio.gather(connection, return_exceptions=True)
        self._connections.discard(connection)
        writer.close()  # for one that was cancelled before it began

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = None
        client = writer.get_extra_info("peername")[1]
        there, back = ways = Way(client), Way(client)
        self._ways.add(ways)
        if self._holding:
            for way in ways:
                way.open.clear()
        try:
            from_server, far = await asyncio.open_connection(self.target.host, self.target.port)
            passing = _pass
            if isinstance(self.target, Postgres):
                passing = self._pass_messages
            elif isinstance(self.target, MySql):
                passing = self._pass_packets
            directions = {
                asyncio.create_task(_pass(reader, far, there)),
                asyncio.create_task(passing(from_server, writer, back)),
            }
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
        finally:
            self._ways.discard(ways)
            ends = [end for end in (writer, far) if end is not None]
            for end in ends:  # all of them before any is waited for: this wait can be cancelled
                end.close()
            for end in ends:
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _pass_messages(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        """Message by message: a byte for its type, its length with these four bytes, its payload."""
        while True:
            type, length = await reader.readexactly(1), await reader.readexactly(4)
            payload = await reader.readexactly(int.from_bytes(length) - 4)
            if type == b"d":
                payload = self.damage(payload)
            elif type == b"W":  # CopyBothResponse
                await way.send(self.before_stream, writer)
            await way.send(type + (len(payload) + 4).to_bytes(4) + payload, writer)

    async def _pass_packets(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        """Packet by packet: three bytes of its length, its number, its payload."""
        while True:
            head = await reader.readexactly(4)
            payload = self.damage(await reader.readexactly(int.from_bytes(head[:3], "little")))
            await way.send(len(payload).to_bytes(3, "little") + head[3:] + payload, writer)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
    while data := await reader.read(65536):
        await way.send(data, writer)
