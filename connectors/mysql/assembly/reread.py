"""What a server sends although it was read: from where rows in doubt stand up to where a stream is resumed.

MySQL is asked for the transactions that prepared them alone, in MariaDB and without GTIDs everything behind
the oldest of these comes again. No I/O.
"""

from __future__ import annotations

from connectors.mysql.binlog.messages import Gtid
from connectors.mysql.in_doubt import Prepared
from connectors.mysql.position import BinlogPosition, Executed, FilePlace


class Reread:
    """Of one connection, which the server was asked for from `resume.asked` on."""

    def __init__(self, resume: BinlogPosition) -> None:
        self._executed = resume.executed
        self._read: Executed = resume.asked
        self._rows = {one.gtid or (one.file, one.begin): one for one in resume.in_doubt.with_rows}

    def repeats(self, gtid: Gtid, begin: FilePlace) -> bool:
        """Whether a transaction that begins now was executed before. True once for each: one that comes for
        the second time on a connection is not expected."""
        name, executed, read = gtid.gtid, self._executed, self._read
        if isinstance(executed, FilePlace):
            return begin.number < executed.number
        assert not isinstance(read, FilePlace)
        if name is None or name not in executed or name in read:
            return False
        self._read = read.add(name)
        return True

    def prepared(self, gtid: Gtid, begin: FilePlace) -> Prepared | None:
        """The one in doubt whose rows such a transaction has; None: it is passed over."""
        return self._rows.pop(gtid.gtid or (begin.file, begin.offset), None)

    @property
    def over(self) -> bool:
        """Whether nothing more is expected, as seen where a transaction begins that is none of these."""
        return isinstance(self._executed, FilePlace) or self._read == self._executed
