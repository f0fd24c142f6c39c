"""Waiting between attempts: exponential, with jitter, without an end."""

from __future__ import annotations

import random


class Backoff:
    """The delays before attempt 2, 3, …: doubling from `first` to `most` seconds, each ±25 % so that many
    processes that lost the same server do not come back at the same instant."""

    def __init__(self, first: float = 0.1, most: float = 30.0) -> None:
        self._first = first
        self._most = most
        self._delay = first

    def next(self) -> float:
        """Seconds to wait now."""
        delay, self._delay = self._delay, min(self._delay * 2, self._most)
        return delay * random.uniform(0.75, 1.25)

    def reset(self) -> None:
        """It worked: the next trouble starts from the first delay again."""
        self._delay = self._first
