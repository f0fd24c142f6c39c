"""The connection over which a server sends its binary log: bytes in, events out. Knows frames, not messages.

Beside the login nothing blocks: the socket is read on the event loop, as much at a time as is there. While
nobody drains it the server waits, for as long as its net_write_timeout, which is set to a month.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connectors.mysql.assembly import refusals
from connectors.mysql.binlog.framing import Framing, LogEnd, ServerError
from connectors.mysql.rights import account, lacking
from tailrace.arrival import Arrival
from tailrace.clients.mysql.address import Address
from tailrace.clients.mysql.connection import Connection, abandon, answer, command, connect, execute, stream
from tailrace.clients.mysql.faults import LOST, fault
from tailrace.errors import Diverged, Gap, NotReady, Retry, TailraceError, code

PURGED: Final = code(
    "TR-MY-330",
    "the log behind the checkpoint is gone",
    "The server has removed files of its binary log that the checkpoint still needs: changes would be lost.",
)
AHEAD: Final = code(
    "TR-MY-331",
    "the checkpoint is beyond the server's log",
    "The server does not have everything that was delivered from it: it was restored from a backup, its log "
    "was reset, or it is another server.",
)
TAKEN: Final = code(
    "TR-MY-332",
    "another reader has the same server_id",
    "A server keeps one reader of each number: the one that came later has thrown this one out, or would be.",
)

BEGIN_ANEW: Final = (
    "The changes in between are not in the log any more. Bring the targets up to date by other means, then "
    "begin anew: tailrace offsets reset FILE, and run it again."
)
LOST_BY_SERVER: Final = (
    "If it is another server, correct the URL; if another pipeline of this name, for another server, writes "
    "to the same target, give this one another name:. If the server has lost what was delivered, decide "
    "which of both is right, then begin anew: tailrace offsets reset FILE, and run it again."
)

CHECKSUM: Final = (
    "SET @master_binlog_checksum = @@global.binlog_checksum, "
    "@source_binlog_checksum = @@global.binlog_checksum"
)
"""Says that checksums are known here: a log that has them is not sent to others."""

# What the servers say of a position, in small letters.
_PURGED: Final = ("purged", "could not find first log file")
_AHEAD: Final = (
    "more gtids than", "is not in the master", "is missing the gtid", "diverged", "impossible position",
    "> file size",
    "could not find next log",  # of one that was reset while it was read
)  # fmt: skip

_HOST: Final = 60
_REGISTER: Final = 0x15
_RECEIVE: Final = 256 * 1024  # bytes at a time
_PATIENT_SECONDS: Final = 30 * 86_400
_LOG_ERROR: Final = 1236
_READER_REPLACED: Final = 4052  # MariaDB


@dataclass(frozen=True, slots=True)
class Dump:
    """What the server is asked for: statements before, then a command of the protocol."""

    statements: Sequence[str]
    command: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Reader:
    """How the pipeline shows itself among the server's replicas."""

    server_id: int
    name: str  # of all processes of the pipeline
    run: str  # of this one: few letters
    heartbeat: float  # seconds of an idle log between two signs of life

    @property
    def host(self) -> str:
        """How the server lists it: it takes 60 bytes."""
        return f"{self.name[: _HOST - 1 - len(self.run)]} {self.run}"

    def is_same_pipeline(self, host: str) -> bool:
        """Whether a replica that is listed so is a process of this pipeline."""
        return host.rpartition(" ")[0] == self.host.rpartition(" ")[0]

    def registration(self) -> bytes:
        """COM_REGISTER_SLAVE without its first byte: user and password are none."""
        name = self.host.encode()
        return struct.pack("<IB", self.server_id, len(name)) + name + struct.pack("<BBHII", 0, 0, 0, 0, 0)


def register(address: Address, reader: Reader) -> None:
    """Log in and register as a replica, and leave: whether the account may. Blocks."""
    connection = connect(address, reader.name)
    try:
        _register(connection, address, reader)
    finally:
        abandon(connection)


def _register(connection: Connection, address: Address, reader: Reader) -> None:
    command(connection, address, _REGISTER, reader.registration())
    try:
        answer(connection, address)
    except NotReady as error:
        try:
            ((user,),) = execute(connection, address, "SELECT CURRENT_USER()")
        except TailraceError:
            raise error from None
        raise lacking(error, "REPLICATION SLAVE", account(str(user))) from None


