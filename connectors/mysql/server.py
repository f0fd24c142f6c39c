"""A server as its variables show it: which it is, and how it writes its log. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connectors.mysql.binlog.messages import Flavor


def kept(flavor: Flavor, name: str, value: str) -> str:
    """What a person does to set a server's variable now and for its next starts, as a sentence."""
    written = value if value.isdecimal() else f"'{value}'"
    if flavor == "mysql":
        return f"SET PERSIST {name} = {written};"
    return f"SET GLOBAL {name} = {written}; and {name} = {value} in the server's configuration."


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
