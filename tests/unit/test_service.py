"""What a running pipeline tells of itself: the report, metrics, and the socket it is asked through."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import resource
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tailrace.abc import Retention
from tailrace.cli.control import ask
from tailrace.cli.status import lines
from tailrace.engine.retention import RetentionWatch
from tailrace.engine.status import PipelineStatus, SinkStatus, State
from tailrace.errors import ConfigurationError, Retry, Stop, code
from tailrace.service import control, http
from tailrace.service.metrics import DECLARED, render
from tailrace.service.report import Report, report
from tests.logged import capture_logs

TROUBLE = code("TR-TEST-901", "trouble", "Only in tests.")


def status() -> PipelineStatus:
    made = PipelineStatus("orders", state=State.STREAMING)
    made.source.state = State.STREAMING
    made.source.events = 12
    made.sinks = {
        f"orders/{name}": SinkStatus(f"orders/{name}", state=State.STREAMING) for name in ("kafka", "log")
    }
    kafka = made.sinks["orders/kafka"]
    kafka.events, kafka.bytes, kafka.commits, kafka.lag_bytes = 10, 1000, 2, 5
    kafka.tables.update({"public.t": 7, 'public."ü\n"': 3})
    kafka.skipped.update({"public.t": 2})
    kafka.timestamp, kafka.committed_at = round((time.time() - 60) * 1e6), time.time() - 2
    return made


def told(made: PipelineStatus) -> Report:
    return report(made, 7, time.time())


def samples(made: PipelineStatus) -> dict[tuple[str, ...], float]:
    """(name, label values behind the pipeline's …) → value."""
    found = {}
    for family in text_string_to_metric_families(render(told(made)).decode()):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("pipeline") == "orders"
            found[sample.name, *labels.values()] = sample.value
    return found


def test_metrics() -> None:
    made = status()
    made.source.retention = Retention("s", 100, 900, "ok", "found")
    made.source.full_in = 9.0
    found = samples(made)
    assert found["tailrace_events_total", "kafka", "public.t"] == 7
    assert found["tailrace_events_total", "kafka", 'public."ü\n"'] == 3
    assert found["tailrace_skipped_records_total", "kafka", "public.t"] == 2
    assert found["tailrace_bytes_total", "kafka"] == 1000
    assert found["tailrace_lag_bytes", "kafka"] == 5
    assert 60 <= found["tailrace_lag_seconds", "kafka"] < 70
    assert 2 <= found["tailrace_checkpoint_age_seconds", "kafka"] < 12
    assert found["tailrace_kept_log_bytes",] == 100
    assert found["tailrace_kept_log_free_bytes",] == 900
    assert found["tailrace_kept_log_full_seconds",] == 9
    assert found["tailrace_ready",] == 1
    assert {key: value for key, value in found.items() if key[0] == "tailrace_state" and value} == {
        ("tailrace_state", "streaming"): 1
    }
    assert {one.exposed for one in DECLARED} == {name for name, *_ in found}


def test_what_a_sink_has_left_out_is_shown() -> None:
    shown = "\n".join(lines(told(status())))
    assert "    public.t  7, 2 records left out\n" in shown
    assert shown.count("left out") == 1


def test_the_first_line_says_whether_everything_flows() -> None:
    made = status()
    assert next(lines(told(made))) == "orders  streaming  process 7"
    made.sinks["orders/log"].state = State.RETRYING
    assert next(lines(told(made))) == "orders  streaming, not ready  process 7"
    made.state = State.PAUSED
    assert next(lines(told(made))) == "orders  paused  process 7"


def test_what_is_not_known_has_no_sample() -> None:
    found = samples(status())
    assert ("tailrace_lag_bytes", "log") not in found
    assert not [key for key in found if key[0].startswith("tailrace_kept")]


def test_a_report_shows_no_password() -> None:
    made = status()
    url = "postgresql://app:geheim@db/shop"
    made.sinks["orders/log"].error = Retry(TROUBLE, f"cannot reach {url}", f"Try {url}.", where=url)
    made.sinks["orders/log"].state = State.RETRYING
    found = told(made)
    assert not found.ready
    assert found.sinks[1].error is not None
    assert "geheim" not in repr(found)


def test_growth_becomes_a_forecast_and_each_level_is_told_once() -> None:
    source = PipelineStatus("orders").source

    class Nothing:
        async def retention(self) -> Retention | None:
            return None

    watch = RetentionWatch(Nothing(), source)
    levels: Sequence[tuple[int, Literal["ok", "warning", "error"]]]
    levels = [(0, "ok"), (100, "warning"), (200, "warning"), (900, "error")]
    with capture_logs() as written:
        for second, (kept, level) in enumerate(levels):
            watch.note(Retention("s", kept, 1000 - kept, level, f"keeps {kept}", "mend it"), 10.0 * second)
    assert source.full_in == pytest.approx(100 / (900 / 30))
    assert [line["event"] for line in written] == ["log kept by the server"] * 2
    assert ["keeps 100" in repr(line) for line in written] == [True, False]
    assert ["keeps 900" in repr(line) for line in written] == [False, True]
    forecasts = []
    for second, looked in (
        (200, Retention("s", 100, 900, "ok", "keeps 100")),
        (300, Retention("s", 1000, 0, "error", "keeps 1000")),  # now, when it matters most
        (301, Retention("s", 0, 0, "lost", "is lost")),
        (400, Retention("s", 0, None, "ok", "ages", seconds=50.0)),
    ):
        watch.note(looked, second)
        forecasts.append(source.full_in)
    assert forecasts == [None, 0, None, 50]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of a short name: the path of a socket has 103 bytes at most."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder) / "tailrace"


@contextlib.asynccontextmanager
async def listening(path: Path, answer: Callable[[str], Report]) -> AsyncIterator[None]:
    """As a process does that runs the pipeline."""
    offered = control.ControlSocket(path, answer)
    try:
        with offered.listening():
            yield
    finally:
        await offered.close()


async def test_who_asks_by_a_file_needs_none_of_its_secrets(runtime: Path, tmp_path: Path) -> None:
    """Name and data_dir say which pipeline it is; nothing else in the file matters to it."""
    file = tmp_path / "p.yaml"
    file.write_text(
        "name: orders\ndata_dir: kept\nsource: {type: mysql, password: '${NOT_SET_HERE}', colour: red}\n"
        "sinks: [{type: log, path: a.db}]\n"
    )
    path = control.path_of("orders", tmp_path / "kept")
    async with listening(path, lambda command: told(status())):
        assert (await asyncio.to_thread(ask, str(file), "status")).name == "orders"
    for wrong in (("name: orders", "name: Orders"), ("data_dir: kept", "data_dir: '${NOT_SET_HERE}'")):
        file.write_text(file.read_text().replace(*wrong))
        with pytest.raises(ConfigurationError):
            ask(str(file), "status")


def test_pipelines_of_one_name_are_told_apart(runtime: Path, tmp_path: Path) -> None:
    one, other = control.path_of("orders", tmp_path / "a"), control.path_of("orders", tmp_path / "b")
    assert one != other
    assert one.parent == runtime
    assert runtime.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_can_enter_is_refused(runtime: Path, tmp_path: Path) -> None:
    runtime.mkdir(mode=0o755)
    runtime.chmod(0o755)
    with pytest.raises(Stop) as refused:
        control.path_of("orders", tmp_path)
    assert refused.value.code is control.UNUSABLE_FOLDER
    assert f"chmod 700 {runtime}" in refused.value.remedy


async def test_commands_over_the_socket(runtime: Path, tmp_path: Path) -> None:
    commands: list[str] = []

    def answer(command: str) -> Report:
        commands.append(command)
        return told(status())

    path = control.path_of("orders", tmp_path)
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))  # what a killed process leaves
    with pytest.raises(Stop) as refused:
        await asyncio.to_thread(control.ask, path, "orders", "status")
    assert refused.value.code is control.NOT_RUNNING
    async with listening(path, answer):
        found = await asyncio.to_thread(control.find, "orders")
        assert found == path
        assert (await asyncio.to_thread(control.ask, path, "orders", "pause")).name == "orders"
        async with listening(path, lambda _: pytest.fail("asked the second")):
            assert (await asyncio.to_thread(control.ask, path, "orders", "status")).pid == 7
        assert (await asyncio.to_thread(control.ask, path, "orders", "status")).pid == 7
        reader, writer = await asyncio.open_unix_connection(path)
        for line in (b"nonsense\n", b'{"command": "dance"}\n'):
            writer.write(line)
            assert "error" in json.loads(await reader.readline())
        writer.close()
    assert commands == ["pause", "status", "status"]
    assert not path.exists()
    with pytest.raises(Stop) as refused:
        await asyncio.to_thread(control.find, "orders")
    assert refused.value.code is control.NOT_RUNNING


