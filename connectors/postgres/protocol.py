"""The decoder of logical replication: CopyData payloads in, batches of changes out. No I/O.

Protocol version 1 of pgoutput, which `assembly.py` makes of the later ones, with `messages 'true'`, text
format (https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html). The session that
produces it must be pinned: client_encoding UTF8, DateStyle ISO, IntervalStyle postgres, extra_float_digits 3,
bytea_output hex, TimeZone UTC.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from connectors.postgres.history import History
from connectors.postgres.position import WalPosition, format_lsn, place
from connectors.postgres.relations import (
    Relation,
    RelationDetails,
    Relations,
    Undescribed,
    Version,
    read_message,
    read_truncate,
)
from connectors.postgres.streamed import STREAM_ABORT, StreamAbort, prepared
from connectors.postgres.tuples import DELETE, INSERT, KEY, NEW, OLD, TRUNCATE, UPDATE
from connectors.postgres.wire import EPOCH, KIND, Reader, malformed
from connectors.postgres.witness import Witness
from tailrace.errors import Gap, TailraceError, code
from tailrace.events import (
    OFFSET_PLACEHOLDER,
    Batch,
    Change,
    Event,
    Origin,
    SchemaChange,
    SourceField,
    Table,
    Transaction,
)
from tailrace.ordering import Ordering
from tailrace.types import Kind, LogicalType

NOT_FOUND_AGAIN: Final = code(
    "TR-PG-103",
    "transaction not found again",
    "A checkpoint stands inside a transaction, and the server does not send that transaction as it did "
    "before. Going on would lose or double some of its changes.",
)

OWN_PREFIX: Final = b"tailrace"
"""Logical messages with this prefix are the connector's own: counted, never delivered."""

_BEGIN, _COMMIT, _ORIGIN, _RELATION, _TYPE, _MESSAGE = b"BCORYM"
_XLOG_DATA: Final = ord("w")
_OLD_ROW: Final = (OLD, KEY)
_COUNTED: Final = (INSERT, UPDATE, DELETE, TRUNCATE, _MESSAGE)  # what an ordinal is given to

# `w`, LSN, the message's kind; the two fields behind it are what a row message has there.
_unpack_row: Final = struct.Struct(">BQ16xBIB").unpack_from
_ROW_SIZE: Final = struct.calcsize(">BQ16xBIB")
_unpack_lsn: Final = struct.Struct(">xQ").unpack_from
_unpack_begin: Final = struct.Struct(">26xQqI")
_unpack_commit: Final = struct.Struct(">26xBQQq")
_unpack_keepalive: Final = struct.Struct(">BQqB")
_unpack_clock: Final = struct.Struct(">17xq").unpack_from

_MESSAGES: Final = -1  # in the place of an oid: the pseudo-table of logical messages
_OUTSIDE: Final = Transaction("", "", 0, {})
_NOTHING: Final = sys.maxsize  # more than any ordinal: outside of a transaction no row message is right
_ALL: Final = _NOTHING - 1  # as well, of a transaction that is dropped wholly


def origin(pipeline: str, database: str) -> Origin:
    """The origin of this connector's tables, with the fields it adds to the source block."""
    number = LogicalType(Kind.INT64, "int8")
    fields = (
        SourceField("sequence", LogicalType(Kind.STRING, "text"), optional=True),
        SourceField("txId", number, optional=True),
        SourceField("lsn", number, optional=True),
        SourceField("xmin", number, optional=True),
    )
    return Origin("postgresql", pipeline, database, fields)


