"""How far one connection has read its log. No I/O.

Two things move: the place behind the newest event, and what is executed, which goes on with each commit.
Without GTIDs both are places in files, and what is executed goes on behind whatever holds no transaction too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connectors.mysql.assembly import refusals
from connectors.mysql.assembly.open_transaction import OpenTransaction
from connectors.mysql.binlog.event import ARTIFICIAL
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.binlog.messages import Gtid, Place
from connectors.mysql.in_doubt import InDoubt
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
from tailrace.errors import Gap, Malformed
from tailrace.events import OFFSET_PLACEHOLDER, ROW_PLACEHOLDER, Event, Transaction, Verbatim

_BLOCK: Final[Mapping[str, int | str | None]] = {
    "sequence": None,
    "server_id": None,
    "gtid": None,
    "file": None,
    "pos": OFFSET_PLACEHOLDER,
    "row": ROW_PLACEHOLDER,
    "thread": None,
    "query": None,
}
"""A source block's fields. Copied as a whole and then filled in, which takes half as long as to make it of
them."""


class Progress:
    """Of a connection that is resumed at a position, with the log of this server (see `Proof`)."""

    def __init__(self, resume: BinlogPosition, server: str) -> None:
        self.executed: Executed = resume.executed
        """Up to the last commit's end, or the idle position behind it."""
        self.number = number(resume.executed)
        """Of `executed`."""
        self.proof = resume.proof
        """Where the last transaction of `executed` stands."""
        self.sought = resume if resume.inside else None
        """The position inside of the transaction that is next, until that has begun."""
        self.by_file: Final = isinstance(resume.executed, FilePlace)
        """Positions are files and offsets, as transactions have no GTIDs."""
        self.file = ""
        """That is read; empty until the server has told it."""
        self.offset = 0
        """Behind the newest event that tells where it ends: the one that is being read, mostly."""
        self.begin = 0
        """Where that event begins; inside of a compressed transaction, and where MariaDB does not tell, the
        last place that is known."""
        self._server = server
        self._begun: int | None = None  # when the file was, where positions are files and offsets

    @property
    def place(self) -> FilePlace | None:
        """How far the log was read. None: the server has not said where it begins."""
        return FilePlace(self.file, self.offset) if self.file else None

    @property
    def where(self) -> str:
        """Of the event that is being read, for an error."""
        return f"binary log {self.file}:{self.begin}"

    def read(self, place: Place, size: int) -> None:
        """An event of so many bytes is read: go on to behind it, where it tells that and stands in the
        file."""
        end = place.end
        if not end:
            self.begin = self.offset
            return
        self.begin = end - size
        if not place.flags & ARTIFICIAL:
            self.offset = end

    def moved(self, file: str, offset: int) -> None:
        """The log goes on at another place, behind the end of a transaction."""
        self.file, self.offset = file, offset
        self.rest()

    def rest(self) -> None:
        """Nothing that is due stands before the place."""
        if self.by_file and self.sought is None:
            place = FilePlace(self.file, self.offset)
            if place.number > self.number:
                self._reach(place)

    def begun(self, timestamp: int, *, resting: bool) -> None:
        """The file was begun then, in seconds since the epoch. `resting`: before whatever is due."""
        if self.by_file and timestamp:
            self._begun = timestamp
            if resting and self.sought is None:
                self.proof = Proof(self.file, self.begin, self._server, begun=timestamp)

    def announced(self, gtid: Gtid, begin: int) -> Executed:
        """A transaction begins at this offset that was not executed before. What is executed with it; without
        GTIDs that is told by its end. Stop for one that cannot follow, Gap for another than the one that is
        sought."""
        sought, executed, name = self.sought, self.executed, gtid.gtid
        if isinstance(executed, FilePlace):
            place = FilePlace(self.file, begin)
            if sought is not None and place != sought.executed:
                raise self.not_found_again(sought, f"the next transaction begins at {place}")
            self._reach(place)
            return place
        if name is None:
            raise refusals.anonymous(self.where)
        behind = executed.beyond(name)
        if behind is None:
            raise refusals.repeated(name, self.where, mariadb=isinstance(executed, GtidPosition))
        if sought is not None and name != sought.transaction:
            raise self.not_found_again(sought, f"the next transaction is {name}")
        return behind

    def behind(self, opened: OpenTransaction) -> Executed:
        """What is executed with a transaction, of which the newest event is the last."""
        return FilePlace(self.file, self.offset) if self.by_file else opened.behind

    def ended(self, opened: OpenTransaction) -> None:
        """A transaction is executed."""
        gtid, file, offset = opened.gtid.gtid, self.file, self.offset
        executed = self.executed = FilePlace(file, offset) if self.by_file else opened.behind
        self.number = number(executed)
        begin = None if gtid is None else opened.begin
        self.proof = Proof(file, offset, self._server, begin, gtid or "", self._begun)

    def transaction(
        self, opened: OpenTransaction, end: Place, in_doubt: InDoubt, query: str, *, told: bool
    ) -> Transaction:
        """A transaction that is the next to be executed, and ends here, for its changes, or for those that
        come from one statement. `in_doubt`: XA transactions before it. `told`: its begin and end are."""
        gtid, file = opened.gtid, self.file
        name, committed = gtid.gtid, gtid.committed
        block = SourceBlock(_BLOCK)
        block["server_id"], block["gtid"] = gtid.place.server_id, name
        block["file"], block["thread"] = file, opened.thread
        if query:
            block["query"] = Verbatim(query)
        block.executed, block.proof, block.in_doubt = self.executed, self.proof, in_doubt
        return Transaction(
            name or f"{file}:{opened.begin}",
            str(self.number).zfill(NUMBER_WIDTH),
            end.timestamp * 1_000_000 if committed is None else committed,
            block,
            (name or f"file={file},pos={opened.frame}") if told else None,
        )

    def position(self, newest: Event | None, in_doubt: InDoubt) -> BinlogPosition:
        """Behind an event, where its transaction is not executed yet; else of the last commit."""
        if newest is not None and int(newest.transaction.position) == self.number:
            return place_in(newest.transaction, newest.ordinal)
        return BinlogPosition(self.executed, proof=self.proof, in_doubt=in_doubt)

    def out_of_order(self, found: str) -> Malformed:
        """The error of what does not follow on what was read."""
        return refusals.out_of_order(found, self.where)

    def not_found_again(self, sought: BinlogPosition, found: str) -> Gap:
        """The error of a transaction that is not as it was."""
        return refusals.not_found_again(sought, found, self.where)

    def _reach(self, executed: Executed) -> None:
        self.executed, self.number = executed, number(executed)
