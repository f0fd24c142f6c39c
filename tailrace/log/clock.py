"""What time it is for retention, of which a wall clock that is set wrong must not make a mistake."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_BELIEVED_AFTER: Final = 24 * 3600 * 1_000_000  # µs for which a clock that was set must stand
_TOLERANCE: Final = 60 * 1_000_000  # µs that two clocks may part without one having been set

# It goes on while the machine sleeps, where there is such a clock.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _wall() -> int:
    return time.time_ns() // 1000


def _steady() -> int:
    return time.clock_gettime_ns(_STEADY) // 1000


class Clock:
    """The wall clock, beside the same clock as nobody has set it since this was made.

    While the two differ, events count as appended at the later and are judged at the earlier of them: they
    are kept too long rather than too short. After a day the wall clock is believed. All in µs since the
    epoch.
    """

    def __init__(self, wall: Callable[[], int] = _wall, steady: Callable[[], int] = _steady) -> None:
        self._wall = wall
        self._steady = steady
        self._ahead = wall() - steady()  # of the steady clock, as long as nobody sets the wall clock
        self._since: int | None = None  # on the steady clock: when they parted

    def latest(self) -> int:
        """The time at which something counts as appended."""
        return max(self._both())

    def earliest(self) -> int:
        """The time at which it is judged whether something is old."""
        return min(self._both())

    def _both(self) -> tuple[int, int]:
        wall, steady = self._wall(), self._steady()
        if abs(wall - steady - self._ahead) < _TOLERANCE:
            self._since = None
        elif self._since is None:
            self._since = steady
        elif steady - self._since >= _BELIEVED_AFTER:
            self._ahead, self._since = wall - steady, None
        return wall, steady + self._ahead


PROCESS_CLOCK: Final = Clock()
"""Made when the process starts: opening a log again is not to take over what the clock was set to since."""
