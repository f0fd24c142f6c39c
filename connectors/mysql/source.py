"""The MySQL and MariaDB sources: follow a server's binary log as a replica does."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, Final
from zlib import crc32

from connectors.mysql import channel, continuity
from connectors.mysql.assembly.assembler import Assembler
from connectors.mysql.assembly.refusals import PreparedBefore
from connectors.mysql.assembly.tables import Tables
from connectors.mysql.binlog.messages import Flavor
from connectors.mysql.binlog.protocol import Decoder
from connectors.mysql.catalogue import Catalogue
from connectors.mysql.channel import Channel, Dump, Reader
from connectors.mysql.checks import Checks
from connectors.mysql.config import BinlogSettings, MariaDbSettings, MySqlSettings
from connectors.mysql.discovery import discover
from connectors.mysql.dump import dump
from connectors.mysql.extent import Extent
from connectors.mysql.in_doubt import Prepared
from connectors.mysql.position import BinlogPosition, Proof, after, before, was_executed
from connectors.mysql.retention import Headroom
from connectors.mysql.server import Server
from connectors.mysql.stream import Goal, Stream
from tailrace.abc import Explanation, Finding, Retention, SourceContext
from tailrace.checkpoint import Checkpoint, Identity
from tailrace.clients.mysql.address import Address
from tailrace.clients.mysql.connection import Connection, Session, abandon, located
from tailrace.clients.mysql.faults import LOST, READ_ONLY, read_only
from tailrace.errors import Retry, Stop, TailraceError
from tailrace.events import Batch, Change, Origin, Position, SourceField
from tailrace.logs import Logger
from tailrace.patterns import Pattern, TableFilter
from tailrace.topics import TopicTemplate
from tailrace.types import Kind, LogicalType
from tailrace.worker_thread import call_alone

_OWN_IDS: Final = 1 << 31  # server ids that are made from names are not below
_OBSERVE_SECONDS: Final = 10.0

_log: Final = Logger(__name__)


def origin(flavor: Flavor, pipeline: str) -> Origin:
    """The origin of this connector's tables, with the fields it adds to the source block."""
    number, text = LogicalType(Kind.INT64, "bigint"), LogicalType(Kind.STRING, "text")
    fields = (
        SourceField("server_id", number, optional=False),
        SourceField("gtid", text, optional=True),
        SourceField("file", text, optional=False),
        SourceField("pos", number, optional=False),
        SourceField("row", LogicalType(Kind.INT32, "int"), optional=False),
        SourceField("thread", number, optional=True),
        SourceField("query", text, optional=True),
    )
    return Origin(flavor, pipeline, None, fields)


