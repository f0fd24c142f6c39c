"""What a target holds against what it must hold: lost, doubled, reordered, foreign, wrong."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.truth.events import Event, Place

_SHOWN = 5


@dataclass(frozen=True)
class Delivered:
    """An event as it was found in a target. `sequence` is that within which order is promised: a partition, a
    topic of a log, an output. `topic` is named as an `Event`'s, `position` is the text of the header
    tailrace.position."""

    sequence: Hashable
    topic: str
    position: str
    key: Any
    value: Any


@dataclass
class Differences:
    """Empty where a target holds exactly what it must."""

    lost: list[Event] = field(default_factory=list)
    doubled: list[Delivered] = field(default_factory=list)
    reordered: list[Delivered] = field(default_factory=list)
    foreign: list[Delivered] = field(default_factory=list)  # nothing like it happened
    wrong: list[tuple[Event, Delivered]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def __str__(self) -> str:
        lines = []
        for kind, found in vars(self).items():
            if found:
                lines.append(f"{len(found)} {kind}:")
                lines += [f"  {one}" for one in found[:_SHOWN]]
        return "\n".join(lines) or "no differences"


class Comparison:
    """Compares one target with the truth, piece by piece: each call takes what is new on both sides.

    `locate` turns the text of a position into a place. `repeats`: the target delivers at least once, so that
    an event may come again, and counts where it came first.
    """

    def __init__(self, locate: Callable[[str], Place], *, repeats: bool = False) -> None:
        self.compared = 0  # events that were found right
        self.repeated = 0
        self._locate = locate
        self._repeats = repeats
        self._seen: set[Place] = set()
        self._last: dict[Hashable, Place] = {}
        self._sequences: dict[tuple[str, str], Hashable] = {}  # by topic and key

    def compare(self, expected: Sequence[Event], delivered: Iterable[Delivered]) -> Differences:
        """`delivered` in order within each sequence."""
        differences = Differences()
        by_place = {event.place: event for event in expected}
        for found in delivered:
            place = self._locate(found.position)
            if place in self._seen:
                self.repeated += 1
                if not self._repeats:
                    differences.doubled.append(found)
                continue
            event = by_place.get(place)
            if event is None:
                differences.foreign.append(found)
                continue
            self._seen.add(place)
            if self._last.get(found.sequence, place) > place or not self._together(found):
                differences.reordered.append(found)
            self._last[found.sequence] = place
            if (found.topic, found.key, found.value) != (event.topic, event.key, event.value):
                differences.wrong.append((event, found))
            self.compared += 1
        differences.lost += [event for event in expected if event.place not in self._seen]
        return differences

    def _together(self, found: Delivered) -> bool:
        """Whether all events of this key stand in one sequence: else they have no order."""
        return self._sequences.setdefault((found.topic, repr(found.key)), found.sequence) == found.sequence
