"""`tailrace run` as a process: signals, exit codes, what it writes and where."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tailrace.engine.lock import PipelineLock
from tailrace.service import control
from tests.plugins import environment
from tests.waiting import wait_until


class Running:
    """A `tailrace run` in its own process; stderr (or the terminal's screen) is collected as it comes."""

    def __init__(self, words: Sequence[str | Path], env: dict[str, str], terminal: bool) -> None:
        ours, theirs = pty.openpty() if terminal else os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tailrace", "run", *words],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
        )
        os.close(theirs)
        self._status = b""
        self._reader = threading.Thread(target=self._collect, args=(ours,))
        self._reader.start()

    def _collect(self, fd: int) -> None:
        try:
            while data := os.read(fd, 65536):
                self._status += data
        except OSError:  # how Linux says that nobody holds the terminal any more
            pass
        finally:
            os.close(fd)

    @property
    def status(self) -> str:
        return self._status.decode()

    def wait(self) -> int:
        code = self.process.wait(30)
        self._reader.join()
        return code

    def close(self) -> None:
        self.process.kill()
        self.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def run(file_plugins: Path) -> Iterator[Callable[..., Running]]:
    inherited = environment(file_plugins, {**os.environ, "TERM": "xterm", "COLUMNS": "160"})
    started: list[Running] = []

    def start(
        *words: str | Path, terminal: bool = False, env: Mapping[str, str] = MappingProxyType({})
    ) -> Running:
        started.append(Running(words, {**inherited, **env}, terminal))
        return started[-1]

    yield start
    for running in started:
        running.close()


def events(file: Path) -> Any:
    target = file.with_name("out.json")
    return json.loads(target.read_text())["events"] if target.exists() else None


def append(file: Path, *transactions: list[int]) -> None:
    with file.with_name("log.txt").open("a") as log:
        log.write("".join(f"{transaction}\n" for transaction in transactions))


def test_until_current_then_from_where_it_stood(pipeline_file: Path, run: Callable[..., Running]) -> None:
    append(pipeline_file, [0])
    assert run(pipeline_file, "--until-current").wait() == 0
    assert events(pipeline_file) == []
    append(pipeline_file, [1, 2], [3])
    second = run(pipeline_file, "--until-current")
    assert second.wait() == 0
    assert events(pipeline_file) == ["1", "2", "3"]
    assert 'event="delivered up to this position" sink=orders/file events=3 position=3' in second.status


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_drains(pipeline_file: Path, run: Callable[..., Running], number: int) -> None:
    running = run(pipeline_file)
    wait_until(lambda: "pipeline streaming" in running.status, "the start")
    append(pipeline_file, [1], [2])
    wait_until(lambda: events(pipeline_file) == ["1", "2"], "both transactions")
    running.process.send_signal(number)
    assert running.wait() == 0
    assert "position=2" in running.status
    assert "Traceback" not in running.status
    assert running.process.stdout is not None
    assert running.process.stdout.read() == b""


def test_what_a_connector_logs_is_no_data(pipeline_file: Path, run: Callable[..., Running]) -> None:
    running = run(pipeline_file, "--until-current")
    assert running.wait() == 0
    assert 'level=warning event="nobody kept the log before" slot=log.slot' in running.status
    assert running.process.stdout is not None
    assert running.process.stdout.read() == b""


@pytest.mark.parametrize(
    ("wrong", "code", "status"),
    [("name: Orders", "TR-CONF-008", 2), ("name: orders", "TR-TEST-010", 1)],
    ids=["the file", "the source"],
)
def test_with_json_an_error_is_a_line_too(
    pipeline_file: Path, run: Callable[..., Running], wrong: str, code: str, status: int
) -> None:
    """Who collects the lines must not lose the one that says why there are no more."""
    pipeline_file.write_text(pipeline_file.read_text().replace("name: orders", wrong, 1))
    pipeline_file.with_name("log.txt").unlink()
    running = run(pipeline_file, "--log-format", "json")
    assert running.wait() == status
    lines = [json.loads(line) for line in running.status.splitlines()]
    assert lines[-1].keys() >= {"timestamp", "level", "event", "code", "error", "remedy"}
    assert (lines[-1]["level"], lines[-1]["code"]) == ("error", code)


def test_a_failure_is_told_at_the_end_with_its_way_on(
    pipeline_file: Path, run: Callable[..., Running]
) -> None:
    """Of what may be several things to set up, the start has met the first."""
    pipeline_file.with_name("log.txt").unlink()
    running = run(pipeline_file)
    assert running.wait() == 1
    lines = running.status.splitlines()
    (ended,) = [line for line in lines if "pipeline failed" in line]
    assert "level=error" in ended
    assert ended.endswith(" pipeline=orders code=TR-TEST-010")
    assert "pipeline ended" not in running.status
    assert lines[-1] == f"  All that is missing: tailrace doctor {pipeline_file}"


def _nobody_reads() -> int:
    ours, theirs = os.pipe()
    os.close(ours)
    return theirs


