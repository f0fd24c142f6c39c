"""The contracts between the engine and everything that plugs into it. The comments are the contract.

The engine calls each object from one asyncio event loop and never runs two calls on one object at the same
time, except where a comment says so. Errors are `tailrace.errors`; any other exception is a defect and stops
the pipeline. Every implementation passes the acceptance suite in `tailrace.testing`.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec
from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from tailrace.checkpoint import Checkpoint, Identity
from tailrace.errors import TailraceError
from tailrace.events import Batch, Change, Event, Position, Table
from tailrace.redact import redact

Payload: TypeAlias = Any
"""What `Sink.prepare` makes of a batch; only that sink looks into it."""


class Declaration(BaseModel):
    """Base of every plugin's settings: unknown keys are refused, nothing changes after loading. Secrets are
    `pydantic.SecretStr`; passwords inside of URLs stay out of `repr` too."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    absent: ClassVar[Mapping[str, str]] = {}
    """Keys that a person may look for here and that this version does not have, and what to do without."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, redact(value) if isinstance(value, str) else value


def not_available(found: str, remedy: str) -> PydanticCustomError:
    """The error of a validator that refuses, by its name, something that this version does not have."""
    return PydanticCustomError("not_available", "{found}", {"found": found, "remedy": remedy})


class Guarantee(enum.Enum):
    """How often an event reaches the target, crashes included."""

    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = "at_least_once"


@dataclass(frozen=True, slots=True)
class Unit:
    """When the engine commits at the latest; it commits earlier when nothing more is at hand."""

    bytes: int = 4 * 1024 * 1024  # of raw events; also bounds the memory kept for replay
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `doctor`'s check list. `error` set: the pipeline would not start."""

    title: str
    found: str
    error: TailraceError | None = None
    warning: bool = False
    remedy: str = ""
    beginning: bool = (
        False  # the error keeps a first start alone from happening, and is a warning to any other
    )


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a part of a pipeline does outside of its process, for `tailrace explain`: texts for people,
    without a full stop. No secrets."""

    unit: str = ""  # a sink's: what becomes durable together and how, and what readers must mind
    fence: str = ""  # a sink's or a store's: what refuses an older process, and when
    stored: Mapping[str, str] = field(default_factory=dict)  # place → what stands there
    made: Mapping[str, str] = field(default_factory=dict)  # object on a server, or file → what it is for
    left_out: str = ""  # a sink's: what it does not deliver because its settings say so, and how it is told


@runtime_checkable
class Divides(Protocol):
    """A source whose batches can be cut before any of their changes: what stands before an event that cannot
    be delivered then still is."""

    def before(self, batch: Batch, change: Change) -> Batch | None:
        """What of the batch stands before the wire message of this change of it, with the position there.
        None where no change does, or no position can be told."""


@runtime_checkable
class Skips(Protocol):
    """A sink that leaves out what its target does not take, because its settings say so. It warns of each
    record before the commit; the same records are left out when a unit is written again."""

    def skipped(self) -> Mapping[str, int]:
        """How many records were left out of what was written since `open` or the last commit, by table."""


@runtime_checkable
class Anchors(Protocol):
    """A source that can tell where the server's log begins that is kept for the pipeline."""

    def anchor_place(self) -> str | None:
        """Where what `anchored` found last stands, as `Source.parse` reads it: what commits behind it can
        still be read. None: not known. No I/O."""


@runtime_checkable
class NamesServers(Protocol):
    """A source whose server may come to be named in another way, as its positions are."""

    def is_named_otherwise(self, stored: Identity, found: Identity) -> bool:
        """Whether these differ in the way alone in which they name a server: `verify` tells more than that
        they do. No I/O."""


class Explains(Protocol):
    """A source, sink or offset store that `tailrace explain` can ask."""

    def explain(self) -> Explanation:
        """As it is configured. No I/O."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What the server keeps of its log because this pipeline has not acknowledged it yet."""

    name: str  # of what keeps it: a slot; the log where nothing does
    kept: int  # bytes
    free: int | None  # bytes until the server's limit, behind which it throws away; None: it has none
    level: Literal["ok", "warning", "error", "lost"]
    found: str  # in words: what is kept, the limit, the threshold that was passed
    remedy: str = ""
    seconds: float | None = None  # until the server may throw it away because of its age; None: never


class Retains(Protocol):
    """A source whose server keeps its log for the pipeline."""

    async def retention(self) -> Retention | None:
        """Look at the server. None: nothing is kept yet. May be called beside everything else, also while
        `read` waits; raises Retry where the server does not answer."""


