"""A log that is kept short, killed while it removes its oldest events."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from signal import SIGKILL

from tailrace.log import Reader
from tests.crash import failpoints
from tests.crash.rig import Rig
from tests.pipelines import PipelineProcess
from tests.targets import LogTarget
from tests.waiting import wait_until


def test_killed_while_old_events_are_removed(make_rig: Callable[..., Rig]) -> None:
    """What is left of a topic is its newest events, each at the offset that it always had."""
    rig = make_rig(stdout=False, log={"retention_bytes": 1024 * 1024})
    rig.pipeline.run_until_current()
    with rig.pipeline.start(failpoints=f"{failpoints.RETENTION}=kill@1") as process:
        for _ in range(4):
            rig.burst(3000)
            _arrived(rig, process)  # what arrives in one commit is one segment, and the newest is kept whole
        process.wait(60, expected=-SIGKILL)
    rig.pipeline.run_until_current()

    topic = f"{rig.name}.public.ledger"
    with closing(Reader(rig.log.path)) as reader:
        [found] = [one for one in reader.topics() if one.name == topic]
    assert 0 < found.first < found.next
    log = LogTarget(rig.log.path, f"{rig.name}.", begin={topic: found.first})
    due = [event for event in rig.witness.read() if event.topic == "public.ledger"]
    assert len(due) == found.next
    left = [one for one in log.read() if one.topic == "public.ledger"]
    assert [(one.key, one.value) for one in left] == [(one.key, one.value) for one in due[found.first :]]


def _arrived(rig: Rig, process: PipelineProcess) -> None:
    """Return when what is committed by now has arrived, or the process has met its end."""
    end = rig.end()
    wait_until(lambda: not process.running or rig.acknowledged(end), "a burst to arrive")
