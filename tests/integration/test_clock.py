"""A wall clock that is set hours back and forth while a pipeline delivers, and when it starts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.commandline import Pipeline
from tests.integration.relay import Relay
from tests.pipelines import PipelineProcess
from tests.servers import Postgres
from tests.waiting import wait_until

_NOWHERE = Postgres("postgresql://postgres@127.0.0.1:1/postgres")


class WallClock:
    """The wall clock of the processes that are started from now on; the clocks that nobody sets are right."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, hours: int) -> None:
        """It is wrong by so much."""
        following = self._file.with_suffix(".new")
        following.write_text(f"{hours * 3600:+}")
        following.rename(self._file)  # it is read at any time


@pytest.fixture
def wall_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WallClock]:
    libraries = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        assert os.environ.get("CI") != "true", "scripts/system-packages faketime"
        pytest.skip("libfaketime, which sets the clock of one process, is not installed")
    clock = WallClock(tmp_path / "clock")
    with monkeypatch.context() as environment:
        environment.setenv("LD_PRELOAD", str(libraries[0]))
        environment.setenv("FAKETIME_TIMESTAMP_FILE", str(tmp_path / "clock"))
        environment.setenv("FAKETIME_NO_CACHE", "1")
        environment.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        yield clock


def test_set_back_and_forth(pipeline: Pipeline, wall_clock: WallClock) -> None:
    """Everything arrives at once, nothing young expires, nothing is done again and again, no lag is negative,
    and a lost connection is made again as soon as ever."""
    pipeline.sinks[0]["retention_hours"] = 1
    with Relay(pipeline.server) as relay:
        pipeline.source["url"] = relay.url(pipeline.database)
        began = time.monotonic()
        with pipeline.running() as process:
            for number, hours in enumerate((0, 5, -5, 48, -48, 0, -5)):
                wall_clock.set(hours)
                if number % 2:
                    lost = process.stderr.count("source retrying")
                    relay.target = _NOWHERE
                    relay.cut()
                    _wait_for_another(process, "source retrying", lost)
                    relay.target = pipeline.server
                pipeline.insert(number)
                pipeline.wait_for(*range(number + 1))
            wait_until(lambda: "event=progress" in process.stderr, "a line of progress")
            lags = re.findall(r"lag_seconds=(\S+)", process.stderr)
            assert all(float(lag) >= 0 for lag in lags), lags
            most = (time.monotonic() - began) / 10
            assert 1 <= len(lags) <= most, "one in ten seconds, whatever the clock says"
            days = set(re.findall(r"timestamp=(\d+-\d+-\d+)T", process.stderr))
            assert len(days) > 1, "the clock was wrong indeed"
            pipeline.stop(process)
    assert pipeline.ids() == list(range(7))


def _wait_for_another(process: PipelineProcess, what: str, count: int) -> None:
    wait_until(lambda: process.stderr.count(what) > count, what)


def test_a_start_while_it_is_wrong(pipeline: Pipeline, wall_clock: WallClock) -> None:
    """What is appended meanwhile stays when it is right again."""
    pipeline.sinks[0]["retention_hours"] = 1
    pipeline.deliver()
    for number, hours in enumerate((0, -5, 0)):
        wall_clock.set(hours)
        pipeline.insert(number)
        pipeline.deliver()
    assert pipeline.ids() == [0, 1, 2]
