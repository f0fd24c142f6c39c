"""The rows of XA transactions that are in doubt: kept from where they are prepared until they are ended.

A connection that is resumed reads them again, from the transactions that prepared them. What it has not read
again it cannot deliver: a commit that comes first is an error. No I/O beside the spools'.
"""

from __future__ import annotations

from typing import Final

import msgspec

from connectors.mysql.assembly import refusals, untold
from connectors.mysql.assembly.open_transaction import OpenTransaction
from connectors.mysql.assembly.reread import Reread
from connectors.mysql.assembly.spool import Spool
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.binlog.messages import Gtid
from connectors.mysql.in_doubt import InDoubt, Prepared
from connectors.mysql.position import BinlogPosition, Executed, FilePlace

_SPOOL_BYTES: Final = 16 * 1024 * 1024  # in memory, of all transactions that have not ended
_LEAST_BYTES: Final = 4096  # … of each in any case: a process may not open a file for each of thousands


class Waiting:
    """Of one connection, which the server was asked for from `resume.asked` on."""

    def __init__(self, resume: BinlogPosition, captured: str) -> None:
        """`captured`: `Tables.mark`."""
        self.in_doubt: InDoubt = resume.in_doubt
        """What belongs to the position of the last commit."""
        self.rereads: bool = bool(resume.in_doubt.with_rows)
        """Whether what comes may have been read before."""
        self._captured = captured
        self._again = Reread(resume)
        self._wanted: Prepared | None = None  # whose rows the transaction has that is being read
        self._prepared: dict[str, OpenTransaction] = {}  # those that were read, by XID
        self._taken = 0  # bytes of their rows in memory

    def repeats(self, gtid: Gtid, begin: FilePlace) -> bool:
        """Whether a transaction that begins now was read before. For when `rereads`."""
        repeated = self._again.repeats(gtid, begin)
        if repeated:
            self._wanted = self._again.prepared(gtid, begin)
        elif self._again.over:
            self.rereads = False
        return repeated

    @property
    def wants(self) -> bool:
        """Whether the rows of such a transaction are kept."""
        return self._wanted is not None

    def spool(self) -> Spool:
        """For the next transaction: it has the memory that those which are prepared leave, or a little."""
        return Spool(max(0, _SPOOL_BYTES - self._taken), _LEAST_BYTES)

    def prepare(self, opened: OpenTransaction, executed: Executed, file: str, since: int) -> None:
        """The transaction is prepared: its rows wait for the one that ends it. `executed` before it; `since`
        in seconds since the epoch."""
        xid, gtid = opened.prepares, opened.gtid.gtid or ""
        if self.in_doubt.get(xid) is not None:
            untold.ended(xid, FilePlace(file, opened.begin))
            self._forget(xid)
        one = Prepared(xid, captured=self._captured)
        if opened.spool:
            before = executed.last(gtid) if isinstance(executed, GtidPosition) else ""
            one = Prepared(xid, gtid, before, file, opened.begin, since)
            self._keep(xid, opened)
        self.in_doubt = self.in_doubt.add(one)

    def prepare_again(self, opened: OpenTransaction, file: str) -> None:
        """A transaction that was read before has ended. Gap where it is not the one whose rows are wanted."""
        wanted, self._wanted = self._wanted, None
        if wanted is None:
            return
        if opened.prepares != wanted.xid:
            found = "there the log has another transaction"
            raise refusals.rows_not_found_again(wanted, found, f"binary log {file}:{opened.begin}")
        self._keep(wanted.xid, opened)
        here = msgspec.structs.replace(wanted, file=file, begin=opened.begin)
        self.in_doubt = self.in_doubt.found(
            here if opened.spool else Prepared(wanted.xid, captured=self._captured)
        )

    def commit(self, opened: OpenTransaction, file: str, offset: int, behind: Executed) -> None:
        """The transaction, of which an event stands at this place, commits one that was prepared: it has that
        one's rows. PreparedBefore where these stand before all that was read, or were read while other tables
        were captured, Gap where they did not come again. `behind`: what is executed with it."""
        xid = opened.ends
        if (prepared := self._take(xid)) is not None:
            opened.take(prepared, offset)
            return
        one = self.in_doubt.get(xid)
        if one is None or not one.is_known(self._captured):
            begin = FilePlace(file, opened.begin)
            raise refusals.PreparedBefore(xid, opened.gtid.gtid or "", begin, behind)
        if one.has_rows:
            where = f"binary log {file}:{offset}"
            raise refusals.rows_not_found_again(one, "they did not come", where)

    def end(self, xid: str) -> None:
        """One that was prepared is committed or rolled back: nothing of it waits."""
        self._forget(xid)
        self.in_doubt = self.in_doubt.without(xid)

    def close(self) -> None:
        """Give up all rows."""
        for xid in [*self._prepared]:
            self._forget(xid)

    def _keep(self, xid: str, opened: OpenTransaction) -> None:
        self._prepared[xid] = opened
        self._taken += opened.spool.memory

    def _take(self, xid: str) -> OpenTransaction | None:
        prepared = self._prepared.pop(xid, None)
        if prepared is not None:
            self._taken -= prepared.spool.memory
        return prepared

    def _forget(self, xid: str) -> None:
        if (prepared := self._take(xid)) is not None:
            prepared.spool.clear()
