"""Transactions that come in pieces, put together: versions 2 to 4 of the protocol in, version 1 out.

A transaction's pieces are spooled, and handed out between a Begin and a Commit when it commits: exactly what
the server would have sent without streaming, so that nothing behind this knows of it. What was rolled back is
gone by then: ordinals count what is left, as ever.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from connectors.postgres.position import format_lsn
from connectors.postgres.spool import Spool, Spooled
from connectors.postgres.streamed import (
    STREAM_ABORT,
    STREAM_COMMIT,
    STREAM_START,
    STREAM_STOP,
    StreamAbort,
    StreamCommit,
    StreamStart,
)
from connectors.postgres.wire import KIND, malformed
from tailrace.errors import Retry, TailraceError, code
from tailrace.failpoints import failpoint

_BYTES: Final = 1024 * 1024  # of a list that is handed out, about
_READS: Final = 8  # of the spool for it at most: who waits gets a turn also where all was rolled back
_ORIGIN, _RELATION = b"O", b"R"
_MESSAGE: Final = ord("M")
_MARKS: Final = frozenset((b"", STREAM_START, STREAM_STOP, STREAM_COMMIT, STREAM_ABORT, _ORIGIN, _RELATION))
"""What is looked at one by one; without a kind a message is a keepalive, or none."""

_COUNTED: Final = frozenset(b"IUDTM")
_WITHIN: Final = _COUNTED | frozenset(b"YR")
_LSN: Final = slice(1, 9)
_XID: Final = slice(KIND + 1, KIND + 5)
_OID: Final = slice(KIND + 5, KIND + 9)  # of a relation within a piece
_OID_OUTSIDE: Final = slice(KIND + 1, KIND + 5)

_ASKED: Final = 10_000  # subtransactions at one time

UNDECIDED: Final = code(
    "TR-PG-105",
    "a streamed transaction cannot be told",
    "Of a transaction that is sent in pieces the server does not tell which of its logical messages "
    "(pg_logical_emit_message) were rolled back with a savepoint; nor, when very many transactions have been "
    "made since, which savepoints were. It is read again without streaming, only slower.",
)

_committed = failpoint("postgres.assembly.committed")
_handed_out = failpoint("postgres.assembly.handed_out")


class _Transaction:
    """An open one. `begun`: the bytes of the LSN at which its first piece began."""

    def __init__(self, xid: int, begun: bytes, spooled: Spooled) -> None:
        self.xid = xid
        self.begun = begun
        self.spooled = spooled
        # By oid and (sub)transaction: the newest, and its place in the order of arrival.
        self.relations: dict[tuple[bytes, bytes], tuple[int, bytes]] = {}
        self.has_messages = False
        self._subtransactions = array("I")  # four bytes each: there may be as many as rows
        self._recent: set[bytes] = set()

    def spool(self, messages: Sequence[bytes]) -> None:
        kinds = {message[KIND] for message in messages}
        if not kinds <= _WITHIN or min(map(len, messages)) < _XID.stop:
            wrong = next(one for one in messages if one[KIND] not in _WITHIN or len(one) < _XID.stop)
            raise malformed(wrong, "no message of a piece of a transaction")
        self.has_messages |= _MESSAGE in kinds
        numbers = {message[_XID] for message in messages}
        self._subtransactions.extend(int.from_bytes(one, "big") for one in numbers - self._recent)
        self._recent = numbers
        self.spooled.append(messages)

    def subtransactions(self) -> Iterator[tuple[int, ...]]:
        """The numbers that there are beside its own, some at one time."""
        for start in range(0, len(self._subtransactions), _ASKED):
            numbers = {*self._subtransactions[start : start + _ASKED]} - {self.xid}
            if numbers:
                yield tuple(sorted(numbers))

    def roll_back(self, subxid: int) -> None:
        self.spooled.roll_back(subxid)
        number = subxid.to_bytes(4, "big")
        for key in [key for key in self.relations if key[1] == number]:
            del self.relations[key]


@dataclass(frozen=True, slots=True)
class Subtransactions:
    """Of a transaction that commits: which of these were rolled back must be told (`Assembly.answer`) before
    more is asked for. A server that had them on its own disk before it sent them does not say it."""

    xids: tuple[int, ...]


class Assembly:
    """Of one connection's stream. `begins_at_once`: the server (before 15) sends a Begin of each transaction.
    Later ones send it with the first change, and nothing of a transaction without any: as they may not stream
    it the next time, such a one must leave no trace here.

    A relation message holds for what comes behind it: within a piece for that transaction alone until it
    commits, then for all, as the server takes it to be known from then on.
    """

    def __init__(self, spool: Spool, *, begins_at_once: bool) -> None:
        self.undecided = False
        """A transaction has come that only a stream without pieces can tell: that is what was raised."""

        self._spool = spool
        self._begins_at_once = begins_at_once
        self._transactions: dict[int, _Transaction] = {}
        self._piece: _Transaction | None = None  # whose piece is coming
        self._answers: list[Collection[int] | None] = []
        self._arrivals = count()
        self._relations: dict[bytes, tuple[int, bytes]] = {}  # outside of pieces, by oid

    def answer(self, rolled_back: Collection[int] | None) -> None:
        """Tell which of the subtransactions asked for were rolled back; None: nobody knows any more."""
        self._answers.append(rolled_back)

    def feed(self, messages: Sequence[bytes]) -> Iterator[list[bytes] | Subtransactions]:
        """What is to be decoded, in order, in lists of about a megabyte; some may be empty. In between
        comes what must be answered. To be read to its end before the next messages are fed. Raises Malformed,
        and what the spool raises, behind what stands before."""
        ready: list[bytes] = []
        failure: TailraceError | None = None
        try:
            marks = [i for i, message in enumerate(messages) if message[KIND : KIND + 1] in _MARKS]
            done = 0
            for mark in marks:
                ready += self._unmarked(messages[done:mark])
                message, done = messages[mark], mark + 1
                if message[KIND : KIND + 1] == STREAM_COMMIT:
                    size = sum(map(len, ready))
                    for reads, part in enumerate(self._commit(message), 1):
                        if isinstance(part, Subtransactions):
                            yield part
                            continue
                        ready += part
                        size += sum(map(len, part))
                        if size >= _BYTES or reads % _READS == 0:
                            yield ready
                            _handed_out()
                            ready, size = [], 0
                else:
                    ready += self._marked(message)
            ready += self._unmarked(messages[done:])
        except TailraceError as error:
            failure = error
        yield ready
        if failure is not None:
            raise failure

    def _unmarked(self, messages: Sequence[bytes]) -> Sequence[bytes]:
        """Messages that are spooled or handed out whatever they hold."""
        if self._piece is None or not messages:
            return messages
        self._piece.spool(messages)
        return ()

    def _marked(self, message: bytes) -> Sequence[bytes]:
        kind, piece = message[KIND : KIND + 1], self._piece
        if not kind:
            return (message,)
        if kind == _RELATION:
            return self._relation(message)
        if kind == _ORIGIN:
            if piece is None:
                return (message,)
            # Alone of those within a piece it has no number.
            number = piece.xid.to_bytes(4, "big")
            piece.spooled.append((message[: KIND + 1] + number + message[KIND + 1 :],))
        elif kind == STREAM_STOP:
            if piece is None or len(message) != KIND + 1:
                raise malformed(message, "a wrong Stream Stop, or one outside of a piece")
            self._piece = None
        elif piece is not None:
            raise malformed(message, f"inside of a piece of transaction {piece.xid}")
        elif kind == STREAM_START:
            self._start(message)
        else:
            self._abort(message)
        return ()

    def _relation(self, message: bytes) -> Sequence[bytes]:
        arrival, piece = next(self._arrivals), self._piece
        if piece is None:
            self._relations[message[_OID_OUTSIDE]] = arrival, message
            return (message,)
        piece.spool((message,))
        outside = message[: KIND + 1] + message[_XID.stop :]
        piece.relations[message[_OID], message[_XID]] = arrival, outside
        return ()

    def _start(self, message: bytes) -> None:
        start = StreamStart.read(message)
        if start.first == (start.xid in self._transactions):
            raise malformed(message, f"{'another' if start.first else 'no'} first piece of {start.xid}")
        if start.first:
            self._transactions[start.xid] = _Transaction(
                start.xid, message[_LSN], self._spool.transaction(start.xid)
            )
        self._piece = self._transactions[start.xid]

    def _abort(self, message: bytes) -> None:
        abort = StreamAbort.read(message)
        transaction = self._transactions.get(abort.xid)
        if transaction is None:
            return  # PostgreSQL 18 tells it also of what it has never sent
        if abort.subxid == abort.xid:
            del self._transactions[abort.xid]
            transaction.spooled.remove()
        else:
            transaction.roll_back(abort.subxid)

    def _commit(self, message: bytes) -> Iterator[Sequence[bytes] | Subtransactions]:
        if self._piece is not None:
            raise malformed(message, f"inside of a piece of transaction {self._piece.xid}")
        commit = StreamCommit.read(message)
        transaction = self._transactions.get(commit.xid)
        if transaction is None:
            raise malformed(message, f"of transaction {commit.xid}, of which no piece has come")
        if transaction.has_messages:
            raise self._undecided(commit, "has logical messages")
        for xids in transaction.subtransactions():
            yield Subtransactions(xids)
            rolled_back = self._answers.pop()
            if rolled_back is None:
                raise self._undecided(commit, "has savepoints of which the server knows nothing any more")
            for xid in rolled_back:
                transaction.spooled.leave_out(xid)
        _committed()
        before: list[bytes] | None = []  # the first change, of which there may be none
        for part in transaction.spooled.messages():
            if before is None:
                yield part
            else:
                before += part
                first = next((one for one in part if one[KIND] in _COUNTED), None)
                if first is None:
                    yield ()
                else:
                    begun = transaction.begun if self._begins_at_once else first[_LSN]
                    yield (_begin(message, begun, before), *before)
                    before = None
        end = message[:KIND] + b"C" + message[_XID.stop :]
        if before is None:
            yield (end,)
        elif self._begins_at_once:
            yield (_begin(message, transaction.begun, before), *before, end)
        else:
            yield before
        yield self._settle(transaction)
        del self._transactions[commit.xid]
        transaction.spooled.remove()

    def _undecided(self, commit: StreamCommit, what: str) -> Retry:
        self.undecided = True
        return Retry(
            UNDECIDED,
            f"transaction {commit.xid}, committed at {format_lsn(commit.commit_lsn)}, {what}",
            "Nothing: it is read again without streaming, and what comes behind it too.",
        )

    def _settle(self, transaction: _Transaction) -> list[bytes]:
        """What the relations of a transaction are from its commit on, for all: the newest that arrived. Those
        that are not its own are handed out once more."""
        newer: dict[bytes, bytes] = {}
        for (oid, _), (arrival, message) in transaction.relations.items():
            known = self._relations.get(oid)
            if known is None or known[0] < arrival:
                self._relations[oid] = arrival, message
                newer.pop(oid, None)
            elif known[1][KIND:] != message[KIND:]:
                newer[oid] = known[1]
        return list(newer.values())


def _begin(commit: bytes, begun: bytes, behind: Sequence[bytes]) -> bytes:
    """The Begin that belongs to a Stream Commit, at the LSN `begun`; the server gives it none where an origin
    is behind it."""
    if any(one[KIND : KIND + 1] == _ORIGIN for one in behind):
        begun = bytes(8)
    return b"w" + begun + commit[9:KIND] + b"B" + commit[31:39] + commit[47:55] + commit[_XID]
