"""Events in, batches of changes out: what one connection's log says, transaction by transaction. No I/O.

A transaction's rows are kept until its end is known, and delivered then: they may be rolled back to a
savepoint, or wholly, in the log itself. Those of an XA transaction that is prepared are kept until the one
that commits it, and delivered as that one's. The changes of a transaction share one place in the order of
commits; rows of tables that are not captured are counted and left unread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from connectors.mysql import meaning, refusals, untold
from connectors.mysql.binlog.event import TEMPORARY
from connectors.mysql.binlog.gtid import GtidPosition, GtidSet
from connectors.mysql.binlog.messages import (
    Format,
    Gtid,
    Heartbeat,
    Ignorable,
    Incident,
    KnownGtids,
    Message,
    PayloadEnd,
    Place,
    Query,
    Rotate,
    Rows,
    RowsQuery,
    TableMap,
    XaPrepare,
    Xid,
)
from connectors.mysql.delivery import Delivery
from connectors.mysql.meaning import Meaning, Statement, may_change
from connectors.mysql.open_transaction import OpenTransaction
from connectors.mysql.position import (
    NUMBER_WIDTH,
    BinlogPosition,
    Executed,
    FilePlace,
    Proof,
    SourceBlock,
    number,
    place_in,
)
from connectors.mysql.queries import delivered
from connectors.mysql.refusals import shortened
from connectors.mysql.tables import Tables, Version
from connectors.mysql.waiting import Waiting
from tailrace.errors import Gap, Malformed
from tailrace.events import (
    OFFSET_PLACEHOLDER,
    ROW_PLACEHOLDER,
    Batch,
    Transaction,
    Verbatim,
)

_ARTIFICIAL: Final = 0x20  # a flag of events that stand in no file: made up for the connection
_BATCH_BYTES: Final = 1024 * 1024
_ENDS: Final = frozenset((Meaning.XA_COMMIT, Meaning.XA_ROLLBACK))


class Assembler:
    """Of one connection, which the server was asked for from `resume` on.

    ::

        for batch in assembler.feed(events): …   # those that are full
        batch = assembler.cut()                  # the rest

    What `resume` covers is dropped. Errors are Gap, Malformed, NotReady and Stop; after one `cut` hands out
    what stands before the row event that it is of, and the object is of no further use.
    """

    def __init__(
        self,
        decode: Callable[[bytes], Iterable[Message]],
        tables: Tables,
        resume: BinlogPosition,
        server: str,
        *,
        folded: bool = False,
        queries: bool = False,
    ) -> None:
        """`decode`: `Decoder.feed`. `server`: see `Proof`. `folded`: the server keeps the names of tables in
        lower case. `queries`: changes have the statement that they come from."""
        self.executed: Executed = resume.executed
        """Up to the last commit's end, or the idle position behind it."""
        self.number = number(resume.executed)
        """Of `executed`."""
        self._decode = decode
        self._tables = tables
        self._server = server
        self._folded = folded
        self._queries = queries
        self._proof = resume.proof
        self._sought = resume if resume.inside else None  # until its transaction has begun
        self._by_file = isinstance(resume.executed, FilePlace)
        self._file = ""
        self._begun: int | None = None  # when that file was, where transactions have no GTIDs
        self._offset = 0  # behind the newest event that told where it ends
        self._size = 0  # of the event that is being read
        self._open: OpenTransaction | None = None
        self._gtid: Gtid | None = None  # told, and nothing of its transaction yet
        self._gtid_at = 0  # where its event begins
        self._with_it: Executed = resume.executed  # what is executed once that is
        self._ending: Place | None = None  # of a compressed transaction: its commit, until its end is passed
        self._waiting = Waiting(resume)
        self._repeated = False  # the transaction that is being read was read before …
        self._passing = False  # … and has no rows that are wanted
        self._maps: dict[int, Version | None] = {}
        self._spool = self._waiting.spool()
        self._delivery = Delivery(resume.reached, tables.boundaries)
        self._inside: tuple[Transaction, int] | None = None  # the newest event's, and its ordinal
        self._handed_out = self.number

    @property
    def in_transaction(self) -> bool:
        """Between a transaction's begin and its end."""
        return self._open is not None

    @property
    def place(self) -> FilePlace | None:
        """How far the server's log was read. None: it has not said where it begins."""
        return FilePlace(self._file, self._offset) if self._file else None

    def feed(self, events: Iterable[bytes]) -> Iterator[Batch]:
        """Read events; the batches that become full on the way, of about 1 MiB."""
        for event in events:
            self._size = len(event)
            try:
                yield from self._read(self._decode(event))
            except OSError as error:  # of the file of a compressed transaction
                raise refusals.no_room(error) from error

    def _read(self, messages: Iterable[Message]) -> Iterator[Batch]:
        for message in messages:
            kind = type(message)
            if kind is Rows:
                self._rows(message)  # type: ignore[arg-type] # `kind` tells it
            elif kind is TableMap:
                if not self._passing:
                    self._maps[message.id] = self._tables.version(message)  # type: ignore[union-attr, arg-type]
            elif kind is Xid:
                self._passed(message.place)
                yield from self._commit(message.place)
                continue
            elif kind is Gtid:
                self._announce(message)  # type: ignore[arg-type]
            elif kind is Query:
                yield from self._query(message)  # type: ignore[arg-type]
            elif kind is Heartbeat:
                self._rest(message)  # type: ignore[arg-type] # as above
                continue
            elif kind is Rotate:
                self._rotate(message)  # type: ignore[arg-type] # as above
                continue
            else:
                yield from self._other(message)
            self._passed(message.place)

    def cut(self) -> Batch | None:
        """Hand out what has been read since the last batch.

        None if there are no events and no commit has been passed since then. A batch without events is a
        position alone: how often these are wanted is the caller's business.
        """
        if not self._delivery and self.number == self._handed_out:
            return None
        return self._batch()

    def idle(self) -> Batch:
        """The position of the last commit, without events."""
        assert not self._delivery
        return self._batch()

    def close(self) -> None:
        """Give up what was kept."""
        self._spool.clear()
        self._waiting.close()

    def _batch(self, *, more: bool = False) -> Batch:
        events, size = self._delivery.take()
        inside = self._inside if events else None
        position = self._commit_position() if inside is None else place_in(*inside)
        timestamp = events[-1].transaction.timestamp if events else None
        self._inside = None
        if inside is None:
            self._handed_out = self.number
        return Batch(
            events,
            position.document(),
            commit=inside is None,
            size=size if events else 0,
            timestamp=timestamp,
            more=more,
        )

    def _commit_position(self) -> BinlogPosition:
        return BinlogPosition(self.executed, proof=self._proof, in_doubt=self._waiting.in_doubt)

    def _passed(self, place: Place) -> None:
        """Go on to behind an event."""
        if place.end and not place.flags & _ARTIFICIAL:
            self._offset = place.end
            if self._by_file and self._open is None and self._gtid is None:
                self._rest_at(FilePlace(self._file, place.end))

    def _begin_of(self, place: Place) -> int:
        """Where an event begins; inside of a compressed transaction, and where MariaDB does not tell, the
        last place that is known."""
        return place.end - self._size if place.end else self._offset

    def _rest_at(self, place: FilePlace) -> None:
        """Without GTIDs: nothing that is due stands before a place."""
        if self._sought is None and place.number > self.number:
            self._reach(place)

    def _reach(self, executed: Executed) -> None:
        self.executed, self.number = executed, number(executed)

    def _announce(self, gtid: Gtid) -> None:
        """A transaction's GTID, or that it has none."""
        if self._open is not None or self._gtid is not None:
            raise self._out_of_order(f"{gtid.gtid or 'a transaction'} begins before the one before it ends")
        self._gtid, self._gtid_at = gtid, self._begin_of(gtid.place)
        self._repeated = self._passing = False
        if self._waiting.rereads:
            self._repeated = self._waiting.repeats(gtid, FilePlace(self._file, self._gtid_at))
            self._passing = self._repeated and not self._waiting.wants
        if not self._repeated:
            self._follow(gtid)
        if gtid.begins:
            self._begin(None)

    def _follow(self, gtid: Gtid) -> None:
        """The transaction comes for the first time, or is the one that is sought."""
        sought = self._sought
        if not self._by_file:
            self._with_it = self._executed_with(gtid)
            if sought is not None and gtid.gtid != sought.transaction:
                raise self._not_found_again(sought, f"the next transaction is {gtid.gtid}")
            return
        begin = FilePlace(self._file, self._gtid_at)
        if sought is not None and begin != sought.executed:
            raise self._not_found_again(sought, f"the next transaction begins at {begin}")
        self._reach(begin)

    def _executed_with(self, gtid: Gtid) -> Executed:
        executed, name = self.executed, gtid.gtid
        if name is None:
            raise refusals.anonymous(self._where())
        assert isinstance(executed, GtidSet | GtidPosition)
        found = executed.add(name)
        if found is executed or (isinstance(executed, GtidPosition) and name in executed):
            raise refusals.repeated(name, self._where(), mariadb=isinstance(executed, GtidPosition))
        return found

    def _begin(self, thread: int | None) -> OpenTransaction:
        gtid, self._gtid = self._gtid, None
        if gtid is None:
            raise self._out_of_order("a transaction that was not announced")
        sought = None
        if not self._repeated:
            sought, self._sought = self._sought, None
        opened = self._open = OpenTransaction(gtid, self._gtid_at, sought, self._spool, thread)
        return opened

    def _rows(self, rows: Rows) -> None:
        opened = self._open
        if opened is None:
            raise self._out_of_order("rows outside of a transaction")
        opened.ordinal += 1
        if self._passing:
            return
        try:
            version = self._maps[rows.table_id]
        except KeyError:
            raise self._out_of_order(f"rows of table number {rows.table_id}, which was not told") from None
        query = opened.query
        if rows.ends_statement:
            opened.query = ""
        if version is None or rows.op not in version.delivers:
            return
        try:
            opened.keep(version, self._begin_of(rows.place), rows, query)
        except OSError as error:
            raise refusals.no_room(error) from error

    def _query(self, query: Query) -> Iterator[Batch]:
        statement = meaning.read(query.sql)
        what, opened = statement.meaning, self._open
        if what is Meaning.BEGIN:
            if opened is not None:
                opened.thread = query.thread
            else:
                self._begin(query.thread).frame = self._begin_of(query.place)
        elif what is Meaning.CHANGE and not self._repeated and may_change(query, self._tables.filter):
            raise refusals.as_statement(query, self._where(), None if self._by_file else self._with_it)
        elif opened is not None:
            if what is Meaning.COMMIT:
                self._passed(query.place)
                yield from self._commit(query.place)
            elif what is Meaning.ROLLBACK:
                self._passed(query.place)
                opened.roll_back()
                yield from self._commit(query.place)
            elif what is Meaning.SAVEPOINT:
                opened.savepoint(statement.name)
            elif what is Meaning.ROLLBACK_TO:
                try:
                    opened.roll_back_to(statement.name)
                except ValueError as error:
                    raise self._out_of_order(f"{shortened(query.sql)}: {error}") from None
            elif what in _ENDS:
                raise self._out_of_order(f"{shortened(query.sql)} inside of a transaction")
        else:
            yield from self._standalone(query, statement)

    def _standalone(self, query: Query, statement: Statement) -> Iterator[Batch]:
        """A transaction of one statement: DDL, or the end of an XA transaction that was prepared."""
        if self._gtid is None and not self._by_file:
            raise self._out_of_order(f"{shortened(query.sql)} outside of a transaction")
        if self._gtid is None:  # without GTIDs, and from a server that announces nothing
            return
        if statement.meaning is Meaning.UNTOLD and not self._repeated:
            untold.tell(query, statement, self._tables, self._where())
        opened, offset = self._begin(query.thread), self._begin_of(query.place)
        opened.frame = offset
        self._passed(query.place)
        version = None
        if self._repeated:
            pass  # whatever it is
        elif statement.meaning in _ENDS:
            opened.ends = statement.name
            if statement.meaning is Meaning.XA_COMMIT:
                behind = FilePlace(self._file, self._offset) if self._by_file else self._with_it
                self._waiting.commit(opened, self._file, offset, behind)
        elif statement.meaning is Meaning.TRUNCATE and not query.place.flags & TEMPORARY:
            schema, name = statement.schema or query.schema, statement.name
            if self._folded:
                schema, name = schema.lower(), name.lower()
            version = self._tables.truncated(schema, name)
            opened.ordinal += version is not None
        if version is not None and opened.ordinal > opened.delivered:
            transaction = self._transaction(opened, query.place)
            self._delivery.begin(transaction, opened.begin)
            self._delivery.truncate(version, transaction, offset, len(query.sql))
            self._delivery.end(opened.ordinal, offset)
        yield from self._commit(query.place)

    def _other(self, message: Message) -> Iterator[Batch]:
        if isinstance(message, XaPrepare):
            if self._open is None:
                raise self._out_of_order("a prepared XA transaction that has not begun")
            if not message.one_phase:
                self._open.prepares = message.xid.decode("ascii", "replace")
            self._passed(message.place)
            yield from self._commit(message.place)
        elif isinstance(message, Incident):
            raise refusals.incident(message, self._where())
        elif isinstance(message, PayloadEnd):
            self._passed(message.place)
            if self._ending is not None:
                place, self._ending = self._ending, None
                yield from self._commit(msgspec.structs.replace(place, end=self._offset))
        elif isinstance(message, Format):
            if self._by_file and message.place.timestamp:
                self._begun = message.place.timestamp
                read = self._sought is not None or self._waiting.rereads  # before
                if self._open is None and self._gtid is None and not read:
                    self._proof = Proof(self._file, self._offset, self._server, begun=self._begun)
        elif isinstance(message, RowsQuery):
            if self._queries and self._open is not None:
                self._open.query = delivered(message.sql)
        else:
            assert isinstance(message, KnownGtids | Ignorable)

    def _rest(self, heartbeat: Heartbeat) -> None:
        """The server has sent all it has."""
        place = FilePlace(heartbeat.file, heartbeat.position)
        if self._open is not None or self._gtid is not None or place.file != self._file:
            return
        self._offset = heartbeat.position
        if self._by_file:
            self._rest_at(place)

    def _rotate(self, rotate: Rotate) -> None:
        if self._open is not None or self._gtid is not None:
            found = "another file begins inside of a transaction"
            if isinstance(self.executed, GtidPosition):  # MySQL mends its log after a crash
                raise refusals.cut_off(found, self._where())
            raise self._out_of_order(found)
        self._file, self._offset = rotate.file, rotate.position
        if self._by_file:
            self._rest_at(FilePlace(rotate.file, rotate.position))

    def _commit(self, place: Place) -> Iterator[Batch]:
        """The transaction has ended: its changes are delivered, unless it is prepared."""
        opened = self._open
        if opened is None:
            raise self._out_of_order("a commit outside of a transaction")
        if self._by_file and not place.end:  # compressed: where the next one begins is not known yet
            self._ending = place
            return
        if self._repeated:
            self._waiting.prepare_again(opened, self._file)
            self._leave()
            return
        sought = opened.sought
        if sought is not None and (opened.ordinal < sought.ordinal or opened.prepares):
            found = "it is prepared now" if opened.prepares else f"it has {opened.ordinal} row events now"
            raise self._not_found_again(sought, found)
        if opened.prepares:
            self._waiting.prepare(opened, self.executed, self._file, place.timestamp)
        elif opened.spool:
            yield from self._deliver(opened, place)
        if opened.ends:
            self._waiting.end(opened.ends)
        gtid = opened.gtid.gtid
        self._reach(FilePlace(self._file, self._offset) if self._by_file else self._with_it)
        at = None if gtid is None else opened.begin
        self._proof = Proof(self._file, self._offset, self._server, at, gtid or "", self._begun)
        self._leave()
        if self._delivery.size >= _BATCH_BYTES:
            yield self._batch(more=True)

    def _deliver(self, opened: OpenTransaction, place: Place) -> Iterator[Batch]:
        transaction, told, versions, at = self._transaction(opened, place), "", opened.versions, opened.at
        self._delivery.begin(transaction, opened.begin)
        for version, ordinal, offset, rows, query in opened.spool:
            if ordinal <= opened.delivered:
                self._delivery.count(versions[version], rows)
                continue
            if self._delivery.size >= _BATCH_BYTES:
                yield self._batch(more=True)
            if query != told:
                transaction, told = self._transaction(opened, place, query), query
            self._delivery.rows(versions[version], transaction, ordinal, offset if at is None else at, rows)
            self._inside = transaction, ordinal
        opened.spool.clear()
        self._delivery.end(opened.ordinal, self._begin_of(place))

    def _leave(self) -> None:
        """Behind a transaction."""
        opened = self._open
        if opened is not None and (opened.prepares or opened.ends):
            self._spool = self._waiting.spool()
        self._open = self._inside = None
        self._repeated = self._passing = False
        self._maps.clear()

    def _transaction(self, opened: OpenTransaction, place: Place, query: str = "") -> Transaction:
        gtid = opened.gtid
        block = SourceBlock(
            sequence=None,
            server_id=gtid.place.server_id,
            gtid=gtid.gtid,
            file=self._file,
            pos=OFFSET_PLACEHOLDER,
            row=ROW_PLACEHOLDER,
            thread=opened.thread,
            query=Verbatim(query) if query else None,
        )
        block.executed, block.proof, block.in_doubt = self.executed, self._proof, self._waiting.in_doubt
        return Transaction(
            gtid.gtid or f"{self._file}:{opened.begin}",
            f"{self.number:0{NUMBER_WIDTH}d}",
            place.timestamp * 1_000_000 if gtid.committed is None else gtid.committed,
            block,
            (gtid.gtid or f"file={self._file},pos={opened.frame}") if self._tables.boundaries else None,
        )

    def _where(self) -> str:
        return f"binary log {self._file}:{self._offset}"

    def _out_of_order(self, found: str) -> Malformed:
        return refusals.out_of_order(found, self._where())

    def _not_found_again(self, sought: BinlogPosition, found: str) -> Gap:
        return refusals.not_found_again(sought, found, self._where())