async def test_a_name_that_several_have(runtime: Path, tmp_path: Path) -> None:
    def answer(_: str) -> Report:
        return told(status())

    async with (
        listening(control.path_of("orders", tmp_path / "a"), answer),
        listening(control.path_of("orders", tmp_path / "b"), answer),
    ):
        with pytest.raises(Stop) as refused:
            await asyncio.to_thread(control.find, "orders")
    assert refused.value.code is control.AMBIGUOUS


async def test_a_name_that_none_has_is_told_from_a_pipeline_that_is_stopped(
    runtime: Path, tmp_path: Path, pipeline_file: Path
) -> None:
    async with listening(control.path_of("shop", tmp_path), lambda _: told(status())):
        with pytest.raises(Stop) as refused:
            await asyncio.to_thread(ask, "nosuch", "pause")
        assert refused.value.found == "no pipeline named nosuch runs here; those that do: shop"
        with pytest.raises(Stop) as refused:
            await asyncio.to_thread(ask, str(pipeline_file), "status")
        assert refused.value.found == "nothing listens for orders"
        assert refused.value.remedy == f"Start it with tailrace run {pipeline_file}."
    with pytest.raises(Stop) as refused:
        control.find("nosuch")
    assert refused.value.found.endswith("those that do: none")


def test_a_folder_that_is_called_as_a_pipeline_is_no_file(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orders").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Stop) as refused:
        ask("orders", "status")
    assert refused.value.code is control.NOT_RUNNING


def test_a_path_that_is_too_long_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("x" * 100)))
    with pytest.raises(Stop, match="longer than") as refused:
        control.path_of("orders", tmp_path)
    assert refused.value.code is control.UNUSABLE_FOLDER


