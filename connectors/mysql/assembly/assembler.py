"""Events in, batches of changes out: what one connection's log says, transaction by transaction. No I/O.

A transaction's rows are kept until its end is known, and delivered then: they may be rolled back to a
savepoint, or wholly, in the log itself. Those of an XA transaction that is prepared are kept until the one
that commits it, and delivered as that one's. The changes of a transaction share one place in the order of
commits; rows of tables that are not captured are counted and left unread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from connectors.mysql.assembly import meaning, refusals, untold
from connectors.mysql.assembly.delivery import Delivery
from connectors.mysql.assembly.meaning import Meaning, Statement, may_change
from connectors.mysql.assembly.open_transaction import OpenTransaction
from connectors.mysql.assembly.progress import Progress
from connectors.mysql.assembly.queries import delivered
from connectors.mysql.assembly.refusals import shortened
from connectors.mysql.assembly.tables import Tables, Version
from connectors.mysql.assembly.waiting import Waiting
from connectors.mysql.binlog.event import ARTIFICIAL, TEMPORARY
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
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
from connectors.mysql.position import BinlogPosition, FilePlace
from tailrace.events import Batch, Transaction

_BATCH_BYTES: Final = 1024 * 1024
_ENDS: Final = frozenset((Meaning.XA_COMMIT, Meaning.XA_ROLLBACK))
_BEGIN: Final = Meaning.BEGIN  # to look a member up takes as long as the rest of what a BEGIN takes

_End: TypeAlias = Xid | Query | XaPrepare
"""What a transaction may end with."""


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
        queries: bool = False,
    ) -> None:
        """`decode`: `Decoder.feed`. `server`: see `Proof`. `queries`: changes have the statement that they
        come from."""
        self._decode = decode
        self._tables = tables
        self._queries = queries
        self.progress: Final = Progress(resume, server)
        """How far the log has been read."""
        self._handed_out = self.progress.number
        self._announced: OpenTransaction | None = None  # its GTID was told, and nothing of it yet
        self._open: OpenTransaction | None = None
        self._ending: _End | None = None  # of a compressed transaction: its commit, until its end is read
        self._maps: dict[int, Version | None] = {}
        self._waiting = Waiting(resume, tables.mark)
        self._spool = self._waiting.spool()
        self._delivery = Delivery(resume.reached, tables.boundaries)
        self._told = tables.boundaries is not None  # where transactions begin and end

    @property
    def in_transaction(self) -> bool:
        """Between a transaction's begin and its end."""
        return self._open is not None

    def feed(self, events: Iterable[bytes]) -> Iterator[Batch]:
        """Read events; the batches that become full on the way, of about 1 MiB."""
        decode, handlers, progress = self._decode, _HANDLERS, self.progress
        try:
            for event in events:
                for message in decode(event):
                    kind = type(message)
                    if kind is not Heartbeat:  # which tells of a place without being there
                        progress.read(message.place, len(event))
                    full = handlers[kind](self, message)
                    if full is not None:
                        yield from full
        except OSError as error:  # of the file of a transaction
            raise refusals.no_room(error) from error

    def cut(self) -> Batch | None:
        """Hand out what has been read since the last batch.

        None if there are no events and no commit has been passed since then. A batch without events is a
        position alone: how often these are wanted is the caller's business.
        """
        if not self._delivery and self.progress.number == self._handed_out:
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
        position = self.progress.position(events[-1] if events else None, self._waiting.in_doubt)
        if not position.inside:
            self._handed_out = self.progress.number
        return Batch(
            events,
            position.document(),
            commit=not position.inside,
            size=size if events else 0,
            timestamp=events[-1].transaction.timestamp if events else None,
            more=more,
        )

    def _gtid(self, gtid: Gtid) -> None:
        """A transaction's GTID, or that it has none."""
        progress, waiting = self.progress, self._waiting
        if self._open is not None or self._announced is not None:
            name = gtid.gtid or "a transaction"
            raise progress.out_of_order(f"{name} begins before the one before it ends")
        begin = progress.begin
        repeated = waiting.rereads and waiting.repeats(gtid, FilePlace(progress.file, begin))
        behind = progress.executed if repeated else progress.announced(gtid, begin)
        opened = OpenTransaction(gtid, begin, begin, behind, self._spool)
        if repeated:
            opened.repeated, opened.passing = True, not waiting.wants
        self._announced = opened
        if gtid.begins:
            self._begin(None)

    def _begin(self, thread: int | None) -> OpenTransaction:
        opened, progress = self._announced, self.progress
        if opened is None:
            raise progress.out_of_order("a transaction that was not announced")
        self._open, self._announced = opened, None
        opened.thread = thread
        if progress.sought is not None and not opened.repeated:
            opened.resume(progress.sought)
            progress.sought = None
        return opened

    def _table(self, map: TableMap) -> None:
        opened = self._open
        if opened is None or not opened.passing:
            self._maps[map.id] = self._tables.version(map)

    def _rows(self, rows: Rows) -> None:
        opened, progress = self._open, self.progress
        if opened is None:
            raise progress.out_of_order("rows outside of a transaction")
        opened.ordinal += 1
        if opened.passing:
            return
        try:
            version = self._maps[rows.table_id]
        except KeyError:
            found = f"rows of table number {rows.table_id}, which was not told"
            raise progress.out_of_order(found) from None
        query = opened.query
        if rows.ends_statement:
            opened.query = ""
        if version is not None and rows.op in version.delivers:
            opened.keep(version, progress.begin, rows, query)

    def _query(self, query: Query) -> Iterator[Batch] | None:
        statement = meaning.read(query.sql)
        what, opened = statement.meaning, self._open
        if what is _BEGIN:
            if opened is not None:
                opened.thread = query.thread
            else:
                self._begin(query.thread).frame = self.progress.begin
        elif what is Meaning.CHANGE and not self._repeats and may_change(query, self._tables.filter):
            reading = opened or self._announced
            behind = None if reading is None or self.progress.by_file else reading.behind
            raise refusals.as_statement(query, self.progress.where, behind)
        elif opened is None:
            return self._standalone(query, statement)
        elif what is Meaning.COMMIT or what is Meaning.ROLLBACK:
            if what is Meaning.ROLLBACK:
                opened.roll_back()
            return self._commit(query)
        elif what is Meaning.SAVEPOINT:
            opened.savepoint(statement.name)
        elif what is Meaning.ROLLBACK_TO:
            try:
                opened.roll_back_to(statement.name)
            except ValueError as error:
                raise self.progress.out_of_order(f"{shortened(query.sql)}: {error}") from None
        elif what in _ENDS:
            raise self.progress.out_of_order(f"{shortened(query.sql)} inside of a transaction")
        return None

    def _standalone(self, query: Query, statement: Statement) -> Iterator[Batch] | None:
        """A transaction of one statement: DDL, or the end of an XA transaction that was prepared."""
        progress, what = self.progress, statement.meaning
        if self._announced is None:
            if not progress.by_file:
                raise progress.out_of_order(f"{shortened(query.sql)} outside of a transaction")
            self._rest(query)  # without GTIDs, and from a server that announces nothing
            return None
        if what is Meaning.UNTOLD and not self._announced.repeated:
            untold.tell(query, statement, self._tables, progress.where)
        opened = self._begin(query.thread)
        opened.frame = progress.begin
        if opened.repeated:
            pass  # whatever it is
        elif what in _ENDS:
            opened.ends = statement.name
            if what is Meaning.XA_COMMIT:
                self._waiting.commit(opened, progress.file, opened.frame, progress.behind(opened))
        elif what is Meaning.TRUNCATE and not query.place.flags & TEMPORARY:
            self._truncate(opened, query, statement)
        return self._commit(query)

    def _truncate(self, opened: OpenTransaction, query: Query, statement: Statement) -> None:
        schema, name = statement.schema or query.schema, statement.name
        version = self._tables.truncated(schema, name)
        if version is None:
            return
        opened.ordinal += 1
        if opened.ordinal > opened.delivered:
            transaction = self._transaction(opened, query.place)
            self._delivery.begin(transaction, opened.begin)
            self._delivery.truncate(version, transaction, opened.frame, len(query.sql))
            self._delivery.end(opened.ordinal, opened.frame)

    def _prepare(self, prepare: XaPrepare) -> Iterator[Batch] | None:
        if self._open is None:
            raise self.progress.out_of_order("a prepared XA transaction that has not begun")
        if not prepare.one_phase:
            self._open.prepares = prepare.xid.decode("ascii", "replace")
        return self._commit(prepare)

    def _payload_end(self, end: PayloadEnd) -> Iterator[Batch] | None:
        self._rest(end)
        commit, self._ending = self._ending, None
        if commit is None:
            return None
        place = msgspec.structs.replace(commit.place, end=self.progress.offset)
        return self._commit(msgspec.structs.replace(commit, place=place))

    def _statement(self, statement: RowsQuery) -> None:
        if self._queries and self._open is not None:
            self._open.query = delivered(statement.sql)
        self._rest(statement)

    def _format(self, format: Format) -> None:
        resting = self._between and not self._waiting.rereads
        self.progress.begun(format.place.timestamp, resting=resting)
        self._rest(format)

    def _incident(self, incident: Incident) -> None:
        raise refusals.incident(incident, self.progress.where)

    def _rest(self, message: Message) -> None:
        """An event that belongs to no transaction, unless one is open."""
        if self._between and message.place.end and not message.place.flags & ARTIFICIAL:
            self.progress.rest()

    def _heartbeat(self, heartbeat: Heartbeat) -> None:
        """The server has sent all it has."""
        if self._between and heartbeat.file == self.progress.file:
            self.progress.moved(heartbeat.file, heartbeat.position)

    def _rotate(self, rotate: Rotate) -> None:
        if not self._between:
            found = "another file begins inside of a transaction"
            if isinstance(self.progress.executed, GtidPosition):  # MySQL mends its log after a crash
                raise refusals.cut_off(found, self.progress.where)
            raise self.progress.out_of_order(found)
        self.progress.moved(rotate.file, rotate.position)

    @property
    def _between(self) -> bool:
        """Behind a transaction's end, and before the next one is announced."""
        return self._open is None and self._announced is None

    @property
    def _repeats(self) -> bool:
        """Within a transaction that was read before."""
        reading = self._open or self._announced
        return reading is not None and reading.repeated

    def _commit(self, end: _End) -> Iterator[Batch] | None:
        """The transaction has ended: its changes are delivered, unless it is prepared."""
        opened, progress, place = self._open, self.progress, end.place
        if opened is None:
            raise progress.out_of_order("a commit outside of a transaction")
        if progress.by_file and not place.end:  # compressed: where the next one begins is not known yet
            self._ending = end
            return None
        if opened.repeated:
            self._waiting.prepare_again(opened, progress.file)
            self._leave(opened)
            return None
        sought = opened.sought
        if sought is not None and (opened.ordinal < sought.ordinal or opened.prepares):
            found = "it is prepared now" if opened.prepares else f"it has {opened.ordinal} row events now"
            raise progress.not_found_again(sought, found)
        if opened.prepares:
            self._waiting.prepare(opened, progress.executed, progress.file, place.timestamp)
        elif opened.versions:
            return self._deliver(opened, place)
        self._end(opened)
        return None

    def _deliver(self, opened: OpenTransaction, place: Place) -> Iterator[Batch]:
        delivery, versions, at = self._delivery, opened.versions, opened.at
        transaction, told = self._transaction(opened, place), ""
        delivery.begin(transaction, opened.begin)
        for version, ordinal, offset, rows, query in opened.spool:
            if ordinal <= opened.delivered:
                delivery.count(versions[version], rows)
                continue
            if delivery.size >= _BATCH_BYTES:
                yield self._batch(more=True)
            if query != told:
                transaction, told = self._transaction(opened, place, query), query
            delivery.rows(versions[version], transaction, ordinal, offset if at is None else at, rows)
        opened.spool.clear()
        delivery.end(opened.ordinal, self.progress.begin)
        self._end(opened)
        if delivery.size >= _BATCH_BYTES:
            yield self._batch(more=True)

    def _end(self, opened: OpenTransaction) -> None:
        """The transaction is executed."""
        if opened.ends:
            self._waiting.end(opened.ends)
        self.progress.ended(opened)
        self._leave(opened)

    def _leave(self, opened: OpenTransaction) -> None:
        """Behind the transaction."""
        self._open = None
        if opened.prepares or opened.ends:
            self._spool = self._waiting.spool()
        self._maps.clear()

    def _transaction(self, opened: OpenTransaction, place: Place, query: str = "") -> Transaction:
        return self.progress.transaction(opened, place, self._waiting.in_doubt, query, told=self._told)


_Handler: TypeAlias = Callable[[Assembler, Any], Iterator[Batch] | None]

_HANDLERS: Final[Mapping[type[Message], _Handler]] = {
    Rows: Assembler._rows,
    TableMap: Assembler._table,
    Xid: Assembler._commit,
    Gtid: Assembler._gtid,
    Query: Assembler._query,
    Heartbeat: Assembler._heartbeat,
    Rotate: Assembler._rotate,
    XaPrepare: Assembler._prepare,
    Incident: Assembler._incident,
    PayloadEnd: Assembler._payload_end,
    Format: Assembler._format,
    RowsQuery: Assembler._statement,
    KnownGtids: Assembler._rest,
    Ignorable: Assembler._rest,
}
"""What is done about each kind of message; the batches that become full by it."""
