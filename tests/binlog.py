"""What a server wrote into its binary log, for tests that compare it with what the server tells by SQL."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

from connectors.mysql.binlog.messages import Message, Rows, TableMap
from connectors.mysql.binlog.protocol import Decoder
from connectors.mysql.columns.rows import Pair, RowReader
from connectors.mysql.columns.type_options import TypeOptions
from tests.servers import MySql

_DEFAULTS: Final = TypeOptions()
_DUMP: Final = 0x12  # COM_BINLOG_DUMP
_NON_BLOCKING: Final = 1  # end where the log ends
_STATUS: Final = {"mysql": "SHOW BINARY LOG STATUS", "mariadb": "SHOW MASTER STATUS"}
_SESSION: Final = {
    "mysql": "SET @source_binlog_checksum = @@GLOBAL.binlog_checksum",
    "mariadb": "SET @master_binlog_checksum = @@GLOBAL.binlog_checksum, @mariadb_slave_capability = 4",
}


class LogReader:
    """Reads what a server's log holds from the moment on at which this was made."""

    def __init__(self, server: MySql) -> None:
        self._server = server
        file, position, *_ = server.execute(_STATUS[server.flavor])[0]
        self._start = struct.pack("<IHI", position, _NON_BLOCKING, 4_000_000_000) + file.encode()

    def messages(self) -> Iterator[Message]:
        """Everything up to the log's end."""
        decoder = Decoder(self._server.flavor)
        with closing(self._server.connect()) as connection:
            with connection.cursor() as cursor:
                cursor.execute(_SESSION[self._server.flavor])
            private: Any = connection  # PyMySQL has nothing public that reads what is no result
            private._execute_command(_DUMP, self._start)
            while not (packet := private._read_packet()).is_eof_packet():
                yield from decoder.feed(packet.get_all_data()[1:])

    def rows(self, schema: str, options: TypeOptions = _DEFAULTS) -> Iterator[tuple[TableMap, list[Pair]]]:
        """The row events of a schema's tables."""
        tables: dict[int, TableMap] = {}
        readers: dict[bytes, RowReader] = {}
        for message in self.messages():
            if isinstance(message, TableMap):
                tables[message.id] = message
            elif isinstance(message, Rows) and (table := tables[message.table_id]).schema == schema:
                if table.raw not in readers:
                    readers[table.raw] = RowReader(table, options, flavor=self._server.flavor)
                yield table, readers[table.raw].read(message)
