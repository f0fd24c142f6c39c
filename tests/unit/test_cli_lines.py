"""The status as log lines: each change of a state is told, however short the state lasts."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from tailrace.cli.lines import StatusLines, log_as_words, log_to_stderr
from tailrace.engine.status import PipelineStatus, SinkStatus, State
from tailrace.errors import Code, Retry
from tailrace.logs import Logger


@pytest.fixture(autouse=True)
def lines() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:]
    log_to_stderr()
    yield
    root.handlers[:] = before


def test_what_is_of_use_to_developers_alone_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    Logger("tailrace.test").debug("the end of the log is not to be seen")
    Logger("tailrace.test").info("a slot was made")
    assert [line.partition("event=")[2] for line in capsys.readouterr().err.splitlines()] == [
        '"a slot was made"'
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_password_in_a_line_is_hidden(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """In the text, in a value by name, and in what a library logs."""
    log_to_stderr(json=as_json)
    url = "postgresql://app:gehe1m@127.0.0.1/shop"
    Logger("tailrace.test").warning(f"lost {url}", where=url, several=[url])
    logging.getLogger("library").warning("no answer from %s", url)
    told = capsys.readouterr().err
    assert told.count("127.0.0.1") == 4
    assert "gehe1m" not in told


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


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, ""),
        (True, "true"),
        (7, "7"),
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "hi" \\', '"say \\"hi\\" \\\\"'),
        ("one\nline", '"one\\nline"'),
        (["a", "b"], "\"['a', 'b']\""),
    ],
)
def test_values_in_a_line(value: object, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    Logger("sinks.x").info("said", value=value)
    assert capsys.readouterr().err.endswith(f" level=info event=said value={told}\n")


def test_what_others_log(capsys: pytest.CaptureFixture[str]) -> None:
    """Their warnings are lines too, with the traceback where there is one; how things take their course is
    their business."""
    log_to_stderr(json=True)
    other = logging.getLogger("somebody.else")
    other.info("went well")
    try:
        raise ValueError("no number")
    except ValueError:
        other.exception("went %s, at postgresql://app:geheim@db/shop", "wrong")
    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert list(told) == ["timestamp", "level", "event", "logger", "traceback"]
    assert (told["level"], told["logger"]) == ("error", "somebody.else")
    assert told["event"].startswith("went wrong, at postgresql://app:")
    assert "ValueError: no number" in told["traceback"]
    assert "geheim" not in line


def test_a_line_for_people_without_a_pipeline_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    log_as_words()
    Logger("connectors.x").warning("nothing keeps the log now", slot="orders")
    assert capsys.readouterr().err == "warning: nothing keeps the log now (slot orders)\n"
