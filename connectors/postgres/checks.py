"""What must hold on the server before a start, as a list that a person can work through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from psycopg.sql import Identifier

from connectors.postgres import continuity, failover, publication, selection, slot
from connectors.postgres.catalogue import REPLICATION_SETTINGS, Catalogue, Relation, Server, select
from connectors.postgres.position import format_lsn
from connectors.postgres.publication import Publication
from connectors.postgres.slot import Slot
from connectors.postgres.tables import TableFilter
from tailrace.abc import Finding
from tailrace.clients.postgres.connection import Session, connected
from tailrace.clients.postgres.faults import ENCODING, PERMISSION
from tailrace.errors import NotReady, TailraceError, code

TOO_OLD = code("TR-PG-201", "PostgreSQL is too old", "Versions before 14 are not supported.")
STANDBY = code(
    "TR-PG-202",
    "the server is a standby",
    "The server only follows another one: slots and publications are made on the primary.",
)
WAL_LEVEL = code(
    "TR-PG-203",
    "wal_level is not logical",
    "The server's log does not hold what logical decoding needs.",
)
NO_SLOT = code(
    "TR-PG-204",
    "no free replication slot",
    "Every replication slot that max_replication_slots allows is taken.",
)

_OLDEST: Final = 140_000
_SHOWN: Final = 10


class Checks:
    """The check list of one pipeline's source. Changes nothing."""

    def __init__(
        self,
        session: Session,
        program: str,
        tables: TableFilter,
        main: str,
        inserts: str,
        *,
        failover: bool = False,
    ) -> None:
        self._session = session
        self._catalogue = Catalogue(session)
        self._program = program
        self._tables = tables
        self._main = main  # publication and slot
        self._inserts = inserts
        self._failover = failover

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
        yield _version(server)
        if server.standby:
            error = NotReady(
                STANDBY,
                "pg_is_in_recovery() is true",
                "Let the URL lead to the primary, as with several hosts and ?target_session_attrs=primary.",
                where=str(self._session.address),
            )
            yield _fault("primary", error)
            return
        yield _encoding(server)
        yield _wal_level(server)
        yield await self._replication()
        found = await slot.find(self._session, self._main)
        yield _slots(server, found)
        if found is not None:
            yield self._slot(found, server)
        for finding in await failover.findings(
            self._session, self._program, self._main, found, server, wanted=self._failover
        ):
            yield finding
        yield _retention(server)
        relations = await self._catalogue.relations()
        selected = select(relations, self._tables)
        errors = selection.unmatched(relations, self._tables) + selection.unlogged(relations, selected)
        for finding in _each("tables", errors, _listed([str(relation) for relation in selected])):
            yield finding
        errors = await selection.without_identity(self._catalogue, relations, selected)
        for finding in _each("replica identity", errors, "every table has one"):
            yield finding
        columns = await self._catalogue.columns(selected)
        errors = await selection.unsupported(self._catalogue, columns)
        for finding in _each("column types", errors, "all supported"):
            yield finding
        for finding in _warnings(
            relations, selected, [f"{c.table}.{c.name}" for c in columns if c.generated]
        ):
            yield finding
        existing = await publication.find(self._session, self._main)
        has_inserts = await publication.find(self._session, self._inserts) is not None
        if found is not None and (existing is None or not has_inserts):
            yield _fault("publication", publication.gone(self._inserts if existing else self._main))
            return
        if existing is not None and (unfit := existing.unfit(relations, selected)):
            yield _fault("publication", unfit)
            return
        for finding in self._publication(existing, has_inserts, selected, server):
            yield finding

    async def _replication(self) -> Finding:
        title = "replication"
        try:
            async with connected(
                self._session.address, self._program, settings=REPLICATION_SETTINGS, replication=True
            ):
                return Finding(title, "the role may stream, and a WAL sender is free")
        except TailraceError as error:
            return _fault(title, error)

    def _slot(self, found: Slot, server: Server) -> Finding:
        try:
            continuity.check_kind(found, server.database, str(self._session.address))
        except TailraceError as error:
            return _fault("slot", error)
        holder = f", in use by server process {found.active_pid}" if found.active_pid else ""
        return Finding(
            "slot",
            f"{found.name} stands at {format_lsn(found.confirmed)}, wal_status {found.wal_status}{holder}",
            warning=found.wal_status == "unreserved",
            remedy="Its log is about to be removed: let the pipeline run now."
            if found.wal_status == "unreserved"
            else "",
        )

    def _publication(
        self, existing: Publication | None, has_inserts: bool, selected: Sequence[Relation], server: Server
    ) -> list[Finding]:
        title = "publication"
        statements = []
        if existing is None:
            statements.append(publication.creation(self._main, selected).as_string())
        elif missing := existing.missing(selected):
            statements.append(publication.addition(self._main, missing).as_string())
        if not has_inserts:
            statements.append(publication.creation_for_inserts(self._inserts).as_string())
        findings = []
        lacking = self._lacking(existing, has_inserts, selected, server)
        if lacking:
            remedy = f"{lacking[1]} Or let somebody who may run: {'; '.join(statements)};"
            error = NotReady(PERMISSION, lacking[0], remedy, where=str(self._session.address))
            findings.append(_fault(title, error))
        elif existing is not None and missing:
            names = ", ".join(str(relation) for relation in missing)
            findings.append(
                Finding(
                    title,
                    f"{self._main} lacks {names}; added at the next start. Only changes from then on arrive",
                    warning=True,
                    remedy="Bring the rows that exist already over by other means.",
                )
            )
        else:
            findings.append(Finding(title, f"{self._main} {'exists' if existing else 'will be made'}"))
        extra = existing.extra(selected) if existing else []
        if extra:
            names = _listed([f"{schema}.{name}" for schema, name in extra])
            findings.append(
                Finding(
                    title,
                    f"{self._main} also publishes tables that are not captured, and are left out: {names}",
                    warning=True,
                    remedy=f"ALTER PUBLICATION {Identifier(self._main).as_string()} DROP TABLE …; spares the "
                    "server from sending them.",
                )
            )
        return findings

    def _lacking(
        self, existing: Publication | None, has_inserts: bool, selected: Sequence[Relation], server: Server
    ) -> tuple[str, str] | None:
        """Which right to make or change the publications is missing, and the statement that grants it."""
        role = Identifier(server.role).as_string()
        if (existing is None or not has_inserts) and not server.may_create:
            database = Identifier(server.database).as_string()
            return (
                f"the role {server.role} may not create a publication",
                f"GRANT CREATE ON DATABASE {database} TO {role};",
            )
        missing = selected if existing is None else existing.missing(selected)
        if missing and existing is not None and not existing.owned:
            publication_name = Identifier(existing.name).as_string()
            return (
                f"the role {server.role} does not own publication {existing.name}, which lacks tables",
                f"ALTER PUBLICATION {publication_name} OWNER TO {role};",
            )
        foreign = [relation for relation in missing if not relation.owned]
        if foreign:
            names = _listed([str(relation) for relation in foreign])
            return (
                f"only a table's owner may publish it, and the role {server.role} does not own {names}",
                f"Make {server.role} a member of the role that owns the tables: GRANT owner TO {role};",
            )
        return None


