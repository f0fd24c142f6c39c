"""What must hold on the server before a start, as a list that a person can work through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from psycopg.sql import Identifier

from connectors.postgres import adoption, continuity, failover, membership_checks, selection, slot
from connectors.postgres.capture import Capture, Captured
from connectors.postgres.catalogue import REPLICATION_SETTINGS, Catalogue, Relation, Server
from connectors.postgres.config import PostgresSettings
from connectors.postgres.membership_checks import fault, listed
from connectors.postgres.position import format_lsn
from connectors.postgres.slot import Slot
from connectors.postgres.wanted import TOO_OLD_FOR
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
_TELLS_ATTACH: Final = 150_000  # from then on a stream notices it


class Checks:
    """The check list of one pipeline's source. Changes nothing."""

    def __init__(
        self, session: Session, program: str, capture: Capture, name: str, settings: PostgresSettings
    ) -> None:
        self._session = session
        self._catalogue = Catalogue(session)
        self._program = program
        self._capture = capture
        self._name = name  # of the slot
        self._settings = settings

    async def run(self) -> Sequence[Finding]:
        """The findings, in the order in which a person would mend them; a failed connection is the last."""
        findings: list[Finding] = []
        try:
            findings.extend([finding async for finding in self._findings()])
        except TailraceError as error:
            findings.append(fault("connection", error))
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
            yield fault("primary", error)
            return
        yield _encoding(server)
        yield _wal_level(server)
        yield await self._replication()
        found = await slot.find(self._session, self._name)
        yield _slots(server, found)
        if found is not None:
            yield self._slot(found, server)
        for finding in await failover.findings(
            self._session, self._program, self._name, found, server, wanted=self._settings.slot.failover
        ):
            yield finding
        yield _retention(server)
        for finding in _versions(server, self._settings):
            yield finding
        if self._settings.heartbeat is not None:
            yield _heartbeat(server)
        captured = await self._capture.look(self._session)
        relations, selected = captured.relations, captured.selected
        errors = [*selection.unmatched(relations, self._capture.tables), *captured.unlogged]
        for finding in _each("tables", errors, listed([str(relation) for relation in selected])):
            yield finding
        for finding in _identities(captured):
            yield finding
        if self._settings.columns or self._settings.where:
            shown = captured.membership.parts()
            for finding in _each("published parts", captured.parts, listed(shown)):
                yield finding
        columns = captured.membership.published(await self._catalogue.columns(selected))
        errors = await selection.unsupported(self._catalogue, columns)
        for finding in _each("column types", errors, "all supported"):
            yield finding
        for finding in _warnings(
            relations,
            selected,
            [f"{c.table}.{c.name}" for c in columns if c.generated and not c.stored]
            if captured.membership.publishes_generated
            else [f"{c.table}.{c.name}" for c in columns if c.generated],
            server.version_number,
            self._capture.names.main,
        ):
            yield finding
        for finding in membership_checks.findings(
            captured, server, str(self._session.address), begun=found is not None, ours=self._capture.ours
        ):
            yield finding
        if found is None and not self._settings.slot.create:
            yield fault("slot", adoption.not_made(self._name, str(self._session.address)))

    async def _replication(self) -> Finding:
        title = "replication"
        try:
            async with connected(
                self._session.address, self._program, settings=REPLICATION_SETTINGS, replication=True
            ) as connection:
                line = "over TLS" if connection.pgconn.ssl_in_use else "without TLS"
                return Finding(title, f"the role may stream, {line}, and a WAL sender is free")
        except TailraceError as error:
            return fault(title, error)

    def _slot(self, found: Slot, server: Server) -> Finding:
        try:
            continuity.check_kind(found, server.database, str(self._session.address))
        except TailraceError as error:
            return fault("slot", error)
        holder = f", in use by server process {found.active_pid}" if found.active_pid else ""
        return Finding(
            "slot",
            f"{found.name} stands at {format_lsn(found.confirmed)}, wal_status {found.wal_status}{holder}",
            warning=found.wal_status == "unreserved",
            remedy="Its log is about to be removed: let the pipeline run now."
            if found.wal_status == "unreserved"
            else "",
        )


def _identities(captured: Captured) -> list[Finding]:
    title = "replica identity"
    if not (names := [str(relation) for relation in captured.assignment.inserts]):
        return _each(title, captured.keyless, "every table has one")
    return [
        Finding(
            title,
            f"{listed(names)}: none that is usable, and so inserts only: updates and deletes do not arrive",
            warning=True,
            remedy="Give them a primary key, or REPLICA IDENTITY FULL, and start again: then all changes "
            "arrive.",
        )
    ]


