"""What must hold on the server before a start, as a list that a person can work through."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, Final

from connectors.mysql import channel, hosts, table_checks
from connectors.mysql.assembly.tables import SYSTEM
from connectors.mysql.catalogue import Catalogue
from connectors.mysql.channel import Reader
from connectors.mysql.config import BinlogSettings
from connectors.mysql.rights import account_of, lacking
from connectors.mysql.server import LoggedDatabases, Server
from connectors.mysql.table_checks import Existing, fault, listed
from tailrace.abc import Finding
from tailrace.amounts import show_bytes
from tailrace.clients.mysql.connection import Session
from tailrace.clients.mysql.faults import PERMISSION
from tailrace.errors import NotReady, Stop, TailraceError, code
from tailrace.patterns import TableFilter
from tailrace.worker_thread import call_alone

TOO_OLD: Final = code(
    "TR-MY-403",
    "the server is too old",
    "MySQL before 8.0 and MariaDB before 10.6 do not write what a reader must know of columns into the log.",
)
SETTING: Final = code(
    "TR-MY-404",
    "the log does not hold what is needed",
    "The server writes its binary log in a way in which rows, names of columns or signs of numbers are not "
    "whole.",
)
_OLDEST: Final = {"mysql": (8, 0), "mariadb": (10, 6)}
_WANTED: Final = {
    "binlog_format": ("ROW",),
    "binlog_row_metadata": ("FULL",),
    "binlog_row_image": ("FULL", "FULL_NODUP"),
}
# By the setting `row_images`: what else there may be, and what is not delivered then.
_PARTIAL: Final[Mapping[str, Mapping[str, str]]] = {
    "full": {"NOBLOB": "unchanged blobs and texts are not delivered, and inserts without them stop"},
    "partial": {
        "NOBLOB": "unchanged blobs and texts are not delivered",
        "MINIMAL": "of updates and deletes the key and what changed are delivered, of inserts what they name",
    },
}
_OF_SESSIONS: Final = ("binlog_format", "binlog_row_image")
_UPDATES: Final = ("log_replica_updates", "log_slave_updates")
_REPLICA: Final = (
    "If it is a replica: let the URL lead to the server that it replicates from, or set that in its "
    "configuration and restart it; what it has applied until then is in no log of its own."
)
_MOMENT: Final = 1.0  # seconds that a transaction's coordinator may well take
_DAY: Final = 86_400

# As information_schema has it MariaDB hides it from an account that may only read.
_CASCADE: Final = re.compile(
    r"^\s*CONSTRAINT .* FOREIGN KEY .* ON (DELETE|UPDATE) (CASCADE|SET NULL)", re.MULTILINE
)


_GENERATED: Final = """
    SELECT table_schema, table_name, column_name, generation_expression, data_type
    FROM information_schema.columns
    WHERE extra LIKE '%GENERATED%'
    """
_OF_VERSIONS: Final = ("ROW START", "ROW END")  # expressions, of tables with system versioning
_GENERATED_LEFT_OUT: Final = (11, 0)  # from that version of MariaDB on


class Checks:
    """The check list of one pipeline's source. Changes nothing."""

    def __init__(
        self,
        session: Session,
        catalogue: Catalogue,
        reader: Reader,
        tables: TableFilter,
        settings: BinlogSettings,
    ) -> None:
        self._settings = settings
        self._session = session
        self._catalogue = catalogue
        self._reader = reader
        self._tables = tables
        self._where = str(session.address)

    async def run(self) -> Sequence[Finding]:
        """The findings, in the order in which a person would mend them; a failed connection is the last."""
        findings: list[Finding] = []
        try:
            findings.extend([finding async for finding in self._findings()])
        except TailraceError as error:
            findings.append(fault("connection", error))
        return findings

    async def _findings(self) -> AsyncIterator[Finding]:
        if self._session.address.others:
            yield await hosts.look(self._session.address, self._reader.name)
        server = await self._catalogue.server()
        yield self._version(server)
        has_log = server.is_on("log_bin")
        if not has_log:
            yield fault("log_bin", self._catalogue.no_log())
        for name, wanted in _WANTED.items():  # without a log too: one restart is to be enough
            yield self._setting(server, name, wanted)
        if not has_log:
            return
        if self._settings.include_query:
            yield _queries(server)
        yield _gtids(server)
        if server.numbered_alone:
            yield self._numbered_alone()
        async for finding in self._replicated(server):
            yield finding
        user = await account_of(self._session)
        yield await self._replication()
        log = await self._log(server, user)
        yield log
        yield await self._reader_id(server)
        yield _retention(server)
        if (prepared := await self._prepared()) is not None:
            yield prepared
        there = await table_checks.found(self._session, self._tables, folded=server.folded)
        captured = [table for table in there if not table.kind and self._tables.captured(*table.name)]
        for finding in table_checks.look(
            there, captured, self._tables, self._settings, self._where, user, folded=server.folded
        ):
            yield finding
        databases = {table.schema for table in captured}
        databases |= {pattern.database for pattern in self._tables.include if pattern.database} - {*SYSTEM}
        if log.error is None:
            for finding in self._logged(await self._catalogue.logged(server), databases):
                yield finding
        async for finding in self._warnings(server, captured):
            yield finding

    def _version(self, server: Server) -> Finding:
        if server.number >= _OLDEST[server.flavor]:
            return Finding("server version", server.version)
        oldest = ".".join(map(str, _OLDEST[server.flavor]))
        error = NotReady(TOO_OLD, server.version, f"Upgrade to {oldest} or later.", where=self._where)
        return fault("server version", error)

    def _setting(self, server: Server, name: str, wanted: Sequence[str]) -> Finding:
        found = server.variables.get(name, "not there")
        remedy = server.kept(name, wanted[0])
        if name in _OF_SESSIONS:
            remedy += " Sessions that are open keep what they have: let them connect again."
        if what := _PARTIAL[self._settings.row_images].get(found):
            return Finding(name, f"{found}: {what}", warning=True, remedy=remedy)
        if found in wanted:
            return Finding(name, found)
        if name == "binlog_row_image" and found == "MINIMAL":
            remedy += " To have rows that lack columns delivered: row_images: partial (under source:)."
        error = NotReady(SETTING, f"{name} is {found}, not {' or '.join(wanted)}", remedy, where=self._where)
        return fault(name, error)

    async def _replicated(self, server: Server) -> AsyncIterator[Finding]:
        """Whether what a replica applies is in its own log, and what it does not apply."""
        follows = await self._catalogue.follows()
        if filters := await self._catalogue.filters(follows or ()):
            told = ", ".join(f"{name} = {value}" for name, value in filters.items())
            yield Finding(
                "replication filters",
                f"{told}: what the server leaves out of what it replicates is not in its log",
                warning=True,
                remedy="Let it leave out nothing of captured tables, or let the URL lead to the server that "
                "it replicates from.",
            )
        name = next((one for one in _UPDATES if one in server.variables), _UPDATES[0])
        if server.is_on(name):
            return
        found = f"{name} is OFF: what the server replicates from another one is not in its log"
        if server.is_on("wsrep_on"):
            found = (
                f"{name} is OFF: what the other nodes of the Galera cluster write is not in this one's log"
            )
            remedy = f"Set {name} = ON in the configuration of every node and restart it."
            yield fault(name, NotReady(SETTING, found, remedy, where=self._where))
        elif follows:
            yield fault(name, NotReady(SETTING, found, _REPLICA, where=self._where))
        elif follows is None:
            yield Finding(name, found, warning=True, remedy=_REPLICA)
        else:
            yield Finding(name, f"{found}; it replicates from nobody")

    def _numbered_alone(self) -> Finding:
        title, remedy = (
            "Galera",
            "wsrep_gtid_mode = ON on every node gives a transaction one GTID everywhere.",
        )
        found = "wsrep_gtid_mode is OFF: each node has its own GTIDs, and a position is of this node alone"
        if self._session.address.others:
            error = NotReady(SETTING, found, f"{remedy} Else name one node in the URL.", where=self._where)
            return fault(title, error)
        return Finding(title, found, warning=True, remedy=remedy)

    async def _replication(self) -> Finding:
        title = "replication"
        # Under a number of its own: a reader that runs would be taken out of the server's list.
        reader = replace(self._reader, server_id=random.randrange(1 << 31, 1 << 32))
        try:
            await call_alone("mysql-check", channel.register, await self._session.located(), reader)
        except TailraceError as error:
            return fault(title, error)
        line = "over TLS" if await self._session.encrypted() else "without TLS"
        return Finding(title, f"the account may read the log, {line}")

    async def _log(self, server: Server, user: str) -> Finding:
        title = "binary log"
        try:
            _, place = await self._catalogue.executed(server)
            files = await self._catalogue.files()
        except TailraceError as error:
            return fault(title, lacking(error, "REPLICATION CLIENT", user))
        if not place.is_told_whole:
            found = f"its newest file is called {place.file!r}"
            remedy = "Set log_bin to a name without blanks and colons in the configuration, then restart it."
            return fault(title, NotReady(SETTING, found, remedy, where=self._where))
        size = sum(file.size for file in files)
        count = f"{len(files)} {'file' if len(files) == 1 else 'files'}"
        return Finding(title, f"{count} of {show_bytes(size)} in all, up to {place}")

    async def _prepared(self) -> Finding | None:
        """XA transactions that are prepared for longer than a moment; none where that is not to be seen."""
        try:
            if not (found := await self._catalogue.prepared()):
                return None
            await asyncio.sleep(_MOMENT)
            still = [xid for xid in await self._catalogue.prepared() if xid in found]
        except Stop:
            return None
        if not still:
            return None
        return Finding(
            "XA transactions",
            f"prepared, and neither committed nor rolled back: {listed(still)}",
            warning=True,
            remedy="End them with XA COMMIT or XA ROLLBACK, whichever their coordinator has decided. The "
            "rows of captured tables wait for it, and the log from there on is needed.",
        )

    async def _reader_id(self, server: Server) -> Finding:
        title, own = "server_id", self._reader.server_id
        if str(own) == server.variables.get("server_id"):
            return fault(title, channel.taken(own, channel.THE_SERVER, self._where))
        try:
            holder = await self._catalogue.reader(own, server)
        except Stop as error:  # or the version does not know the statement
            right = "REPLICATION SLAVE" if server.flavor == "mysql" else "REPLICATION MASTER ADMIN"
            without = f" without {right}" if error.code is PERMISSION else f": {error.found}"
            return Finding(title, f"{own}: who reads under it is not to be seen{without}")
        if holder is None:
            return Finding(title, f"{own}: nobody reads under it")
        if not self._reader.is_same_pipeline(holder):
            return fault(title, channel.taken(own, holder, self._where))
        return Finding(title, f"{own}: this pipeline reads under it now")

    def _logged(self, logged: LoggedDatabases, databases: Set[str]) -> Iterator[Finding]:
        """Whether these are in the log, and what it lacks of them all the same."""
        title = "logged databases"
        if str(logged):
            yield Finding(
                title,
                f"{logged}: of sessions whose default database is kept out the log lacks TRUNCATE of tables "
                "elsewhere, and in MySQL XA COMMIT",
                warning=True,
                remedy="Take the setting out of the server's configuration and restart it: a replica leaves "
                "databases out by itself (replicate_ignore_db). Until then let no such session do that.",
            )
        for database in sorted(databases):
            if not logged.hold(database):
                error = NotReady(
                    SETTING,
                    f"nothing that happens in database {database} is in the log",
                    "Take it out of binlog_ignore_db or into binlog_do_db in the server's configuration and "
                    "restart it, or leave its tables out.",
                    where=self._where,
                )
                yield fault(title, error)

    async def _cascades(self, captured: Sequence[Existing]) -> Finding | None:
        changed: list[str] = []
        for table in captured:
            try:
                words = await self._session.query(f"SHOW CREATE TABLE {table.quoted}")
            except Stop:  # gone meanwhile, or some of its columns alone may be read
                continue
            if words and _CASCADE.search(str(words[0][1])):
                changed.append(str(table))
        if not changed:
            return None
        return Finding(
            "foreign keys",
            f"the log does not hold the rows that foreign keys delete or change in {listed(changed)}",
            warning=True,
            remedy="Let statements or a trigger change these rows before those that they refer to, as "
            "docs/mysql.md has it.",
        )

    async def _warnings(self, server: Server, captured: Sequence[Existing]) -> AsyncIterator[Finding]:
        """What the log lacks of captured tables."""
        if not server.logs_cascades and (cascades := await self._cascades(captured)):
            yield cascades
        if server.flavor == "mariadb":
            for finding in self._generated(server, await self._session.query(_GENERATED)):
                yield finding

    def _generated(self, server: Server, found: Sequence[tuple[Any, ...]]) -> Iterator[Finding]:
        """MariaDB: what the log lacks of tables with such columns."""
        columns: list[str] = []
        for schema, table, column, expression, type in found:
            captured = self._tables.captured(str(schema), str(table))
            if expression not in _OF_VERSIONS:
                columns += [f"{schema}.{table}.{column}"] * captured
            elif expression == _OF_VERSIONS[0] and type != "timestamp":
                yield self._by_transactions(f"{schema}.{table}", captured=captured)
        if columns and server.number >= _GENERATED_LEFT_OUT:
            yield Finding(
                "generated columns",
                f"{listed(columns)}: the log of updates lacks them, so that formats stop there",
                warning=True,
                remedy="Leave them out: {type: columns, tables: […], exclude: […]} under transforms:.",
            )

    def _by_transactions(self, table: str, *, captured: bool) -> Finding:
        title = "system versioning"
        found = (
            f"{table} is versioned by transactions: its changes are logged as statements, whatever "
            "binlog_format says, and each of them stops the pipeline (TR-MY-312)"
        )
        remedy = "Let its ROW START and ROW END be of timestamp(6)."
        if captured:
            return fault(title, NotReady(SETTING, found, remedy, where=self._where))
        return Finding(title, found, warning=True, remedy=remedy)


