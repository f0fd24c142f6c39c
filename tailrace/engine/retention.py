"""What the server keeps of its log for a pipeline, looked at now and then: told before the disk is full."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

from tailrace.abc import Retains, Retention
from tailrace.engine.status import SourceStatus
from tailrace.errors import TailraceError
from tailrace.logs import Logger

_EVERY: Final = 2.0  # seconds
_WINDOW: Final = 60.0  # seconds that the growth is taken over

_log: Final = Logger(__name__)


class RetentionWatch:
    """Keeps `status.retention` and the forecast; logs each change of the level once."""

    def __init__(self, source: Retains, status: SourceStatus) -> None:
        self._source = source
        self._status = status
        self._seen: deque[tuple[float, int]] = deque()
        self._level = "ok"

    async def run(self) -> None:
        """Look until cancelled. A server that does not answer is the reader's trouble, and is told there."""
        while True:
            try:
                found = await self._source.retention()
            except TailraceError:
                found = None
            if found is not None:
                self.note(found, time.monotonic())
            else:
                self._status.retention = self._status.full_in = None
            await asyncio.sleep(_EVERY)

    def note(self, found: Retention, now: float) -> None:
        """Take a look's outcome, `now` on the monotonic clock."""
        seen = self._seen
        seen.append((now, found.kept))
        while now - seen[0][0] > _WINDOW:
            seen.popleft()
        then, kept = seen[0]
        grown = found.kept - kept
        self._status.retention = found
        self._status.full_in = None
        if found.free == 0 and found.level != "lost":
            self._status.full_in = 0.0  # whether it grows or not: the next look may find it lost
        elif found.free and grown > 0:
            self._status.full_in = found.free * (now - then) / grown
        if found.seconds is not None:
            forecast = self._status.full_in
            self._status.full_in = found.seconds if forecast is None else min(forecast, found.seconds)
        if found.level != self._level:
            self._level = found.level
            tell = {"ok": _log.info, "warning": _log.warning}.get(found.level, _log.error)
            tell("log kept by the server", kept=found.level, found=found.found, **_remedy(found))


def _remedy(found: Retention) -> dict[str, str]:
    return {"remedy": found.remedy} if found.remedy else {}
