"""Waiting between attempts: exponential, with jitter, without an end."""

from __future__ import annotations

import random
from typing import Final

_HELD: Final = 10  # times the wait before it, or seconds: what worked for so long was no accident


class Backoff:
    """The delays before attempt 2, 3, …: doubling from `first` to `most` seconds, each ±25 % so that many
    processes that lost the same server do not come back at the same instant."""

    def __init__(self, first: float = 0.1, most: float = 30.0) -> None:
        self._first = first
        self._most = most
        self._delay = first
        self._waited = first

    def next(self) -> float:
        """Seconds to wait now."""
        delay, self._delay = self._delay, min(self._delay * 2, self._most)
        self._waited = delay
        return delay * random.uniform(0.75, 1.25)

    def reset(self) -> None:
        """It worked: the next trouble starts from the first delay again."""
        self._delay = self._first

    def held(self, seconds: float) -> None:
        """It worked for so long before this trouble: as `reset`, unless the trouble came right after the last
        attempt."""
        if seconds >= min(_HELD * self._waited, _HELD):
            self.reset()
