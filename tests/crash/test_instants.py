"""SIGKILL at instants that nobody chose."""

from __future__ import annotations

from random import Random

from tests.crash import kills
from tests.crash.rig import Rig


def test_killed_at_a_random_instant(rig: Rig, seed: int, number: int) -> None:
    kills.at_an_instant(rig, Random(f"{seed}/{number}"), seed=number)
    rig.recover()
