"""What must hold on the server before a start, as a list that a person can work through."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from connectors.mysql import channel
from connectors.mysql.channel import Reader
from connectors.mysql.server import Catalogue, Server
from connectors.mysql.tables import SYSTEM, keyless
from tailrace.abc import Finding
from tailrace.clients.mysql.connection import Session
from tailrace.errors import NotReady, Stop, TailraceError, code
from tailrace.patterns import TableFilter
from tailrace.worker_thread import WorkerThread

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
NO_TABLE: Final = code(
    "TR-MY-405",
    "no table matches",
    "A pattern names a table exactly, and there is none of that name that the account may read.",
)

_OLDEST: Final = {"mysql": (8, 0), "mariadb": (10, 6)}
_WANTED: Final = {
    "binlog_format": ("ROW",),
    "binlog_row_metadata": ("FULL",),
    "binlog_row_image": ("FULL", "FULL_NODUP", "NOBLOB"),
}
_UPDATES: Final = ("log_replica_updates", "log_slave_updates")
_REPLICA: Final = (
    "If it is a replica: let the URL lead to the server that it replicates from, or set that in its "
    "configuration and restart it; what it has applied until then is in no log of its own."
)
_SHOWN: Final = 5  # names in a line
_DAY: Final = 86_400

_LOOKS: Final = (0.0, 0.2, 0.5)  # seconds before each
_Table: TypeAlias = tuple[str, str, int]
"""Schema, name, columns of the primary key."""

_TABLES: Final = """
    SELECT t.table_schema, t.table_name,
           (SELECT COUNT(*) FROM information_schema.statistics s
            WHERE s.table_schema = t.table_schema AND s.table_name = t.table_name
              AND s.index_name = 'PRIMARY')
    FROM information_schema.tables t
    WHERE t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
      AND t.table_schema NOT IN %s
    ORDER BY t.table_schema, t.table_name
    """

# As information_schema has it MariaDB hides it from an account that may only read.
_CASCADE: Final = re.compile(
    r"^\s*CONSTRAINT .* FOREIGN KEY .* ON (DELETE|UPDATE) (CASCADE|SET NULL)", re.MULTILINE
)


_GENERATED: Final = """
    SELECT table_schema, table_name, column_name FROM information_schema.columns
    WHERE extra LIKE '%GENERATED%'
    """
_GENERATED_LEFT_OUT: Final = (11, 0)  # from that version of MariaDB on


class Checks:
    """The check list of one pipeline's source. Changes nothing."""

    def __init__(self, session: Session, catalogue: Catalogue, reader: Reader, tables: TableFilter) -> None:
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
            findings.append(_fault("connection", error))
        return findings

    async def _findings(self) -> AsyncIterator[Finding]:
        server = await self._catalogue.server()
        yield self._version(server)
        if not server.is_on("log_bin"):
            yield _fault("log_bin", self._catalogue.no_log())
            return
        for name, wanted in _WANTED.items():
            yield self._setting(server, name, wanted)
        yield _gtids(server)
        for finding in await self._replicated(server):
            yield finding
        yield await self._replication()
        log = await self._log(server)
        yield log
        yield await self._reader_id(server)
        yield _retention(server)
        tables = await self._listed()
        captured = [table for table in tables if self._tables.captured(*table[:2])]
        if server.folded:
            for finding in self._capitals():
                yield finding
        for finding in self._found(tables, captured):
            yield finding
        for database in sorted({schema for schema, *_ in captured} if log.error is None else ()):
            if not await self._catalogue.logs(server, database):
                yield _fault("logged databases", self._not_logged(database))
        async for finding in self._warnings(server, captured):
            yield finding

    def _version(self, server: Server) -> Finding:
        if server.number >= _OLDEST[server.flavor]:
            return Finding("server version", server.version)
        oldest = ".".join(map(str, _OLDEST[server.flavor]))
        error = NotReady(TOO_OLD, server.version, f"Upgrade to {oldest} or later.", where=self._where)
        return _fault("server version", error)

    def _setting(self, server: Server, name: str, wanted: Sequence[str]) -> Finding:
        found = server.variables.get(name, "not there")
        remedy = (
            f"SET GLOBAL {name} = '{wanted[0]}'; and {name} = {wanted[0]} in the server's configuration. "
            "Sessions that are open keep what they have: let them connect again."
        )
        if found == "NOBLOB":
            told = "NOBLOB: unchanged blobs and texts are not delivered, and inserts without them stop"
            return Finding(name, told, warning=True, remedy=remedy)
        if found in wanted:
            return Finding(name, found)
        error = NotReady(SETTING, f"{name} is {found}, not {' or '.join(wanted)}", remedy, where=self._where)
        return _fault(name, error)

    async def _replicated(self, server: Server) -> Sequence[Finding]:
        """Whether what a replica applies is in its own log."""
        name = next((one for one in _UPDATES if one in server.variables), _UPDATES[0])
        if server.is_on(name):
            return []
        found = f"{name} is OFF: what the server replicates from another one is not in its log"
        if not (follows := await self._catalogue.follows()):
            unless = "; it replicates from nobody" if follows is False else ""
            return [
                Finding(
                    name, found + unless, warning=follows is None, remedy=_REPLICA if follows is None else ""
                )
            ]
        return [_fault(name, NotReady(SETTING, found, _REPLICA, where=self._where))]

    async def _replication(self) -> Finding:
        title = "replication"
        thread = WorkerThread("mysql-check")
        # Under a number of its own: a reader that runs would be taken out of the server's list.
        reader = replace(self._reader, server_id=random.randrange(1 << 31, 1 << 32))
        try:
            await thread.call(channel.register, self._session.address, reader)
        except TailraceError as error:
            return _fault(title, error)
        finally:
            thread.end()
        line = "over TLS" if await self._session.encrypted() else "without TLS"
        return Finding(title, f"the account may read the log, {line}")

    async def _log(self, server: Server) -> Finding:
        title = "binary log"
        try:
            _, place = await self._catalogue.executed(server)
            files = await self._catalogue.files()
        except TailraceError as error:
            return _fault(title, error)
        size = sum(file.size for file in files)
        return Finding(title, f"{len(files)} files of {size / 1e6:.1f} MB in all, up to {place}")

    async def _reader_id(self, server: Server) -> Finding:
        title, own = "server_id", self._reader.server_id
        if str(own) == server.variables.get("server_id"):
            return _fault(title, channel.taken(own, "the server itself", self._where))
        try:
            holder = await self._catalogue.reader(own, server)
        except Stop as error:  # or the version does not know the statement
            return Finding(title, f"{own}: who reads under it is not to be seen: {error.found}")
        if holder is None:
            return Finding(title, f"{own}: nobody reads under it")
        if not self._reader.is_same_pipeline(holder):
            return _fault(title, channel.taken(own, holder, self._where))
        return Finding(title, f"{own}: this pipeline reads under it now")

    def _not_logged(self, database: str) -> NotReady:
        return NotReady(
            SETTING,
            f"nothing that happens in database {database} is in the log",
            "Take it out of binlog_ignore_db or into binlog_do_db in the server's configuration and restart "
            "it, or leave its tables out.",
            where=self._where,
        )

    def _capitals(self) -> Iterator[Finding]:
        """Patterns that no table can match: of `exclude` one would leave out what it names to no avail."""
        for pattern in (*self._tables.include, *self._tables.exclude):
            if pattern.text != pattern.text.lower():
                error = NotReady(
                    NO_TABLE,
                    f"{pattern.text} has capitals, and the server keeps names in lower case "
                    "(lower_case_table_names = 1)",
                    f"Write {pattern.text.lower()} under tables: or exclude:.",
                    where=self._where,
                )
                yield _fault("tables", error)

    async def _cascades(self, captured: Sequence[_Table]) -> Finding | None:
        changed: list[str] = []
        for schema, name, _ in captured:
            try:
                words = await self._session.query(f"SHOW CREATE TABLE {_quoted(schema)}.{_quoted(name)}")
            except Stop:  # gone meanwhile, or some of its columns alone may be read
                continue
            if words and _CASCADE.search(str(words[0][1])):
                changed.append(f"{schema}.{name}")
        if not changed:
            return None
        return Finding(
            "foreign keys",
            f"the log does not hold the rows that foreign keys delete or change in {_listed(changed)}",
            warning=True,
            remedy="Let statements or a trigger change these rows before those that they refer to, as "
            "docs/mysql.md has it.",
        )

    async def _listed(self) -> Sequence[_Table]:
        """All tables. Whoever renames or alters one meanwhile hides it, or its key, for a moment: what is
        missing is looked for again, and a table has no key only if it had none each time."""
        looks: list[dict[tuple[str, str], int]] = []
        for pause in _LOOKS:
            await asyncio.sleep(pause)
            rows = await self._session.query(_TABLES, (SYSTEM,))
            found = {(str(schema), str(name)): int(keys) for schema, name, keys in rows}
            looks.append(found)
            literals = [pattern.literal for pattern in self._tables.include]
            keyless = any(not keys and self._tables.captured(*name) for name, keys in found.items())
            if not keyless and all(name is None or name in found for name in literals):
                break
        return [(*name, max(look.get(name, 1) for look in looks)) for name in looks[-1]]

    def _found(self, tables: Sequence[_Table], captured: Sequence[_Table]) -> Iterator[Finding]:
        there = {(schema, name) for schema, name, _ in tables}
        absent = [
            pattern.text
            for pattern in self._tables.include
            if pattern.literal is not None and pattern.literal not in there
        ]
        for text in absent:
            error = NotReady(
                NO_TABLE,
                f"{text} does not exist, or the account may not read it",
                "Correct tables:, whose case counts, or GRANT SELECT on it to the account.",
                where=self._where,
            )
            yield _fault("tables", error)
        without = [f"{schema}.{name}" for schema, name, keys in captured if not keys]
        for name in without:
            yield _fault("primary keys", keyless(name))
        if not captured and not absent:
            yield Finding(
                "tables",
                "no table matches yet: those that are created later are captured",
                warning=True,
                remedy="Look whether the patterns are meant so, and what the account may read.",
            )
        elif not absent and not without:
            yield Finding("tables", _listed([f"{schema}.{name}" for schema, name, _ in captured]))

    async def _warnings(self, server: Server, captured: Sequence[_Table]) -> AsyncIterator[Finding]:
        """What the log lacks of captured tables."""
        if not server.logs_cascades and (cascades := await self._cascades(captured)):
            yield cascades
        if server.flavor == "mariadb" and server.number >= _GENERATED_LEFT_OUT:
            found = await self._session.query(_GENERATED)
            columns = [f"{s}.{t}.{c}" for s, t, c in found if self._tables.captured(str(s), str(t))]
            if columns:
                yield Finding(
                    "generated columns",
                    f"{_listed(columns)}: the log of updates lacks them, so that formats stop there",
                    warning=True,
                    remedy="Leave them out: {type: columns, tables: […], exclude: […]} under transforms:.",
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
            remedy="SET GLOBAL gtid_strict_mode = ON, also in the server's configuration: the pipeline stops "
            "where numbers go back.",
        )
    if server.by_gtids:
        return Finding(title, "gtid_mode is ON")
    return Finding(
        title,
        f"gtid_mode is {server.variables.get('gtid_mode', 'not there')}: positions are files and offsets of "
        "this one server",
        warning=True,
        remedy="After a failover the pipeline cannot go on. With gtid_mode = ON and "
        "enforce_gtid_consistency = ON it can.",
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
        remedy="SET GLOBAL binlog_expire_logs_seconds = 604800, also in the server's configuration.",
    )


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _fault(title: str, error: TailraceError) -> Finding:
    return Finding(title, error.found, error=error)
