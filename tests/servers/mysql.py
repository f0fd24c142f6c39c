"""Real MySQL and MariaDB servers for the tests."""

from __future__ import annotations

import contextlib
import random
import uuid
from collections.abc import Mapping
from functools import cached_property
from signal import SIGTERM
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import pymysql
from pymysql.connections import Connection

from tests.servers.artefacts import copy_command
from tests.servers.mysql_releases import RELEASES, SETTINGS, Flavor
from tests.servers.process import Restartable, ServerError, ServerProcess, free_port

# A replica logs in without a password, and so as nobody whose password would need TLS.
_FOLLOW: Final[Mapping[Flavor, str]] = {
    "mysql": "CHANGE REPLICATION SOURCE TO SOURCE_HOST='{host}', SOURCE_PORT={port}, SOURCE_USER='root',"
    " SOURCE_AUTO_POSITION=1, SOURCE_CONNECT_RETRY=1; START REPLICA",
    "mariadb": "CHANGE MASTER TO MASTER_HOST='{host}', MASTER_PORT={port}, MASTER_USER='root', MASTER_SSL=0,"
    " MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1; START SLAVE",
}
_PROMOTE: Final[Mapping[Flavor, str]] = {
    "mysql": "STOP REPLICA; RESET REPLICA ALL",
    "mariadb": "STOP SLAVE; RESET SLAVE ALL",
}


class MySql:
    """A MySQL or MariaDB that runs: where it is and how to talk to it as its root, `user` with `password`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 3306
        self.user = unquote(parts.username or "root")
        self.password = None if parts.password is None else unquote(parts.password)

    def __repr__(self) -> str:
        return f"<MySQL or MariaDB at {self.host}:{self.port}>"

    def url(self, database: str = "", user: str | None = None, password: str | None = None) -> str:
        """A URL without its password, unless one is given: root's, or another user's."""
        if user is None:
            user, password = self.user, self.password
        login = quote(user, "") if password is None else f"{quote(user, '')}:{quote(password, '')}"
        return f"mysql://{login}@{self.host}:{self.port}/{quote(database, '')}"

    def connect(self, database: str | None = None, **options: Any) -> Connection[Any]:
        """A connection of root in autocommit; `options` are PyMySQL's: `user`, `password`, `ssl_ca`, …"""
        options = {"user": self.user, "password": self.password or "", "autocommit": True, **options}
        # The library would take TLS where it is offered: a connection costs a hundred times as much with it.
        options.setdefault("ssl_disabled", not any(name.startswith("ssl") for name in options))
        return pymysql.connect(host=self.host, port=self.port, database=database, **options)

    def execute(
        self, statement: str, parameters: tuple[Any, ...] = (), database: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement in a connection of its own and return its rows, if it has any."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return list(cursor.fetchall())

    def script(self, statements: str, database: str | None = None) -> None:
        """Run statements, parted by semicolons at the ends of lines, one by one in one connection."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            for statement in statements.split(";\n"):
                if statement.strip():
                    cursor.execute(statement)

    @cached_property
    def version(self) -> str:
        """As the server tells it: `9.7.4-2`, `10.11.18-MariaDB-…`."""
        return str(self.execute("SELECT version()")[0][0])

    @property
    def flavor(self) -> Flavor:
        return "mariadb" if "MariaDB" in self.version else "mysql"

    def gtids(self) -> str:
        """What stands in its binary log: MySQL's set, or MariaDB's last one of each domain."""
        variable = {"mysql": "gtid_executed", "mariadb": "gtid_binlog_pos"}[self.flavor]
        return str(self.execute(f"SELECT @@GLOBAL.{variable}")[0][0])

    def create_database(self, prefix: str = "test") -> str:
        """Create an empty database under a name that no other test has, and return the name."""
        name = f"{prefix}_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database from under the connections that are in it."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (name,))
            for (thread,) in cursor.fetchall():
                with contextlib.suppress(pymysql.MySQLError):  # it has gone by itself
                    cursor.execute(f"KILL {thread}")
            cursor.execute(f"DROP DATABASE {name}")


class MySqlServer(Restartable, MySql):
    """A server of the test's own, which it may stop, kill and start again on the same port and data.

    `release`: `mysql9`, `mariadb10` or `mariadb11`. `settings` are read at every start: change an entry and
    restart; None stands for the server's own default. As a context manager it is removed at the end, data
    and all.
    """

    def __init__(
        self, release: str = "mysql9", settings: Mapping[str, str | int | None] | None = None
    ) -> None:
        self.release = RELEASES[release]
        template = self.release.template()
        super().__init__(f"mysql://root@127.0.0.1:{free_port()}/")
        self.settings: dict[str, str | int | None] = {
            "server_id": random.randrange(1, 2**31),
            **SETTINGS[self.release.flavor],
            **(settings or {}),
        }
        self.process = ServerProcess(release)
        self.data = self.process.directory / "data"
        self._file = self.process.directory / "my.cnf"
        self.process.run(copy_command(template, self.data))

    def start(self, timeout: float = 60) -> None:
        """Start it and return when it answers."""
        settings = {
            **{key: value for key, value in self.settings.items() if value is not None},
            "bind_address": self.host,
            "port": self.port,
            "datadir": self.data,
            "tmpdir": self.process.directory,
            "secure_file_priv": self.process.directory,
            "socket": self.process.directory / "socket",
            "pid_file": self.process.directory / "pid",
        }
        self._file.write_text("[mysqld]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
        self._file.chmod(0o644)
        self.process.start(self.release.command(f"--defaults-file={self._file}"), self._answers, timeout)

    def stop(self, timeout: float = 60) -> None:
        """Stop it with a clean shutdown; MySQL takes seconds for it while somebody reads its log."""
        self.process.stop(SIGTERM, timeout)

    def follow(self, primary: MySql) -> None:
        """Make it a replica of a server of its flavor, by GTIDs, from where it stands."""
        words = _FOLLOW[self.release.flavor].format(host=primary.host, port=primary.port)
        for statement in words.split("; "):
            self.execute(statement)

    def wait_for(self, gtids: str, timeout: float = 30) -> None:
        """Return when, as a replica, it has applied what `gtids` of its primary told."""
        function = {"mysql": "WAIT_FOR_EXECUTED_GTID_SET", "mariadb": "MASTER_GTID_WAIT"}[self.release.flavor]
        if self.execute(f"SELECT {function}(%s, %s)", (gtids, timeout)) != [(0,)]:
            raise ServerError(f"{self.process.name} did not come to {gtids}:\n{self.process.tail()}")

    def promote(self) -> None:
        """Make it a primary: it follows nobody any more."""
        for statement in _PROMOTE[self.release.flavor].split("; "):
            self.execute(statement)

    def _answers(self) -> bool:
        with contextlib.suppress(pymysql.OperationalError):
            return bool(self.execute("SELECT true"))
        return False