class BinlogSource:
    """`tailrace.abc.Source` for one server. Positions are those of `position.py`."""

    flavor: ClassVar[Flavor]

    def __init__(self, settings: BinlogSettings, context: SourceContext) -> None:
        told = settings.provide_transaction_metadata
        self.fingerprint = continuity.FINGERPRINT + (continuity.counted(settings) if told else "")
        self._settings = settings
        self._address = settings.address
        self._redeliver = context.redeliver_transaction
        self._redelivered: list[Position] = []  # these count as the last commit's end before them
        name = f"tailrace {context.pipeline}"
        server_id = settings.server_id or _OWN_IDS | crc32(context.pipeline.encode())
        self._reader = Reader(server_id, name, secrets.token_hex(2), min(settings.silence_timeout / 3, 30.0))
        self._session = Session(self._address, name)
        self._catalogue = Catalogue(self._session, self.flavor)
        filter = TableFilter(
            [Pattern.parse(text) for text in settings.tables],
            [Pattern.parse(text) for text in settings.exclude],
        )
        self._tables = Tables(
            origin(self.flavor, context.pipeline),
            filter,
            settings,
            keyless=settings.keyless,
            partial=settings.row_images == "partial",
            transaction_topic=TopicTemplate(settings.transaction_topic) if told else None,
        )
        self._server: Server | None = None
        self._stream: Stream | None = None
        self._headroom = Headroom(self._catalogue)
        self._acknowledged: Position | None = None  # or where the first stream began
        self._extent = Extent()
        self._observer: asyncio.Task[None] | None = None
        self._goal = Goal()
        self._resumed: Position = {}  # behind what was handed out
        self._earlier: list[tuple[PreparedBefore, Sequence[Prepared]]] = []  # looked up, for what needed it

    async def check(self) -> Sequence[Finding]:
        """The findings of `checks.py`, in the order in which a person would mend them."""
        checks = Checks(self._session, self._catalogue, self._reader, self._tables.filter, self._settings)
        return await checks.run()

    async def identify(self) -> Identity:
        """See `continuity.identity`."""
        self._server = await self._catalogue.server()
        return continuity.identity(self._server)

    def is_named_otherwise(self, stored: Identity, found: Identity) -> bool:
        """See `continuity.is_other_form`."""
        return continuity.is_other_form(stored, found)

    async def anchored(self) -> None:
        """A server keeps its log as long as it likes, for nobody."""
        return

    async def anchor(self) -> Position:
        """Where the log ends now; nothing is made on the server."""
        return (await self._end()).document()

    async def verify(self, checkpoint: Checkpoint) -> None:
        """Every rule of `continuity.py`."""
        if checkpoint.position is None:
            return
        position, where = BinlogPosition.from_document(checkpoint.position), str(self._address)
        server = await self._known()
        await continuity.check(position, self._catalogue, server, where)
        try:
            continuity.check_inside(position, checkpoint.fingerprint, self.fingerprint, server, where)
        except TailraceError:
            if not self._redeliver:
                raise
            self._redelivered.append(checkpoint.position)

    async def open(self, resume: Position) -> None:
        """Retry while another reader has the same server_id."""
        position, server = self._standing(resume), await self._known()
        self._resumed = resume
        await self._refuse_taken(server)
        self._extent.listed(await self._catalogue.files())
        self._acknowledged = self._acknowledged or resume
        queries = self._settings.include_query
        asked = dump(position, self._reader.server_id, queries=queries)
        connection = await self._begin(asked, server)
        decode = Decoder(server.flavor).feed
        self._tables.folded = server.folded
        assembler = Assembler(decode, self._tables, position, server.name, queries=queries)
        reading = located(connection, self._address)
        self._stream = Stream(
            Channel(connection, reading),
            assembler,
            self._extent,
            self._settings.silence_timeout,
            self._goal,
        )
        self._observer = asyncio.create_task(self._observe(self._stream, reading))

    async def read(self) -> AsyncIterator[Batch]:
        """Batches of about 1 MiB at most; one row event is never cut."""
        while True:
            assert self._stream is not None  # the contract: open comes first
            try:
                async for batch in self._stream.batches():
                    self._resumed = batch.end
                    yield batch
            except PreparedBefore as error:
                await self._look_up(error)

    async def acknowledge(self, position: Position) -> None:
        """Of use for `retention` alone: the server does not ask."""
        self._acknowledged = position

    async def retention(self) -> Retention | None:
        """See `retention.py`. Of the files as they were listed last, for the lag."""
        acknowledged, server = self._acknowledged, self._server
        if acknowledged is None or server is None or self._stream is None:
            return None
        return await self._headroom.look(
            BinlogPosition.from_document(acknowledged), server, self._extent.files
        )

    def covers(self, position: Position, other: Position) -> bool:
        """By number and ordinal."""
        return BinlogPosition.from_document(position).reached >= BinlogPosition.from_document(other).reached

    def after(self, batch: Batch, position: Position) -> Batch:
        """Cut between row events. Raises Stop where the log's order is not the one of the position."""
        standing = self._standing(position)
        continuity.check_order(batch, standing, str(self._address))
        return after(batch, standing)

    def before(self, batch: Batch, change: Change) -> Batch | None:
        """See `tailrace.abc.Divides`."""
        return before(batch, change)

    def parse(self, text: str) -> Position:
        """GTIDs as the server writes them, or `binlog.000003:1234`."""
        return BinlogPosition.parse(text, self.flavor).document()

    async def current(self) -> Position:
        """Where the log ends now; the stream hands out a position when it has come there."""
        end = await self._end()
        self._goal.number = end.reached[0]
        if self._stream is not None:
            self._stream.wake()
        return end.document()

    def lag(self, position: Position) -> int | None:
        """Bytes of log behind the position's last commit."""
        proof = BinlogPosition.from_document(position).proof
        server = self._server
        if proof is None or server is None or proof.server != server.name:
            return None
        return self._extent.behind(proof.place)

    async def close(self) -> None:
        """Ends the stream and the session."""
        stream, self._stream = self._stream, None
        observer, self._observer = self._observer, None
        if stream is not None:
            stream.close()
        if observer is not None:
            observer.cancel()
            await asyncio.gather(observer, return_exceptions=True)
        await self._session.close()

    async def teardown(self, *, dry_run: bool) -> Sequence[str]:
        """Nothing was made."""
        return []

    def explain(self) -> Explanation:
        """See `tailrace.abc.Explains`."""
        place = f"server_id {self._reader.server_id} among the server's replicas"
        return Explanation(made={place: "only while the pipeline runs; nothing is stored on the server"})

    async def _look_up(self, commit: PreparedBefore) -> None:
        """Go on where the stream stands, with the rows that were prepared before all that it has read."""
        found = await self._catalogue.in_doubt(commit.xid, commit.begin)
        if not found:
            raise commit
        where = [f"{one.file}:{one.begin}" for one in found if one.xid == commit.xid]
        _log.info("an XA transaction was found in the log before it", xid=commit.xid, at=where[0])
        self._earlier.append((commit, found))
        await self.close()
        await self.open(self._resumed)

    def _standing(self, position: Position) -> BinlogPosition:
        """Where a position stands for this run."""
        found = BinlogPosition.from_document(position)
        for commit, earlier in self._earlier:
            if commit.is_due(found.executed):
                read = [one for one in earlier if was_executed(one, found.executed)]
                found = replace(found, in_doubt=found.in_doubt.joined(read, self._tables.mark))
        if position in self._redelivered:
            return BinlogPosition(found.executed, proof=found.proof, in_doubt=found.in_doubt)
        return found

    async def _known(self) -> Server:
        if self._server is None:
            self._server = await self._catalogue.server()
        return self._server

    async def _end(self) -> BinlogPosition:
        server = await self._known()
        executed, place = await self._catalogue.executed(server)
        begun = None if server.by_gtids else await self._catalogue.begun(place.file)
        return BinlogPosition(executed, proof=Proof(place.file, place.offset, server.name, begun=begun))

    async def _refuse_taken(self, server: Server) -> None:
        reader = self._reader
        try:
            holder = await self._catalogue.reader(reader.server_id, server)
        except Stop:  # it is not to be seen, for want of a right: the server throws one of both out
            return
        # One of the same pipeline is thrown out: whose that is the sinks have told before.
        if holder is not None and not reader.is_same_pipeline(holder):
            raise channel.taken(reader.server_id, holder, str(self._address))

    async def _begin(self, dump: Dump, server: Server) -> Connection:
        """Cancelled, the connection is closed as soon as it is there."""
        address = await self._session.located()
        expected = server.named_by, server.name
        beginning = call_alone("mysql-log", channel.begin, address, self._reader, dump, expected)
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            beginning.add_done_callback(_abandon)
            raise

    async def _observe(self, stream: Stream, reading: Address) -> None:
        """Look at the end of the server's log for the lag, and whether that still is the log to read."""
        while True:
            await asyncio.sleep(_OBSERVE_SECONDS)
            try:
                if (reason := await self._left(reading)) is not None:
                    stream.give_up(reason)
                    return
                read = stream.place
                self._extent.listed(files := await self._catalogue.files())
                if (reset := continuity.was_reset(read, files, str(reading))) is not None:
                    stream.give_up(reset)
                    return
            except TailraceError as error:  # what is wrong the stream will tell
                _log.debug("the end of the log is not to be seen", error=str(error))

    async def _left(self, reading: Address) -> Retry | None:
        """Why the server that is read is not the one that is wanted any more. One that is to follow another
        ends no connection, and one that takes no new ones may go on with those that it has."""
        try:
            found = await self._session.located()
        except Retry as error:
            if error.code is not READ_ONLY:
                raise
            return error  # the session was lost, and none takes writes
        if found != reading:
            remedy = "Nothing: the connection is made again."
            return Retry(LOST, f"another server answers now: {found}", remedy, where=str(reading))
        if self._address.primary and not await self._session.takes_writes():
            return read_only(reading)
        return None


def _abandon(beginning: asyncio.Future[Connection]) -> None:
    if not beginning.cancelled() and beginning.exception() is None:
        abandon(beginning.result())


class MySqlSource(BinlogSource):
    """Follows a MySQL server."""

    Settings: ClassVar[type[MySqlSettings]] = MySqlSettings
    schemes: ClassVar[tuple[str, ...]] = ("mysql",)
    discover = staticmethod(partial(discover, flavor="mysql"))  # see tailrace.abc.DiscoverPlugin
    flavor = "mysql"


class MariaDbSource(BinlogSource):
    """Follows a MariaDB server."""

    Settings: ClassVar[type[MariaDbSettings]] = MariaDbSettings
    schemes: ClassVar[tuple[str, ...]] = ("mariadb",)
    discover = staticmethod(partial(discover, flavor="mariadb"))  # see tailrace.abc.DiscoverPlugin
    flavor = "mariadb"
