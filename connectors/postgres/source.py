"""The PostgreSQL source: follows the write-ahead log through a logical replication slot."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from typing import ClassVar, Final

from connectors.postgres import adoption, continuity, history, publication, retention, slot, streamed
from connectors.postgres.assembly import UNDECIDED, Assembly
from connectors.postgres.capture import Capture
from connectors.postgres.catalogue import SESSION_SETTINGS, Catalogue, Server
from connectors.postgres.channel import Channel
from connectors.postgres.checks import Checks
from connectors.postgres.config import PostgresSettings
from connectors.postgres.discovery import discover
from connectors.postgres.history import History
from connectors.postgres.position import WalPosition, after, before, format_lsn
from connectors.postgres.protocol import NOT_FOUND_AGAIN, origin
from connectors.postgres.relations import Relations
from connectors.postgres.replication import Replication
from connectors.postgres.slot import Slot
from connectors.postgres.spool import Spool
from connectors.postgres.stream import Goal, Stream, Timing
from tailrace.abc import Explanation, Finding, Retention, SourceContext
from tailrace.checkpoint import Checkpoint, Identity, unreadable
from tailrace.clients.postgres.connection import Connection, Session
from tailrace.errors import Gap, Retry, TailraceError
from tailrace.events import Batch, Change, Position
from tailrace.hooks import Demo
from tailrace.logs import Logger
from tailrace.topics import TopicTemplate

_PATIENCE: Final = 2.0  # seconds for the server to notice that an earlier connection of ours is gone
_PROMOTION_SECONDS: Final = 5.0  # for the slot to appear on a server that was a standby
_LATE_BEGIN: Final = 150_000  # from then on a Begin comes with the first change

_log: Final = Logger(__name__)


class PostgresSource:
    """`tailrace.abc.Source` for one database. Positions are those of `position.py`."""

    Settings: ClassVar[type[PostgresSettings]] = PostgresSettings
    schemes: ClassVar[tuple[str, ...]] = ("postgresql", "postgres")
    discover = staticmethod(discover)  # see tailrace.hooks.DiscoverPlugin

    @staticmethod
    def demo() -> Demo:
        """See `tailrace.hooks.DemoPlugin`."""
        from connectors.postgres.demo import Shop  # a server and its traffic, which no pipeline needs

        return Shop()

    def __init__(self, settings: PostgresSettings, context: SourceContext) -> None:
        self.fingerprint = ""  # known when the server was first asked
        self._address = settings.address
        self._settings = settings
        default = f"tailrace_{context.pipeline}"
        self._slot = settings.slot.name or default
        self._capture = Capture(settings, default)
        self._options = {} if settings.origin == "any" else {"origin": settings.origin}  # of pgoutput
        told = settings.provide_transaction_metadata
        self._transaction_topic = TopicTemplate(settings.transaction_topic) if told else None
        # Counts within a transaction go on as they began: over the same tables.
        self._counted = f" counts={','.join((*settings.tables, *(f'-{one}' for one in settings.exclude)))}"
        self._spool = Spool(context.data_dir / "streamed" / context.pipeline)
        self._pipeline = context.pipeline
        self._program = f"tailrace {context.pipeline}"
        self._redeliver = context.redeliver_transaction
        self._redelivered: list[Position] = []  # these count as the last commit's end before them
        self._verified: list[Position] = []  # since the last `open` or `close`
        self._session = Session(self._address, self._program, SESSION_SETTINGS)
        self._replication = Replication(self._address, self._program)
        self._catalogue = Catalogue(self._session)
        self._identity: Identity | None = None
        self._seen: Slot | None = None  # the slot, when it was last looked for
        self._relations: Relations | None = None
        self._streaming = settings.streaming == "on"
        self._assembly: Assembly | None = None  # of the newest connection
        self._stream: Stream | None = None
        self._acknowledged = 0
        self._goal = Goal()

    async def check(self) -> Sequence[Finding]:
        """The findings of `checks.py`, in the order in which a person would mend them."""
        return await Checks(self._session, self._program, self._capture, self._slot, self._settings).run()

    async def identify(self) -> Identity:
        """System identifier, database and timeline."""
        async with self._replication.connected() as connection:
            return await self._identify(connection)

    async def anchored(self) -> bool:
        """Whether the slot exists; not of one that somebody else has made and that still stands where the
        settings say that the stream begins."""
        self._seen = await slot.find(self._session, self._slot)
        return self._seen is not None and not adoption.is_unused(self._seen, self._settings.slot)

    def anchor_place(self) -> str | None:
        """See `tailrace.abc.Anchors`: the slot's confirmed position."""
        return format_lsn(self._seen.confirmed) if self._seen is not None and self._seen.confirmed else None

    async def anchor(self) -> Position:
        """Make the publications, then the slot; one that an unfinished attempt left is dropped before. Retry
        if that is not the one that `anchored` found: then another process has made it since. A slot that
        somebody else makes is taken as it is, if it has not been used."""
        await self._replication.primary(self._catalogue)
        ours = self._settings.slot.create
        if ours:
            await slot.replace(self._session, self._slot, self._seen, _PATIENCE)
        found = await self._capture.look(self._session)
        self._capture.refuse(found, changing=True)
        await found.membership.establish(self._session)
        if not ours:
            unused = await adoption.adopt(self._session, self._slot, self._settings.slot, self._database())
            return WalPosition(unused).document()
        async with self._replication.connected() as connection:
            await self._replication.refuse_standby(connection)
            point = await slot.create(
                connection,
                self._session,
                self._slot,
                self._settings.slot_timeout,
                failover=self._settings.slot.failover,
            )
        return WalPosition(point).document()

    async def verify(self, checkpoint: Checkpoint) -> None:
        """Every rule of `continuity.py`; Stop for a position that a newer tailrace wrote."""
        if checkpoint.position is None:
            return
        where = str(self._address)
        try:
            position = WalPosition.from_document(checkpoint.position)
        except ValueError as error:
            raise unreadable(str(error), f"checkpoint by {checkpoint.owner}") from error
        async with self._replication.connected() as connection:
            identity = await self._identify(connection)
            history = await self._replication.history(connection, identity)
        await self._replication.primary(self._catalogue)
        if checkpoint.identity is not None:
            continuity.check_system(checkpoint.identity, identity, where)
            continuity.check_timeline(
                position, checkpoint.identity.timeline, identity.timeline, history, where
            )
        continuity.check_end(position, await self._catalogue.flushed(), where)
        promoted = checkpoint.identity is not None and checkpoint.identity.timeline != identity.timeline
        found = await slot.settled(self._session, self._slot, _PROMOTION_SECONDS if promoted else 0)
        continuity.check_slot(position, self._slot, found, identity.database, where, promoted=promoted)
        if self._redeliver and position.inside and checkpoint.fingerprint != self.fingerprint:
            self._redelivered.append(checkpoint.position)
        else:
            continuity.check_fingerprint(position, checkpoint.fingerprint, self.fingerprint, where)
        self._verified.append(checkpoint.position)

    async def open(self, resume: Position) -> None:
        """Retry while the slot is in use. At the first call the publication gets tables that it lacks. What
        `history.py` tells of the positions that were verified is told by the stream."""
        position, where = self._standing(resume), str(self._address)
        verified = [self._standing(one) for one in self._verified]
        ahead = not all(one.covers(position) for one in verified)
        claimed = [position, *(one for one in verified if one.covers(position))]
        # What is delivered again must still be there, whatever the server sends before it now.
        claimed += [WalPosition.from_document(one) for one in self._verified if one in self._redelivered]
        begin = history.begin(position, claimed)
        await self._capture.publish(self._session, first=self._relations is None)
        idle = await self._free_slot()
        server = await self._replication.primary(self._catalogue)
        assembly = self._assembly = self._assembling(server)
        options = {} if assembly is None else streamed.options(server.version_number)
        connection = await self._replication.connect()
        try:
            await self._replication.refuse_other(connection, self._identity)
            await self._replication.refuse_standby(connection)
            if idle is not None and self._settings.slot.failover and not idle.failover:
                await slot.protect(connection, self._session, self._slot)
            channel = await Channel.start(
                connection,
                self._address,
                self._slot,
                begin,
                self._capture.names.all,
                self._options | options,
            )
            # Nobody else can move the slot now: what is found here holds for the whole stream.
            found = await slot.find(self._session, self._slot)
            confirmed = continuity.check_slot(position, self._slot, found, self._database(), where)
        except BaseException:
            await connection.close()
            raise
        if self._relations is None:
            self._relations = Relations(
                origin(self._pipeline, self._database()),
                self._capture.captured,
                transaction_topic=self._transaction_topic,
            )
        self._stream = Stream(
            channel,
            self._catalogue,
            self._relations,
            position,
            History(position, claimed, max(begin, confirmed), ahead=ahead),
            min(self._acknowledged, position.end),
            self._timing(server),
            self._goal,
            assembly,
        )

    async def read(self) -> AsyncIterator[Batch]:
        """Batches of about 1 MiB at most; one message is never cut. Where the transaction that was delivered
        in part does not come as it was, and that is wanted, the next stream begins in front of it."""
        assert self._stream is not None  # the contract: open comes first
        try:
            async for batch in self._stream.batches():
                yield batch
        except Gap as error:
            inside = [one for one in self._verified if WalPosition.from_document(one).inside]
            if not self._redeliver or error.code is not NOT_FOUND_AGAIN:
                raise
            self._redelivered += inside
            remedy = "Nothing: its transaction is delivered once more from its beginning, as was asked for."
            raise Retry(error.code, error.found, remedy, where=error.where) from error

    async def acknowledge(self, position: Position) -> None:
        """Kept also while there is no connection."""
        self._acknowledged = max(self._acknowledged, WalPosition.from_document(position).end)
        if self._stream is not None:
            self._stream.acknowledge(self._acknowledged)

    def covers(self, position: Position, other: Position) -> bool:
        """By LSN and ordinal."""
        return WalPosition.from_document(position).covers(WalPosition.from_document(other))

    def after(self, batch: Batch, position: Position) -> Batch:
        """Cut between messages."""
        return after(batch, self._standing(position))

    def before(self, batch: Batch, change: Change) -> Batch | None:
        """See `tailrace.abc.Divides`."""
        return before(batch, change)

    def parse(self, text: str) -> Position:
        """An LSN, `0/16B3748`."""
        return WalPosition.parse(text).document()

    async def current(self) -> Position:
        """The end of the log behind a message of our own; the stream sees to it that it is passed."""
        await self._catalogue.emit_message()
        self._goal.lsn = await self._catalogue.flushed()
        return WalPosition(self._goal.lsn).document()

    def lag(self, position: Position) -> int | None:
        """Bytes of log from the position's last commit on."""
        if self._stream is None:
            return None
        return max(self._stream.server_end - self._stream.settled(WalPosition.from_document(position).end), 0)

    async def retention(self) -> Retention | None:
        """See `tailrace.abc.Retains`."""
        return await retention.look(self._session, self._slot, self._settings.slot)

    async def close(self) -> None:
        """Ends the stream and the session."""
        stream, self._stream = self._stream, None
        self._verified.clear()
        if stream is not None:
            await stream.close()
            with contextlib.suppress(TailraceError):  # it is tried again before anything is spooled there
                self._spool.clear()
        await self._session.close()

    async def teardown(self, *, dry_run: bool) -> Sequence[str]:
        """Drop slot and publications, but for what somebody else makes, and what a killed run has spooled."""
        lines = []
        if self._settings.slot.create:
            if dry_run:
                dropped = await slot.find(self._session, self._slot) is not None
            else:
                dropped = await slot.drop(self._session, self._slot, _PATIENCE)
            lines += [f"replication slot {self._slot}"] if dropped else []
        elif dry_run and await slot.find(self._session, self._slot) is not None:
            _log.warning(
                "the slot is somebody else's (create: false), and keeps log: it stays", slot=self._slot
            )
        if self._spool.folder.is_dir():
            if not dry_run:
                self._spool.clear()
            lines.append(f"folder {self._spool.folder}")
        if not self._capture.ours:
            return lines
        for name in self._capture.names.all:
            line = await publication.drop(self._session, name, dry_run=dry_run)
            lines += [line] if line else []
        return lines

    def explain(self) -> Explanation:
        """See `tailrace.abc.Explains`."""
        made = {}
        if self._settings.slot.create:
            made[f"replication slot {self._slot}"] = (
                "the server keeps its log from the least durable position on, also while the pipeline does "
                "not run"
            )
        if self._capture.ours:
            names = self._capture.names
            made[f"publication {names.main}"] = "the captured tables"
            made[f"publication {names.inserts}"] = "tables of which only inserts are published"
        if self._settings.streaming == "on":
            made[f"folder {self._spool.folder}"] = "transactions that are still open, while the pipeline runs"
        return Explanation(made=made)

    async def _free_slot(self) -> Slot | None:
        """The slot once nobody streams from it; Retry as long as somebody does. An older process of this
        pipeline stops as soon as it has something to commit: a message of ours in the log is enough."""
        try:
            return await slot.idle(self._session, self._slot, _PATIENCE)
        except Retry:
            with contextlib.suppress(TailraceError):  # a standby's log takes none
                await self._catalogue.emit_message()
            raise

    def _standing(self, position: Position) -> WalPosition:
        """Where a position stands for this run."""
        found = WalPosition.from_document(position)
        return WalPosition(found.end) if position in self._redelivered else found

    def _assembling(self, server: Server) -> Assembly | None:
        """Of a new connection, where transactions are to come in pieces."""
        if self._assembly is not None and self._assembly.undecided:
            _log.warning("open transactions are not streamed any more in this run", code=UNDECIDED.id)
            self._streaming = False
        if not self._streaming:
            with contextlib.suppress(TailraceError):  # nothing will be spooled there
                self._spool.clear()
            return None
        self._spool.clear()
        return Assembly(self._spool, begins_at_once=server.version_number < _LATE_BEGIN)

    def _database(self) -> str:
        assert self._identity is not None  # the contract: identify comes first
        return self._identity.database

    def _timing(self, server: Server) -> Timing:
        status = self._settings.status_interval
        if server.wal_sender_timeout:
            status = min(status, server.wal_sender_timeout / 3)
        return Timing(status, self._settings.silence_timeout, self._settings.heartbeat or math.inf)

    async def _identify(self, connection: Connection) -> Identity:
        identity = self._identity = await self._replication.identify(connection)
        major = connection.info.server_version // 10_000
        self.fingerprint = continuity.fingerprint(self._capture.names.all, major, self._options)
        if self._transaction_topic is not None:
            self.fingerprint += self._counted
        return identity
