"""What a server is asked: which it is, what is in its log and how far that goes, who reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.binlog.messages import Flavor
from connectors.mysql.in_doubt import Prepared
from connectors.mysql.log_questions import begun, goes_on
from connectors.mysql.lookup import Lookup
from connectors.mysql.position import Executed, FilePlace
from connectors.mysql.server import LoggedDatabases, Server
from tailrace.clients.mysql.connection import Session
from tailrace.clients.mysql.faults import REFUSED
from tailrace.errors import NotReady, Stop, TailraceError, code

NO_LOG: Final = code(
    "TR-MY-401",
    "the server writes no binary log",
    "Without log_bin a server keeps nothing that could be followed.",
)
OTHER_FLAVOR: Final = code(
    "TR-MY-402",
    "a server of the other kind",
    "MySQL and MariaDB write logs and positions of different forms: type: mysql is for the one, type: "
    "mariadb for the other.",
)

_GTID: Final = re.compile(r"[0-9a-f-]{36}:(?:[a-z0-9_]+:)?[0-9]+|[0-9]+-[0-9]+-[0-9]+")

_NAMES: Final = (
    "version", "server_uuid", "server_id", "log_bin", "binlog_format", "binlog_row_image",
    "binlog_row_metadata", "binlog_row_value_options", "gtid_mode", "gtid_strict_mode",
    "log_replica_updates", "log_slave_updates", "binlog_expire_logs_seconds", "expire_logs_days",
    "lower_case_table_names", "innodb_native_foreign_keys", "binlog_rows_query_log_events",
    "binlog_annotate_row_events", "wsrep_on", "wsrep_gtid_mode",
)  # fmt: skip

_LIMITS: Final = (
    "binlog_expire_logs_seconds", "expire_logs_days", "binlog_expire_logs_auto_purge",
    "max_binlog_total_size",
)  # fmt: skip

_FILTERS: Final = (
    "replicate_do_db", "replicate_ignore_db", "replicate_do_table", "replicate_ignore_table",
    "replicate_wild_do_table", "replicate_wild_ignore_table",
)  # fmt: skip
"""In the order in which a replica's status has them."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of the log, as the server lists it."""

    name: str
    size: int