def _queries(server: Server) -> Finding:
    title, name = "statements", server.logs_queries
    if server.is_on(name):
        return Finding(title, f"{name} is ON")
    return Finding(
        title,
        f"{name} is OFF: include_query has nothing to deliver but of sessions that set it",
        warning=True,
        remedy=f"{server.kept(name, 'ON')} Or take include_query out.",
    )


def _gtids(server: Server) -> Finding:
    title = "GTIDs"
    if server.flavor == "mariadb":
        if server.is_on("gtid_strict_mode"):
            return Finding(title, "gtid_strict_mode is ON")
        return Finding(
            title,
            "gtid_strict_mode is OFF: the numbers of a domain may come out of order",
            warning=True,
            remedy=f"{server.kept('gtid_strict_mode', 'ON')} Where numbers go back the pipeline stops.",
        )
    if server.by_gtids:
        return Finding(title, "gtid_mode is ON")
    return Finding(
        title,
        f"gtid_mode is {server.variables.get('gtid_mode', 'not there')}: positions are files and offsets of "
        "this one server",
        warning=True,
        remedy="After a failover the pipeline cannot go on. With GTIDs it can, which are switched on step by "
        "step: SET PERSIST enforce_gtid_consistency = ON; and gtid_mode = OFF_PERMISSIVE, ON_PERMISSIVE, ON.",
    )


def _retention(server: Server) -> Finding:
    title = "log retention"
    seconds = server.variables.get("binlog_expire_logs_seconds", "")
    days = server.variables.get("expire_logs_days", "")
    kept = float(seconds or 0) or float(days or 0) * _DAY
    if not kept:
        return Finding(title, "the server removes no log by itself")
    hours = f"{kept / 3600:g} hours"
    if kept >= _DAY:
        return Finding(title, f"the server keeps {hours} of log: a pipeline that is further behind has a gap")
    return Finding(
        title,
        f"the server keeps only {hours} of log: a pipeline that is further behind has a gap",
        warning=True,
        remedy=server.kept("binlog_expire_logs_seconds", "604800"),
    )
