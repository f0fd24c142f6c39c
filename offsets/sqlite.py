"""The offset store `sqlite`: checkpoints in one SQLite file, each save durable (synchronous = FULL)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field

from tailrace import claims
from tailrace.abc import Declaration, Explanation, Finding
from tailrace.checkpoint import Checkpoint
from tailrace.clients.sqlite import Kind, SqliteFile, refuse_unwritable
from tailrace.errors import Stop
from tailrace.failpoints import failpoint
from tailrace.worker_thread import WorkerThread

OFFSETS: Final = Kind(
    title="offset store",
    application_id=0x74726F66,  # "trof"
    version=1,
    layout=(claims.LAYOUT,),
    page_size=4096,
    writers=claims.writers,
)

_claimed = failpoint("offsets.claim.after")
_before_save = failpoint("offsets.save.before")
_locked = failpoint("offsets.save.locked")
_after_save = failpoint("offsets.save.after")


class SqliteOffsetSettings(Declaration):
    """Settings of the offset store `sqlite`."""

    path: Path = Field(
        default=Path("data/offsets.db"), description="The store's file; several pipelines may share one."
    )


class SqliteOffsetStore:
    """One row per sink identity, fenced by its epoch.

    All work happens in one thread of the store's own, so calls may overlap. Every call raises Retry (locked,
    disk full, I/O) or Stop (not writable, damaged, foreign, of another version).
    """

    Settings: ClassVar[type[Declaration]] = SqliteOffsetSettings

    def __init__(self, settings: SqliteOffsetSettings, base: Path) -> None:
        self._path = base / settings.path
        self._file: SqliteFile | None = None
        self._thread = WorkerThread("offsets")

    async def check(self) -> Sequence[Finding]:
        return await self._thread.call(self._check)

    async def peek(self, sink: str) -> Checkpoint | None:
        return await self._thread.call(claims.peek, self._path, OFFSETS, sink)

    async def claim(self, sink: str) -> tuple[int, Checkpoint | None]:
        return await self._thread.call(self._claim, sink)

    async def save(self, sink: str, epoch: int, checkpoint: Checkpoint) -> None:
        await self._thread.call(self._save, sink, epoch, checkpoint)

    async def forget(self, sink: str) -> bool:
        """The epoch stays, so that it is not used twice."""
        return await self._thread.call(claims.forget, self._path, OFFSETS, sink)

    async def close(self) -> None:
        await self._thread.call(self._close)
        self._thread.end()

    def explain(self) -> Explanation:
        """See `tailrace.abc.Explains`."""
        return Explanation(
            fence="an epoch per sink, raised by each process that starts and compared within every save",
            stored={f"{self._path}, table checkpoint": "the checkpoint, in the row of the sink"},
            made={str(self._path): "the offset store"},
        )

    def _check(self) -> Sequence[Finding]:
        title = f"offset store {self._path}"
        try:
            file = SqliteFile.read(self._path, OFFSETS)
            if file is not None:
                file.close()
            refuse_unwritable(self._path)
        except Stop as error:
            return [Finding(title, error.found, error)]
        return [Finding(title, "will be made" if file is None else "found")]

    def _claim(self, sink: str) -> tuple[int, Checkpoint | None]:
        self._close()  # a claim follows trouble, or is the first: it begins with a fresh connection
        self._file = SqliteFile.open(self._path, OFFSETS)
        with self._file.writing() as connection:
            claimed = claims.claim(connection, sink, self._path)
        _claimed()
        return claimed

    def _save(self, sink: str, epoch: int, checkpoint: Checkpoint) -> None:
        if self._file is None:
            self._file = SqliteFile.open(self._path, OFFSETS)
        _before_save()
        with self._file.writing() as connection:
            claims.save(connection, sink, epoch, checkpoint, self._path)
            _locked()
        _after_save()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
