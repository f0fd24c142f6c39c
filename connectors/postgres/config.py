"""What a PostgreSQL source declares in a pipeline's file."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from connectors.postgres.tables import RULE, Pattern
from tailrace.abc import Declaration, not_available
from tailrace.clients.postgres.address import Address

_SNAPSHOTS: Final = (
    "initial", "always", "only",
    "initial_only", "no_data", "when_needed", "configuration_based", "custom", "recovery", "schema_only",
)  # fmt: skip


class SlotSettings(Declaration):
    """The replication slot of a pipeline."""

    failover: bool = Field(
        default=False,
        description="Whether standbys keep a copy of the slot, with which the pipeline goes on after a "
        "failover. Needs PostgreSQL 17 or later, and settings on both sides, which `doctor` names. A slot "
        "that exists is altered at the next start; switched off again it stays as it is.",
    )


class PostgresSettings(Declaration):
    """Follows the changes of tables of one PostgreSQL database (14 and later) in its write-ahead log."""

    # Without it the library's own messages would show the password that stands beside what is wrong.
    model_config = ConfigDict(hide_input_in_errors=True)

    url: str = Field(
        repr=False,
        description="Where the database is: postgresql://user@host:5432/database. TLS and other parameters "
        "of libpq go into it: `?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem`. Several hosts may stand in "
        "it, parted by commas, with `?target_session_attrs=primary`. The role needs REPLICATION.",
    )
    password: SecretStr | None = Field(
        None,
        description="The role's password, usually `${PGPASSWORD}`. Default: libpq's own ways (PGPASSWORD, "
        "~/.pgpass, a client certificate), or inside the URL.",
    )
    tables: tuple[str, ...] = Field(
        min_length=1,
        description=f"The tables to capture, as patterns: {RULE} A partitioned table stands for all its "
        "partitions, a table that others inherit from for its own rows alone. A table that is created later "
        "is captured from the next start on.",
    )
    exclude: tuple[str, ...] = Field(
        (), description="Patterns of tables that are not captured although `tables` names them."
    )
    snapshot: Literal["never"] = Field(
        description="What to do with the rows that exist already. `never`: nothing, deliver changes from the "
        "first start on. Must be written, so that nobody is surprised."
    )
    keyless: Literal["refuse"] = Field(
        "refuse",
        description="What to do with a table whose updates and deletes the log cannot describe (no usable "
        "REPLICA IDENTITY). `refuse`: do not start, and say what to run.",
    )
    slot: SlotSettings = Field(
        SlotSettings(), description="The replication slot, which makes the server keep its log."
    )
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
    slot_timeout: float = Field(
        60.0,
        gt=0,
        description="On the first start the slot can only be created when every transaction that runs at "
        "that moment has ended. After so many seconds the oldest is named, and the attempt begins anew.",
    )

    @property
    def address(self) -> Address:
        """Server and login."""
        return Address.parse(self.url, self.password.get_secret_value() if self.password else None)

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        address = Address.parse(url)
        if "replication" in address.parameters:
            raise ValueError("the parameter replication is set by the source itself")
        return url

    @model_validator(mode="after")
    def _check_password(self) -> PostgresSettings:
        """One password, inside the URL or beside it."""
        _ = self.address
        return self

    @field_validator("tables", "exclude")
    @classmethod
    def _check_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            Pattern.parse(pattern)
        return patterns

    @field_validator("snapshot", mode="before")
    @classmethod
    def _refuse_snapshots(cls, value: object) -> object:
        if value in _SNAPSHOTS:
            raise not_available(
                f"snapshot: {value} is not available in this version, which delivers changes only",
                "Write snapshot: never, and bring the rows that exist already over by other means.",
            )
        return value

    @field_validator("keyless", mode="before")
    @classmethod
    def _refuse_keyless(cls, value: object) -> object:
        if value == "inserts_only":
            raise not_available(
                "keyless: inserts_only is not available in this version",
                "Give the table a primary key, or: ALTER TABLE … REPLICA IDENTITY FULL;",
            )
        return value
