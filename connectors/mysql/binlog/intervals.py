"""Sets of transaction numbers as sorted intervals: the arithmetic of one source of a GTID set.

Intervals are (first, last), both within, in order, neither touching nor overlapping: equal sets are equal
tuples.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, TypeAlias

Intervals: TypeAlias = tuple[tuple[int, int], ...]

_BEYOND: Final = 1 << 64  # above any number, so that (number, _BEYOND) sorts behind what begins with it


def normalized(intervals: Iterable[tuple[int, int]]) -> Intervals:
    """Intervals in any order, overlapping or not, as they are kept."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(intervals):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def contains(intervals: Intervals, number: int) -> bool:
    index = bisect_right(intervals, (number, _BEYOND))
    return index > 0 and intervals[index - 1][1] >= number


def with_number(intervals: Intervals, number: int) -> Intervals:
    """The intervals and one number that they do not hold."""
    index = bisect_right(intervals, (number, _BEYOND))
    around = normalized((*intervals[max(0, index - 1) : index + 1], (number, number)))
    return intervals[: max(0, index - 1)] + around + intervals[index + 1 :]


def without(intervals: Intervals, removed: Intervals) -> Intervals:
    left: list[tuple[int, int]] = []
    cuts = iter((*removed, (_BEYOND, _BEYOND)))
    cut_first, cut_last = next(cuts)
    for first, last in intervals:
        while cut_last < first:
            cut_first, cut_last = next(cuts)
        while cut_first <= last:
            if first < cut_first:
                left.append((first, cut_first - 1))
            first = cut_last + 1
            if cut_last > last:
                break
            cut_first, cut_last = next(cuts)
        if first <= last:
            left.append((first, last))
    return tuple(left)


def count(intervals: Intervals) -> int:
    return sum(last - first + 1 for first, last in intervals)
