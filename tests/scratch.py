"""Where the tests and their servers have their files: in memory, where there is plenty of it.

A server is a thousand files, and there are dozens of servers, whose data, logs and pipelines are gone a
moment later: on a disk all this costs nearly as much as what is tested.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import psutil

_MEMORY: Final = Path("/dev/shm")
_NEEDED: Final = 4 * 1024**3  # bytes for each process that runs tests, with its servers themselves


def in_memory(processes: int) -> None:
    """Have temporary files of this process, and of those that it starts, in memory, unless TMPDIR says
    otherwise."""
    if "TMPDIR" in os.environ or not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK):
        return
    if os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC:
        return  # tests run programs that they have made
    free = min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available)
    if free >= processes * _NEEDED:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)
