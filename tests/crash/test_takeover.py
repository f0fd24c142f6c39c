"""Two processes of one pipeline: the newer one's claim wins, whenever the older one notices."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.crash.rig import Rig
from tests.pipelines import PipelineProcess, gives_way
from tests.waiting import wait_until

SENDER_TIMEOUT = 3  # seconds after which the server gives up a process that is held


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """A pipeline that has started once; its sinks all fence."""
    rig = make_rig(stdout=False)
    rig.postgres.execute(f"ALTER DATABASE {rig.database} SET wal_sender_timeout = '{SENDER_TIMEOUT}s'")
    rig.recover()
    return rig


@contextmanager
def takeover(rig: Rig) -> Iterator[PipelineProcess]:
    """Another process of the pipeline, as on another machine: with a data_dir of its own."""
    rig.kills["the pipeline, by a second process"] += 1
    with rig.pipeline.start(data_dir=Path("elsewhere")) as newer:
        yield newer


def takes_over(rig: Rig, newer: PipelineProcess) -> None:
    """The newer process delivers, or waits for the log's lock, in which the older one happens to be held."""
    end = rig.end()
    wait_until(
        lambda: rig.acknowledged(end) or "TR-SQLITE-001" in newer.stderr, "the newer process to take over", 60
    )


def test_the_newer_of_two_processes_wins(rig: Rig) -> None:
    with rig.traffic(1), rig.pipeline.start() as older:
        rig.wait_for_progress(older)
        with takeover(rig) as newer:
            gives_way(older, newer)
            rig.wait_for_progress(newer)
    rig.recover()


def test_the_older_stops_where_nothing_is_written(rig: Rig) -> None:
    """Nothing that it had to commit would tell it: the newer one, which waits for the slot, writes into the
    log."""
    with rig.pipeline.start() as older:
        wait_until(lambda: "source streaming" in older.stderr, "the older process to stream")
        with takeover(rig) as newer:
            gives_way(older, newer, 30)
            wait_until(lambda: "source streaming" in newer.stderr, "the newer process to stream")
            with rig.traffic(1):
                rig.wait_for_progress(newer)
    rig.recover()


def test_two_processes_that_start_at_once(rig: Rig) -> None:
    with rig.traffic(1), rig.pipeline.start() as one, takeover(rig) as other:
        wait_until(lambda: not (one.running and other.running), "one of two to give way", 60)
        loser, winner = (other, one) if one.running else (one, other)
        gives_way(loser, winner)
        rig.wait_for_progress(winner)
    rig.recover()


def test_a_lock_file_refuses_the_second_on_one_machine(rig: Rig) -> None:
    with rig.traffic(1), rig.pipeline.start() as older:
        rig.wait_for_progress(older)
        with rig.pipeline.start() as newer:
            newer.wait(30, expected=1)
            assert "TR-ENG-001" in newer.stderr
            assert f"process {older.pid} on " in newer.stderr
        rig.wait_for_progress(older)
    rig.recover()


def test_held_at_any_instant_across_a_takeover(rig: Rig, seed: int, round: int) -> None:
    random = Random(f"{seed}/{round}")
    with rig.traffic(round), rig.pipeline.start() as older:
        rig.wait_for_progress(older)
        rig.burst()
        time.sleep(random.uniform(0, 0.3))
        older.signal(signal.SIGSTOP)
        with takeover(rig) as newer:
            takes_over(rig, newer)
            older.signal(signal.SIGCONT)
            gives_way(older, newer)
            rig.wait_for_progress(newer)
    rig.recover()


@pytest.mark.parametrize(
    ("failpoint", "nth"),
    [
        ("engine.start.claimed", 2),  # it holds a claim on one sink and not on the next
        ("engine.writer.written", 9),
        ("kafka.commit.sent", 9),
        ("kafka.commit.before", 8),
        ("log.commit.before", 5),
        ("postgres.feedback.before", 3),
    ],
)
def test_held_between_two_steps_across_a_takeover(rig: Rig, failpoint: str, nth: int) -> None:
    with rig.traffic(1), rig.pipeline.start(failpoints=f"{failpoint}=stop@{nth}") as older:
        wait_until(lambda: older.held, f"the older process to be held at {failpoint}")
        with takeover(rig) as newer:
            takes_over(rig, newer)
            older.signal(signal.SIGCONT)
            gives_way(older, newer)
            rig.wait_for_progress(newer)
    rig.recover()


@pytest.mark.parametrize("failpoint", ["engine.start.new_stored", "postgres.slot.created"])
def test_held_in_the_first_start_across_a_takeover(make_rig: Callable[..., Rig], failpoint: str) -> None:
    """The newer one makes the slot that the older one was about to make, or drops the one that it made."""
    rig = make_rig(stdout=False)
    with rig.pipeline.start(failpoints=f"{failpoint}=stop") as older:
        wait_until(lambda: older.held, f"the older process to be held at {failpoint}")
        with takeover(rig) as newer:
            wait_until(lambda: "pipeline streaming" in newer.stderr, "the newer process to stream")
            with rig.traffic(1):
                older.signal(signal.SIGCONT)
                gives_way(older, newer)
                rig.wait_for_progress(newer)
    rig.recover()


def test_held_inside_the_commit_of_the_log(rig: Rig) -> None:
    """It holds the write lock of the log: the newer one waits for it, says for whom, and goes on."""
    with rig.traffic(1), rig.pipeline.start(failpoints="log.commit.locked=stop@4") as older:
        wait_until(lambda: older.held, "the older process to be held")
        with takeover(rig) as newer:
            wait_until(lambda: "TR-SQLITE-001" in newer.stderr, "the newer process to tell of the lock")
            assert re.search(rf"{rig.name}/log by process {older.pid} on \S", newer.stderr)
            older.signal(signal.SIGCONT)
            gives_way(older, newer)
            rig.wait_for_progress(newer)
    rig.recover()


def test_held_idle_across_a_takeover(rig: Rig) -> None:
    """Nothing of its own tells it that it was fenced: it has nothing to write, and its connection is gone."""
    with rig.pipeline.start() as older:
        wait_until(lambda: "pipeline streaming" in older.stderr, "the older process to stream")
        older.signal(signal.SIGSTOP)
        with takeover(rig) as newer:
            wait_until(lambda: "pipeline streaming" in newer.stderr, "the newer process to stream")
            with rig.traffic(1):
                rig.wait_for_progress(newer)
                older.signal(signal.SIGCONT)
                gives_way(older, newer)
                rig.wait_for_progress(newer)
    rig.recover()
