"""Real PostgreSQL servers for the tests."""

import contextlib
import platform
import random
import subprocess
import sys
import tarfile
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from signal import SIGINT, SIGQUIT
from typing import Any, Literal
from urllib.parse import quote

import psycopg
from aiokafka.record.util import calc_crc32c
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ExecStatus

from tests.servers.artefacts import UnavailableError, copy_command, install, maven_jars
from tests.servers.process import Restartable, ServerProcess, free_port

#: Major version to the version of the artefact with its binaries (server and contrib, no client programs).
VERSIONS = {14: "14.24.0", 15: "15.19.0", 16: "16.15.0", 17: "17.11.0", 18: "18.6.0"}

_ARTEFACT = "io.zonky.test.postgres:embedded-postgres-binaries"
_PLATFORMS = {
    ("linux", "x86_64"): "linux-amd64",
    ("linux", "aarch64"): "linux-arm64v8",
    ("darwin", "x86_64"): "darwin-amd64",
    ("darwin", "arm64"): "darwin-arm64v8",
}

#: What differs from PostgreSQL's defaults unless a test sets it otherwise. Without fsync a server that is
#: killed loses nothing all the same: only the machine's own crash would.
SETTINGS: Mapping[str, str | int] = {
    "wal_level": "logical",
    "max_wal_senders": 20,
    "max_replication_slots": 20,
    "fsync": "off",
    "dynamic_shared_memory_type": "mmap",  # goes with the folder, also where the server was killed
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "log_line_prefix": "%m [%p] %q%u@%d/%a ",
    "timezone": "UTC",
}

_SYSTEM_IN_LOG = 24  # where the first page of a file of the log names its system

# The superuser enters without a password, everybody else only with one.
_HBA = """\
host  all          postgres  127.0.0.1/32  trust
host  replication  postgres  127.0.0.1/32  trust
host  all          all       127.0.0.1/32  scram-sha-256
host  replication  all       127.0.0.1/32  scram-sha-256
"""


class Postgres:
    """A PostgreSQL server that runs: where it is and how to talk to it as its superuser."""

    def __init__(self, url: str) -> None:
        self._conninfo = conninfo_to_dict(url)
        self._password = None if (given := self._conninfo.get("password")) is None else str(given)

    def __repr__(self) -> str:
        return f"<PostgreSQL at {self._conninfo.get('host')}:{self._conninfo.get('port')}>"

    @property
    def host(self) -> str:
        return str(self._conninfo["host"])

    @property
    def port(self) -> int:
        return int(self._conninfo.get("port") or 5432)

    def url(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> str:
        """A URL without its password, unless one is given: the superuser's, or another role's."""
        if user is None:
            user, password = str(self._conninfo["user"]), self._password
        login = quote(user, "") if password is None else f"{quote(user, '')}:{quote(password, '')}"
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(database, '')}"

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection[Any]:
        """A connection of the superuser in autocommit; `options` go into the connection string."""
        return psycopg.connect(make_conninfo(self.url(database), **options), autocommit=True)

    def execute(
        self, statement: str, parameters: tuple[Any, ...] = (), database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Run a statement in a connection of its own and return its rows, if it has any.

        Several statements, parted by semicolons, are one transaction and take no parameters.
        """
        with self.connect(database) as connection:
            cursor = connection.execute(statement, parameters or None)
            # Not its description: rows without a column are rows (SELECT FROM …).
            has_rows = cursor.pgresult is not None and cursor.pgresult.status == ExecStatus.TUPLES_OK
            return cursor.fetchall() if has_rows else []

    @property
    def major(self) -> int:
        return int(self.execute("SHOW server_version_num")[0][0]) // 10_000

    def create_database(self, prefix: str = "test") -> str:
        """Create an empty database under a name that no other test has, and return the name."""
        name = f"{prefix}_{uuid.uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database with everything that holds on to it: its connections and replication slots."""
        with self.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = %s AND pid <> pg_backend_pid()",
                (name,),
            )
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s",
                (name,),
            )
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class PostgresServer(Restartable, Postgres):
    """A PostgreSQL of the test's own, which it may stop, kill and start again on the same port and data.

    `programs`: another installation than the one that is fetched. `settings` are read at every start: change
    an entry and restart. As a context manager it is removed at the end, data and all.
    """

    def __init__(
        self,
        major: int = 16,
        settings: Mapping[str, str | int] | None = None,
        *,
        programs: Path | None = None,
    ) -> None:
        self._binaries = (programs or binaries(major)) / "bin"
        self._template = None if programs else template(major)
        super().__init__(f"postgresql://postgres@127.0.0.1:{free_port()}/postgres")
        self.settings: dict[str, str | int] = {**SETTINGS, **(settings or {})}
        self.process = ServerProcess(f"postgres{major}")
        self.data = self.process.directory / "data"
        self._initialise()

    def _initialise(self) -> None:
        """Make the folder of data."""
        if self._template is None:
            self.process.run(_initdb(self._binaries, self.data))
        else:
            self.process.run(copy_command(self._template, self.data))
            self.data.chmod(0o700)
            _make_another_system(self.data)
        (self.data / "pg_hba.conf").write_text(_HBA)

    def start(self, timeout: float = 60) -> None:
        """Start it and return when it answers."""
        settings = {
            **self.settings,
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": str(self.process.directory),
        }
        (self.data / "postgresql.conf").write_text("".join(f"{k} = '{v}'\n" for k, v in settings.items()))
        self.process.start([self._binaries / "postgres", "-D", self.data], self._answers, timeout)

    def stop(self, mode: Literal["fast", "immediate"] = "fast", timeout: float = 60) -> None:
        """Stop it: `fast` with a checkpoint, `immediate` so that it recovers at the next start."""
        self.process.stop(SIGINT if mode == "fast" else SIGQUIT, timeout)

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            return bool(self.execute("SELECT true"))
        return False


