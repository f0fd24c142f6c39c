"""A pipeline as people run it: a file, and processes `tailrace run FILE` one after another."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psutil
import yaml

# Its standard input ends with the process that made it, however that ends.
_GUARD = 'read -r _; kill -9 "$1"'


class Pipeline:
    """One pipeline's file, and what its processes leave: `outputs` and `errors` hold a file for each process,
    in their order, with what it wrote to standard output and to standard error."""

    def __init__(
        self,
        folder: Path,
        name: str,
        source: Mapping[str, Any],
        sinks: Sequence[Mapping[str, Any]],
        transforms: Sequence[Mapping[str, Any]] = (),
        offsets: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.file = folder / f"{name}.yaml"
        self.outputs = folder / f"{name}.outputs"
        self.errors = folder / f"{name}.errors"
        for made in (self.outputs, self.errors):
            made.mkdir()
        self.data_dir = Path("data")
        self._started = 0
        self._document: dict[str, Any] = {
            "name": name,
            "source": {"type": "postgres", "snapshot": "never", **source},
            "transforms": list(transforms),
            "sinks": list(sinks),
            **({} if offsets is None else {"offsets": dict(offsets)}),
        }

    def start(self, *options: str, failpoints: str = "", data_dir: Path | None = None) -> PipelineProcess:
        """A process of the pipeline, armed with failpoints; `data_dir`: another one than the pipeline's."""
        file = self.file
        if data_dir is not None:
            file = self.folder / f"{self.name}.{data_dir.name}.yaml"
        document = {**self._document, "data_dir": str(data_dir or self.data_dir)}
        file.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
        self._started += 1
        return PipelineProcess(
            [sys.executable, "-m", "tailrace", "run", str(file), *options],
            output=self.outputs / f"{self._started:05}",
            errors=self.errors / f"{self._started:05}",
            failpoints=failpoints,
        )

    def moved(self, url: str) -> None:
        """From the next process on the source is elsewhere."""
        self._document["source"]["url"] = url

    def run_until_current(self, timeout: float = 90) -> None:
        """Run it until every sink has durably reached the log's end."""
        with self.start("--until-current") as process:
            process.wait(timeout, expected=0)


class PipelineProcess:
    """One process. As a context manager it is killed at the end if it still runs; it never outlives us."""

    def __init__(self, command: Sequence[str], *, output: Path, errors: Path, failpoints: str) -> None:
        self._errors = errors
        environment = {**os.environ, "TAILRACE_FAILPOINTS": failpoints, "PYTHONWARNINGS": "error"}
        with output.open("wb") as out, errors.open("wb") as err:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment,
                start_new_session=True,
            )  # fmt: skip
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", str(self._process.pid)],
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def held(self) -> bool:
        """Whether it is stopped (SIGSTOP) and may be continued."""
        return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, if it still runs; returns when it is gone."""
        if self.running:
            self._process.kill()
        self._process.wait()
        self._end_guard()

    def wait(self, timeout: float, *, expected: int | None = None) -> int:
        """Its exit code (negative: the signal that ended it). AssertionError if it does not end within the
        time, or not as expected; it ends with what the process wrote."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s\n{self.stderr}") from None
        self._end_guard()
        if expected is not None and code != expected:
            raise AssertionError(f"exit code {code}, expected {expected}\n{self.stderr}")
        return code

    @property
    def stderr(self) -> str:
        """What it has written to standard error."""
        return self._errors.read_text(errors="replace")

    def _end_guard(self) -> None:
        self._guard.kill()  # from here on the pid may be another process's
        self._guard.communicate()


def gives_way(older: PipelineProcess, newer: PipelineProcess, timeout: float = 60) -> None:
    """The older of two processes of a pipeline ends within the time, and says who has taken over.
    AssertionError with what both wrote."""
    try:
        older.wait(timeout, expected=1)
        assert "TR-ENG-003" in older.stderr
        assert re.search(rf"claimed by process {newer.pid} on \S", older.stderr), older.stderr
    except AssertionError as error:
        raise AssertionError(f"{error}\nthe newer one:\n{newer.stderr}") from None
