"""SIGKILL of a pipeline that masks, filters and skips for all sinks, and routes and filters for one of
them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.crash import kills
from tests.crash.rig import Rig


def test_a_shaped_pipeline_is_killed(make_rig: Callable[..., Rig], seed: int, round: int) -> None:
    """Each sink holds the shaped truth, at the places that the events had before: nothing is lost with what
    was dropped, nothing that was dropped comes back."""
    rig = make_rig(shaped=True)
    rig.recover()
    kills.at_failpoint(rig, "engine.writer.written", 9 - round % 5, seed=9 + round)
    rig.recover()
    kills.at_an_instant(rig, Random(f"{seed}/{round}/shaped"), seed=1 + round)
    rig.recover()
    assert all(count > 100 for count in rig.verified.values()), rig.verified
