"""One process per pipeline and machine: a lock file refuses the second before it fences anybody."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tailrace.checkpoint import Owner
from tailrace.errors import Stop, code

ALREADY_RUNNING = code(
    "TR-ENG-001",
    "already running",
    "Another process of this pipeline runs on this machine. Two would fence each other in turn.",
)


class PipelineLock:
    """A context manager that holds `data_dir/NAME.lock` (flock: gone with the process, however it ends).

    Raises Stop, naming the holder, when somebody else has it. The file stays; only the lock on it counts.
    """

    def __init__(self, data_dir: Path, name: str, owner: Owner | None = None) -> None:
        self._path = data_dir / f"{name}.lock"
        self._owner = owner or Owner.this_process()
        self._fd: int | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._holder(fd)
            os.close(fd)
            raise Stop(
                ALREADY_RUNNING,
                f"the lock is held by {holder}",
                "Stop that process first, or give this pipeline another name and data_dir.",
                where=str(self._path),
            ) from None
        os.ftruncate(fd, 0)
        with contextlib.suppress(OSError):  # on a full disk it stays unsaid who holds the lock
            os.pwrite(fd, msgspec.json.encode(self._owner), 0)
        self._fd = fd
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @staticmethod
    def _holder(fd: int) -> str:
        try:
            return str(msgspec.json.decode(os.pread(fd, 4096, 0), type=Owner))
        except msgspec.DecodeError:  # it has just been taken and not yet been written
            return "another process"