def begin(address: Address, reader: Reader, dump: Dump, expected: tuple[str, str]) -> Connection:
    """A connection that the server sends its log over. Blocks. Retry if the server is not the `expected` one:
    an expression of SQL, and its value."""
    connection = connect(address, reader.name)
    try:
        expression, value = expected
        ((found,),) = execute(connection, address, f"SELECT {expression}")
        if str(found) != value:
            raise Retry(
                LOST,
                f"another server answers now: {found} in place of {value}",
                "Nothing: everything is checked again.",
                where=str(address),
            )
        nanoseconds = int(reader.heartbeat * 1e9)
        for statement in (
            CHECKSUM,
            f"SET @master_heartbeat_period = {nanoseconds}, @source_heartbeat_period = {nanoseconds}",
            f"SET SESSION net_write_timeout = {_PATIENT_SECONDS}",
            *dump.statements,
        ):
            execute(connection, address, statement)
        _register(connection, address, reader)
        command(connection, address, dump.command, dump.payload)
        stream(connection).setblocking(False)
    except BaseException:
        abandon(connection)
        raise
    return connection


class Channel:
    """A connection that was begun. Errors are Retry where a new connection may help, else Stop kinds."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self._connection = connection
        self._socket = stream(connection)
        self._address = address
        self._framing = Framing()
        self._arrival = Arrival(self._socket.fileno())
        self._failure: TailraceError | None = None

    def drain(self, limit: int) -> list[bytes]:
        """What has arrived, up to about `limit` bytes: events in order."""
        events: list[bytes] = []
        size = 0
        receive, feed = self._socket.recv, self._framing.feed
        try:
            while size < limit and self._failure is None:
                data = receive(_RECEIVE)
                if not data:
                    self._failure = self._lost("the server has ended the connection")
                    break
                size += len(data)
                events += feed(data)
                if self._framing.end is not None:
                    self._failure = self._ended(self._framing.end)
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError as error:
            self._failure = self._lost(error.strerror or str(error))
        except TailraceError as error:
            self._failure = error
        if self._failure is not None and not events:
            raise self._failure
        return events

    async def readable(self, timeout: float) -> None:
        """Return when something may have arrived, after `timeout` seconds, or when woken."""
        if self._failure is None:
            await self._arrival.wait(timeout)

    @property
    def failure(self) -> TailraceError | None:
        """How the stream has ended."""
        return self._failure

    def wake(self) -> None:
        """Let `readable` return."""
        self._arrival.wake()

    def give_up(self, failure: TailraceError) -> None:
        """The server is not to be read any more: what has been drained is the last."""
        self._failure = self._failure or failure
        self._arrival.wake()

    def close(self) -> None:
        """End the connection. Whoever waits or comes later gets Retry."""
        if self._failure is None:
            self._failure = self._lost("the stream has ended")
        self._arrival.close()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        abandon(self._connection)

    def _ended(self, end: ServerError | LogEnd) -> TailraceError:
        if isinstance(end, LogEnd):
            return self._lost("the server has sent its log's end")
        return ended(end, self._address)

    def _lost(self, found: str) -> Retry:
        return Retry(LOST, found, "Nothing: the connection is made again.", where=str(self._address))


THE_SERVER: Final = "the server itself"
"""Who holds a server_id, where that is no reader."""


def taken(server_id: int, holder: str, where: str) -> Retry:
    """The error of a server_id under which somebody else reads."""
    another = "another server_id: under source:, or none, which makes one of the pipeline's name."
    remedy = f"Nothing, if that reader ends; else write {another}"
    if holder == THE_SERVER:
        remedy = f"Write {another}"
    return Retry(TAKEN, f"server_id {server_id} is that of {holder}", remedy, where=where)


def ended(error: ServerError, address: Address) -> TailraceError:
    """What an error means by which the server ends its log, or does not begin to send it."""
    where, words = str(address), " ".join(error.message.split())
    text = words.lower()
    if error.number == _READER_REPLACED or "same server_uuid/server_id" in text or "same server_id" in text:
        return Retry(
            TAKEN,
            words,
            "Let no other reader have this server_id: server_id under source: sets another. If it was "
            "another process of this pipeline, one of both stops by itself.",
            where=where,
        )
    if error.number != _LOG_ERROR:
        return fault(error.number, words, address)
    if "truncated in the middle of event" in text:
        return refusals.cut_off(words, where)
    if "anonymous transaction" in text:
        return refusals.anonymous(where, words)
    if any(part in text for part in _PURGED):
        return Gap(PURGED, words, BEGIN_ANEW, where=where)
    if any(part in text for part in _AHEAD):
        return Diverged(AHEAD, words, LOST_BY_SERVER, where=where)
    return fault(error.number, words, address)
