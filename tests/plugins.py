"""A source, two sinks, a format and a transform that live in files: real plugins, found by entry points.

The source's log is a text file: each line is one transaction, a JSON list of numbers. `LOG.slot` beside it
exists while the log is kept for somebody, and holds how many lines were acknowledged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from pydantic import Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError

from tailrace.abc import (
    Declaration,
    Finding,
    Format,
    Guarantee,
    Payload,
    Record,
    SinkContext,
    SourceContext,
    Unit,
)
from tailrace.checkpoint import Checkpoint, Identity
from tailrace.errors import Diverged, Gap, NotReady, Retry, code
from tailrace.events import Batch, Change, Column, Event, Origin, Position, Table, Transaction
from tailrace.logs import Logger
from tailrace.types import Kind, LogicalType

NO_LOG = code("TR-TEST-010", "no log", "The file that is the log does not exist.")
NO_SLOT = code("TR-TEST-011", "no slot", "Nothing keeps the log.")
BEYOND = code("TR-TEST-013", "beyond the end", "The log ends before the position.")
AWAY = code("TR-TEST-012", "log away", "The file that is the log went away while it was read.")

_log = Logger(__name__)


def install(folder: Path) -> None:
    """Make the plugins known to every Python that has the folder on its path."""
    package = folder / "file_plugins-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: file-plugins\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        "[tailrace.sources]\nfile = tests.plugins:FileSource\nbroken = tests.plugins:Nothing\n"
        "[tailrace.sinks]\nfile = tests.plugins:FileSink\nlines = tests.plugins:LinesSink\n"
        "[tailrace.formats]\nnumbers = tests.plugins:NumbersFormat\n"
        "[tailrace.transforms]\nodd = tests.plugins:OddTransform\n"
    )


class FileSource:
    """Follows the file."""

    class Settings(Declaration):
        path: Path = Field(description="The log.")
        snapshot: Literal["never"] = Field(description="Whether the present rows are delivered first.")
        url: str = ""
        password: SecretStr | None = None
        port: int = Field(default=5432, ge=1, le=65535)
        secure: bool = False
        tables: tuple[str | TableSettings, ...] = ()

        @field_validator("url")
        @classmethod
        def _with_scheme(cls, url: str) -> str:
            if url and "://" not in url:
                raise PydanticCustomError(
                    "url", "{url} has no scheme", {"url": url, "remedy": "Write file://…"}
                )
            return url

    fingerprint = "file-1"

    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self._settings = settings
        self._origin = Origin("file", context.pipeline, "shop", ())
        self._table = Table(
            origin=self._origin,
            schema="",
            name="numbers",
            columns=(Column("id", LogicalType(Kind.INT64, "number"), False, int, True),),
            key=(0,),
            split=lambda raw: (None, [raw]),
        )
        self._line = 0

    @property
    def _slot(self) -> Path:
        return self._settings.path.with_suffix(".slot")

    def _lines(self) -> list[str]:
        try:
            return self._settings.path.read_text().splitlines()
        except FileNotFoundError:
            raise Retry(AWAY, f"{self._settings.path} is not there", "Bring it back.") from None

    async def check(self) -> Sequence[Finding]:
        if self._settings.path.is_file():
            return [Finding("log", f"{len(self._lines())} transactions")]
        error = NotReady(NO_LOG, f"{self._settings.path} does not exist", "Create it.")
        return [Finding("log", error.found, error=error)]

    async def identify(self) -> Identity:
        return Identity(str(self._settings.path), "shop")

    async def anchored(self) -> bool | None:
        return self._slot.exists()

    async def anchor(self) -> Position:
        position = await self.current()
        _log.warning("nobody kept the log before", slot=self._slot.name)
        self._slot.write_text(str(position["line"]))
        return position

    async def verify(self, checkpoint: Checkpoint) -> None:
        if not self._slot.exists():
            raise Gap(NO_SLOT, f"{self._slot} is gone", "Begin anew.", where=str(self._slot))
        if checkpoint.position is not None and int(checkpoint.position["line"]) > (end := len(self._lines())):
            raise Diverged(BEYOND, f"the log ends at {end}", "Begin anew.")

    async def open(self, resume: Position) -> None:
        self._line = int(resume["line"])

    async def read(self) -> AsyncIterator[Batch]:
        while True:
            lines = self._lines()
            for number in range(self._line, len(lines)):
                transaction = Transaction(str(number), f"{number:08}", 1_700_000_000_000_000, {})
                events: list[Event] = [
                    Change("c", self._table, transaction, ordinal, 0, number, value)
                    for ordinal, value in enumerate(json.loads(lines[number]), 1)
                ]
                self._line = number + 1
                size = 10 * len(events)
                yield Batch(
                    events, {"line": self._line}, commit=True, size=size, timestamp=transaction.timestamp
                )
            await asyncio.sleep(0.01)

    async def acknowledge(self, position: Position) -> None:
        self._slot.write_text(str(position["line"]))

    def covers(self, position: Position, other: Position) -> bool:
        return int(position["line"]) >= int(other["line"])

    def after(self, batch: Batch, position: Position) -> Batch:
        return Batch([], position, commit=True, size=0) if self.covers(position, batch.end) else batch

    def parse(self, text: str) -> Position:
        if not text.isdigit():
            raise ValueError(f"a position is a line's number; found {text!r}")
        return {"line": int(text)}

    async def current(self) -> Position:
        return {"line": len(self._lines())}

    def lag(self, position: Position) -> int | None:
        return 10 * (self._line - int(position["line"]))

    async def close(self) -> None:
        pass

    async def teardown(self, *, dry_run: bool) -> Sequence[str]:
        if not self._slot.exists():
            return []
        if not dry_run:
            _log.warning("nothing keeps the log now", slot=self._slot.name)
            self._slot.unlink()
        return [f"slot {self._slot.name}"]


class TableSettings(Declaration):
    name: str
    columns: tuple[str, ...] = ()


FileSource.Settings.model_rebuild()


class NumbersFormat:
    """The number itself."""

    class Settings(Declaration):
        base: Literal[10, 16] = 10

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __hash__(self) -> int:
        return hash(self._settings.base)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NumbersFormat) and self._settings == other._settings

    def encode(self, events: Sequence[Event]) -> Sequence[Record]:
        template = {10: "%d", 16: "%x"}[self._settings.base]
        return [
            Record(event, 0, None, (template % event.raw).encode())
            for event in events
            if isinstance(event, Change)
        ]


class OddTransform:
    """Lets odd numbers pass."""

    class Settings(Declaration):
        strict: bool = False

    def __init__(self, settings: Settings) -> None:
        pass

    def apply(self, batch: Batch) -> Batch:
        events = [event for event in batch.events if isinstance(event, Change) and event.raw % 2]
        return Batch(events, batch.end, commit=batch.commit, size=batch.size, timestamp=batch.timestamp)


class _Stored(msgspec.Struct):
    events: list[str] = []
    checkpoint: Checkpoint | None = None


class FileSink:
    """Events and checkpoint in one JSON file, replaced as a whole. Fences nobody."""

    class Settings(Declaration):
        path: Path = Field(description="The file.")
        secret: SecretStr | None = None
        delay: float = 0.0  # seconds that a commit of events takes; `PATH.held` shows that one has begun

    alone = False
    guarantee = Guarantee.EXACTLY_ONCE
    unit = Unit()

    def __init__(self, settings: Settings, context: SinkContext) -> None:
        self.identity = context.identity
        self._format: Format = context.format
        self._path = context.base / settings.path
        self._delay = settings.delay
        self._stored = _Stored()
        self._pending: list[str] = []

    def _read(self) -> _Stored:
        return (
            msgspec.json.decode(self._path.read_bytes(), type=_Stored) if self._path.exists() else _Stored()
        )

    def _write(self) -> None:
        new = self._path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(self._stored))
        new.replace(self._path)

    async def check(self) -> Sequence[Finding]:
        if self._path.parent.is_dir():
            return [Finding("folder", str(self._path.parent))]
        return [Finding("folder", "will be missed", warning=True, remedy=f"mkdir {self._path.parent}")]

    async def peek(self) -> Checkpoint | None:
        return self._read().checkpoint

    async def open(self) -> Checkpoint | None:
        self._stored = self._read()
        return self._stored.checkpoint

    def prepare(self, batch: Batch) -> Payload:
        return [(record.value or b"").decode() for record in batch.encoded(self._format)]

    async def write(self, payload: Payload) -> None:
        self._pending += payload

    async def commit(self, checkpoint: Checkpoint) -> None:
        if self._pending and self._delay:
            self._path.with_suffix(".held").touch()
            await asyncio.sleep(self._delay)
        self._stored = _Stored([*self._stored.events, *self._pending], checkpoint)
        self._pending = []
        self._write()

    async def abort(self) -> None:
        self._pending = []

    async def close(self) -> None:
        self._pending = []

    async def store(self, checkpoint: Checkpoint) -> None:
        self._stored = _Stored(self._read().events, checkpoint)
        self._write()

    async def forget(self, *, dry_run: bool) -> Sequence[str]:
        stored = self._read()
        if stored.checkpoint is None:
            return []
        if not dry_run:
            self._stored = _Stored(stored.events)
            self._write()
        return [f"checkpoint in {self._path.name}"]


class LinesSink:
    """Appends lines to a file and keeps no checkpoint."""

    class Settings(Declaration):
        path: Path

    alone = False
    guarantee = Guarantee.AT_LEAST_ONCE
    unit = Unit()

    def __init__(self, settings: Settings, context: SinkContext) -> None:
        self.identity = context.identity
        self._format: Format = context.format
        self._path = context.base / settings.path
        self._pending = b""

    async def check(self) -> Sequence[Finding]:
        return []

    async def peek(self) -> Checkpoint | None:
        return None

    async def open(self) -> Checkpoint | None:
        return None

    def prepare(self, batch: Batch) -> Payload:
        return b"".join((record.value or b"") + b"\n" for record in batch.encoded(self._format))

    async def write(self, payload: Payload) -> None:
        self._pending += payload

    async def commit(self, checkpoint: Checkpoint) -> None:
        with self._path.open("ab") as file:
            file.write(self._pending)
        self._pending = b""

    async def abort(self) -> None:
        self._pending = b""

    async def close(self) -> None:
        pass

    async def store(self, checkpoint: Checkpoint) -> None:
        raise NotImplementedError

    async def forget(self, *, dry_run: bool) -> Sequence[str]:
        return []


def environment(folder: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that knows the plugins installed in the folder."""
    root = Path(__file__).parents[1]
    return {**inherited, "PYTHONPATH": f"{folder}:{root}", "PYTHONWARNINGS": "error"}
