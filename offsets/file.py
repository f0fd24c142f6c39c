"""The offset store `file`: JSON that people can read, a folder for each sink identity.

A claim makes the file of the next epoch, `0000000007.json`, which must not be there yet: of two processes
only one can make it. It is empty until the first save; what is stored is what the newest file that is not
empty holds. A save replaces the file of its own epoch and no other, and looks for newer ones twice:

- before, so that nothing of an older process is seen behind a newer claim;
- after, because a claim may come in between. The claim makes its file first and reads then, the save writes
  first and looks then: either the claim has read the save, or the save has seen the claim.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote

from pydantic import Field

from tailrace.abc import Declaration, Finding
from tailrace.checkpoint import Checkpoint
from tailrace.claims import FENCED
from tailrace.errors import Fenced, NotReady, Retry, Stop, code
from tailrace.failpoints import failpoint
from tailrace.folders import make_folder, sync_folder
from tailrace.worker_thread import WorkerThread

NOT_WRITABLE = code(
    "TR-OFF-001",
    "the folder of the checkpoints cannot be used",
    "The offset store's folder cannot be made, read or written, or something else than a folder is there.",
)
NOT_NOW = code(
    "TR-OFF-002",
    "a checkpoint cannot be written now",
    "The disk is full or fails. It is tried again.",
)

_PASSES: Final = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EAGAIN,
    errno.EINTR,
    errno.ESTALE,
    errno.EMFILE,
)
_FORGOTTEN: Final = b"null"
_OWN: Final = re.compile(r"([0-9]{10,})\.json")  # what else lies there is somebody's copy, or an editor's

_claimed = failpoint("offsets.file.claimed")
_written = failpoint("offsets.file.written")
_renamed = failpoint("offsets.file.renamed")
_saved = failpoint("offsets.file.saved")


class FileOffsetSettings(Declaration):
    """Settings of the offset store `file`."""

    path: Path = Field(
        default=Path("data/offsets"),
        description="The store's folder; several pipelines may share one. Not for network file systems that "
        "do not make files exclusively.",
    )


class FileOffsetStore:
    """All work happens in one thread of the store's own, so calls may overlap."""

    Settings: ClassVar[type[Declaration]] = FileOffsetSettings

    def __init__(self, settings: FileOffsetSettings, base: Path) -> None:
        self._path = base / settings.path
        self._thread = WorkerThread("offsets")

    async def check(self) -> Sequence[Finding]:
        return await self._thread.call(self._check)

    async def peek(self, sink: str) -> Checkpoint | None:
        return await self._thread.call(self._peek, sink)

    async def claim(self, sink: str) -> tuple[int, Checkpoint | None]:
        return await self._thread.call(self._claim, sink)

    async def save(self, sink: str, epoch: int, checkpoint: Checkpoint) -> None:
        await self._thread.call(self._save, sink, epoch, checkpoint)

    async def forget(self, sink: str) -> bool:
        return await self._thread.call(self._forget, sink)

    async def close(self) -> None:
        self._thread.end()

    def _check(self) -> Sequence[Finding]:
        title = f"offset store {self._path}"
        existing = next(one for one in (self._path, *self._path.parents) if one.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            error = _refused(self._path, f"{existing} is not a folder that this user may write")
            return [Finding(title, error.found, error)]
        return [Finding(title, "found" if existing == self._path else "will be made")]

    def _folder(self, sink: str) -> Path:
        return self._path / quote(sink, safe="")

    def _peek(self, sink: str) -> Checkpoint | None:
        with _told(self._path):
            return _read(self._folder(sink))

    def _claim(self, sink: str) -> tuple[int, Checkpoint | None]:
        folder = self._folder(sink)
        with _told(self._path):
            make_folder(folder)
            epoch = _next_epoch(folder)
            _claimed()
            return epoch, _read(folder)

    def _save(self, sink: str, epoch: int, checkpoint: Checkpoint) -> None:
        folder = self._folder(sink)
        with _told(self._path):
            _refuse_if_claimed(folder, sink, epoch)
            _replace(folder, epoch, checkpoint.encode())
            _refuse_if_claimed(folder, sink, epoch)
            for older in _epochs(folder):
                if older < epoch:
                    (folder / _name(older)).unlink(missing_ok=True)
        _saved()

    def _forget(self, sink: str) -> bool:
        folder = self._folder(sink)
        with _told(self._path):
            if _read(folder) is None:
                return False
            _replace(folder, _next_epoch(folder), _FORGOTTEN)
            return True


def _name(epoch: int) -> str:
    return f"{epoch:010}.json"


def _epochs(folder: Path) -> list[int]:
    """Newest first; none where there is no folder."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted((int(found[1]) for name in names if (found := _OWN.fullmatch(name))), reverse=True)


def _next_epoch(folder: Path) -> int:
    """Make the file of an epoch that nobody has, and have the disk hold it."""
    while True:
        epoch = max(_epochs(folder), default=0) + 1
        with contextlib.suppress(FileExistsError):
            os.close(os.open(folder / _name(epoch), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            sync_folder(folder)
            return epoch


def _read(folder: Path) -> Checkpoint | None:
    """What the newest file that is not empty holds."""
    while True:
        try:
            for epoch in _epochs(folder):
                file = folder / _name(epoch)
                if stored := file.read_bytes():
                    return None if stored == _FORGOTTEN else Checkpoint.decode(stored, str(file))
        except FileNotFoundError:  # a newer save has just removed it
            continue
        return None


def _replace(folder: Path, epoch: int, content: bytes) -> None:
    """The file of an epoch that is our own: no other process writes it."""
    draft = folder / f"{epoch:010}.draft"
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _written()
    draft.rename(folder / _name(epoch))
    _renamed()
    sync_folder(folder)


def _refuse_if_claimed(folder: Path, sink: str, epoch: int) -> None:
    newest = max(_epochs(folder), default=0)
    if newest != epoch:
        stored = _read(folder)
        raise Fenced(
            FENCED,
            f"{sink} was claimed again (epoch {newest} after {epoch}); the checkpoint there is "
            + (f"of {stored.owner}" if stored else "not written yet"),
            "Nothing, if that process is the one meant to run.",
            where=str(folder),
        )


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns the system's errors into tailrace's."""
    try:
        yield
    except OSError as error:
        if error.errno in _PASSES:
            remedy = "Make room on the disk, or look into its health."
            raise Retry(NOT_NOW, str(error), remedy, where=str(path)) from error
        raise _refused(path, str(error)) from error


def _refused(path: Path, found: str) -> Stop:
    return NotReady(
        NOT_WRITABLE, found, "Correct offsets.path, or give this user the folder.", where=str(path)
    )
