"""The MySQL and MariaDB that the tests start: which, where from, with what settings."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from tests.servers import debian
from tests.servers.artefacts import copy_command, install
from tests.servers.process import ServerProcess

Flavor: TypeAlias = Literal["mysql", "mariadb"]
Settings: TypeAlias = Mapping[str, str | int]

# What was committed is in the hands of the operating system, not on the disk: a server that is killed loses
# nothing all the same, only the machine's own crash would.
_SETTINGS: Final[Settings] = {
    "log_bin": "binlog",
    "binlog_format": "ROW",
    "binlog_row_metadata": "FULL",
    "sync_binlog": 0,
    "innodb_flush_log_at_trx_commit": 2,
    "innodb_buffer_pool_size": "64M",
    "innodb_use_native_aio": "OFF",  # each server would take its share of what the machine has of it
    "performance_schema": "OFF",
    "skip_name_resolve": "ON",
    "character_set_server": "utf8mb4",
    "default_time_zone": "+00:00",
}

#: What differs from the server's defaults unless a test sets it otherwise.
SETTINGS: Final[Mapping[Flavor, Settings]] = {
    "mysql": {
        **_SETTINGS,
        "gtid_mode": "ON",
        "enforce_gtid_consistency": "ON",
        "innodb_redo_log_capacity": "64M",
        "mysqlx": "OFF",
    },
    "mariadb": {
        **_SETTINGS,
        "gtid_strict_mode": "ON",
        "log_slave_updates": "ON",
        "innodb_log_file_size": "64M",
        "ssl": "OFF",  # from 11.4 on each start would make a key, which takes longer than the rest of it
    },
}


@dataclass(frozen=True)
class Release:
    """A server as a suite of Debian has it: one package with what it depends on."""

    flavor: Flavor
    version: str
    suite: str

    def __str__(self) -> str:
        return f"{'MySQL' if self.flavor == 'mysql' else 'MariaDB'} {self.version}"

    def binaries(self) -> Path:
        """The folder with the unpacked packages, fetched if need be."""
        package = f"{self.flavor}-server-core"
        return install(
            f"{self.flavor}-{self.version}-{platform.machine()}",
            lambda into: debian.unpack(package, self.version, debian.source(self.suite), into),
        )

    def plugins(self) -> Path:
        """The folder with the server's plugins, which MariaDB has in a package of their own."""
        if self.flavor == "mysql":
            return self.binaries() / "usr/lib/mysql/plugin"
        package = f"{self.flavor}-server"
        unpacked = install(
            f"{package}-{self.version}-{platform.machine()}",
            lambda into: debian.unpack(package, self.version, debian.source(self.suite), into, alone=True),
        )
        return unpacked / "usr/lib/mysql/plugin"

    def command(self, *options: str | Path) -> list[str | Path]:
        """What runs the server; `--defaults-file` and `--no-defaults` come first among the options."""
        unpacked = self.binaries()
        program = "mysqld" if self.flavor == "mysql" else "mariadbd"
        return [*debian.command(unpacked, f"usr/sbin/{program}"), *options, f"--basedir={unpacked / 'usr'}"]

    def log_printer(self) -> tuple[str | Path, ...]:
        """What runs the server's own `mysqlbinlog`, which MariaDB has in a package beside the server's."""
        unpacked = self.binaries()
        if self.flavor == "mysql":
            return debian.command(unpacked, "usr/bin/mysqlbinlog")
        beside = install(
            f"{self.flavor}-{self.version}-{platform.machine()}-programs",
            lambda into: debian.unpack(
                "mariadb-client", self.version, debian.source(self.suite), into, alone=True
            ),
        )
        return debian.command(unpacked, beside / "usr/bin/mariadb-binlog")

    def template(self) -> Path:
        """Data before the first start: its only account for people is root@127.0.0.1, without a password."""
        return install(f"{self.flavor}-{self.version}-{platform.machine()}-template", self._initialise)

    def _initialise(self, into: Path) -> None:
        process = ServerProcess(f"{self.flavor}-first")
        try:
            data = process.directory / "data"
            if self.flavor == "mysql":
                self._initialise_mysql(process, data)
            else:
                self._initialise_mariadb(process, data)
            subprocess.run(copy_command(data, into), check=True)
            # Any account may copy it: the keys in it are nobody's.
            subprocess.run(["chmod", "--recursive", "a+rX", into], check=True)
        finally:
            process.remove()

    def _initialise_mysql(self, process: ServerProcess, data: Path) -> None:
        accounts = process.directory / "accounts.sql"
        accounts.write_text("RENAME USER root@localhost TO root@'127.0.0.1';\n")
        accounts.chmod(0o644)
        options = ["--initialize-insecure", "--disable-log-bin", f"--init-file={accounts}"]
        process.run(self.command("--no-defaults", *options, f"--datadir={data}"))
        (data / "auto.cnf").unlink(missing_ok=True)  # its UUID: each server makes one of its own

    def _initialise_mariadb(self, process: ServerProcess, data: Path) -> None:
        process.run(["mkdir", data])
        statements = ["CREATE DATABASE mysql;\nUSE mysql;\n"]
        for name in ("system_tables", "system_tables_data"):
            (script,) = self.binaries().glob(f"usr/share/m*/m*_{name}.sql")
            statements.append(script.read_text())
        statements.append(
            "DELETE FROM global_priv WHERE User <> 'mariadb.sys';\n"
            "INSERT INTO global_priv VALUES ('127.0.0.1', 'root', '{\"access\": 18446744073709551615}');\n"
        )
        size = f"--innodb-log-file-size={SETTINGS['mariadb']['innodb_log_file_size']}"
        process.run(
            self.command("--no-defaults", "--bootstrap", size, f"--datadir={data}"), "\n".join(statements)
        )


#: By the name that tests ask with.
RELEASES: Final[Mapping[str, Release]] = {
    "mysql9": Release("mysql", "9.7.4", "sid"),
    "mariadb10": Release("mariadb", "10.11.18", "bookworm"),
    "mariadb11": Release("mariadb", "11.8.9", "trixie"),
}
