"""A pipeline's life: locked, started, streaming, stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast

from tailrace.abc import Retains, Sink, Source, Transform
from tailrace.checkpoint import Checkpoint, Identity, Owner
from tailrace.engine.backoff import Backoff
from tailrace.engine.fencing import Arbiter
from tailrace.engine.lock import PipelineLock
from tailrace.engine.retention import RetentionWatch
from tailrace.engine.start import start
from tailrace.engine.started import StartedMark
from tailrace.engine.status import PipelineStatus, SinkStatus, State
from tailrace.engine.stream import Stream, earliest
from tailrace.engine.tasks import failure_of
from tailrace.errors import Diverged, Retry, Stop
from tailrace.events import Position

_T = TypeVar("_T")
_NOTHING: Final = contextlib.nullcontext()


class Pipeline:
    """Runs one pipeline once, in the event loop that calls `run`.

    `transforms` shape what all sinks get, `sink_transforms` (by sink identity) what one of them gets beside.
    `stop_seconds` bounds a graceful stop: what is not durable by then is left to the next start.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        sinks: Sequence[Sink],
        *,
        data_dir: Path,
        transforms: Sequence[Transform] = (),
        sink_transforms: Mapping[str, Sequence[Transform]] = MappingProxyType({}),
        stop_seconds: float = 8.0,
    ) -> None:
        self.name = name
        self.status = PipelineStatus(name, sinks={sink.identity: SinkStatus(sink.identity) for sink in sinks})
        self._source = source
        self._sinks = sorted(sinks, key=lambda sink: sink.identity)
        self._transforms = transforms
        self._sink_transforms = sink_transforms
        self._data_dir = data_dir
        self._mark = StartedMark(data_dir, name)
        self._stop_seconds = stop_seconds
        self._owner = Owner.this_process()
        self._arbiter = Arbiter(self._sinks[0], self._owner)
        self._stopping = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._goal: Position | None = None

    def pause(self) -> None:
        """Read nothing more behind the transaction that is being read; what was read still becomes durable.
        The connection stays, and the server keeps its log. Call it from the event loop of `run`."""
        self._flowing.clear()
        if self.status.state is State.STREAMING:
            self.status.enter(State.PAUSED)

    def resume(self) -> None:
        """Go on after `pause`. Call it from the event loop of `run`."""
        self._flowing.set()
        if self.status.state is State.PAUSED:
            self.status.enter(State.STREAMING)

    def stop(self) -> None:
        """Make durable what was read, then leave: `run` returns. Call it from the event loop of `run`."""
        self.status.enter(State.STOPPING)
        self._stopping.set()

    async def run(
        self, *, until_current: bool = False, owned: AbstractContextManager[object] = _NOTHING
    ) -> None:
        """Deliver until `stop` is called or, with `until_current`, until every sink has durably reached the
        log's end as it was when the stream began. `owned` is entered once no other process of this machine
        can run the pipeline, and left before one can.

        Raises Stop kinds and Fenced; trouble that passes is waited out. After any error or crash the next
        run goes on exactly where the sinks' checkpoints are.
        """
        with PipelineLock(self._data_dir, self.name, self._owner), owned:
            try:
                async with self._watched():
                    await self._run(until_current)
            except BaseException as error:
                for failure in await self._close():
                    error.add_note(f"closing failed too: {failure!r}")
                raise
            for failure in await self._close():
                raise failure

    @contextlib.asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """With an eye on what the server keeps of its log, where that is to be seen."""
        if not hasattr(self._source, "retention"):
            yield
            return
        watch = asyncio.create_task(RetentionWatch(cast(Retains, self._source), self.status.source).run())
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.wait({watch})
        if (failure := failure_of(watch)) is not None:
            raise failure  # a defect: for people who look at the figures it would stand still unsaid

    async def _run(self, until_current: bool) -> None:
        while not self._stopping.is_set():
            opened = await self._unless_stopped(self._open(until_current))
            if opened is None:
                return
            identity, checkpoints = opened
            self.status.enter(State.STREAMING if self._flowing.is_set() else State.PAUSED)
            stream = Stream(
                self._source,
                self._sinks,
                identity,
                checkpoints,
                self._arbiter,
                self._transforms,
                self._sink_transforms,
                self.status,
                self._flowing,
                on_goal=self.stop,
                goal=self._goal,
            )
            try:
                await stream.run(self._stopping, self._stop_seconds)
            except Diverged:
                # The server's history changed behind what was read, not necessarily behind what is durable:
                # begin again from the sinks' checkpoints. If they are beyond it too, the start says so. But a
                # goal was a place in the old history.
                if self._goal is not None:
                    raise
                self.status.enter(State.STARTING)
                await self._release()

    async def _open(self, until_current: bool) -> tuple[Identity, Sequence[Checkpoint]]:
        backoff = Backoff()
        while True:
            try:
                identity, checkpoints = await start(self._source, self._sinks, self._arbiter, self._mark)
                await self._source.open(earliest(self._source, checkpoints))
                if until_current and self._goal is None:
                    self._goal = await self._source.current()
                return identity, checkpoints
            except Retry as error:
                self.status.enter(State.RETRYING, error)
            except Stop:
                with contextlib.suppress(Retry, Stop):  # what stands in the way may be a newer process's work
                    self._arbiter.admit(await self._sinks[0].peek())
                raise
            await self._release()
            await asyncio.sleep(backoff.next())

    async def _release(self) -> None:
        await self._source.close()
        for sink in self._sinks:
            await sink.abort()

    async def _close(self) -> list[BaseException]:
        """Close everything, whatever of it fails: the failures."""
        closing = [self._source.close(), *(sink.close() for sink in self._sinks)]
        ended = await asyncio.gather(*closing, return_exceptions=True)
        self.status.enter(State.STOPPED)
        return [failure for failure in ended if failure is not None]

    async def _unless_stopped(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        """What the work returns; None, and the work cancelled, when a stop is asked for first."""
        working = asyncio.create_task(work)
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                return None
            if (failure := failure_of(working)) is not None:
                raise failure
            return working.result()
        finally:
            for task in (working, stop):
                task.cancel()
            await asyncio.gather(working, stop, return_exceptions=True)