class Catalogue:
    """Asks one server."""

    def __init__(self, session: Session, flavor: Flavor) -> None:
        self._session = session
        self._flavor = flavor

    async def server(self) -> Server:
        """NotReady where it is of the other kind."""
        variables = await self._session.variables(*_NAMES)
        found: Flavor = "mariadb" if "mariadb" in variables.get("version", "").lower() else "mysql"
        if found != self._flavor:
            raise NotReady(
                OTHER_FLAVOR,
                f"the server is {'MariaDB' if found == 'mariadb' else 'MySQL'} {variables.get('version')}",
                f"Write type: {found} under source:; for tailrace init, a URL that begins with {found}://.",
                where=str(self._session.address),
            )
        return Server(found, variables)

    async def executed(self, server: Server) -> tuple[Executed, FilePlace]:
        """How far the log goes now, and where its newest commit ends, or one right before."""
        file, offset, *_ = await self._status(server)
        place = FilePlace(str(file), int(offset))
        if server.flavor == "mariadb":
            # What the log holds at that very place; @@gtid_binlog_pos may be further by now.
            ((text,),) = await self._session.query("SELECT BINLOG_GTID_POS(%s, %s)", (file, offset))
            if text is None:  # in front of it stands a row larger than max_allowed_packet
                ((text,),) = await self._session.query("SELECT @@global.gtid_binlog_pos")
            return GtidPosition.parse(text), place
        if not server.by_gtids:
            return place, place
        ((text,),) = await self._session.query("SELECT @@global.gtid_executed")
        return GtidSet.parse(text), place

    async def logged(self, server: Server) -> LoggedDatabases:
        """Of which databases the log holds what happens."""
        _, _, alone, never, *_ = await self._status(server)
        return LoggedDatabases(*(str(said).split(",") if said else [] for said in (alone, never)))

    async def _status(self, server: Server) -> tuple[Any, ...]:
        statement = "SHOW MASTER STATUS"
        if server.flavor == "mysql" and server.number >= (8, 2):
            statement = "SHOW BINARY LOG STATUS"
        found = await self._session.query(statement)
        if not found:
            raise self.no_log()
        return found[0]

    async def purged(self) -> GtidSet:
        """MySQL: what is in the log no more."""
        ((text,),) = await self._session.query("SELECT @@global.gtid_purged")
        return GtidSet.parse(text)

    async def transaction_at(self, file: str, offset: int) -> str | None:
        """The GTID that stands at an offset of a file; None where no event begins, or one of another kind."""
        try:
            found = await self._session.query("SHOW BINLOG EVENTS IN %s FROM %s LIMIT 1", (file, offset))
        except Stop as error:
            if error.code is not REFUSED:
                raise
            return None  # MariaDB: no event begins there; MySQL shows the one behind
        for _, at, kind, _, _, told, *_ in found:
            if int(at) == offset and str(kind).lower().startswith("gtid") and kind != "Gtid_list":
                matched = _GTID.search(str(told))
                return matched[0] if matched is not None else None
        return None

    async def gtids_at(self, place: FilePlace) -> GtidPosition | None:
        """MariaDB: what stands in the log before a place; None where there is no such place."""
        ((text,),) = await self._session.query("SELECT BINLOG_GTID_POS(%s, %s)", (place.file, place.offset))
        return None if text is None else GtidPosition.parse(text)

    async def goes_on(self, position: GtidPosition) -> None:
        """See `log_questions.goes_on`."""
        await goes_on(await self._session.located(), position)

    @property
    def where(self) -> str:
        """Which server is asked."""
        return str(self._session.address)

    async def begun(self, file: str) -> int:
        """See `log_questions.begun`."""
        return await begun(await self._session.located(), file)

    async def in_doubt(self, xid: str, before: FilePlace) -> Sequence[Prepared]:
        """See `Lookup.find`."""
        lookup = Lookup(self._session.address, self._flavor, before)
        return await lookup.find(xid, [file.name for file in await self.files()])

    async def limits(self) -> tuple[Mapping[str, str], int]:
        """The settings by which it removes files of its log, as they are now, and its clock: seconds since
        the epoch."""
        ((now,),) = await self._session.query("SELECT UNIX_TIMESTAMP()")
        return await self._session.variables(*_LIMITS), int(now)

    async def files(self) -> Sequence[LogFile]:
        """The files of the log, oldest first."""
        return [
            LogFile(str(name), int(size)) for name, size, *_ in await self._session.query("SHOW BINARY LOGS")
        ]

    async def reader(self, server_id: int, server: Server) -> str | None:
        """How the replica with this number calls itself; None where there is none. Stop where the account may
        not look, or the version does not know the statement."""
        statement = "SHOW REPLICAS" if server.flavor == "mysql" else "SHOW SLAVE HOSTS"
        for number, host, *_ in await self._session.query(statement):
            if int(number) == server_id:
                return str(host)
        return None

    async def follows(self) -> Sequence[tuple[Any, ...]] | None:
        """What it says of each server that it replicates from; None where the account may not see that."""
        statement = "SHOW REPLICA STATUS" if self._flavor == "mysql" else "SHOW ALL SLAVES STATUS"
        try:
            return await self._session.query(statement)
        except Stop:
            return None

    async def filters(self, followed: Sequence[tuple[Any, ...]]) -> Mapping[str, str]:
        """What it leaves out of what it replicates, as its settings of these names say, by what `follows`
        told; MariaDB tells it to every account."""
        first = 12 if self._flavor == "mysql" else 14
        told = [dict(zip(_FILTERS, row[first:], strict=False)) for row in followed]
        if self._flavor == "mariadb":
            told.append(dict(await self._session.variables(*_FILTERS)))
        return {name: str(one[name]) for one in told for name in _FILTERS if one.get(name)}

    async def prepared(self) -> Sequence[str]:
        """The XA transactions that are prepared now, as XA statements name them. Stop where the account may
        not see them."""
        mysql = self._flavor == "mysql"
        statement = "XA RECOVER CONVERT XID" if mysql else "XA RECOVER FORMAT='SQL'"
        found = await self._session.query(statement)
        if not mysql:
            return [str(name) for *_, name in found]
        named = [(format, 2 * int(gtrid), str(data)[2:].lower()) for format, gtrid, _, data in found]
        return [f"X'{digits[:gtrid]}',X'{digits[gtrid:]}',{format}" for format, gtrid, digits in named]

    def no_log(self) -> TailraceError:
        """The error of a server without a log."""
        return NotReady(
            NO_LOG,
            "log_bin is OFF",
            "Set log_bin in the server's configuration (it is on by default in MySQL; in MariaDB: log_bin = "
            "mysqld-bin under [mysqld]) and restart it.",
            where=str(self._session.address),
        )
