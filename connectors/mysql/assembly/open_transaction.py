"""A transaction of the log between its begin and its end: the row events that it has so far."""

from __future__ import annotations

import msgspec

from connectors.mysql.assembly.spool import Mark, Spool
from connectors.mysql.assembly.tables import Version
from connectors.mysql.binlog.messages import Gtid, Rows
from connectors.mysql.position import BinlogPosition, Executed


class OpenTransaction(msgspec.Struct):
    """The transaction that is being read. What is undone in the log itself is taken out."""

    gtid: Gtid
    begin: int  # offset of its GTID event
    frame: int  # of the BEGIN behind it, or of what stands in its place
    behind: Executed  # what is executed with it; without GTIDs where it begins
    spool: Spool
    repeated: bool = False  # it was read before …
    passing: bool = False  # … and has no rows that are wanted
    thread: int | None = None
    sought: BinlogPosition | None = None  # the position in it from which the stream is resumed
    delivered: int = 0  # row events that are dropped
    ordinal: int = 0  # of its newest row event
    query: str = ""  # the statement that the next rows come from, where it is wanted
    versions: list[Version] = []  # a list of its own, as msgspec makes it
    savepoints: dict[str, Mark] = {}
    prepares: str = ""  # the XA transaction whose rows it has
    ends: str = ""  # the XA transaction that was prepared before
    at: int | None = None  # where all of its changes stand; None: where their row events do

    def resume(self, sought: BinlogPosition) -> None:
        """Drop what stands before a position in it."""
        self.sought, self.delivered = sought, sought.ordinal

    def keep(self, version: Version, begin: int, rows: Rows, query: str) -> None:
        """Its newest row event, which begins at this offset, and the statement that it comes from. Raises
        OSError where there is no room for it."""
        versions = self.versions
        if not versions or versions[-1] is not version:
            versions.append(version)
        self.spool.append((len(versions) - 1, self.ordinal, begin, rows, query))

    def take(self, prepared: OpenTransaction, at: int) -> None:
        """Have the row events of the XA transaction that it ends, as if all of them stood at this offset."""
        self.spool, self.versions, self.ordinal = prepared.spool, prepared.versions, prepared.ordinal
        self.at = at

    def savepoint(self, name: str) -> None:
        """What comes from here on may be undone."""
        self.savepoints[name.lower()] = self.spool.mark()

    def roll_back_to(self, name: str) -> None:
        """Undo what came behind a savepoint, later ones too. Raises ValueError where it is not known which it
        is."""
        names = self.savepoints
        mark = names.get(name.lower())
        if mark is None:
            raise ValueError("no such savepoint")
        if len(names) > 1 and not all(map(str.isascii, names)):
            # To MariaDB 10 `é` and `e` are one savepoint, to MariaDB 11 two.
            raise ValueError(f"of {len(names)} savepoints, not all named in ASCII")
        self.spool.truncate(mark)
        self.savepoints = {name: at for name, at in names.items() if at <= mark}

    def roll_back(self) -> None:
        """Undo everything."""
        self.spool.clear()
        self.versions.clear()
