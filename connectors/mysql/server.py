"""A server as it shows itself: what it is, how it writes its log, and how far that goes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.binlog.messages import Flavor
from connectors.mysql.file_begin import begun
from connectors.mysql.file_events import goes_on
from connectors.mysql.in_doubt import Prepared
from connectors.mysql.lookup import Lookup
from connectors.mysql.position import Executed, FilePlace
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


def kept(flavor: Flavor, name: str, value: str) -> str:
    """What a person does to set a server's variable now and for its next starts, as a sentence."""
    written = value if value.isdecimal() else f"'{value}'"
    if flavor == "mysql":
        return f"SET PERSIST {name} = {written};"
    return f"SET GLOBAL {name} = {written}; and {name} = {value} in the server's configuration."


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


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself."""

    flavor: Flavor
    variables: Mapping[str, str]

    @property
    def version(self) -> str:
        return self.variables.get("version", "?")

    @property
    def number(self) -> tuple[int, int]:
        """Major and minor version."""
        major, _, rest = self.version.partition(".")
        minor = rest.partition(".")[0]
        return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)

    @property
    def name(self) -> str:
        """Which server it is: MySQL's UUID; MariaDB has its server id alone."""
        return self.variables.get("server_uuid" if self.flavor == "mysql" else "server_id", "?")

    @property
    def named_by(self) -> str:
        """The expression that gives `name`."""
        return "@@global.server_uuid" if self.flavor == "mysql" else "@@global.server_id"

    @property
    def by_gtids(self) -> bool:
        """Whether positions in its log are told by GTIDs. MariaDB always has them."""
        return self.flavor == "mariadb" or self.variables.get("gtid_mode") == "ON"

    @property
    def numbered_alone(self) -> bool:
        """Whether it is a node of a Galera cluster that gives its own numbers to what others have written."""
        return self.is_on("wsrep_on") and not self.is_on("wsrep_gtid_mode")

    @property
    def logs_cascades(self) -> bool:
        """Whether its log holds the rows that foreign keys change."""
        native = self.is_on("innodb_native_foreign_keys")
        return self.flavor == "mysql" and self.number >= (9, 6) and not native

    @property
    def logs_queries(self) -> str:
        """The setting by which it writes statements beside rows."""
        return "binlog_rows_query_log_events" if self.flavor == "mysql" else "binlog_annotate_row_events"

    @property
    def folded(self) -> bool:
        """Whether it keeps the names of tables in lower case."""
        return self.variables.get("lower_case_table_names") == "1"

    def kept(self, name: str, value: str) -> str:
        """See `kept`."""
        return kept(self.flavor, name, value)

    def is_on(self, name: str) -> bool:
        return self.variables.get(name, "OFF") in ("ON", "1", "YES")


@dataclass(frozen=True, slots=True)
class LoggedDatabases:
    """What `binlog_do_db` and `binlog_ignore_db` say of what is in the log."""

    alone: Sequence[str]  # empty: all
    never: Sequence[str]

    def hold(self, database: str) -> bool:
        """Whether the log has what happens in this one."""
        return (not self.alone or database in self.alone) and database not in self.never

    def __str__(self) -> str:
        """Empty where they say nothing."""
        names = {"binlog_do_db": self.alone, "binlog_ignore_db": self.never}
        return ", ".join([f"{name} = {','.join(said)}" for name, said in names.items() if said])


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
        """See `file_events.goes_on`."""
        await goes_on(await self._session.located(), position)

    @property
    def where(self) -> str:
        """Which server is asked."""
        return str(self._session.address)

    async def begun(self, file: str) -> int:
        """See `file_begin.py`."""
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