class Decoder:
    """Decodes one connection's stream, which the server was asked for from `resume.end` on, or from before it
    for the sake of `history`.

    ::

        needed = decoder.feed(messages)
        while needed:
            needed = decoder.describe(await catalogue.describe(needed))
        batch = decoder.cut()

    What `resume` covers is dropped. Errors are `Malformed` (bytes that are not the protocol), `NotReady` (a
    column's type is not supported), `Gap` (the transaction in which `resume` lies does not come again as it
    was) and those of `history`; after one, `cut` hands out what stands before the message that it is of, and
    the decoder is of no further use. Not safe for use from several threads at once.
    """

    def __init__(self, relations: Relations, resume: WalPosition, history: History | None = None) -> None:
        self.end = resume.end
        """The last commit's end, or the idle position behind it: what the server would be asked for again."""
        self.server_end = resume.end
        """The newest end of the server's log that it has told. For the lag; nothing else may rest on it."""
        self.reply_requested = False
        """A keepalive asked for an answer at once. Whoever answers sets it back to False."""
        self.size = 0
        """Bytes of the messages behind the events that the next `cut` hands out."""

        self._relations = relations
        self._reached = (resume.lsn, resume.ordinal)
        self._sought = resume if resume.inside else None  # until its transaction has begun
        self._history = history or History(resume)
        # Of the last thing that came; of a transaction it is made when it is asked for.
        self._witness = resume.witness or Witness(resume.end)
        self._committed: Transaction | None = None
        self._handed_out = resume.end  # the value of `end` at the last cut
        self._messages: Iterator[bytes] = iter(())
        self._events: list[Event] = []
        boundaries = relations.boundaries
        self._ordering = None if boundaries is None else Ordering(boundaries, self._reached)
        self._ordered = 0  # how many of the events are

        self._transaction = _OUTSIDE
        self._commit_lsn = 0  # of the transaction
        self._ordinal = 0  # of the newest message of the transaction
        self._delivered = _NOTHING  # up to which ordinal the transaction is dropped

        self._undescribed: Relation | None = None
        # By oid, as announced here; None: not captured.
        self._versions: dict[int, Version | None] = {_MESSAGES: relations.messages}
        self._tables: dict[int, Table] = {}  # of these, the tables whose schema change has been told
        self._changes_key: dict[int, Callable[[bytes], bool]] = {}  # for the same tables

    @property
    def proven(self) -> bool:
        """The log has proved to be the one in which `resume` stands. Before, nothing may be acknowledged."""
        return self._history.proven

    @property
    def in_transaction(self) -> bool:
        """Between Begin and Commit."""
        return self._transaction is not _OUTSIDE

    def feed(self, messages: Sequence[bytes]) -> Undescribed | None:
        """Decode CopyData payloads (XLogData and keepalives) in the order they came, whole.

        Returns None when all are decoded, else the relation that must be described first: the rest waits in
        the decoder. A keepalive outside Begin…Commit moves the position (an idle position). The changes keep
        the messages.
        """
        if self._undescribed:
            raise RuntimeError("a relation waits to be described")
        self.size += sum(map(len, messages))
        self._messages = iter(messages)
        return self._decode()

    def describe(self, details: RelationDetails) -> Undescribed | None:
        """Answer what `feed` (or `describe`) asked for and go on with the rest, as `feed`. Raises NotReady if
        the table has a column whose type is not supported."""
        relation, self._undescribed = self._undescribed, None
        if not relation:
            raise RuntimeError("no relation waits to be described")
        version = self._relations.version(relation, details)
        self._versions[relation.oid] = version
        if self._tables.get(relation.oid) is not version.table:
            self._tables.pop(relation.oid, None)
        return self._decode()

    def cut(self) -> Batch | None:
        """Hand out what has been decoded since the last call, up to here, be that inside a transaction.

        None if there are no events and no commit's end or idle position has been passed since then. A batch
        without events is a position alone: how often these are wanted is the caller's business.
        """
        self._order()
        events = self._events
        if not events and self.end == self._handed_out:
            return None
        if events and self._ordinal:
            witness = Witness.transaction(self._transaction)
            position = WalPosition(self._commit_lsn, self._ordinal, self.end, witness)
        else:
            position = WalPosition(self.end, witness=self._newest())
        timestamp = events[-1].transaction.timestamp if events else None
        batch = Batch(
            events, position.document(), commit=not position.inside, size=self.size, timestamp=timestamp
        )
        self._events, self.size, self._handed_out = [], 0, self.end
        self._ordered = 0
        return batch

    def _newest(self) -> Witness:
        if self._committed is not None:
            self._witness, self._committed = Witness.transaction(self._committed), None
        return self._witness

    def _order(self) -> None:
        """Give the events since the last call their orders, where these are wanted."""
        if self._ordering is not None and self._ordered < len(self._events):
            self._events[self._ordered :] = self._ordering.ordered(self._events[self._ordered :])
            self._ordered = len(self._events)

    def _decode(self) -> Undescribed | None:
        # The one loop over all messages. State lives in locals, and what most messages are comes first.
        events = self._events
        append = events.append
        find = self._tables.get
        transaction, ordinal, delivered = self._transaction, self._ordinal, self._delivered
        message = b""
        try:
            for message in self._messages:
                try:
                    frame, lsn, kind, oid, tag = _unpack_row(message)
                except struct.error:
                    self._read_keepalive(message)
                    continue
                if frame != _XLOG_DATA:
                    raise malformed(message, f"neither XLogData nor a keepalive: {frame:#x}")

                if kind == INSERT:
                    ordinal += 1
                    if ordinal <= delivered:
                        self._drop(message, delivered)
                    elif table := find(oid) or self._announce(oid, transaction, ordinal, message):
                        if tag != NEW:
                            raise malformed(message, f"an insert with a tuple of kind {tag:#x}")
                        append(Change("c", table, transaction, ordinal, 0, lsn, message))
                elif kind == UPDATE:
                    ordinal += 1
                    if ordinal <= delivered:
                        self._drop(message, delivered)
                    elif table := find(oid) or self._announce(oid, transaction, ordinal, message):
                        if tag == NEW or (tag in _OLD_ROW and not self._changes_key[oid](message)):
                            append(Change("u", table, transaction, ordinal, 0, lsn, message))
                        elif tag in _OLD_ROW:
                            append(Change("d", table, transaction, ordinal, 0, lsn, message))
                            append(Change("c", table, transaction, ordinal, 2, lsn, message))
                        else:
                            raise malformed(message, f"an update with a tuple of kind {tag:#x}")
                elif kind == DELETE:
                    ordinal += 1
                    if ordinal <= delivered:
                        self._drop(message, delivered)
                    elif table := find(oid) or self._announce(oid, transaction, ordinal, message):
                        if tag not in _OLD_ROW:
                            raise malformed(message, f"a delete with a tuple of kind {tag:#x}")
                        append(Change("d", table, transaction, ordinal, 0, lsn, message))

                elif kind == _BEGIN:
                    self._begin(message)
                    transaction, ordinal, delivered = self._transaction, 0, self._delivered
                elif kind == _COMMIT:
                    self._commit(message, ordinal)
                    transaction, ordinal, delivered = _OUTSIDE, 0, _NOTHING
                elif kind == _MESSAGE:
                    ordinal += transaction is not _OUTSIDE
                    self._logical_message(message, lsn, ordinal)
                elif kind == TRUNCATE:
                    ordinal += 1
                    self._truncate(message, lsn, ordinal)
                elif kind == _RELATION:
                    relation = Relation(message)
                    if self._relations.captured(relation.schema, relation.name):
                        self._undescribed = relation
                        self._ordinal = ordinal
                        return relation.undescribed()
                    self._versions[relation.oid] = None
                    self._tables.pop(relation.oid, None)
                else:
                    self._check_unused(message, kind)
        except TailraceError:
            self._retreat(message, transaction, ordinal)
            raise
        self._ordinal = ordinal
        if not self._events:
            self.size = 0
        return None

    def _retreat(self, message: bytes, transaction: Transaction, ordinal: int) -> None:
        """Go back to before a message at which decoding ended: what stands before it can still be cut."""
        events = self._events
        if len(message) >= _ROW_SIZE and message[0] == _XLOG_DATA and message[KIND] in _COUNTED and ordinal:
            while events and events[-1].transaction is transaction and events[-1].ordinal == ordinal:
                events.pop()
            ordinal -= 1
        self._ordinal = ordinal

    def _begin(self, message: bytes) -> None:
        if len(message) != _unpack_begin.size or self._transaction is not _OUTSIDE:
            raise malformed(message, "a wrong Begin, or a Begin inside a transaction")
        commit_lsn, time, xid = _unpack_begin.unpack(message)
        source = self._source_block(xid)
        # Debezium's id: the number, and the event's own place in the log.
        metadata = None if self._ordering is None else f"{xid}:{OFFSET_PLACEHOLDER}"
        transaction = Transaction(str(xid), f"{commit_lsn:016X}", time + EPOCH, source, metadata)
        history = self._history
        covered = not history.settled and history.repeats(commit_lsn, Witness.transaction(transaction))
        if commit_lsn < self.end and not covered:
            raise malformed(message, f"a transaction from before {format_lsn(self.end)}, which is behind us")
        self._delivered = _ALL if covered else 0
        if self._sought:
            if commit_lsn != self._sought.lsn:
                raise self._not_found_again(self._sought, f"the next transaction is {format_lsn(commit_lsn)}")
            self._delivered = self._sought.ordinal
        self._commit_lsn = commit_lsn
        self._transaction = transaction
        if self._ordering is not None:
            self._ordering.begin(transaction, commit_lsn, *_unpack_lsn(message))

    def _commit(self, message: bytes, ordinal: int) -> None:
        if len(message) != _unpack_commit.size or self._transaction is _OUTSIDE:
            raise malformed(message, "a wrong Commit, or a Commit outside of a transaction")
        flags, commit_lsn, end, time = _unpack_commit.unpack(message)
        begun = (self._commit_lsn, self._transaction.timestamp)
        if flags or (commit_lsn, time + EPOCH) != begun or end <= commit_lsn:
            raise malformed(message, f"a Commit that does not fit its Begin at {format_lsn(begun[0])}")
        if self._sought:
            if ordinal < self._sought.ordinal:
                raise self._not_found_again(self._sought, f"it has {ordinal} messages now")
            self._sought = None
        if self._delivered != _ALL:
            if self._ordering is not None:
                self._order()
                self._events += self._ordering.end(ordinal, *_unpack_lsn(message))
                self._ordered = len(self._events)
            self.end, self._committed = end, self._transaction
        self._history.passed(end)
        self.server_end = max(self.server_end, end)
        self._transaction, self._delivered = _OUTSIDE, _NOTHING

    def _drop(self, message: bytes, delivered: int) -> None:
        """A message that has been delivered before: its changes still count."""
        if delivered == _NOTHING:
            raise malformed(message, "a row outside of a transaction")
        if self._ordering is not None:
            for table in self._changed(message):
                self._ordering.count(table)

    def _changed(self, message: bytes) -> Iterator[Table]:
        """The tables of the changes that a message makes, in their order."""
        kind = message[KIND]
        if kind == _MESSAGE:
            yield self._relations.messages.table
        elif kind == TRUNCATE:
            for oid in read_truncate(message):
                if version := self._versions.get(oid):
                    yield version.table
        elif version := self._versions.get(_unpack_row(message)[3]):
            yield version.table
            if kind == UPDATE and _unpack_row(message)[4] in _OLD_ROW and version.changes_key(message):
                yield version.table

    def _announce(self, oid: int, transaction: Transaction, ordinal: int, message: bytes) -> Table | None:
        """The table of a row that is the first of its version here; None where the table is not captured."""
        if oid not in self._versions:
            raise malformed(message, f"a row of relation {oid}, which has not been announced")
        version = self._versions[oid]
        if not version:
            return None
        # Told on an earlier connection, but behind what is resumed from: it may not have arrived.
        if version.announced is None or version.announced > self._reached:
            change = SchemaChange(version.table, transaction, ordinal)
            version.announced = place(change)
            self._events.append(change)
        self._tables[oid] = version.table
        self._changes_key[oid] = version.changes_key
        return version.table

    def _truncate(self, message: bytes, lsn: int, ordinal: int) -> None:
        oids = read_truncate(message)
        if ordinal <= self._delivered:
            self._drop(message, self._delivered)
            return
        for index, oid in enumerate(oids):
            table = self._tables.get(oid) or self._announce(oid, self._transaction, ordinal, message)
            if table:
                self._events.append(Change("t", table, self._transaction, ordinal, index, lsn, message))

    def _logical_message(self, message: bytes, lsn: int, ordinal: int) -> None:
        transactional, message_lsn, prefix, _ = read_message(message)
        transaction = self._transaction
        if transactional != self.in_transaction:
            raise malformed(message, "a logical message on the wrong side of a Begin or Commit")
        if transactional and ordinal <= self._delivered:
            if prefix != OWN_PREFIX:
                self._drop(message, self._delivered)
            return
        if not transactional:
            # It comes when it is read in the log, before the Begin of the transaction that wrote it.
            witness = Witness.message(self.end, message[KIND:])
            covered = self._history.repeats(message_lsn - 1, witness)
            self._history.passed(message_lsn)
            if covered:
                return
            if self._sought:
                raise self._not_found_again(self._sought, f"a message comes at {format_lsn(message_lsn)}")
            if message_lsn <= self.end:
                raise malformed(message, f"a message from before {format_lsn(self.end)}, which is behind us")
            (time,) = _unpack_clock(message)
            transaction = Transaction("", f"{message_lsn:016X}", time + EPOCH, self._source_block(None))
            self.end, self._witness, self._committed = message_lsn, witness, None
        if prefix != OWN_PREFIX:
            table = self._tables.get(_MESSAGES) or self._announce(_MESSAGES, transaction, ordinal, message)
            assert table
            self._events.append(Change("m", table, transaction, ordinal, 0, lsn, message))

    def _read_keepalive(self, message: bytes) -> None:
        if message[:1] != b"k" or len(message) != _unpack_keepalive.size or message[-1] > 1:
            raise malformed(message, "neither a whole XLogData nor a keepalive")
        _, end, _, reply = _unpack_keepalive.unpack(message)
        self.server_end = max(self.server_end, end)
        self.reply_requested |= reply == 1
        if self.in_transaction:
            return
        self._history.passed(end)
        if self._sought and end > self._sought.lsn:
            raise self._not_found_again(self._sought, f"the server has come to {format_lsn(end)} without it")
        if not self._sought:
            self.end = max(self.end, end)

    def _check_unused(self, message: bytes, kind: int) -> None:
        """Origin and type messages: nothing in them is needed. Likewise a Stream Abort although nothing was
        streamed: PostgreSQL 18 tells it of subtransactions that it knew to be rolled back beforehand."""
        if error := prepared(message):
            raise error
        if kind == STREAM_ABORT[0] and not self.in_transaction:
            StreamAbort.read(message)
            return
        reader = Reader(message)
        if kind == _ORIGIN:
            reader.uint64()
            reader.string()
        elif kind == _TYPE:
            reader.uint32()
            reader.string()
            reader.string()
        else:
            raise malformed(message, f"a message of unknown kind {kind:#x}")
        reader.finish()

    def _source_block(self, xid: int | None) -> dict[str, int | str | None]:
        # Debezium's `sequence`: the last commit's end and the change's own LSN, as a JSON text of two texts.
        sequence = f'["{self.end}","{OFFSET_PLACEHOLDER}"]'
        return {"sequence": sequence, "txId": xid, "lsn": OFFSET_PLACEHOLDER, "xmin": None}

    def _not_found_again(self, sought: WalPosition, found: str) -> Gap:
        return Gap(
            NOT_FOUND_AGAIN,
            f"the checkpoint stands at {sought}, and {found}",
            "Let the server, publications and tailrace be as they were when the checkpoint was written, or "
            "start once with --redeliver-transaction: the transaction is then delivered again from its begin",
            where=f"log position {format_lsn(sought.lsn)}",
        )
