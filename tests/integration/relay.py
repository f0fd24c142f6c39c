"""A relay between tailrace and PostgreSQL, which may lead elsewhere, cut its lines, or damage what passes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from tests.servers import Postgres
from tests.servers.process import free_port

T = TypeVar("T")


class Relay:
    """Listens on 127.0.0.1 while it is entered. What it does can be changed at any time:

    `target` is where new connections lead; `damage` is applied to the payload of each CopyData that the
    server sends: one message of the replication stream. Neither TLS nor GSSAPI passes. `hold` makes the lines
    dead: what is sent is acknowledged by the system, and goes nowhere; `release` lets it pass again.
    """

    def __init__(self, target: Postgres) -> None:
        self.target = target
        self.damage: Callable[[bytes], bytes] = bytes
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._connections: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def url(self, database: str) -> str:
        """The URL by which the target's superuser reaches a database through the relay."""
        parts = urlsplit(self.target.url(database))
        through = parts._replace(netloc=parts.netloc.replace(f":{self.target.port}", f":{self.port}"))
        return through.geturl() + "?sslmode=disable&gssencmode=disable"

    def cut(self) -> None:
        """End all connections; new ones are taken."""
        self._run(self._cut())

    def hold(self) -> None:
        """Pass nothing on, and keep the connections."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def release(self) -> None:
        """Pass on again, also what came meanwhile."""
        self._loop.call_soon_threadsafe(self._flowing.set)

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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Started by asyncio in a task of its own, which it does not expect to be cancelled.
        connection = asyncio.create_task(self._relay(reader, writer))
        self._connections.add(connection)
        await asyncio.gather(connection, return_exceptions=True)
        self._connections.discard(connection)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = None
        try:
            from_server, far = await asyncio.open_connection(self.target.host, self.target.port)
            ways = {
                asyncio.create_task(self._pass(reader, far)),
                asyncio.create_task(self._pass_messages(from_server, writer)),
            }
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            for end in filter(None, (writer, far)):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _pass_messages(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Message by message: a byte for its type, its length with these four bytes, its payload."""
        while True:
            type, length = await reader.readexactly(1), await reader.readexactly(4)
            payload = await reader.readexactly(int.from_bytes(length) - 4)
            await self._flowing.wait()
            if type == b"d":
                payload = self.damage(payload)
            writer.write(type + (len(payload) + 4).to_bytes(4) + payload)
            await writer.drain()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
