"""A transaction of the log between its begin and its end: the row events that it has so far."""

from __future__ import annotations

from connectors.mysql.binlog.messages import Gtid, Rows
from connectors.mysql.position import BinlogPosition
from connectors.mysql.spool import Mark, Spool
from connectors.mysql.tables import Version


class OpenTransaction:
    """The transaction that is being read. What is undone in the log itself is taken out."""

    __slots__ = (
        "at",
        "begin",
        "delivered",
        "ends",
        "frame",
        "gtid",
        "ordinal",
        "prepares",
        "query",
        "savepoints",
        "sought",
        "spool",
        "thread",
        "versions",
    )

    def __init__(
        self, gtid: Gtid, begin: int, sought: BinlogPosition | None, spool: Spool, thread: int | None
    ) -> None:
        self.gtid = gtid
        self.begin = begin  # offset of its GTID event
        self.frame = begin  # of the BEGIN behind it, or of what stands in its place
        self.sought = sought  # the position in it from which the stream is resumed
        self.delivered = sought.ordinal if sought else 0  # row events that are dropped
        self.spool = spool
        self.thread = thread
        self.ordinal = 0  # of its newest row event
        self.query = ""  # the statement that the next rows come from, where it is wanted
        self.versions: list[Version] = []
        self.savepoints: dict[str, Mark] = {}
        self.prepares = ""  # the XA transaction whose rows it has
        self.ends = ""  # the XA transaction that was prepared before
        self.at: int | None = None  # where all of its changes stand; None: where their row events do

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
