"""A pipeline that runs, and what people and programs do with it meanwhile."""

from __future__ import annotations

import json
import signal
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commandline import Pipeline, refused, tailrace
from tests.servers import Postgres, PostgresServer
from tests.servers.process import free_port
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own has too long a path for a socket
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield


@pytest.fixture
def pipeline(tmp_path: Path, postgres18: Postgres, make_database: Callable[[Postgres], str]) -> Pipeline:
    return Pipeline(tmp_path, postgres18, make_database(postgres18))


def status(pipeline: Pipeline) -> dict[str, Any]:
    said = tailrace("status", pipeline.file, "--json")
    assert (said.code, said.err) == (0, "")
    return dict(json.loads(said.out))


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_status_pause_resume_stop(pipeline: Pipeline) -> None:
    pipeline.write()
    refused("TR-CTL-001", "status", pipeline.file)
    refused("TR-CTL-001", "stop", pipeline.name)
    with pipeline.running() as process:
        pipeline.insert(1, 2)
        pipeline.wait_for(1, 2)
        found = status(pipeline)
        assert (found["state"], found["ready"], found["pid"]) == ("streaming", True, process.pid)
        (sink,) = found["sinks"]
        assert (sink["events"], sink["tables"]) == (2, {"public.t": 2})
        wait_until(lambda: (status(pipeline)["source"]["retention"] or {}).get("level") == "ok", "a look")

        said = tailrace("pause", pipeline.name)
        assert (said.code, "nothing more is read until it is resumed" in said.out) == (0, True)
        assert status(pipeline)["state"] == "paused"
        pipeline.insert(3)
        pipeline.insert(4)
        # A second process is refused, and leaves the first one's socket alone.
        refused("TR-ENG-001", "run", pipeline.file)
        said = tailrace("status", pipeline.file)
        assert (said.code, "paused" in said.out) == (0, True)
        assert pipeline.ids() == [1, 2]
        assert tailrace("resume", pipeline.file).code == 0
        pipeline.wait_for(1, 2, 3, 4)
        wait_until(lambda: status(pipeline)["sinks"][0]["lag_bytes"] == 0, "no lag")

        assert tailrace("pause", pipeline.file).code == 0
        pipeline.insert(5)
        said = tailrace("stop", pipeline.file)
        assert said.code == 0
        process.wait(20, expected=0)
    refused("TR-CTL-001", "status", pipeline.name)
    pipeline.deliver()
    assert pipeline.ids() == [1, 2, 3, 4, 5]


def test_the_socket_of_a_killed_process_is_replaced(pipeline: Pipeline) -> None:
    with pipeline.running() as process:
        process.signal(signal.SIGKILL)
        process.wait(20, expected=-signal.SIGKILL)
    refused("TR-CTL-001", "status", pipeline.file)
    with pipeline.running() as process:
        assert status(pipeline)["pid"] == process.pid
        pipeline.stop(process)


def test_health_and_metrics(pipeline: Pipeline) -> None:
    port = free_port()
    with pipeline.running(options=["--http", f":{port}", "--log-format", "json"]) as process:
        pipeline.insert(1)
        pipeline.wait_for(1)
        assert get(port, "/livez") == (200, "ok\n")
        assert get(port, "/readyz") == (200, "ok\n")
        code, text = get(port, "/metrics")
        assert code == 200
        assert f'tailrace_events_total{{pipeline="{pipeline.name}",sink="log",table="public.t"}} 1.0' in text
        assert "tailrace_kept_log_bytes" in text
        assert json.loads(get(port, "/status")[1])["state"] == "streaming"
        assert tailrace("pause", pipeline.file).code == 0
        assert get(port, "/readyz") == (503, "pipeline is paused\n")
        assert get(port, "/nothing")[0] == 404
        problem = refused("TR-HTTP-001", "run", pipeline.file, "--http", f"127.0.0.1:{port}")
        assert problem.where == f"127.0.0.1:{port}"
        pipeline.stop(process)
        lines = [json.loads(line) for line in process.stderr.splitlines()]
    assert {"timestamp", "level", "event"} <= lines[0].keys()
    assert lines[-1]["event"] == "pipeline ended"
    said = tailrace("run", pipeline.file, "--http", "everywhere")
    assert (said.code, "HOST:PORT" in said.err) == (2, True)


def test_kept_log_is_told_before_it_is_lost(
    tmp_path: Path, make_postgres: Callable[..., PostgresServer]
) -> None:
    """A paused pipeline on a server that keeps little: warning, error, and what to do when it is lost."""
    limits: dict[str, str | int] = {"max_slot_wal_keep_size": "160MB", "max_wal_size": "32MB"}
    pipeline = Pipeline(tmp_path, make_postgres(18, limits), "postgres")
    pipeline.source["slot"] = {"warn_at": "40 MB", "error_at": "80 MB"}
    with pipeline.running() as process:

        def kept() -> dict[str, Any]:
            return dict(status(pipeline)["source"]["retention"] or {})

        def after(segments: int, level: str) -> dict[str, Any]:
            for _ in range(segments):  # of 16 MB
                pipeline.sql("SELECT pg_logical_emit_message(false, 'x', 'x')")
                pipeline.sql("SELECT pg_switch_wal()")
            pipeline.sql("CHECKPOINT")
            wait_until(lambda: kept().get("level") == level, level)
            wait_until(lambda: f"kept={level}" in process.stderr, f"the line of {level}")
            return kept()

        wait_until(kept, "a first look")
        assert tailrace("pause", pipeline.file).code == 0
        found = after(3, "warning")
        assert 40e6 < found["kept_bytes"] < 80e6
        assert found["free_bytes"] > 0
        assert found["full_in_seconds"] > 0
        assert "max_slot_wal_keep_size" in found["found"]
        assert found["remedy"]
        after(3, "error")
        after(8, "lost")
        said = tailrace("status", pipeline.file).out
        assert "lost: slot tailrace_postgres is lost" in said
        assert "tailrace teardown FILE" in said
        process.signal(signal.SIGKILL)
        process.wait(20, expected=-signal.SIGKILL)
    assert pipeline.refused("TR-PG-311").remedy
