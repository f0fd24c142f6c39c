"""The offset store `memory`: checkpoints in this process alone, for tests and jobs that end by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from tailrace.abc import Declaration, Finding
from tailrace.checkpoint import Checkpoint
from tailrace.claims import FENCED
from tailrace.errors import Fenced

_KEPT: Final[dict[Path, dict[str, tuple[int, Checkpoint | None]]]] = {}
"""By the folder of the pipeline's file and by sink identity: epoch and checkpoint."""


class MemoryOffsetSettings(Declaration):
    """Settings of the offset store `memory`: none. Nothing that it keeps outlives the process."""


class MemoryOffsetStore:
    """All stores of one folder in one process are one."""

    Settings: ClassVar[type[Declaration]] = MemoryOffsetSettings

    def __init__(self, settings: MemoryOffsetSettings, base: Path) -> None:
        self._kept = _KEPT.setdefault(base, {})

    async def check(self) -> Sequence[Finding]:
        return [
            Finding(
                "offset store memory",
                "nothing of it outlives the process",
                warning=True,
                remedy="For a pipeline that is to go on after a restart: offsets: {type: sqlite}. With "
                "memory every start is a first one, and refuses until `tailrace teardown FILE` has run.",
            )
        ]

    async def peek(self, sink: str) -> Checkpoint | None:
        return self._kept.get(sink, (0, None))[1]

    async def claim(self, sink: str) -> tuple[int, Checkpoint | None]:
        epoch, stored = self._kept.get(sink, (0, None))
        self._kept[sink] = epoch + 1, stored
        return self._kept[sink]

    async def save(self, sink: str, epoch: int, checkpoint: Checkpoint) -> None:
        newest, _ = self._kept[sink]
        if newest != epoch:
            raise Fenced(
                FENCED,
                f"{sink} was claimed again in this process (epoch {newest} after {epoch})",
                "Run a pipeline once at a time.",
            )
        self._kept[sink] = epoch, checkpoint

    async def forget(self, sink: str) -> bool:
        epoch, stored = self._kept.get(sink, (0, None))
        if stored is None:
            return False
        self._kept[sink] = epoch + 1, None
        return True

    async def close(self) -> None:
        """What is kept stays, for the next store in this process."""
