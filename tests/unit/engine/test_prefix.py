"""What is delivered of a batch in which an event cannot be."""

from __future__ import annotations

import random
from collections.abc import Set

import pytest

from tailrace.engine.prefix import before_fault
from tailrace.errors import Malformed
from tailrace.events import Batch, Change, Transaction
from tests.unit.engine.memory import TABLE, TROUBLE, Faults, MemorySource, Server, position

_SIZE = 8


class Placeless(MemorySource):
    """Some of its changes have no place in front of them that could be told."""

    placeless: Set[int] = frozenset()

    def before(self, batch: Batch, change: Change) -> Batch | None:
        return None if change.ordinal in self.placeless else super().before(batch, change)


@pytest.mark.parametrize("faulty", range(_SIZE))
@pytest.mark.parametrize("placeless", [(), (3,), (4,), (6,), (2, 3, 4), (4, 5, 6, 7), tuple(range(_SIZE))])
def test_it_is_all_that_can_be_told_apart_before_the_event(faulty: int, placeless: tuple[int, ...]) -> None:
    source = Placeless(Server(), Faults(random.Random(0)))
    source.placeless = frozenset(placeless)
    whole = Transaction("0", "00000000", 0, {})
    changes = [Change("c", TABLE, whole, ordinal, 0, 0, [b"1"]) for ordinal in range(_SIZE)]

    def prepare(part: Batch) -> None:
        if any(event.ordinal == faulty for event in part.events):
            raise Malformed(TROUBLE, "the faulty one", "nothing")

    part = before_fault(source, Batch(changes, position(1), commit=True, size=1), prepare)
    places = [place for place in range(1, faulty + 1) if place not in placeless]
    assert (len(part.events) if part else 0) == max(places, default=0)