def _fault(title: str, error: TailraceError) -> Finding:
    return Finding(title, error.found, error=error, remedy=error.remedy)


def _each(title: str, errors: Sequence[TailraceError], good: str) -> list[Finding]:
    return [_fault(title, error) for error in errors] or [Finding(title, good)]


def _version(server: Server) -> Finding:
    if server.version_number >= _OLDEST:
        return Finding("server version", server.version)
    return _fault("server version", NotReady(TOO_OLD, server.version, "Upgrade to PostgreSQL 14 or later."))


def _encoding(server: Server) -> Finding:
    if server.encoding != "SQL_ASCII":
        return Finding("encoding", server.encoding)
    error = NotReady(
        ENCODING,
        "it is SQL_ASCII: nothing says what the bytes of its texts mean",
        f"Dump the database, create it anew with the encoding that its texts have, and restore it: CREATE "
        f"DATABASE {Identifier(server.database).as_string()} ENCODING '…' TEMPLATE template0;",
    )
    return _fault("encoding", error)


def _wal_level(server: Server) -> Finding:
    if server.wal_level == "logical":
        return Finding("wal_level", server.wal_level)
    remedy = "ALTER SYSTEM SET wal_level = 'logical'; then restart the server."
    return _fault("wal_level", NotReady(WAL_LEVEL, f"it is {server.wal_level}", remedy))


def _slots(server: Server, own: Slot | None) -> Finding:
    found = f"{server.slots} of max_replication_slots = {server.max_slots} are taken"
    if own is not None or server.slots < server.max_slots:
        return Finding("replication slots", found)
    remedy = (
        "Drop slots that nobody needs (SELECT pg_drop_replication_slot('…');), or ALTER SYSTEM SET "
        f"max_replication_slots = {server.max_slots + 10}; and restart the server."
    )
    return _fault("replication slots", NotReady(NO_SLOT, found, remedy))


def _retention(server: Server) -> Finding:
    megabytes = server.max_slot_wal_keep_size
    if megabytes >= 0:
        return Finding(
            "log retention",
            f"max_slot_wal_keep_size = {megabytes} MB: a pipeline that is further behind loses its slot",
        )
    return Finding(
        "log retention",
        "max_slot_wal_keep_size = -1: while the pipeline stands still the server keeps its log without bound",
        warning=True,
        remedy="Watch the disk, or ALTER SYSTEM SET max_slot_wal_keep_size = '…GB'; SELECT pg_reload_conf();",
    )


def _warnings(
    relations: Sequence[Relation], selected: Sequence[Relation], generated: Sequence[str]
) -> list[Finding]:
    findings = []
    captured = {relation.oid for relation in selected}
    if children := [str(r) for r in relations if captured & {*r.parents} and r.oid not in captured]:
        findings.append(
            Finding(
                "inheritance",
                f"{_listed(children)}: not captured, although captured tables have rows in them",
                warning=True,
                remedy="Name them under tables: too, if their rows are wanted: they have their own topics.",
            )
        )
    if roots := [str(relation) for relation in selected if relation.kind == "p"]:
        findings.append(
            Finding(
                "partitioned tables",
                f"{_listed(roots)}: the log does not hold TRUNCATE, DROP, ATTACH or DETACH of one partition",
                warning=True,
                remedy="Use DELETE, or TRUNCATE of the whole table, where the targets are to follow.",
            )
        )
    if generated:
        findings.append(
            Finding(
                "generated columns",
                f"not in the log, and left out: {_listed(generated)}",
                warning=True,
                remedy="Compute them where they are needed.",
            )
        )
    return findings


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
