"""The source `directory`: follows the files of a directory, a JSON object a line.

The files are numbered without a gap (`00000001.jsonl`, `00000002.jsonl`, …) and are one log together. Only
the last of them grows, and only by whole lines at its end: a line without its end is not there yet. Files
before the one that every sink stands in may be removed. A line is an object with an integer `id`, which is
its key, and perhaps `time`, when it came to be (µs since the epoch).
"""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import msgspec
from pydantic import Field

from tailrace.abc import Declaration, Explanation, Finding, SourceContext
from tailrace.checkpoint import Checkpoint, Identity
from tailrace.errors import ConfigurationError, Gap, Malformed, NotReady, Retry, code
from tailrace.events import Batch, Change, Column, Event, Origin, Position, SourceField, Table, Transaction
from tailrace.hooks import Discovery
from tailrace.types import Kind, LogicalType

NO_DIRECTORY = code("TR-EXAMPLE-001", "no directory", "The directory that is followed does not exist.")
REWRITTEN = code(
    "TR-EXAMPLE-002",
    "the log is not what it was",
    "Files were removed, cut or changed: what follows the stored position cannot be told any more.",
)
NOT_A_LINE = code("TR-EXAMPLE-003", "not a line", "A line is not a JSON object with an integer id.")
UNREADABLE = code("TR-EXAMPLE-004", "file cannot be read", "A file of the log cannot be read now.")

_FILE: Final = re.compile(r"(\d{8})\.jsonl")
_PIECE: Final = 1024 * 1024  # bytes of a batch, unless one line is longer
_LOOK_SECONDS: Final = 0.05  # between two looks for new lines


