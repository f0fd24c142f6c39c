"""A mark on this machine that a pipeline holds positions: for sources whose server keeps nothing for it.

Where a server keeps its log for a pipeline, that tells a start that its checkpoints are lost
(`Source.anchored`). Elsewhere the next start would be taken for a first one, at the log's end, and what lies
between would be left out unsaid.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from tailrace.folders import sync_folder


class StartedMark:
    """The file `data_dir/NAME.started`. The lock of the pipeline is held by whoever makes or removes it."""

    def __init__(self, data_dir: Path, name: str) -> None:
        self.path = data_dir / f"{name}.started"

    def __bool__(self) -> bool:
        return self.path.exists()

    def make(self) -> None:
        """Once every sink holds a position. Where there is no room for it the next start makes it."""
        if self:
            return
        with contextlib.suppress(OSError):
            self.path.touch()
            sync_folder(self.path.parent)

    def forget(self, *, dry_run: bool) -> Sequence[str]:
        """Let the next start without positions be a first one. A line if it is there."""
        if not self:
            return []
        if not dry_run:
            self.path.unlink()
            sync_folder(self.path.parent)
        return [f"the mark of an earlier start, {self.path}"]