async def test_a_held_process_is_not_taken_for_a_dead_one(runtime: Path, tmp_path: Path) -> None:
    path = control.path_of("orders", tmp_path)
    with contextlib.ExitStack() as opened:
        held = opened.enter_context(socket.socket(socket.AF_UNIX))
        held.bind(str(path))
        held.listen(0)
        for _ in range(10):  # more than can wait
            waiting = opened.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            refusal = waiting.connect_ex(str(path))
        assert refusal == errno.EAGAIN
        inode = path.stat().st_ino
        async with listening(path, lambda _: pytest.fail("asked the second")):
            assert path.stat().st_ino == inode
        with pytest.raises(Stop) as refused:
            control.ask(path, "orders", "status")
        assert refused.value.code is control.UNANSWERED


async def test_a_connection_that_was_only_just_accepted_is_closed_too(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = control.path_of("orders", tmp_path)
    accepted: list[socket.socket] = []
    accept = socket.socket.accept

    def noted(listener: socket.socket) -> tuple[socket.socket, object]:
        connection, address = accept(listener)
        accepted.append(connection)
        return connection, address

    monkeypatch.setattr(socket.socket, "accept", noted)
    for turns in range(6):
        with socket.socket(socket.AF_UNIX) as client:
            async with listening(path, lambda _: pytest.fail("nothing was asked")):
                client.connect(str(path))
                for _ in range(turns):
                    await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert all(one.fileno() == -1 for one in accepted)
    assert accepted


@contextlib.contextmanager
def no_descriptor_free() -> Iterator[None]:
    free = os.dup(0)
    os.close(free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_without_a_free_descriptor_who_asks_waits(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_TAKE_AGAIN_SECONDS", 0.1)
    path = control.path_of("orders", tmp_path)
    asked = b'{"command": "status"}\n'
    with socket.socket(socket.AF_UNIX) as client, capture_logs() as told_once:
        async with listening(path, lambda _: told(status())):
            with no_descriptor_free():
                client.connect(str(path))
                client.sendall(asked)
                await asyncio.sleep(0.35)  # several tries
            client.settimeout(5)
            answer = await asyncio.to_thread(client.recv, 65536)
    assert json.loads(answer)["report"]["pid"] == 7
    assert [line["event"] for line in told_once] == ["the control socket takes no connection"]


async def test_http_without_a_free_descriptor_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    listener = http.bound("127.0.0.1", 0)
    address = listener.getsockname()
    with socket.socket() as client, capture_logs() as told_once:
        async with http.serving(listener, lambda: told(status())):
            with socket.create_connection(address, 5) as first:
                await asyncio.to_thread(first.sendall, b"GET /livez HTTP/1.0\r\n\r\n")
                assert b"200 OK" in await asyncio.to_thread(first.recv, 65536)
            with no_descriptor_free():
                client.connect(address)
                client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
                async with asyncio.timeout(5):
                    while not told_once:  # noqa: ASYNC110 - what is logged is no event
                        await asyncio.sleep(0.01)
                await asyncio.sleep(0.05)  # for what is told too often
            client.settimeout(5)
            answer = await asyncio.to_thread(client.recv, 65536)
    assert b"200 OK" in answer
    assert [line["event"] for line in told_once] == ["HTTP takes no connection"]
    assert [record.name for record in caplog.records] == ["tailrace.service.http"]
