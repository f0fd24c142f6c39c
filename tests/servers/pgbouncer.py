"""PgBouncer in front of a PostgreSQL server."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from pathlib import Path
from typing import Self

from tests.servers.artefacts import UnavailableError
from tests.servers.postgres import Postgres
from tests.servers.process import ServerProcess, free_port

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


class PgBouncer:
    """Runs while it is entered, and lets the superuser in everywhere; `settings` are lines of its file."""

    def __init__(self, target: Postgres, *settings: str) -> None:
        program = _program()
        self.port = free_port()
        self._process = ServerProcess("pgbouncer")
        self._command = [program, self._process.directory / "pgbouncer.ini"]
        users = self._process.directory / "users.txt"
        users.write_text('"postgres" ""\n')
        lines = [
            "[databases]", f"* = host={target.host} port={target.port}", "[pgbouncer]",
            "listen_addr = 127.0.0.1", f"listen_port = {self.port}", "unix_socket_dir =",
            "auth_type = trust", f"auth_file = {users}", *settings,
        ]  # fmt: skip
        self._command[1].write_text("\n".join(lines) + "\n")
        for file in (users, self._command[1]):
            file.chmod(0o644)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Self:
        self._process.start(self._command, self._answers, 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.remove()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


def _program() -> Path:
    found = shutil.which("pgbouncer", path=_PATH)
    if found is None:
        raise UnavailableError(
            "PgBouncer is not installed; scripts/system-packages pgbouncer does that as root"
        )
    return Path(found)
