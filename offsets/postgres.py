"""The offset store `postgres`: checkpoints in a table, a row for each sink identity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from psycopg import sql
from pydantic import Field, SecretStr, field_validator, model_validator

from tailrace.abc import Declaration, Finding
from tailrace.checkpoint import Checkpoint
from tailrace.claims import FENCED
from tailrace.clients.postgres.address import Address
from tailrace.clients.postgres.connection import Session
from tailrace.errors import Fenced, NotReady, TailraceError, code
from tailrace.failpoints import failpoint

NO_TABLE = code(
    "TR-OFF-010",
    "no table for the checkpoints",
    "The offset store's table does not exist, and its role may not make it; or the role may not read and "
    "write it.",
)

_claimed = failpoint("offsets.postgres.claimed")
_before_save = failpoint("offsets.postgres.before_save")
_saved = failpoint("offsets.postgres.saved")

# A role, a database or the URL may say otherwise: what is saved is to be on disk.
_SETTINGS: Final = {"synchronous_commit": "on", "default_transaction_read_only": "off"}

_EXISTS: Final = sql.SQL("SELECT pg_catalog.to_regclass({}) IS NOT NULL")
_MAY: Final = sql.SQL(
    "SELECT pg_catalog.has_table_privilege(pg_catalog.to_regclass({}), 'SELECT') "
    "AND pg_catalog.has_table_privilege(pg_catalog.to_regclass({}), 'INSERT') "
    "AND pg_catalog.has_table_privilege(pg_catalog.to_regclass({}), 'UPDATE')"
)
_DDL: Final = "CREATE TABLE IF NOT EXISTS {} (sink text PRIMARY KEY, epoch bigint NOT NULL, checkpoint text)"
_PEEK: Final = sql.SQL("SELECT checkpoint FROM {} WHERE sink OPERATOR(pg_catalog.=) %s")
_CLAIM: Final = sql.SQL(
    "INSERT INTO {} AS stored (sink, epoch) VALUES (%s, 1) ON CONFLICT (sink) "
    "DO UPDATE SET epoch = stored.epoch OPERATOR(pg_catalog.+) 1 RETURNING epoch, checkpoint"
)
_SAVE: Final = sql.SQL(
    "UPDATE {} SET checkpoint = %s WHERE sink OPERATOR(pg_catalog.=) %s "
    "AND epoch OPERATOR(pg_catalog.=) %s RETURNING 1"
)
_STORED: Final = sql.SQL("SELECT epoch, checkpoint FROM {} WHERE sink OPERATOR(pg_catalog.=) %s")
_FORGET: Final = sql.SQL(
    "UPDATE {} SET checkpoint = NULL, epoch = epoch OPERATOR(pg_catalog.+) 1 "
    "WHERE sink OPERATOR(pg_catalog.=) %s AND checkpoint IS NOT NULL RETURNING 1"
)


class PostgresOffsetSettings(Declaration):
    """Settings of the offset store `postgres`."""

    url: str = Field(
        repr=False,
        description="Where the database is: postgresql://user@host:5432/database, with libpq's parameters.",
    )
    password: SecretStr | None = Field(
        None, description="The role's password, usually `${PGPASSWORD}`. Default: libpq's own ways."
    )
    table: str = Field(
        default="public.tailrace_offsets",
        pattern=r"^[A-Za-z_][A-Za-z0-9_$]{0,62}\.[A-Za-z_][A-Za-z0-9_$]{0,62}$",
        description="The table, as schema.table; several pipelines may share one. It is made if it is "
        "missing and the role may.",
    )

    @property
    def address(self) -> Address:
        """Server and login."""
        return Address.parse(self.url, self.password.get_secret_value() if self.password else None)

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        Address.parse(url)
        return url

    @model_validator(mode="after")
    def _check_password(self) -> PostgresOffsetSettings:
        """One password, inside the URL or beside it."""
        _ = self.address
        return self


class PostgresOffsetStore:
    """Each call is one statement, which is one transaction. Retry where the server cannot be reached."""

    Settings: ClassVar[type[Declaration]] = PostgresOffsetSettings

    def __init__(self, settings: PostgresOffsetSettings, base: Path) -> None:
        self._address = settings.address
        self._name = settings.table
        self._table = sql.Identifier(*settings.table.split("."))
        self._session = Session(self._address, "tailrace offsets", _SETTINGS)

    async def check(self) -> Sequence[Finding]:
        title = f"offset store {self._name} at {self._address}"
        try:
            if not await self._exists():
                return [Finding(title, "no table there yet; it is made if the role may", remedy=self._ddl)]
            quoted = sql.Literal(self._table.as_string())
            [(may,)] = await self._session.query(_MAY.format(quoted, quoted, quoted))
            if not may:
                raise self._refused("the role may not SELECT, INSERT and UPDATE there")
        except TailraceError as error:
            return [Finding(title, error.found, error)]
        return [Finding(title, "found")]

    async def peek(self, sink: str) -> Checkpoint | None:
        if not await self._exists():
            return None
        found = await self._query(_PEEK, sink)
        return self._decode(found[0][0], sink) if found else None

    async def claim(self, sink: str) -> tuple[int, Checkpoint | None]:
        await self._session.close()  # a claim follows trouble, or is the first
        if not await self._exists():
            await self._make()
        [(epoch, stored)] = await self._query(_CLAIM, sink)
        _claimed()
        return epoch, self._decode(stored, sink)

    async def save(self, sink: str, epoch: int, checkpoint: Checkpoint) -> None:
        _before_save()
        if not await self._query(_SAVE, checkpoint.encode().decode(), sink, epoch):
            found = await self._query(_STORED, sink)
            newest, stored = found[0] if found else (0, None)
            owner = self._decode(stored, sink)
            raise Fenced(
                FENCED,
                f"{sink} was claimed again (epoch {newest} after {epoch}); the checkpoint there is "
                + (f"of {owner.owner}" if owner else "not written yet"),
                "Nothing, if that process is the one meant to run.",
                where=self._where,
            )
        _saved()

    async def forget(self, sink: str) -> bool:
        """The epoch stays, so that it is not used twice."""
        return await self._exists() and bool(await self._query(_FORGET, sink))

    async def close(self) -> None:
        await self._session.close()

    async def _make(self) -> None:
        try:
            await self._query(sql.SQL(_DDL))
        except TailraceError:  # IF NOT EXISTS does not help where two make it at once
            if not await self._exists():
                raise

    @property
    def _where(self) -> str:
        return f"{self._address}, table {self._name}"

    @property
    def _ddl(self) -> str:
        table = self._table.as_string()
        return (
            f"{_DDL.format(table)}; GRANT SELECT, INSERT, UPDATE ON {table} TO "
            f"{sql.Identifier(self._address.user or 'tailrace').as_string()};"
        )

    async def _exists(self) -> bool:
        [(exists,)] = await self._session.query(_EXISTS.format(sql.Literal(self._table.as_string())))
        return bool(exists)

    async def _query(self, statement: sql.SQL, *parameters: Any) -> list[tuple[Any, ...]]:
        try:
            return await self._session.query(statement.format(self._table), parameters)
        except NotReady as error:
            raise self._refused(error.found) from error

    def _refused(self, found: str) -> NotReady:
        return NotReady(NO_TABLE, found, f"Run as an owner of the database: {self._ddl}", where=self._where)

    def _decode(self, stored: str | None, sink: str) -> Checkpoint | None:
        return None if stored is None else Checkpoint.decode(stored, f"{self._where}, {sink}")
