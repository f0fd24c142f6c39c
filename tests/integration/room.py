"""A folder in which there is little room, until it is widened."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.pipelines import PipelineProcess

_PIECE = 4096  # bytes: a page of memory, of which a tmpfs is made


class Room:
    """`kilobytes` are all that there is at first; `code` tells that it is full.

    A small file system in memory. Where nobody may mount one, a bound on the size of files comes near to it,
    which processes inherit: then each file may grow to half of the room.
    """

    def __init__(self, folder: Path, kilobytes: int) -> None:
        self.folder = folder
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tailrace-test", str(folder)]
        self._kilobytes = kilobytes
        self.mounted = sys.platform == "linux" and os.geteuid() == 0 and _succeeds(mount)
        self.code = "TR-SQLITE-002" if self.mounted else "TR-SQLITE-007"

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """The folder is narrow for processes that are started in the block."""
        most, limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        if not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._kilobytes * 512, limit))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, limit))

    def fill(self) -> None:
        """Take all that is left of a mounted room."""
        with (self.folder / "ballast").open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * _PIECE)
            except OSError as full:
                if full.errno != errno.ENOSPC:
                    raise

    def empty(self) -> None:
        """Give back what `fill` took."""
        (self.folder / "ballast").unlink()

    def widen(self, process: PipelineProcess) -> None:
        """From now on there is enough, also for this process."""
        if self.mounted:
            assert _succeeds(["mount", "-o", "remount,size=100m", str(self.folder)])
        else:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE))

    def close(self) -> None:
        if self.mounted:
            assert _succeeds(["umount", "--lazy", str(self.folder)])


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