def _initdb(programs: Path, data: Path) -> list[str | Path]:
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    return [programs / "initdb", "--pgdata", data, *options]


def template(major: int) -> Path:
    """Data before the first start, of which each server has a copy: to make it anew takes longer than to
    start."""

    def initialise(into: Path) -> None:
        process = ServerProcess(f"postgres{major}-first")
        try:
            data = process.directory / "data"
            process.run(_initdb(binaries(major) / "bin", data))
            subprocess.run(copy_command(data, into), check=True)
            # Any account may copy it: nobody's secrets are in it.
            subprocess.run(["chmod", "--recursive", "a+rX", into], check=True)
        finally:
            process.remove()

    return install(f"postgres-{VERSIONS[major]}-{platform.machine()}-template", initialise)


def _make_another_system(data: Path) -> None:
    """Give a copy of the template, which has never run, an identifier of its own."""
    control, log = data / "global" / "pg_control", data / "pg_wal" / "000000010000000000000001"
    made = random.getrandbits(63).to_bytes(8, sys.byteorder)
    content = bytearray(control.read_bytes())
    of_template = bytes(content[:8])
    checked = next(n for n in range(8, 512, 4) if _crc(content[:n]) == bytes(content[n : n + 4]))
    content[:8] = made
    content[checked : checked + 4] = _crc(content[:checked])
    with control.open("r+b") as file:
        file.write(content)
    with log.open("r+b") as file:
        file.seek(_SYSTEM_IN_LOG)
        assert file.read(8) == of_template
        file.seek(_SYSTEM_IN_LOG)
        file.write(made)


def _crc(content: bytes | bytearray) -> bytes:
    return int(calc_crc32c(content)).to_bytes(4, sys.byteorder)


def binaries(major: int) -> Path:
    """The installation of this major version (its `bin`, `lib` and `share`), fetched if need be."""
    version, machine = VERSIONS[major], (sys.platform, platform.machine())
    if machine not in _PLATFORMS:
        raise UnavailableError(f"there are no PostgreSQL binaries for {' '.join(machine)}")
    artefact = f"{_ARTEFACT}-{_PLATFORMS[machine]}"

    def unpack(into: Path) -> None:
        jars = into / "jars"
        maven_jars([f"{artefact}:{version}"], jars, transitive=False)
        (jar,) = jars.iterdir()
        with zipfile.ZipFile(jar) as contents:
            (archive,) = (name for name in contents.namelist() if name.endswith(".txz"))
            with contents.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|xz") as files:
                # Python 3.14's default, and what silences the warning of 3.12; not in every 3.11.
                files.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
                files.extractall(into)
        jar.unlink()
        jars.rmdir()

    return install(f"postgres-{version}-{_PLATFORMS[machine]}", unpack)
