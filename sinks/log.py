"""The sink `log`: the embedded event log in one SQLite file, exactly once."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from pydantic import ByteSize, Field

from tailrace import claims
from tailrace.abc import Declaration, Explanation, Finding, Guarantee, SinkContext, Unit
from tailrace.checkpoint import Checkpoint
from tailrace.clients.sqlite import refuse_unwritable
from tailrace.errors import Stop
from tailrace.events import Batch
from tailrace.formats.metadata import refuse_headers
from tailrace.log import Retention, Writer
from tailrace.log.layout import LOG
from tailrace.log.rows import Rows, RowsByTopic, rows_by_topic
from tailrace.topics import TopicTemplate, TopicTemplateText
from tailrace.worker_thread import WorkerThread

_LITTLE_SPACE: Final = 1024**3  # bytes
_MOST_HOURS: Final = 10**9  # these and the bytes fit into SQLite's integers, the hours as µs
_MOST_BYTES: Final = 10**18


class LogSettings(Declaration):
    """Settings of the sink `log`."""

    path: Path = Field(description="The log's file; several pipelines may share one.")
    topic: TopicTemplateText = Field(
        default="{pipeline}.{schema}.{table}",
        description="Topic of a table: {pipeline}, {database}, {schema} and {table} are filled in.",
    )
    retention_hours: float | None = Field(
        default=None,
        gt=0,
        le=_MOST_HOURS,
        allow_inf_nan=False,
        description="Events are kept for so long, or up to an hour longer. Default: for ever.",
    )
    retention_bytes: ByteSize | None = Field(
        default=None,
        gt=0,
        le=_MOST_BYTES,
        description="So many bytes of the newest keys and values are kept per topic, or a little more: "
        "`10 GB`. Default: all.",
    )


class LogSink:
    """A thin adapter between the engine and `tailrace.log`.

    All work on the open file happens in one thread of the sink's own. SQLite's write lock is held inside
    `open` and `commit` only.
    """

    Settings: ClassVar[type[Declaration]] = LogSettings
    alone = False
    guarantee = Guarantee.EXACTLY_ONCE
    unit = Unit()

    def __init__(self, settings: LogSettings, context: SinkContext) -> None:
        self.identity = context.identity
        self._path = context.base / settings.path
        refuse_headers(context.format)
        self._format = context.format
        self._template = TopicTemplate(settings.topic)
        self._retention = Retention(settings.retention_hours, settings.retention_bytes)
        self._accepted: dict[str, Rows] = {}
        self._writer: Writer | None = None
        self._thread = WorkerThread(f"log {context.identity}")

    async def check(self) -> Sequence[Finding]:
        return await asyncio.to_thread(self._check)

    async def peek(self) -> Checkpoint | None:
        return await asyncio.to_thread(claims.peek, self._path, LOG, self.identity)

    async def open(self) -> Checkpoint | None:
        self._accepted = {}
        await self._thread.call(self._close_writer)
        return await self._thread.call(self._open_writer)

    def prepare(self, batch: Batch) -> RowsByTopic:
        return rows_by_topic(batch.encoded(self._format), self._template)

    async def write(self, payload: RowsByTopic) -> None:
        for topic, rows in payload.items():
            self._accepted.setdefault(topic, []).extend(rows)

    async def commit(self, checkpoint: Checkpoint) -> None:
        assert self._writer is not None, "commit before open"
        await self._thread.call(self._writer.append, self._accepted, checkpoint)
        self._accepted = {}

    async def abort(self) -> None:
        self._accepted = {}
        await self._thread.call(self._close_writer)

    async def close(self) -> None:
        await self.abort()
        self._thread.end()

    async def store(self, checkpoint: Checkpoint) -> None:
        await self.open()
        await self.commit(checkpoint)
        await self.close()

    async def forget(self, *, dry_run: bool) -> Sequence[str]:
        if await self.peek() is None:
            return []
        if not dry_run:
            await asyncio.to_thread(claims.forget, self._path, LOG, self.identity)
        return [f"checkpoint of {self.identity} in {self._path}"]

    def explain(self) -> Explanation:
        """See `tailrace.abc.Explains`."""
        return Explanation(
            unit="events and checkpoint are one SQLite transaction, synchronous=FULL",
            fence="an epoch beside the checkpoint, raised by each process that opens the log and compared "
            "within every commit",
            stored={f"{self._path}, table checkpoint, row {self.identity}": "the checkpoint"},
            made={str(self._path): "the event log"},
        )

    def _open_writer(self) -> Checkpoint | None:
        self._writer = Writer(self._path, self.identity, self._retention)
        return self._writer.checkpoint

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _check(self) -> Sequence[Finding]:
        title = f"event log {self._path}"
        try:
            claims.peek(self._path, LOG, self.identity)
            refuse_unwritable(self._path)
        except Stop as error:
            return [Finding(title, error.found, error)]
        exists = self._path.exists()
        free = shutil.disk_usage(next(one for one in (self._path, *self._path.parents) if one.exists())).free
        little = free < _LITTLE_SPACE
        return [
            Finding(
                title,
                f"{'found' if exists else 'will be made'}; SQLite {sqlite3.sqlite_version}; "
                f"{free / 1e9:.1f} GB free",
                warning=little,
                remedy="Free some space: while the disk is full, the sink waits." if little else "",
            )
        ]
