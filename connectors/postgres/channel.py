"""One streaming replication connection: messages in, standby status updates out. Knows bytes, not rows.

How the socket is read decides what a backlog costs. The server's sender flushes after each message: a reader
that is woken for every one of them makes both sides work for each row. While a lot arrives, the reader
therefore drains what is there, rests a little and lets the receive window fill; a fixed small window keeps
that stable where the server is near.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final

import psycopg
from psycopg.errors import Diagnostic, error_from_result
from psycopg.pq import ExecStatus
from psycopg.sql import SQL, Identifier, Literal

from connectors.postgres.position import format_lsn
from connectors.postgres.publication import missed
from connectors.postgres.wire import EPOCH
from tailrace.arrival import Arrival
from tailrace.clients.postgres.address import Address
from tailrace.clients.postgres.connection import Connection, rows
from tailrace.clients.postgres.faults import LOST, fault, talking
from tailrace.errors import Gap, Retry, TailraceError

_REST_SECONDS: Final = 0.005
_BULK: Final = 16 * 1024  # bytes within one rest's time; at less than that nothing ever waits
_WINDOW: Final = 64 * 1024
_NEAR_SECONDS: Final = 0.001  # round trip up to which so small a window is no limit

_STATUS: Final = Struct(">cQQQqB")
_ROUND_TRIP: Final = Struct("=68xI")  # tcpi_rtt, µs, in Linux's struct tcp_info


class Channel:
    """A connection in COPY BOTH mode. Errors are Retry where a new connection may help, else Stop kinds."""

    def __init__(self, connection: Connection, address: Address, publications: Sequence[str]) -> None:
        self._connection = connection
        self._address = address
        self._pgconn = connection.pgconn
        self._socket = connection.pgconn.socket
        self._loop = asyncio.get_running_loop()
        self._writing = False
        self._arrival = Arrival(self._socket)
        self._failure: TailraceError | None = None
        self._publications = publications
        self._draining: list[bytes] = []
        self._gap: tuple[Gap, int] | None = None  # and how many of the messages being drained stand before it
        connection.add_notice_handler(self._noticed)
        self._bulk_since = 0.0
        self._bulk = 0
        # A TLS record may wait inside the library while the socket is empty; a second look takes it out.
        self._looks = 2 if connection.pgconn.ssl_in_use else 1

    @classmethod
    async def start(
        cls,
        connection: Connection,
        address: Address,
        slot: str,
        start: int,
        publications: Sequence[str],
        options: Mapping[str, str],
    ) -> Channel:
        """Ask for what commits at or behind `start`, with more options for pgoutput. The connection belongs
        to the channel from now on."""
        _fix_window(connection.pgconn.socket)
        names = ",".join(f'"{name}"' for name in publications)
        given = {"proto_version": "1", "publication_names": names, "messages": "true", **options}
        command = SQL("START_REPLICATION SLOT {} LOGICAL {} ({})").format(
            Identifier(slot),
            SQL(format_lsn(start)),
            SQL(", ").join(
                SQL("{} {}").format(Identifier(name), Literal(value)) for name, value in given.items()
            ),
        )
        channel = cls(connection, address, publications)  # before: what is told at the start counts too
        await rows(connection, address, command)
        return channel

    def drain(self, limit: int) -> list[bytes]:
        """What has arrived, up to about `limit` bytes: messages in order."""
        if self._failure is not None:
            raise self._failure
        messages: list[bytes] = []
        self._draining = messages
        size = 0
        append, get, consume = messages.append, self._pgconn.get_copy_data, self._pgconn.consume_input
        looks = self._looks
        try:
            while size < limit:
                length, data = get(1)
                if length > 0:
                    append(bytes(data))
                    size += length
                    looks = self._looks
                elif length < 0:
                    self._failure = self._ended()
                    break
                elif looks:
                    # libpq reads 16 KiB at a time: go on until that brings nothing.
                    looks -= 1
                    consume()
                else:
                    break
        except psycopg.Error as error:
            self._failure = fault(error, self._address)
        if self._gap is not None:
            self._failure, before = self._gap
            del messages[before:]
        if self._failure is not None and not messages:
            raise self._failure
        self._count(size, full=size >= limit)
        return messages

    async def rest(self) -> None:
        """Let more arrive before the next `drain`, if a lot is arriving."""
        if self._bulk >= _BULK:
            left = self._bulk_since + _REST_SECONDS - time.monotonic()
            self._bulk = 0
            if left > 0:
                await asyncio.sleep(left)

    async def readable(self, timeout: float) -> None:
        """Return when something may have arrived, or after `timeout` seconds."""
        await self._arrival.wait(timeout)

    def send_status(self, received: int, flushed: int, *, reply: bool = False) -> None:
        """A standby status update: what was received, and up to where the log may be freed. `reply` asks the
        server for a keepalive. It goes out as soon as the socket takes it."""
        if self._failure is not None:
            raise self._failure
        now = time.time_ns() // 1000 - EPOCH
        update = _STATUS.pack(b"r", max(received, flushed), flushed, flushed, now, reply)
        with talking(self._address):
            self._pgconn.put_copy_data(update)
            self._flush()

    async def close(self) -> None:
        """End the connection, and with it the server's sender. Whoever waits or comes later gets Retry."""
        if self._failure is None:
            self._failure = self._closed()
        self._arrival.close()
        if self._writing:
            self._loop.remove_writer(self._socket)
            self._writing = False
        await self._connection.close()

    def _count(self, size: int, *, full: bool) -> None:
        now = time.monotonic()
        if full:
            self._bulk = 0  # more is there already: nothing to rest for
        elif now - self._bulk_since > _REST_SECONDS:
            self._bulk_since, self._bulk = now, size
        else:
            self._bulk += size

    def _flush(self) -> None:
        if self._pgconn.flush():
            if not self._writing:
                self._loop.add_writer(self._socket, self._flush_later)
                self._writing = True
        elif self._writing:
            self._loop.remove_writer(self._socket)
            self._writing = False

    def _flush_later(self) -> None:
        try:
            self._flush()
        except psycopg.Error:
            # Whoever reads or writes next meets the same error, and has somebody to tell.
            self._loop.remove_writer(self._socket)
            self._writing = False

    def _ended(self) -> TailraceError:
        """The error for a stream that the server ended."""
        result = self._pgconn.get_result()
        if result is not None and result.status == ExecStatus.FATAL_ERROR:
            error = error_from_result(result)
            return missed(self._publications, error.diag) or fault(error, self._address)
        return self._closed()

    def _noticed(self, notice: Diagnostic) -> None:
        # Called by libpq between the messages that stand before and behind the notice.
        gap = missed(self._publications, notice)
        if gap is not None and self._gap is None:
            self._gap = gap, len(self._draining)

    def _closed(self) -> Retry:
        return Retry(
            LOST,
            "the stream has ended",
            "Nothing: the connection is made again.",
            where=str(self._address),
        )


def _fix_window(descriptor: int) -> None:
    """Keep the receive window small where the server is near; on a long line it must grow."""
    if not sys.platform.startswith("linux"):
        return
    with socket.socket(fileno=os.dup(descriptor)) as duplicate:
        if duplicate.family == socket.AF_UNIX:
            return
        info = duplicate.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROUND_TRIP.size)
        if _ROUND_TRIP.unpack(info)[0] < _NEAR_SECONDS * 1e6:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
