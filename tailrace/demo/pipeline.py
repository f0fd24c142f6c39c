"""The demo's pipeline: its file, and the process `tailrace run` that works on it."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tailrace.demo.process import ChildProcess
from tailrace.errors import Stop, code

ENDED = code(
    "TR-DEMO-003",
    "the demo's pipeline has ended",
    "The process that runs the demo's pipeline ended without being asked to, or did not end when it was.",
)

NAME: Final = "shop"
_STOP_SECONDS: Final = 20.0
_CURRENT_SECONDS: Final = 60.0


class PipelineProcess:
    """One pipeline's file and, from `start` on, its process. It may be started again after every end."""

    def __init__(self, directory: Path, source: Mapping[str, Any]) -> None:
        self.file = directory / f"{NAME}.yaml"
        self.log = directory / "data" / f"{NAME}.db"
        self.sink = f"{NAME}/log"  # the sink's identity
        self.text = yaml.safe_dump(
            {"name": NAME, "source": dict(source), "sinks": [{"type": "log", "path": f"data/{NAME}.db"}]},
            sort_keys=False,
            default_flow_style=None,
            allow_unicode=True,
            width=1000,
        )
        self.file.write_text(self.text)
        self._output = directory / "pipeline.log"
        self._process: ChildProcess | None = None

    def start(self, *options: str) -> int:
        """Run the pipeline; the process's id."""
        self._process = ChildProcess(
            [sys.executable, "-m", "tailrace", "run", self.file.name, *options],
            directory=self.file.parent,
            log=self._output,
            last=signal.SIGKILL,
        )
        return self._process.pid

    def check(self) -> None:
        """Raise Stop if the process has ended by itself."""
        if self._process is not None and not self._process.running:
            raise self._ended(self._process)

    def kill(self) -> None:
        """SIGKILL, and nothing else: no chance to finish or to note anything."""
        if self._process is not None:
            self._process.end(signal.SIGKILL, _STOP_SECONDS)

    def stop(self) -> None:
        """SIGTERM: it delivers what it has read, and leaves. Stop if it does not do so."""
        if self._process is not None and self._process.end(signal.SIGTERM, _STOP_SECONDS):
            raise self._ended(self._process)

    def catch_up(self) -> None:
        """Run it until everything committed before is durably in the log. Stop if it fails."""
        self.start("--until-current")
        assert self._process is not None
        if self._process.wait(_CURRENT_SECONDS):
            raise self._ended(self._process)

    def wait(self) -> None:
        """Return when the process has ended, whoever ended it."""
        if self._process is not None:
            self._process.wait()

    def tail(self) -> str:
        """The last lines that the pipeline has written."""
        return self._process.tail() if self._process is not None else ""

    def _ended(self, process: ChildProcess) -> Stop:
        return Stop(
            ENDED,
            f"exit code {process.wait()}; its last lines:\n{self.tail()}",
            "The lines above say why.",
            where=f"tailrace run {shlex.quote(self.file.name)}",
        )
