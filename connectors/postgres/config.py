"""What a PostgreSQL source declares in a pipeline's file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import (
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
    model_validator,
)

from connectors.postgres.position import format_lsn, parse_lsn
from connectors.postgres.tables import RULE
from tailrace.abc import Declaration, not_available
from tailrace.clients.postgres.address import Address
from tailrace.ordering import TellTransactions, TransactionTopic
from tailrace.patterns import NamePatternText, TablePatterns, TablePatternText
from tailrace.secrets import SecretFile
from tailrace.snapshots import ChangesOnly

# Parameters of libpq that it looks at only when it connects.
_CHOICES: Final = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}

_COMMITTED_ALONE: Final = (
    "Committed transactions alone are delivered: one of any size in bounded pieces once it is committed, a "
    "prepared one (two-phase commit) after its COMMIT PREPARED."
)

_Condition: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class SlotSettings(Declaration):
    """The replication slot of a pipeline."""

    name: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9_]{1,63}$",
        description="What it is called. Default: `tailrace_{pipeline}`.",
    )
    create: bool = Field(
        default=True,
        description="`false`: somebody else makes the slot and drops it, behind the publication: `SELECT "
        "pg_create_logical_replication_slot('…', 'pgoutput')`. It is never made, altered or dropped here.",
    )
    starts_at: str | None = Field(
        default=None,
        description="With `create: false`, for the first start: the position at which the slot was made and "
        "at which it still stands, as `0/16B3748`. The stream begins there. A slot that has moved on since "
        "is refused while no sink holds a position: what it has passed would be lost.",
    )
    failover: bool = Field(
        default=False,
        description="Whether standbys keep a copy of the slot, with which the pipeline goes on after a "
        "failover. Needs PostgreSQL 17 or later, and settings on both sides, which `doctor` names. A slot "
        "that exists is altered at the next start; switched off again it stays as it is.",
    )

    warn_at: ByteSize = Field(
        default=ByteSize(10_000_000_000),
        description="The running pipeline warns when the server keeps so much log for the slot, as `10 GB`, "
        "or half of what max_slot_wal_keep_size allows.",
    )
    error_at: ByteSize = Field(
        default=ByteSize(50_000_000_000),
        description="The same as an error; also at nine tenths of what max_slot_wal_keep_size allows.",
    )

    @field_validator("starts_at")
    @classmethod
    def _check_position(cls, text: str | None) -> str | None:
        return None if text is None else format_lsn(parse_lsn(text))

    @model_validator(mode="after")
    def _check_thresholds(self) -> SlotSettings:
        if self.warn_at > self.error_at:
            raise ValueError("warn_at is more than error_at")
        return self

    @model_validator(mode="after")
    def _check_origin(self) -> SlotSettings:
        if self.starts_at is not None and self.create:
            raise ValueError("starts_at is for a slot that somebody else makes: create: false")
        if self.failover and not self.create:
            raise ValueError("failover is up to whoever makes the slot: leave it out beside create: false")
        return self


class PublicationSettings(Declaration):
    """The publication of a pipeline."""

    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=59,
        description="What it is called. Default: `tailrace_{pipeline}`. The one for inserts alone is called "
        "`…_ins`.",
    )
    create: bool = Field(
        default=True,
        description="`false`: somebody else makes the publication, for these tables or for more (FOR ALL "
        "TABLES, FOR TABLES IN SCHEMA), and adds tables to it. It is never made, altered or dropped here; "
        "what it lacks is told with the statement to run. Its row filters and column lists are meant: rows "
        "and columns that they leave out do not arrive; they are compared with `columns` and `where` for "
        "tables of which these say something. With `keyless: inserts_only` there is a second one, "
        "`…_ins`.",
    )

    generated: Literal["none", "stored"] = Field(
        default="none",
        description="Whether stored generated columns are published. `none`: they are left out, as before "
        "PostgreSQL 18 they always are. `stored`: their values arrive as those of other columns; needs 18. "
        "Virtual ones are never in the log. With `create: false` the publication says it, and this says "
        "nothing.",
    )


class PostgresSettings(Declaration):
    """Follows the changes of tables of one PostgreSQL database (14 and later) in its write-ahead log."""

    absent: ClassVar[Mapping[str, str]] = {
        "two_phase": _COMMITTED_ALONE,
        "proto_version": _COMMITTED_ALONE,
        "include_schema_changes": "No topic of tables' versions is written. With format: {type: debezium, "
        "schemas: true} each record has its schema.",
    }

    # Without it the library's own messages would show the password that stands beside what is wrong.
    model_config = ConfigDict(hide_input_in_errors=True)

    url: str = Field(
        repr=False,
        description="Where the database is: postgresql://user@host:5432/database. TLS and other parameters "
        "of libpq go into it: `?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem`. Several hosts may stand in "
        "it, parted by commas, with `?target_session_attrs=primary`. The role needs REPLICATION.",
    )
    password: SecretStr | SecretFile | None = Field(
        None,
        description="The role's password, usually `${PGPASSWORD}`; or `{file: /run/secrets/password}`, which "
        "is read at each new connection. Default: libpq's own ways (PGPASSWORD, ~/.pgpass, a service file, a "
        "client certificate), or inside the URL.",
    )
    tables: TablePatterns = Field(
        min_length=1,
        description=f"The tables to capture, as patterns: {RULE} A partitioned table stands for all its "
        "partitions, a table that others inherit from for its own rows alone. A table that is created later "
        "is captured from the next start on.",
    )
    exclude: TablePatterns = Field(
        (), description="Patterns of tables that are not captured although `tables` names them."
    )
    columns: dict[TablePatternText, Annotated[tuple[NamePatternText, ...], Field(min_length=1)]] = Field(
        {},
        description="Pattern of tables: the columns of them that are published, by name or as patterns; the "
        "key must be among them. The rest never leaves the server. Of several patterns that match a table "
        "the first counts; tables that none matches are published with all columns, and so are those with "
        "`*` alone. A column that is added later and matches is published from the next start on. Needs "
        "PostgreSQL 15.",
    )
    where: dict[TablePatternText, _Condition] = Field(
        {},
        description="Pattern of tables: which of their rows are published, as an SQL condition on columns of "
        "the replica identity: `region = 'eu'`. An update that brings a row in arrives as its insert, one "
        "that takes it out as its delete; TRUNCATE always arrives. Of several patterns that match a table "
        "the first counts. Needs PostgreSQL 15.",
    )
    snapshot: ChangesOnly
    partitions: Literal["root", "leaves"] = Field(
        "root",
        description="How the rows of a partitioned table arrive. `root`: under the table's name, whichever "
        "partition holds them. `leaves`: under the name of the partition that holds them; one that is "
        "created later is captured from the next start on. May be changed at any time.",
    )
    keyless: Literal["refuse", "inserts_only"] = Field(
        "refuse",
        description="What to do with a table whose updates and deletes the log cannot describe (no usable "
        "REPLICA IDENTITY). `refuse`: do not start, and say what to run. `inserts_only`: deliver its inserts "
        "and truncates, without a key where it has none; its updates and deletes work as ever, and do not "
        "arrive. Once it has a replica identity all its changes arrive, from the next start on.",
    )
    slot: SlotSettings = Field(
        SlotSettings(), description="The replication slot, which makes the server keep its log."
    )
    publication: PublicationSettings = Field(
        PublicationSettings(), description="The publication, which says what of the log is sent."
    )
    origin: Literal["any", "none"] = Field(
        "any",
        description="`none`: leave out what another replication has written into this database (its "
        "transactions carry a replication origin), as where two databases replicate each other. Needs "
        "PostgreSQL 16 or later.",
    )
    streaming: Literal["off", "on"] = Field(
        "off",
        description="Whether a transaction that outgrows the server's `logical_decoding_work_mem` is sent "
        "while it is still open. It is spooled under `data_dir`, and delivered when it commits: the same "
        "events at the same places, sooner after the commit, and without the server's disk in between. "
        "`data_dir` must have room for all large transactions that are open at one time. May be changed at "
        "any time.",
    )
    provide_transaction_metadata: TellTransactions = False
    transaction_topic: TransactionTopic = "{pipeline}.transaction"
    status_interval: float = Field(
        10.0,
        ge=0.1,
        le=300,
        description="Seconds between two signs of life to the server, at the most; more often where its "
        "wal_sender_timeout is short.",
    )
    silence_timeout: float = Field(
        60.0,
        ge=0.5,
        description="Seconds without any word from the server after which the connection counts as dead and "
        "is made again. After half of them the server is asked for a word.",
    )
    heartbeat: float | None = Field(
        None,
        ge=0.1,
        description="Seconds after which an idle stream writes a message of a few bytes into the database's "
        "log (pg_logical_emit_message; it needs no table, and is not delivered). Default: never. The slot "
        "moves on without it, by what the server tells of its log, also where only other databases write; "
        "with it the whole way is seen to work.",
    )
    slot_timeout: float = Field(
        60.0,
        gt=0,
        description="On the first start the slot can only be created when every transaction that runs at "
        "that moment has ended. After so many seconds the oldest is named, and the attempt begins anew.",
    )

    @property
    def address(self) -> Address:
        """Server and login."""
        password = self.password
        return Address.parse(
            self.url, password.get_secret_value() if isinstance(password, SecretStr) else password
        )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        address = Address.parse(url)
        if "replication" in address.parameters:
            raise ValueError("the parameter replication is set by the source itself")
        for name, known in _CHOICES.items():
            if (value := address.parameters.get(name)) is not None and value not in known:
                raise ValueError(f"{name} in it is one of {', '.join(known)}")
        return url

    @model_validator(mode="after")
    def _check_password(self) -> PostgresSettings:
        """One password, inside the URL or beside it."""
        _ = self.address
        return self

    @field_validator("streaming", mode="before")
    @classmethod
    def _refuse_parallel(cls, value: object) -> object:
        if value == "parallel":
            raise not_available(
                "streaming: parallel is not available in this version: it adds what those need who apply a "
                "transaction while it is open, and this delivers none before its commit",
                "Write streaming: on.",
            )
        return value
