"""What a server is asked for to send its log from a position on."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.binlog.messages import Flavor
from connectors.mysql.channel import Dump
from connectors.mysql.position import BinlogPosition

_BINLOG_DUMP: Final = 0x12
_BINLOG_DUMP_GTID: Final = 0x1E
_THROUGH_GTID: Final = 0x04
_FILE_BEGIN: Final = 4
_TO_THE_END: Final = 0x01
_ANNOTATED: Final = 0x02  # MariaDB: with the statements beside rows
_NOBODY: Final = 0  # a server id that no replica has: no other reader is thrown out

# MariaDB: we know all of its events; a GTID that it does not have is an error, not a guess.
_MARIADB: Final = "SET @mariadb_slave_capability = 4, @slave_gtid_strict_mode = 1"


def dump(position: BinlogPosition, server_id: int, *, queries: bool = False) -> Dump:
    """Everything behind the last commit before the position, and what holds rows in doubt. `queries`: MariaDB
    is to send the statements beside rows too, which MySQL always does."""
    executed = position.asked
    if isinstance(executed, GtidSet):
        data = executed.encode()
        payload = struct.pack("<HIIQI", _THROUGH_GTID, server_id, 0, _FILE_BEGIN, len(data)) + data
        return Dump((), _BINLOG_DUMP_GTID, payload)
    if isinstance(executed, GtidPosition):
        return _behind(executed, _ANNOTATED if queries else 0, server_id)
    return _binlog_dump((), 0, server_id, executed.file, executed.offset)


def whole(file: str, flavor: Flavor | None = None) -> Dump:
    """A file from its begin, for a reader that is no replica. MariaDB tells GTIDs where its flavor is
    given."""
    return _binlog_dump([_MARIADB] if flavor == "mariadb" else (), _TO_THE_END, _NOBODY, file)


def behind(executed: GtidPosition) -> Dump:
    """MariaDB: everything behind a position up to the log's end, for a reader that is no replica."""
    return _behind(executed, _TO_THE_END, _NOBODY)


def _behind(executed: GtidPosition, flags: int, server_id: int) -> Dump:
    return _binlog_dump([_MARIADB, f"SET @slave_connect_state = '{executed}'"], flags, server_id)


def _binlog_dump(
    statements: Sequence[str], flags: int, server_id: int, file: str = "", offset: int = _FILE_BEGIN
) -> Dump:
    return Dump(statements, _BINLOG_DUMP, struct.pack("<IHI", offset, flags, server_id) + file.encode())
