"""How often keys come: whether it pays to make for one of them what costs much to make."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

Key = TypeVar("Key")

_MOST: Final = 10_000  # keys that are counted


class Tally(Generic[Key]):
    """Counts by key, in bounded memory: with too many keys it begins anew. Not safe for use from several
    threads at once."""

    def __init__(self, often: int) -> None:
        """`often`: the count from which on a key comes often."""
        self._often = often
        self._counts: dict[Key, int] = {}

    def comes_often(self, key: Key, weight: int = 1) -> bool:
        """Count it once more, by a weight; whether it comes often."""
        if len(self._counts) >= _MOST:
            self._counts.clear()
        count = self._counts[key] = self._counts.get(key, 0) + weight
        return count >= self._often