class Source(Protocol):
    """Follows one database's log.

    Order of calls: `check`/`identify` (at any time, they touch nothing) … `anchor` on a first start …
    `verify` for each sink's checkpoint … `open` → `read` → (`close` → `verify` → `open` → `read` on a
    reconnect) → `close`. `acknowledge`, `covers`, `after`, `lag` and `current` may be called while `read`
    is suspended.
    """

    fingerprint: str
    """What shapes the stream inside a transaction; compared where a checkpoint stands inside one."""

    async def check(self) -> Sequence[Finding]:
        """Everything that must hold before a start: settings, permissions, tables, free slots. No change."""

    async def identify(self) -> Identity:
        """Which server this is. Touches nothing."""

    async def anchored(self) -> bool | None:
        """Whether the server keeps its log for this pipeline (a slot). None: this kind of source has no such
        thing, and a mark on this machine alone tells that the pipeline has started before."""

    async def anchor(self) -> Position:
        """Make the server keep its log from now on; drop what an unfinished earlier attempt left, as
        `anchored` found it right before. Returns where the stream begins. Only called while no sink holds a
        position."""

    async def verify(self, checkpoint: Checkpoint) -> None:
        """Raise Gap or Diverged unless everything after this checkpoint can still be read, NotReady where
        it stands inside a transaction and the fingerprint differs, `checkpoint.unreadable` where a newer
        version wrote its position."""

    async def open(self, resume: Position) -> None:
        """Connect and begin to stream after `resume`."""

    def read(self) -> AsyncIterator[Batch]:
        """Batches in log order, whatever is at hand up to a bound in bytes. Never ends by itself; raises
        Retry when the connection is lost. While the consumer does not ask for the next batch, the source
        keeps the connection alive by itself. Idle positions come as empty batches, rate limited here."""

    async def acknowledge(self, position: Position) -> None:
        """`position` is durable in every sink: the log may be freed up to the last commit's end at or before
        it. Sent soon, not necessarily before this returns; never raises for a lost connection."""

    def covers(self, position: Position, other: Position) -> bool:
        """Whether `position` is at or past `other`. Positions of one stream are totally ordered by this."""

    def after(self, batch: Batch, position: Position) -> Batch:
        """What of the batch `position` does not cover, cut between wire messages; schema changes stay. Ends
        at the later of both positions."""

    def parse(self, text: str) -> Position:
        """A position as people write it (`0/16B3748`, a GTID set). ValueError says what is expected."""

    async def current(self) -> Position:
        """The log's end now, at a commit; the source sees to it that a batch passes it soon even when
        nothing else is written."""

    def lag(self, position: Position) -> int | None:
        """Bytes of log between `position` and the newest end the server has told. None: not known yet."""

    async def close(self) -> None:
        """Send a last acknowledgement if the connection allows, and free everything. Legal in any state,
        also repeatedly; afterwards `open` is legal again."""

    async def teardown(self, *, dry_run: bool) -> Sequence[str]:
        """Drop what `anchor` made on the server; returns a line per object. Nothing there: an empty list."""


class Sink(Protocol):
    """Delivers to one target.

    `open` → (`prepare`, `write` …, `commit`) … → `close`. After an error in `write` or `commit` the engine
    calls `abort`, then `open` again. `prepare` may be called while a `commit` is awaited, never at the same
    time as `write`.
    """

    identity: str  # pipeline/name
    guarantee: Guarantee  # the strongest this sink keeps as it is configured
    unit: Unit

    async def check(self) -> Sequence[Finding]:
        """Everything that must hold before a start. Creates and fences nothing."""

    async def peek(self) -> Checkpoint | None:
        """Read the stored checkpoint without fencing anybody. Legal at any time, also beside another
        process's open sink. A target or topic that does not exist yet is None."""

    async def open(self) -> Checkpoint | None:
        """Fence every earlier writer of this identity, THEN read the checkpoint stored with the data. What an
        earlier writer had open is aborted. The engine commits a claim with its owner right after."""

    def prepare(self, batch: Batch) -> Payload:
        """Frame the batch's records (or build rows). Pure: no I/O, no state that `abort` would undo."""

    async def write(self, payload: Payload) -> None:
        """Accept in order; not durable yet. Awaiting inside is back-pressure. After a failure the engine
        prepares the same batches once more and writes them again."""

    async def commit(self, checkpoint: Checkpoint) -> None:
        """Everything written since the last commit and the checkpoint become durable together, or not at
        all. Also called with nothing written (claims, idle positions). UnknownOutcome where the answer is
        lost, Fenced where a newer claim exists. AT_LEAST_ONCE sinks only flush; the engine then saves the
        checkpoint in the offset store."""

    async def abort(self) -> None:
        """Discard what was written since the last commit. Never raises; afterwards only `open` or `close`."""

    async def close(self) -> None:
        """Free everything without committing. Legal in any state, also repeatedly."""

    async def store(self, checkpoint: Checkpoint) -> None:
        """Replace the stored checkpoint outside of any run (`offsets set`): fence, then commit it alone."""

    async def forget(self, *, dry_run: bool) -> Sequence[str]:
        """Remove the stored checkpoint (`offsets reset`, `teardown`); data stays. A line per thing."""


