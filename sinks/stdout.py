"""The sink `stdout`: one line of JSON per event, at least once.

    {"topic":"orders.public.items","position":"000000000016B374:0:0","key":{"id":1},"value":{…}}

`topic` is what other sinks would call the topic; `position` identifies the event across repeats. `key` and
`value` stand as the format wrote them, hence the format must write JSON; an event without a key, and a
tombstone, have null there.

In a file that several processes were led into one after another (`>> FILE`), a line that is not JSON was cut
when its process was killed or could not write on: its event comes again, so skip it. A line may be empty.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import threading
from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec
from pydantic import Field

from tailrace.abc import Declaration, Explanation, Finding, Guarantee, SinkContext, Unit
from tailrace.checkpoint import Checkpoint
from tailrace.errors import Retry, Stop, code
from tailrace.events import Batch
from tailrace.failpoints import failpoint
from tailrace.formats.metadata import refuse_headers
from tailrace.topics import TopicTemplate, TopicTemplateText
from tailrace.worker_thread import WorkerThread

READER_GONE = code(
    "TR-SINK-010",
    "nobody reads the standard output",
    "The program behind the pipe has ended, or the standard output is closed.",
)
OUTPUT_FULL = code(
    "TR-SINK-011",
    "the standard output's disk is full",
    "The file that the standard output was led to cannot grow. Nothing is lost: it is written again.",
)
OUTPUT_FAILS = code(
    "TR-SINK-012",
    "the standard output fails",
    "The operating system refuses to write to the standard output.",
)

_DESCRIPTOR: Final = 1
_PIPE_PIECE: Final = select.PIPE_BUF  # bytes that a pipe which is ready takes without blocking
_FILE_PIECE: Final = 1024 * 1024
_LOOK_SECONDS: Final = 0.1  # how soon an abort is noticed while nobody reads

_after_write = failpoint("stdout.write.after")
_before_sync = failpoint("stdout.commit.before")
_after_sync = failpoint("stdout.commit.after")


class StdoutSettings(Declaration):
    """Settings of the sink `stdout`."""

    topic: TopicTemplateText = Field(
        default="{pipeline}.{schema}.{table}",
        description="`topic` in each line: {pipeline}, {database}, {schema} and {table} are filled in.",
    )


class StdoutSink:
    """Writes to file descriptor 1 without a buffer of its own; a commit syncs if that is a file.

    While nobody reads, `write` waits in a thread: the event loop goes on, and `abort` ends the wait. A line
    that was cut by an abort is finished before anything else is written; one that an earlier process has cut
    is ended.
    """

    Settings: ClassVar[type[Declaration]] = StdoutSettings
    alone = True
    guarantee = Guarantee.AT_LEAST_ONCE
    unit = Unit()

    def __init__(self, settings: StdoutSettings, context: SinkContext) -> None:
        self.identity = context.identity
        refuse_headers(context.format)
        self._format = context.format
        self._template = TopicTemplate(settings.topic)
        self._thread = WorkerThread(f"stdout {context.identity}")
        self._aborted = threading.Event()
        self._rest = b""  # of a line that was begun, by this process or by an earlier one

    async def check(self) -> Sequence[Finding]:
        if sys.__stdout__ is None:
            return [Finding("standard output", "closed", _reader_gone("it is closed"))]
        return [Finding("standard output", "a file" if _is_file() else "a pipe or a terminal")]

    async def peek(self) -> Checkpoint | None:
        return None

    async def open(self) -> Checkpoint | None:
        if sys.__stdout__ is None:  # descriptor 1 may be anything by now
            raise _reader_gone("it is closed")
        self._aborted.clear()
        if not self._rest and await self._thread.call(_ends_within_a_line):
            self._rest = b"\n"  # else the first event would be a part of that line
        return None

    def prepare(self, batch: Batch) -> bytes:
        lines = []
        table = None
        begin = b""
        for record in batch.encoded(self._format):
            if record.change.table is not table:
                table = record.change.table
                begin = b'{"topic":%b,"position":' % msgspec.json.encode(self._template.topic(table))
            position = msgspec.json.encode(record.position)
            key, value = record.key or b"null", record.value or b"null"
            lines.append(b'%b%b,"key":%b,"value":%b}\n' % (begin, position, key, value))
        return b"".join(lines)

    async def write(self, payload: bytes) -> None:
        if payload:
            await self._thread.call(self._write, payload)
            _after_write()

    async def commit(self, checkpoint: Checkpoint) -> None:
        _before_sync()
        await self._thread.call(self._sync)
        _after_sync()

    async def abort(self) -> None:
        self._aborted.set()
        await self._thread.call(lambda: None)  # what still writes has seen it when this is done

    async def close(self) -> None:
        await self.abort()
        self._thread.end()

    async def store(self, checkpoint: Checkpoint) -> None:
        """Nothing: the checkpoint is in the offset store."""

    async def forget(self, *, dry_run: bool) -> Sequence[str]:
        return []

    def explain(self) -> Explanation:
        """See `tailrace.abc.Explains`."""
        return Explanation(
            unit="lines are written one after another; a commit syncs them if the standard output is a file. "
            "A line that a crash cut is no JSON: skip it"
        )

    def _write(self, payload: bytes) -> None:
        data = self._rest + payload
        view = memoryview(data)
        piece = _FILE_PIECE if _is_file() else _PIPE_PIECE
        written = 0
        try:
            while written < len(data) and not self._aborted.is_set():
                if select.select([], [_DESCRIPTOR], [], _LOOK_SECONDS)[1]:
                    written += os.write(_DESCRIPTOR, view[written : written + piece])
        except OSError as error:
            raise _policy(error) from error
        finally:
            in_line = data[written - 1 : written] != b"\n" if written else bool(self._rest)
            self._rest = data[written : data.index(b"\n", written) + 1] if in_line else b""

    def _sync(self) -> None:
        try:
            if _is_file():
                os.fsync(_DESCRIPTOR)
        except OSError as error:
            raise _policy(error) from error


def _is_file() -> bool:
    return stat.S_ISREG(os.fstat(_DESCRIPTOR).st_mode)


def _ends_within_a_line() -> bool:
    """Whether the standard output is a file whose last line is cut, or may be."""
    size = os.fstat(_DESCRIPTOR).st_size if _is_file() else 0
    if not size:
        return False
    try:
        # Once more, since a shell opens it for writing alone.
        with open(f"/dev/fd/{_DESCRIPTOR}", "rb", buffering=0) as file:
            return os.pread(file.fileno(), 1, size - 1) != b"\n"
    except OSError:  # an empty line does no harm
        return True


def _policy(error: OSError) -> Retry | Stop:
    if error.errno in (errno.EPIPE, errno.EBADF):
        return _reader_gone(str(error))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Retry(OUTPUT_FULL, str(error), "Free space on its file system; it goes on by itself.")
    return Stop(OUTPUT_FAILS, str(error), "Lead the standard output elsewhere and start again.")


def _reader_gone(found: str) -> Stop:
    return Stop(
        READER_GONE,
        found,
        "Start again with a program that reads to the end; what was not read may come once more.",
    )
