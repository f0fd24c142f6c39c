"""Inputs by their numbers, and what ends one that does not end."""

from __future__ import annotations

import resource
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import Final

from tests.fuzz.corpus import draw
from tests.fuzz.damage import Damaged, drawn
from tests.fuzz.judge import Judge

TICK: Final = 1.0
"""Seconds of the processor's time between looks at whether inputs still end."""

_LONGEST: Final = 3  # ticks for one input, which takes less than a thousandth of one
_MOST_MEMORY: Final = 256 << 20  # bytes that a process may grow by, over all inputs


class DoesNotEndError(Exception):
    """An input that takes longer than any may, or more memory."""


class Runner:
    """Judges inputs. An input is its seed and its number: what is done to which window follows from these."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._judge = Judge()
        self._number = 0
        self._stands = (-1, 0)  # the input at the last ticks, and how many they were
        self._memory = _peak()

    def input(self, number: int) -> Damaged:
        """That of a number, from 0 on."""
        random = Random(self._seed << 40 | number)
        return drawn(draw(random), random)

    def run(self, first: int, count: int) -> Counter[str]:
        """So many inputs from a number on: what became of them. The first fault ends it, with its number."""
        counts = self._judge.counts
        counts.clear()
        with self._watched():
            for number in range(first, first + count):
                self._number = number
                damaged = self.input(number)
                counts[f"damaged: {damaged.kind}"] += 1
                try:
                    self._judge.judge(damaged)
                except BaseException as fault:
                    fault.add_note(
                        f"input {number} of seed {self._seed}: {damaged.kind} of {damaged.window.file}"
                    )
                    raise
        return counts.copy()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        before = signal.signal(signal.SIGVTALRM, self._tick)
        signal.setitimer(signal.ITIMER_VIRTUAL, TICK, TICK)
        try:
            yield
            self._look_at_memory()
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)

    def _tick(self, signal: int, frame: FrameType | None) -> None:
        number, ticks = self._stands
        ticks = ticks + 1 if number == self._number else 0
        self._stands = (self._number, ticks)
        if ticks >= _LONGEST:
            raise DoesNotEndError(f"{ticks * TICK:g} s of the processor's time")
        self._look_at_memory()

    def _look_at_memory(self) -> None:
        grown = _peak() - self._memory
        if grown > _MOST_MEMORY:
            raise DoesNotEndError(f"{grown >> 20} MiB of memory")


def _peak() -> int:
    """The most memory that the process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
