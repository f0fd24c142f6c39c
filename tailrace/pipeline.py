"""Pipelines from Python: load a file, run it, watch it, stop it. The command `run` comes in by this door."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from tailrace.config import PipelineConfig, build, load
from tailrace.engine.status import PipelineStatus
from tailrace.service.report import Report, report


class Pipeline:
    """One run of a pipeline, as its file declares it.

    `Pipeline.load(path).run()` blocks; `run_async` belongs to an event loop of the caller's. Signals are the
    caller's: neither installs a handler. An object runs once; what ran before goes on exactly where the
    sinks' checkpoints are, whichever object or process runs next.
    """

    def __init__(self, config: PipelineConfig, *, redeliver_transaction: bool = False) -> None:
        """`redeliver_transaction` is the option of the command `run`. Nothing is connected yet."""
        self.config = config
        self._engine = build(config, redeliver_transaction=redeliver_transaction)
        self._state = threading.Lock()  # of the two below: `stop` may come from any thread
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = False

    @classmethod
    def load(
        cls,
        path: str | Path,
        environment: Mapping[str, str] | None = None,
        *,
        redeliver_transaction: bool = False,
    ) -> Pipeline:
        """Read and check a file, offline. `${NAME}` is filled in from `environment` (default: the process's
        own). ConfigurationError, whose `faults` are all the faults of the file."""
        return cls(load(path, environment), redeliver_transaction=redeliver_transaction)

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.config.name

    @property
    def status(self) -> PipelineStatus:
        """How it stands now: states, errors that are waited out, per sink its events, commits and lag in
        bytes. Kept up to date while it runs; may be looked at from any thread."""
        return self._engine.status

    def run(self, *, until_current: bool = False) -> None:
        """Deliver until `stop` is called from another thread or, with `until_current`, until every sink
        durably has what the database had committed at the start.

        Not to be called where an event loop runs. Raises Stop kinds and Fenced (`tailrace.errors`); trouble
        that passes is waited out. An exception from outside, such as KeyboardInterrupt, ends it as a crash
        would: nothing is lost or doubled by that.
        """
        asyncio.run(self.run_async(until_current=until_current))

    async def run_async(
        self, *, until_current: bool = False, owned: AbstractContextManager[object] | None = None
    ) -> None:
        """The same in the running event loop. Cancelling it ends it as a crash would. `owned` is entered once
        no other process of this machine can run the pipeline, and left before one can."""
        with self._state:
            if self._started:
                raise RuntimeError(f"{self.name} has run already: load it again")
            self._started = True
            self._loop = asyncio.get_running_loop()
        await self._engine.run(until_current=until_current, owned=owned or contextlib.nullcontext())

    def report(self) -> Report:
        """How it stands now, as a document that leaves the process."""
        return report(self.status, os.getpid(), time.time())

    def pause(self) -> None:
        """Read nothing more behind the transaction that is being read, until `resume`; what was read still
        becomes durable. From the event loop of the run."""
        self._engine.pause()

    def resume(self) -> None:
        """Go on after `pause`. From the event loop of the run."""
        self._engine.resume()

    def stop(self) -> None:
        """Make durable what was read, then leave: `run` returns, within seconds. From any thread, at any
        time, also repeatedly; a run that has not begun ends at once."""
        with self._state:
            if self._loop is None:
                self._engine.stop()
                return
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has left already
                self._loop.call_soon_threadsafe(self._engine.stop)