class OffsetStore(Protocol):
    """Keeps the checkpoints of sinks that cannot keep their own. One row per sink identity."""

    async def check(self) -> Sequence[Finding]:
        """Everything that must hold before a start. Creates and fences nothing."""

    async def peek(self, sink: str) -> Checkpoint | None:
        """Read without fencing."""

    async def claim(self, sink: str) -> tuple[int, Checkpoint | None]:
        """Raise the epoch of this sink identity, fencing every earlier one: new epoch, stored checkpoint."""

    async def save(self, sink: str, epoch: int, checkpoint: Checkpoint) -> None:
        """Durable when this returns. Fenced if the stored epoch is not `epoch`."""

    async def forget(self, sink: str) -> bool:
        """Remove the row; whether there was one."""

    async def close(self) -> None:
        """Free everything."""


class Transform(Protocol):
    """Changes what flows. Pure and deterministic; keeps order; what it adds carries its origin's position."""

    def apply(self, batch: Batch) -> Batch:
        """The batch as it flows on; `end` and `commit` stay. Schema changes stay too, before the changes of
        their version, except of a table that is dropped wholly."""


@dataclass(frozen=True, slots=True)
class Derived:
    """What a transform makes of a table version."""

    table: Table | None
    """What its changes belong to from here on; the same object where nothing about it changes. None: the
    table ends here, its schema changes included."""

    each: Callable[[Change], Sequence[Change]] | None = None
    """What becomes of a change, in order; an empty sequence drops it. It reads `raw` through the table that
    it was derived from; the engine gives what comes out the derived table. None: each goes on as it is."""


class TableTransform(Protocol):
    """A transform whose work follows from the table alone. The engine asks once per table version, and goes
    through a batch once for all such transforms that stand side by side. Logical messages pass it by."""

    def derive(self, table: Table) -> Derived:
        """Pure and deterministic. Stop where it cannot be done to this table."""


Headers: TypeAlias = tuple[tuple[str, bytes], ...]
"""Names and values beside a record's key and value, for targets that have such."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One event as bytes. `key` None: the event has no key; `value` None: a tombstone."""

    change: Change
    index: int  # its number within the wire message: `change.index`, one more for a tombstone
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def position(self) -> str:
        """The text of the header `tailrace.position`."""
        change = self.change
        return f"{change.transaction.position}:{change.ordinal}:{self.index}"


class Format(Protocol):
    """How a change becomes bytes. Equal settings make equal (and equally hashed) formats, so that the engine
    encodes once for all sinks that share one."""

    def encode(self, events: Sequence[Event]) -> Sequence[Record]:
        """Records in order: one or more per change, none per schema change. Malformed names the value that
        cannot be converted."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source learns of its pipeline."""

    pipeline: str
    redeliver_transaction: bool = (
        False  # where a transaction cannot be finished, begin it again, doubling events
    )
    base: Path = Path()  # relative paths in its settings are relative to this folder
    data_dir: Path = Path("data")  # for what it keeps on this machine; locked for one process of the pipeline


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What a sink learns of its pipeline. Relative paths in its settings are relative to `base`."""

    pipeline: str
    name: str
    format: Format
    base: Path

    @property
    def identity(self) -> str:
        """pipeline/name: names the transactional.id, the checkpoint, the epoch."""
        return f"{self.pipeline}/{self.name}"


class SourcePlugin(Protocol):
    """What an entry point in `tailrace.sources` names: a class with its settings' declaration."""

    Settings: ClassVar[type[Declaration]]

    def __call__(self, settings: Any, context: SourceContext) -> Source: ...


class SinkPlugin(Protocol):
    """What an entry point in `tailrace.sinks` names. Making a sink does no I/O and needs no event loop:
    `validate` makes it to ask for its guarantee."""

    Settings: ClassVar[type[Declaration]]
    alone: ClassVar[bool]
    """Whether a pipeline has one sink of this type at most: two would write into each other's events."""

    def __call__(self, settings: Any, context: SinkContext) -> Sink: ...


class OffsetStorePlugin(Protocol):
    """What an entry point in `tailrace.offsets` names. Relative paths are relative to `base`."""

    Settings: ClassVar[type[Declaration]]

    def __call__(self, settings: Any, base: Path) -> OffsetStore: ...


class FormatPlugin(Protocol):
    """What an entry point in `tailrace.formats` names."""

    Settings: ClassVar[type[Declaration]]

    def __call__(self, settings: Any) -> Format: ...


class TransformPlugin(Protocol):
    """What an entry point in `tailrace.transforms` names."""

    Settings: ClassVar[type[Declaration]]

    def __call__(self, settings: Any) -> Transform | TableTransform: ...