def _each(title: str, errors: Sequence[TailraceError], good: str) -> list[Finding]:
    return [fault(title, error) for error in errors] or [Finding(title, good)]


def _version(server: Server) -> Finding:
    if server.version_number >= _OLDEST:
        return Finding("server version", server.version)
    return fault("server version", NotReady(TOO_OLD, server.version, "Upgrade to PostgreSQL 14 or later."))


def _encoding(server: Server) -> Finding:
    if server.encoding != "SQL_ASCII":
        return Finding("encoding", server.encoding)
    error = NotReady(
        ENCODING,
        "it is SQL_ASCII: nothing says what the bytes of its texts mean",
        f"Dump the database, create it anew with the encoding that its texts have, and restore it: CREATE "
        f"DATABASE {Identifier(server.database).as_string()} ENCODING '…' TEMPLATE template0;",
    )
    return fault("encoding", error)


def _wal_level(server: Server) -> Finding:
    if server.wal_level == "logical":
        return Finding("wal_level", server.wal_level)
    remedy = "ALTER SYSTEM SET wal_level = 'logical'; then restart the server."
    return fault("wal_level", NotReady(WAL_LEVEL, f"it is {server.wal_level}", remedy))


def _slots(server: Server, own: Slot | None) -> Finding:
    found = f"{server.slots} of max_replication_slots = {server.max_slots} are taken"
    if own is not None or server.slots < server.max_slots:
        return Finding("replication slots", found)
    remedy = (
        "Drop slots that nobody needs (SELECT pg_drop_replication_slot('…');), or ALTER SYSTEM SET "
        f"max_replication_slots = {server.max_slots + 10}; and restart the server."
    )
    return fault("replication slots", NotReady(NO_SLOT, found, remedy))


def _versions(server: Server, settings: PostgresSettings) -> list[Finding]:
    """Settings that the server's version does not know."""
    wanted = (
        ("origin: none", settings.origin == "none", 16),
        ("publication: {generated: stored}", settings.publication.generated == "stored", 18),
    )
    return [
        fault(
            "server version",
            NotReady(
                TOO_OLD_FOR,
                f"{setting} needs PostgreSQL {major}, this is {server.version}",
                "Take it out of the file, or upgrade the server.",
            ),
        )
        for setting, given, major in wanted
        if given and server.version_number < major * 10_000
    ]


def _heartbeat(server: Server) -> Finding:
    title = "heartbeat"
    if server.barred is None:
        return Finding(title, "the role may write messages into the log")
    role = Identifier(server.role).as_string()
    error = NotReady(
        PERMISSION,
        f"the role {server.role} may not call {server.barred}",
        f"GRANT EXECUTE ON FUNCTION {server.barred} TO {role}; or take heartbeat out of the file.",
    )
    return fault(title, error)


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


def _attach(publication: str) -> Finding:
    """The walsender of 14 keeps what it knows of a table until the publication itself changes."""
    return Finding(
        "partitioned tables",
        "before PostgreSQL 15 a stream that runs does not notice ATTACH and DETACH of a table whose rows it "
        "has seen: rows are missing afterwards, or come under the wrong name",
        warning=True,
        remedy="In the same transaction as each ATTACH or DETACH: ALTER PUBLICATION "
        f"{Identifier(publication).as_string()} SET (publish_via_partition_root = true);",
    )


def _warnings(
    relations: Sequence[Relation],
    selected: Sequence[Relation],
    generated: Sequence[str],
    version: int,
    publication: str,
) -> list[Finding]:
    findings = []
    captured = {relation.oid for relation in selected}
    if children := [str(r) for r in relations if captured & {*r.parents} and r.oid not in captured]:
        findings.append(
            Finding(
                "inheritance",
                f"{listed(children)}: not captured, although captured tables have rows in them",
                warning=True,
                remedy="Name them under tables: too, if their rows are wanted: they have their own topics.",
            )
        )
    if roots := [str(relation) for relation in selected if relation.kind == "p"]:
        findings.append(
            Finding(
                "partitioned tables",
                f"{listed(roots)}: the log does not hold TRUNCATE, DROP, ATTACH or DETACH of one partition",
                warning=True,
                remedy="Use DELETE, or TRUNCATE of the whole table, where the targets are to follow.",
            )
        )
        if version < _TELLS_ATTACH:
            findings.append(_attach(publication))
    if generated:
        findings.append(
            Finding(
                "generated columns",
                f"not in the log, and left out: {listed(generated)}",
                warning=True,
                remedy="Compute them where they are needed.",
            )
        )
    return findings
