"""SIGKILL at every failpoint that the program declares."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.crash import failpoints, kills
from tests.crash.rig import Rig


def test_every_declared_failpoint_is_covered() -> None:
    assert failpoints.declared() == failpoints.COVERED


@pytest.mark.parametrize(("name", "nth"), failpoints.STEADY.items(), ids=list(failpoints.STEADY))
def test_killed_while_it_works(rig: Rig, name: str, nth: int) -> None:
    kills.at_failpoint(rig, name, nth, seed=nth)
    rig.recover()


@pytest.mark.parametrize(
    ("name", "nth"), [(name, nth) for name, all in failpoints.FIRST_START.items() for nth in all]
)
def test_killed_in_its_first_start(make_rig: Callable[..., Rig], name: str, nth: int) -> None:
    """Under traffic, so that what is due begins where the slot does that counts in the end."""
    rig = make_rig(stdout=False)
    kills.at_failpoint(rig, name, nth, seed=nth)
    _start_anew(rig)


def test_killed_when_an_earlier_attempt_is_cleared_away(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(stdout=False)
    kills.at_failpoint(rig, "postgres.slot.created", 1, seed=1)
    kills.at_failpoint(rig, failpoints.SECOND_ATTEMPT, 1, seed=2)
    _start_anew(rig)


def _start_anew(rig: Rig) -> None:
    with rig.traffic(seed=3), rig.pipeline.start() as process:
        rig.wait_for_progress(process)
        process.kill()
    rig.pipeline.run_until_current()
    rig.begun()  # not beside traffic: all of it would have to be read and compared
    rig.verify()
