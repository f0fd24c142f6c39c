"""What a MySQL or MariaDB source declares in a pipeline's file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from connectors.mysql.columns.type_options import TypeOptions
from tailrace.clients.mysql.address import Address, SessionAttributes, Tls, TlsMode
from tailrace.ordering import TellTransactions, TransactionTopic
from tailrace.patterns import WRITTEN, TablePatterns
from tailrace.secrets import SecretFile
from tailrace.snapshots import ChangesOnly

_MODES_ELSEWHERE: Final = {
    "disable": "disabled",
    "prefer": "preferred",
    "require": "required",
    "trust": "required",
    "verify_full": "verify_identity",
}
"""What MariaDB's and PostgreSQL's clients call the modes of TLS."""

Keyless: TypeAlias = Literal["refuse", "inserts_only", "all"]


class BinlogSettings(TypeOptions):
    """Follows the changes of tables of one server in its binary log."""

    # Without it the library's own messages would show the password that stands beside what is wrong.
    model_config = ConfigDict(hide_input_in_errors=True)

    absent: ClassVar[Mapping[str, str]] = {
        "include_schema_changes": "No topic of tables' versions is written. With format: {type: debezium, "
        "schemas: true} each record has its schema.",
    }

    url: str = Field(
        repr=False,
        description="Where the server is: mysql://user@host:3306/. A database may stand in it; the tables "
        "say theirs by themselves. The account needs REPLICATION SLAVE, REPLICATION CLIENT, and SELECT on "
        "the tables. Several hosts may stand in it, parted by commas: mysql://user@a:3306,b:3306/. At each "
        "new connection they are tried in their order.",
    )
    target_session_attrs: SessionAttributes | None = Field(
        None,
        description="Which of the URL's hosts is read. `any`: the first that answers, a replica too. "
        "`primary`: the first that is not read_only; one that becomes it is left. Default: `primary` for "
        "several hosts, `any` for one.",
    )
    password: SecretStr | SecretFile | None = Field(
        None,
        description="The account's password, usually `${MYSQL_PWD}`; or `{file: /run/secrets/password}`, "
        "which is read at each new connection. Default: none, or inside the URL.",
    )
    ssl_mode: TlsMode = Field(
        "preferred",
        description="How connections are encrypted. `disabled`: not. `preferred`: where the server offers "
        "it. `required`: always, with whatever certificate. `verify_ca`: with one that an authority in "
        "`ssl_ca` has signed. `verify_identity`: that, and in the name of the URL's host.",
    )
    ssl_ca: Path | None = Field(
        None,
        description="File with the certificates of the authorities that are trusted. Default: those that "
        "this machine trusts.",
    )
    ssl_cert: Path | None = Field(None, description="File with the client's certificate, if it has one.")
    ssl_key: Path | None = Field(
        None, description="File with the key of the client's certificate. Default: in `ssl_cert`."
    )
    tables: TablePatterns = Field(
        min_length=1,
        description="The tables to capture, as patterns: `database.table`, both exactly as the server stores "
        f"them, as in `shop.orders` or `audit.*`. {WRITTEN} A table that is created "
        "later is captured as soon as rows of it come.",
    )
    exclude: TablePatterns = Field(
        (), description="Patterns of tables that are not captured although `tables` names them."
    )
    snapshot: ChangesOnly
    keyless: Keyless = Field(
        "refuse",
        description="What to do with a table that has neither a primary key nor a unique index of columns "
        "that are NOT NULL. `refuse`: do not start, and say what to run; one that is created later stops the "
        "pipeline at its first row. `inserts_only`: deliver its inserts and truncates, without a key; its "
        "updates and deletes do not arrive. `all`: deliver these too, without a key. Both rows are in the "
        "log, but of several rows that are equal nothing tells which one it was.",
    )
    row_images: Literal["full", "partial"] = Field(
        "full",
        description="Which rows of the log are delivered. `full`: inserts that lack columns stop the "
        "pipeline, and the server must not have binlog_row_image = MINIMAL. `partial`: the server may log "
        "the key and what changed alone (MINIMAL), or leave blobs and texts out (NOBLOB). Columns that the "
        "log lacks are missing in the rows, and formats treat them so: `plain` leaves them out, `debezium` "
        "and `flat` do with `unavailable_values: omit`.",
    )
    include_query: bool = Field(
        False,
        description="Deliver the statement that a change comes from, as `query` in the source block: "
        "Debezium's setting of this name. The server must write statements beside rows "
        "(binlog_rows_query_log_events, in MariaDB binlog_annotate_row_events), else `query` is null. A "
        "statement holds the values that were written, of columns too that nobody else gets to see; it "
        "stands in each of its changes, of a long one the first 16384 characters.",
    )
    provide_transaction_metadata: TellTransactions = False
    transaction_topic: TransactionTopic = "{pipeline}.transaction"
    server_id: int | None = Field(
        None,
        ge=1,
        le=2**32 - 1,
        description="By which number the pipeline reads the log, as a replica does: no two readers of a "
        "server have the same. Default: made from the pipeline's name, 2147483648 or above.",
    )
    silence_timeout: float = Field(
        60.0,
        ge=1,
        description="Seconds without any word from the server after which the connection counts as dead and "
        "is made again. An idle server is asked to say in a third of them that it is there.",
    )

    @property
    def address(self) -> Address:
        """Server and login."""
        password = self.password
        return Address.parse(
            self.url,
            password.get_secret_value() if isinstance(password, SecretStr) else password,
            Tls(self.ssl_mode, self.ssl_ca, self.ssl_cert, self.ssl_key),
            self.target_session_attrs,
        )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        Address.parse(url)
        return url

    @field_validator("ssl_mode", mode="before")
    @classmethod
    def _as_others_write_it(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        word = value.lower().replace("-", "_")
        if ours := _MODES_ELSEWHERE.get(word):
            raise PydanticCustomError(
                "elsewhere",
                "{found}",
                {
                    "found": f"{value!r} is a word of other clients",
                    "remedy": f"Write ssl_mode: {ours}.",
                },
            )
        return word

    @field_validator("ssl_ca", "ssl_cert", "ssl_key")
    @classmethod
    def _check_path(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_absolute():
            raise ValueError("the path of a file of TLS begins with /")
        return path

    @model_validator(mode="after")
    def _check_together(self) -> BinlogSettings:
        """One password, inside the URL or beside it; files of TLS where something is done with them."""
        _ = self.address
        if self.ssl_ca is not None and not self.ssl_mode.startswith("verify"):
            raise ValueError("ssl_ca is for ssl_mode: verify_ca or verify_identity")
        if self.ssl_key is not None and self.ssl_cert is None:
            raise ValueError("ssl_key belongs to a certificate: ssl_cert")
        if self.ssl_cert is not None and self.ssl_mode == "disabled":
            raise ValueError("ssl_cert is for another ssl_mode than disabled")
        return self


class MySqlSettings(BinlogSettings):
    """Follows the changes of tables of a MySQL server (8.0 and later) in its binary log."""


class MariaDbSettings(BinlogSettings):
    """Follows the changes of tables of a MariaDB server (10.6 and later) in its binary log."""
