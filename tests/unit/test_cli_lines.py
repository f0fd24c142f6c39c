"""The status as log lines: each change of a state is told, however short the state lasts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from tailrace.cli.lines import StatusLines, log_to_stderr
from tailrace.engine.status import PipelineStatus, SinkStatus, State
from tailrace.errors import Code, Retry


@pytest.fixture(autouse=True)
def lines() -> Iterator[None]:
    log_to_stderr()
    yield
    structlog.reset_defaults()


def test_what_is_of_use_to_developers_alone_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger().debug("the end of the log is not to be seen")
    structlog.get_logger().info("a slot was made")
    assert [line.partition("event=")[2] for line in capsys.readouterr().err.splitlines()] == [
        '"a slot was made"'
    ]


def test_a_state_is_told_when_it_is_entered(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody looks between the loss of a connection and its return, nor between its attempts."""
    status = PipelineStatus("orders", sinks={"orders/log": SinkStatus("orders/log")})
    display = StatusLines()
    display.begin(status)
    away = Retry(Code("TR-TST-001", "it is away", ""), "nobody answers", "Wait.")
    status.source.enter(State.STREAMING)
    status.source.enter(State.RETRYING, away)
    status.source.enter(State.RETRYING, away)
    status.source.enter(State.STREAMING)
    status.sinks["orders/log"].enter(State.STREAMING)
    status.enter(State.STOPPED)
    said = capsys.readouterr().err.splitlines()
    assert [line.partition('event="')[2].partition('"')[0] for line in said] == [
        "pipeline starts",
        "source streaming",
        "source retrying",
        "source streaming",
        "sink streaming",
        "pipeline stopped",
    ]
    assert "code=TR-TST-001" in said[2]
    assert "level=warning" in said[2]
    assert status.source.retries == 2
