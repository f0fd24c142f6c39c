"""Pipelines from Python, and what docs/python.md shows of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import tailrace
from tailrace import Pipeline
from tailrace.engine.status import State
from tailrace.errors import ConfigurationError, NotReady
from tests.plugins import environment
from tests.waiting import wait_until

PAGE = Path(__file__).parents[2] / "docs/python.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def delivered(pipeline_file: Path) -> list[str]:
    out = pipeline_file.with_name("out.json")
    events: list[str] = json.loads(out.read_text())["events"] if out.exists() else []
    return events


def write(pipeline_file: Path, *numbers: int) -> None:
    with pipeline_file.with_name("log.txt").open("a") as log:
        log.write(f"{json.dumps(numbers)}\n")


def test_until_current(pipeline_file: Path) -> None:
    Pipeline.load(pipeline_file).run(until_current=True)
    write(pipeline_file, 1, 2)
    pipeline = Pipeline.load(str(pipeline_file))
    pipeline.run(until_current=True)
    assert delivered(pipeline_file) == ["1", "2"]
    assert pipeline.name == "orders"
    assert pipeline.status.state is State.STOPPED
    assert pipeline.status.sinks["orders/file"].events == 2


def test_stopped_from_another_thread(pipeline_file: Path) -> None:
    pipeline = Pipeline.load(pipeline_file)
    worker = threading.Thread(target=pipeline.run)
    worker.start()
    wait_until(lambda: pipeline.status.state is State.STREAMING, "the pipeline to stream")
    write(pipeline_file, 3)
    wait_until(lambda: delivered(pipeline_file) == ["3"], "the number to arrive")
    pipeline.stop()
    worker.join(20)
    assert not worker.is_alive()
    pipeline.stop()  # legal also when it has left


async def test_in_the_callers_loop(pipeline_file: Path) -> None:
    pipeline = Pipeline.load(pipeline_file)
    running = asyncio.create_task(pipeline.run_async())
    await asyncio.to_thread(
        wait_until, lambda: pipeline.status.state is State.STREAMING, "the pipeline to stream"
    )
    pipeline.stop()
    await asyncio.wait_for(running, 20)


def test_a_run_that_was_stopped_before_it_began(pipeline_file: Path) -> None:
    pipeline = Pipeline.load(pipeline_file)
    pipeline.stop()
    pipeline.run()
    with pytest.raises(RuntimeError, match="load it again"):
        pipeline.run()


def test_errors_come_as_they_are(pipeline_file: Path) -> None:
    text = pipeline_file.read_text()
    pipeline_file.write_text(text.replace("orders", "Orders"))
    with pytest.raises(ConfigurationError) as refused:
        Pipeline.load(pipeline_file)
    assert refused.value.faults
    pipeline_file.write_text(text.replace("orders", "${NAME}"))
    pipeline_file.with_name("log.txt").unlink()
    with pytest.raises(NotReady):
        Pipeline.load(pipeline_file, {"NAME": "orders"}).run()


def test_no_signal_handler_is_installed(pipeline_file: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    Pipeline.load(pipeline_file).run(until_current=True)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


_RUN = "import sys; from tailrace import Pipeline; {}Pipeline.load(sys.argv[1]).run(until_current=True)"


def _logged(file: Path, installed: Path, configure: str = "") -> tuple[str, str]:
    """What a program that runs a pipeline for the first time has on stdout and stderr."""
    command = [sys.executable, "-c", _RUN.format(configure), str(file)]
    env = environment(installed, os.environ)
    process = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return process.stdout, process.stderr


def test_logs_stay_off_the_standard_output(pipeline_file: Path, file_plugins: Path) -> None:
    out, err = _logged(pipeline_file, file_plugins)
    assert out == ""
    assert "nobody kept the log before" in err


def test_a_program_directs_the_logs(pipeline_file: Path, file_plugins: Path) -> None:
    configure = "import logging; logging.basicConfig(stream=sys.stdout); "
    out, err = _logged(pipeline_file, file_plugins, configure)
    assert "nobody kept the log before" in out
    assert err == ""


def test_the_engine_is_loaded_only_for_who_asks() -> None:
    """Plugins import parts of the package; none of them pays for all of it."""
    code = "import sys, tailrace.abc; assert 'tailrace.engine' not in sys.modules; import tailrace; " + (
        "tailrace.Pipeline; assert 'tailrace.engine' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError):
        _ = tailrace.Nothing


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_the_page(
    number: int, pipeline_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In place of the rest of the program: write a number and see it arrive."""
    pipeline_file.rename(pipeline_file.with_name("orders.yaml"))
    monkeypatch.chdir(pipeline_file.parent)
    Pipeline.load("orders.yaml").run(until_current=True)
    write(pipeline_file, number)
    arrived = f"wait_until(lambda: delivered(file) == ['{number}'], 'the number to arrive')"
    text = EXAMPLES[number]
    if "async def" in text:
        text = text.replace("...  # the rest", f"await asyncio.to_thread(lambda: {arrived})  # the rest")
    else:
        text = text.replace("...  # the rest", f"{arrived}  # the rest")
    names: dict[str, Any] = {"wait_until": wait_until, "delivered": delivered, "file": pipeline_file}
    exec(compile(text, f"docs/python.md example {number}", "exec"), names)
    assert delivered(pipeline_file) == [str(number)]
    if "print" in text:
        assert capsys.readouterr().out.endswith("orders/file 1 {'line': 1}\n")
