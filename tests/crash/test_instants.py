"""SIGKILL at instants that nobody chose."""

from __future__ import annotations

from random import Random

import pytest

from tests.crash import kills
from tests.crash.rig import Rig

KILLS = 20
SEED = 1


@pytest.fixture(scope="module")
def random() -> Random:
    return Random(SEED)


@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_a_random_instant(rig: Rig, random: Random, number: int) -> None:
    kills.at_an_instant(rig, random, seed=number)
    rig.recover()
