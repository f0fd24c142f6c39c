"""The status as log lines: each change of a state is told, however short the state lasts."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tailrace.cli.lines import StatusLines, log_as_words, log_to_stderr
from tailrace.engine.status import PipelineStatus, SinkStatus, State
from tailrace.errors import Code, Retry
from tailrace.logs import Event, Logger


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


@pytest.mark.parametrize("as_json", [False, True])
def test_a_value_that_is_called_a_password_is_hidden(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also inside of another value, in the line that other handlers get, and where a mapping is a text."""
    log_to_stderr(json=as_json)
    login = {"user": "app", "password": "gehe1m"}
    Logger("tailrace.test").warning("given", password="gehe1m", login=login, several=[login])
    logging.getLogger("library").warning("connecting with %s", login)
    told = capsys.readouterr().err
    assert told.count("app") == 3
    assert "gehe1m" not in told
    assert str(Event("given", {"password": "gehe1m", "user": "app"})) == "given (password ***, user app)"


def _directed(*, as_json: bool) -> None:
    """Without the handlers of pytest, which raise what a record raises."""
    logging.getLogger().handlers.clear()
    log_to_stderr(json=as_json)


class _Mute:
    def __str__(self) -> str:
        raise ValueError("no text")


def _endless() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        _Mute(),
        [_Mute()],
        {_Mute(): 1},
        _endless(),
        "half \udc80 a pair",
        2**80,
        -(2**80),
        float("nan"),
        b"\xff",
    ],
    ids=["mute", "mutes", "mute name", "endless", "surrogate", "large", "small", "nan", "bytes"],
)
def test_a_line_comes_of_any_value(value: object, as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    _directed(as_json=as_json)
    Logger("tailrace.test").warning("told", value=value)
    logging.getLogger("library").warning("told %s", value)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("told" in line for line in lines)
    assert all(line.encode("utf-8") for line in lines)
    if as_json:
        assert all(json.loads(line)["level"] == "warning" for line in lines)


@pytest.mark.parametrize("as_json", [False, True])
def test_arguments_that_do_not_fit(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a library's record its text and its arguments are told; nothing is raised where it logs, and no
    traceback of the logging itself is written."""
    _directed(as_json=as_json)
    library = logging.getLogger("library")
    library.warning("lost %d of %d", "two")
    library.warning("lost %(count)d", {"cause": "full"})
    first, second = capsys.readouterr().err.splitlines()
    assert "lost %d of %d ('two',)" in first
    assert "lost %(count)d {'cause': 'full'}" in second


@pytest.mark.parametrize("as_json", [False, True])
def test_a_stream_that_takes_nothing_ends_nobody(as_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    log_to_stderr(json=as_json)
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None, io.TextIOWrapper(io.BytesIO(), "ascii", "strict")):
        monkeypatch.setattr(sys, "stderr", stream)
        Logger("tailrace.test").warning("a text in Grüße")
        logging.getLogger("library").warning("another: %s", "Grüße")


def test_a_pipe_that_nobody_reads_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What did not fit is counted, and told once it is read again."""
    _directed(as_json=True)
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as reader, open(writing, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        os.set_blocking(writing, False)
        size = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                size += os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
        for number in range(3):
            Logger("tailrace.test").warning("lost", number=number)
        while size:
            size -= len(reader.read(size))
        Logger("tailrace.test").warning("told")
        left_out, told = map(json.loads, reader.read(4096).splitlines())
    assert (left_out["level"], left_out["lines"]) == ("warning", 3)
    assert told["event"] == "told"


@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_terminal_obeys_is_shown(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a row of a database: it moves no cursor, ends no line, and is to be read again as it was."""
    log_to_stderr(json=as_json)
    evil = "\x1b[2J\r\x07\x7f\x9b31m\u2028\u202e\n\ttext"
    Logger("tailrace.test").warning(f"row {evil}", **{f"name {evil}": 1}, row=evil)
    logging.getLogger("library").warning("row %s", evil)
    told = capsys.readouterr().err
    lines = told.splitlines()
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    shown = "\\u001b[2J\\r\\u0007\\u007f\\u009b31m\\u2028\\u202e\\n\\ttext"
    assert f'row="{shown}"' in lines[0] or json.loads(lines[0])["row"] == evil
    assert shown in lines[1]


def test_a_warning_of_a_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    log_as_words()
    Logger("connectors.x").warning("lost", row="\x1b[2J\nerror: none")
    assert capsys.readouterr().err == "warning: lost (row \\u001b[2J\\nerror: none)\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_value_takes_no_other_s_place(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr(json=as_json)
    Logger("tailrace.test").warning("told", event="mine", level=3, timestamp="now", event_="too")
    line = capsys.readouterr().err
    if as_json:
        found = json.loads(line)
        assert found.pop("timestamp").endswith("Z")
        assert found == {
            "level": "warning",
            "event": "told",
            "event_": "mine",
            "level_": 3,
            "timestamp_": "now",
            "event__": "too",
        }
    else:
        assert line.endswith(" level=warning event=told event_=mine level_=3 timestamp_=now event__=too\n")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_traceback_stands_beside_a_text_of_ours_too(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    log_to_stderr(json=as_json)
    try:
        raise ValueError("no number")
    except ValueError:
        logging.getLogger("a.plugin").exception(Event("went wrong", {"table": "orders"}))
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "orders" in line
    assert "ValueError: no number" in line


def test_the_rate_in_a_line_of_progress_is_since_the_one_before(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of the last moment, in which a sink that is waiting for its next commit has done nothing."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    status = PipelineStatus("orders", sinks={"orders/log": SinkStatus("orders/log")})
    sink = status.sinks["orders/log"]
    display = StatusLines()
    for second in range(40):
        if second == 3:
            sink.events, sink.commits = 5000, 1
        if second == 25:
            sink.events, sink.commits = 7000, 2
        if second == 35:
            sink.events, sink.commits = 7004, 3
        now[0] += 1
        display.look(status)
    said = capsys.readouterr().err.splitlines()
    assert [line.partition("rows_per_second=")[2].partition(" ")[0] for line in said] == ["500", "200", "0.4"]


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