class DirectorySettings(Declaration):
    """Follows the lines of the files of one directory."""

    path: Path = Field(description="The directory with the files, `00000001.jsonl` and so on.")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the log: everything before `offset` in the file of this number, and all files before it."""

    number: int
    offset: int  # bytes
    before: int  # bytes in the earlier files that were there

    @property
    def position(self) -> Position:
        """As checkpoints keep it."""
        return {"number": self.number, "offset": self.offset, "before": self.before}

    @property
    def text(self) -> str:
        """Sorts like the log."""
        return f"{self.number:08}{self.offset:016}"

    @classmethod
    def of(cls, position: Position) -> Place:
        """Back from a checkpoint."""
        return cls(int(position["number"]), int(position["offset"]), int(position["before"]))


class _Line(msgspec.Struct):
    id: int
    time: int = 0


class DirectorySource:
    """See `tailrace.abc.Source`. Each line is a transaction of its own."""

    Settings: ClassVar[type[Declaration]] = DirectorySettings
    schemes: ClassVar[tuple[str, ...]] = ("jsonl",)
    fingerprint = "lines 1"

    def __init__(self, settings: DirectorySettings, context: SourceContext) -> None:
        self._path = context.base / settings.path
        fields = (
            SourceField("file", LogicalType(Kind.STRING, "name"), False),
            SourceField("offset", LogicalType(Kind.INT64, "bytes"), False),
        )
        origin = Origin("directory", context.pipeline, self._path.name, fields)
        self._table = Table(
            origin=origin,
            schema="",
            name="lines",
            columns=(
                Column("id", LogicalType(Kind.INT64, "number"), False, int, True),
                Column("line", LogicalType(Kind.JSON, "json"), False, bytes.decode, True),
            ),
            key=(0,),
            split=lambda raw: (None, raw),
        )
        self._place = Place(1, 0, 0)  # up to where was read
        self._end = self._place  # of the log, as it was last seen
        self._idle = False  # whether somebody waits for a batch although there may be nothing new

    async def check(self) -> Sequence[Finding]:
        """Whether the directory is there."""
        if self._path.is_dir():
            return [Finding("directory", f"{len(self._files())} files in {self._path}")]
        error = NotReady(NO_DIRECTORY, f"{self._path} is no directory", "Create it, or correct path:.")
        return [Finding("directory", error.found, error=error, remedy=error.remedy)]

    async def identify(self) -> Identity:
        """The directory itself."""
        return Identity(str(self._path.resolve()), self._path.name)

    async def anchored(self) -> bool | None:
        """Nothing keeps the files but whoever removes them."""
        return None

    async def anchor(self) -> Position:
        """The end of the last whole line that is there."""
        return (await asyncio.to_thread(self._find_end)).position

    async def verify(self, checkpoint: Checkpoint) -> None:
        """Whether what was delivered is still what stands before the position."""
        if checkpoint.position is not None:
            await asyncio.to_thread(self._verify, Place.of(checkpoint.position))

    async def open(self, resume: Position) -> None:
        """Nothing is connected: reading begins behind `resume`."""
        self._place = Place.of(resume)

    async def read(self) -> AsyncIterator[Batch]:
        """Whatever whole lines are there, up to about 1 MiB; looks again 20 times a second."""
        while True:
            batch = await asyncio.to_thread(self._next)
            if batch is not None:
                yield batch
            elif self._idle:
                self._idle = False
                yield Batch([], self._place.position, commit=True, size=0)
            else:
                await asyncio.sleep(_LOOK_SECONDS)

    async def acknowledge(self, position: Position) -> None:
        """Nothing: the files belong to whoever writes them."""

    def covers(self, position: Position, other: Position) -> bool:
        """By number and offset."""
        return Place.of(position).text >= Place.of(other).text

    def after(self, batch: Batch, position: Position) -> Batch:
        """Cut between lines."""
        place = Place.of(position)
        cut = bisect_left(batch.events, place.text, key=lambda event: event.transaction.position)
        passed = self.covers(position, batch.end)
        if cut == 0 and not passed:
            return batch
        events = batch.events[cut:]
        size = sum(len(event.raw[1]) for event in events if isinstance(event, Change))
        end = position if passed else batch.end
        return Batch(events, end, commit=True, size=size, timestamp=batch.timestamp, more=batch.more)

    def parse(self, text: str) -> Position:
        """`00000001:4711`, a file's number and an offset in bytes."""
        found = re.fullmatch(r"(\d{8}):(\d+)", text.strip())
        if found is None:
            raise ValueError(f"a position is a number and an offset, as in 00000001:4711; found {text!r}")
        number = int(found[1])
        before = sum(size for other, size in self._sizes() if other < number)
        return Place(number, int(found[2]), before).position

    async def current(self) -> Position:
        """The end of the log now; `read` sees to it that a batch passes it."""
        self._end = await asyncio.to_thread(self._find_end)
        self._idle = True
        return self._end.position

    def lag(self, position: Position) -> int | None:
        """Bytes behind the end as it was last seen."""
        place = Place.of(position)
        return max(0, self._end.before + self._end.offset - place.before - place.offset)

    async def close(self) -> None:
        """Nothing is open between two calls."""

    async def teardown(self, *, dry_run: bool) -> Sequence[str]:
        """Nothing was made."""
        return []

    def explain(self) -> Explanation:
        """See `tailrace.abc.Explains`."""
        return Explanation(
            stored={str(self._path): "the log; whoever removes files does so behind the sinks"}
        )

    @classmethod
    async def discover(cls, url: str) -> Discovery:
        """`jsonl:///var/log/orders`; see `tailrace.hooks.DiscoverPlugin`."""
        path = Path(url.partition("://")[2])
        if not await asyncio.to_thread(path.is_dir):
            raise ConfigurationError(NO_DIRECTORY, f"{path} is no directory", "Name one: jsonl:///path")
        settings = {"path": str(path).replace("${", "$${")}
        return Discovery(server=f"JSON lines in {path}", name=path.name, settings=settings)

    def _files(self) -> dict[int, Path]:
        """Paths by number, in their order."""
        try:
            named = [(_FILE.fullmatch(path.name), path) for path in self._path.iterdir()]
        except OSError as error:
            raise self._unreadable(error) from error
        return dict(sorted((int(match[1]), path) for match, path in named if match is not None))

    def _sizes(self) -> list[tuple[int, int]]:
        try:
            return [(number, path.stat().st_size) for number, path in self._files().items()]
        except OSError as error:
            raise self._unreadable(error) from error

    def _find_end(self) -> Place:
        sizes = self._sizes()
        if not sizes:
            return Place(1, 0, 0)
        last, _ = sizes[-1]
        before = sum(size for number, size in sizes if number < last)
        try:
            return Place(last, self._files()[last].read_bytes().rfind(b"\n") + 1, before)
        except OSError as error:
            raise self._unreadable(error) from error

    def _verify(self, place: Place) -> None:
        sizes = dict(self._sizes())
        self._refuse_missing(place, [*sizes])
        earlier = sum(size for number, size in sizes.items() if number < place.number)
        if earlier > place.before:
            raise self._gap(f"files before {place.number:08} hold {earlier} bytes, more than {place.before}")
        if place.offset == 0:
            return
        if sizes.get(place.number, -1) < place.offset:
            raise self._gap(f"file {place.number:08} is gone, or shorter than {place.offset} bytes")
        with self._files()[place.number].open("rb") as file:
            file.seek(place.offset - 1)
            if file.read(1) != b"\n":
                raise self._gap(f"no line of file {place.number:08} ends at {place.offset}")

    def _refuse_missing(self, place: Place, numbers: Sequence[int]) -> None:
        """From the place on no file may be missing: lines would be lost unsaid."""
        there = [number for number in numbers if number >= place.number]
        if there and there != list(range(place.number, place.number + len(there))):
            raise self._gap(f"files from {place.number:08} on are missing; there are {there}")

    def _next(self) -> Batch | None:
        """The next whole lines; None: there are none now."""
        while True:
            files = self._files()  # before the file is read: it is whole if a later one is there by now
            self._refuse_missing(self._place, [*files])
            path = files.get(self._place.number)
            if path is None and self._place.offset:
                raise self._gap(f"file {self._place.number:08} was removed while it was read")
            data, more = self._piece(path) if path is not None else (b"", False)
            later = self._place.number + 1 in files
            if data:
                return self._batch(data, more=more or later)
            if path is None or not later:
                self._end = self._place
                return None
            self._advance(path)

    def _piece(self, path: Path) -> tuple[bytes, bool]:
        """Whole lines from the place on, and whether there are more."""
        wanted = _PIECE
        try:
            with path.open("rb") as file:
                while True:
                    file.seek(self._place.offset)
                    data = file.read(wanted)
                    whole = data.rfind(b"\n") + 1
                    if whole or len(data) < wanted:
                        return data[:whole], len(data) == wanted
                    wanted *= 2  # a line that is longer than this
        except OSError as error:
            raise self._unreadable(error) from error

    def _advance(self, path: Path) -> None:
        """On to the next file."""
        size = self._place.offset
        if path.stat().st_size != size:
            raise Malformed(
                NOT_A_LINE,
                f"the file ends within a line, at {size}, and a later one is there",
                "End the line, or cut it off.",
                where=str(path),
            )
        self._place = Place(self._place.number + 1, 0, self._place.before + size)

    def _batch(self, data: bytes, *, more: bool) -> Batch:
        number, offset, before = self._place.number, self._place.offset, self._place.before
        source = {
            "file": f"{number:08}.jsonl",
            "offset": "{offset}",
        }  # the offset of each change takes its place
        events: list[Event] = []
        timestamp = 0
        for content in data.removesuffix(b"\n").split(b"\n"):
            place = Place(number, offset, before).text
            line = self._decoded(content, number, offset)
            timestamp = line.time
            transaction = Transaction(place, place, timestamp, source)
            raw = (str(line.id).encode(), content)
            events.append(Change("c", self._table, transaction, 0, 0, offset, raw))
            offset += len(content) + 1
        self._place = Place(number, offset, before)
        self._end = max(self._end, self._place)
        end = self._place.position
        return Batch(events, end, commit=True, size=len(data), timestamp=timestamp, more=more)

    def _decoded(self, content: bytes, number: int, offset: int) -> _Line:
        try:
            return msgspec.json.decode(content, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            where = f"{self._path}/{number:08}.jsonl, byte {offset}"
            raise Malformed(NOT_A_LINE, str(error), "Correct the line.", where=where) from None

    def _gap(self, found: str) -> Gap:
        remedy = "Bring the files back; or begin anew: tailrace offsets reset FILE."
        return Gap(REWRITTEN, found, remedy, where=str(self._path))

    def _unreadable(self, error: OSError) -> Retry:
        found = f"{error.filename}: {error.strerror}"
        return Retry(UNREADABLE, found, "Make it readable; it goes on by itself.", where=str(self._path))