@pytest.mark.parametrize(
    "stderr",
    [
        _nobody_reads,
        pytest.param(
            lambda: os.open("/dev/full", os.O_WRONLY),
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full"),
        ),
    ],
    ids=["nobody reads", "disk full"],
)
def test_a_stderr_that_fails_ends_nothing(
    pipeline_file: Path, file_plugins: Path, stderr: Callable[[], int]
) -> None:
    """What the connector logs on the first start fails to be written too."""
    with os.fdopen(stderr(), "wb", 0) as failing:
        process = subprocess.Popen(
            [sys.executable, "-m", "tailrace", "run", pipeline_file],
            env=environment(file_plugins, os.environ),
            stderr=failing,
        )
    try:
        wait_until(pipeline_file.with_name("log.slot").exists, "the start")
        append(pipeline_file, [1])
        wait_until(lambda: events(pipeline_file) == ["1"], "the delivery")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_a_second_signal_ends_at_once(pipeline_file: Path, run: Callable[..., Running]) -> None:
    text = pipeline_file.read_text()
    pipeline_file.write_text(text.replace("path: out.json", "path: out.json, delay: 60"))
    running = run(pipeline_file)
    wait_until(lambda: "pipeline streaming" in running.status, "the start")
    append(pipeline_file, [1])
    wait_until(pipeline_file.with_name("out.held").exists, "the commit")
    running.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "pipeline stopping" in running.status, "the stop")
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(4) == 130  # a graceful stop takes longer
    assert events(pipeline_file) == []
    pipeline_file.write_text(text)
    assert run(pipeline_file, "--until-current").wait() == 0
    assert events(pipeline_file) == ["1"]


def test_a_second_process_is_refused(pipeline_file: Path, run: Callable[..., Running]) -> None:
    first = run(pipeline_file)
    wait_until(lambda: "pipeline streaming" in first.status, "the start")
    second = run(pipeline_file)
    assert second.wait() == 1
    assert "error TR-ENG-001: already running" in second.status
    assert f"process {first.process.pid} on " in second.status
    append(pipeline_file, [1])
    wait_until(lambda: events(pipeline_file) == ["1"], "the first to go on")


def test_who_is_refused_leaves_the_control_socket_alone(
    pipeline_file: Path, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that another start has made and not yet begun to listen on, which looks like a dead one."""
    with tempfile.TemporaryDirectory(dir="/tmp") as runtime, socket.socket(socket.AF_UNIX) as other:
        monkeypatch.setitem(os.environ, "XDG_RUNTIME_DIR", runtime)
        data_dir = pipeline_file.with_name("data")
        path = control.path_of("orders", data_dir)
        with PipelineLock(data_dir, "orders"):
            other.bind(str(path))
            inode = path.stat().st_ino
            refused = run(pipeline_file, env={"XDG_RUNTIME_DIR": runtime})
            assert refused.wait() == 1
            assert "TR-ENG-001" in refused.status
            assert path.stat().st_ino == inode
        running = run(pipeline_file, env={"XDG_RUNTIME_DIR": runtime})
        wait_until(lambda: "pipeline streaming" in running.status, "the start")
        assert control.ask(path, "orders", "stop").pid == running.process.pid
        with PipelineLock(data_dir, "orders"):  # free as soon as the answer's connection ends
            assert not path.exists()
        assert running.wait() == 0


def test_trouble_that_passes_is_told(pipeline_file: Path, run: Callable[..., Running]) -> None:
    running = run(pipeline_file)
    log = pipeline_file.with_name("log.txt")
    wait_until(lambda: "pipeline streaming" in running.status, "the start")
    log.rename(log.with_suffix(".away"))
    wait_until(lambda: "source retrying" in running.status, "the trouble")
    assert "level=warning" in running.status
    assert "code=TR-TEST-012" in running.status
    log.with_suffix(".away").rename(log)
    wait_until(lambda: running.status.count("source streaming") == 2, "the recovery")
    append(pipeline_file, [1])
    wait_until(lambda: events(pipeline_file) == ["1"], "the event")


def test_a_live_view_on_a_terminal(pipeline_file: Path, run: Callable[..., Running]) -> None:
    running = run(pipeline_file, terminal=True)
    wait_until(lambda: "streaming" in running.status, "the view")
    append(pipeline_file, [1, 2, 3])
    wait_until(lambda: "last commit 0." in running.status, "the commit")
    wait_until(lambda: "at 1" in running.status, "the position")
    assert "rows/s" in running.status
    assert "lag 0 B, 0.0 s" in running.status
    log = pipeline_file.with_name("log.txt")
    log.rename(log.with_suffix(".away"))
    wait_until(lambda: "retrying" in running.status and "TR-TEST-012" in running.status, "the trouble")
    running.process.send_signal(signal.SIGINT)
    assert running.wait() == 0
    assert running.status.rindex("\x1b[?25h") > running.status.rindex("\x1b[?25l")  # the cursor is back


def test_a_live_view_on_a_narrow_terminal(pipeline_file: Path, run: Callable[..., Running]) -> None:
    """A line per sink, cut, so that nothing jumps; the position that stays at the end is whole."""
    running = run(pipeline_file, terminal=True, env={"COLUMNS": "50"})
    wait_until(lambda: "streaming" in running.status, "the start")
    append(pipeline_file, [1, 2, 3])
    wait_until(lambda: events(pipeline_file) == ["1", "2", "3"], "the events")
    wait_until(lambda: "…" in running.status, "the view")
    assert "at 1" not in running.status
    running.process.send_signal(signal.SIGINT)
    assert running.wait() == 0
    assert "at 1" in running.status


def test_no_secret_reaches_the_log(pipeline_file: Path, run: Callable[..., Running]) -> None:
    text = pipeline_file.read_text()
    secrets = "snapshot: never, password: hunter2, url: 'file://me:hunter2@host/x'"
    pipeline_file.write_text(text.replace("snapshot: never", secrets))
    running = run(pipeline_file, "--debug")
    wait_until(lambda: "pipeline streaming" in running.status, "the start")
    with pipeline_file.with_name("log.txt").open("a") as log:
        log.write("this is not JSON\n")
    assert running.wait() == 1
    assert "TR-CLI-001: unexpected error\n  JSONDecodeError" in running.status
    assert "Traceback" in running.status
    assert "hunter2" not in running.status
