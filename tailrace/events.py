"""What flows through a pipeline: tables, changes, schema changes, batches. All immutable."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, final

import msgspec

from tailrace.types import LogicalType

if TYPE_CHECKING:
    from tailrace.abc import Format, Record, Transform

Op: TypeAlias = Literal["c", "u", "d", "r", "t", "m", "b", "e"]
"""create, update, delete, read (snapshot), truncate, message: Debezium's letters. `b` and `e` are the begin
and the end of a transaction, which have none there; told where a source's settings ask for it."""

BOUNDARIES: Final[tuple[Op, ...]] = ("b", "e")

Position: TypeAlias = Mapping[str, int | str]
"""Where something stands in the source's log: a small JSON document that only its source writes and reads.

Compared by its source (`Source.covers`), never by looking into it; equal documents are equal positions. What
it holds under `proof` is no part of the place, and not shown to people: by it a source knows its log again.
"""


class Missing(enum.Enum):
    """Why a field of a row holds no value although the column may have one."""

    UNCHANGED = "unchanged"  # the log leaves it out because the statement did not change it (TOAST)
    ABSENT = "absent"  # the log never had it: a before image that holds the key alone


UNCHANGED: Final = Missing.UNCHANGED
ABSENT: Final = Missing.ABSENT

Row: TypeAlias = Sequence[Any]
"""A row's raw fields in column order: None (NULL), UNCHANGED, ABSENT, or what `Column.value` reads."""


def differ(one: Any, other: Any) -> bool:
    """Whether two raw fields of one column are written differently, as fields of a key: 0.0 and -0.0 are, of
    which databases hold that they are equal."""
    return bool(one != other) or (type(one) is float and not one and str(one) != str(other))


Offset: TypeAlias = int
"""A change's own place in the log, for people and for the source block: a PostgreSQL LSN, a binlog pos."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one table version."""

    name: str
    type: LogicalType
    optional: bool  # may be NULL
    value: Callable[[Any], Any]  # a raw field that is a value → the canonical Python value of the type
    text: bool  # raw fields already are the canonical text of the type: a format may splice them


@dataclass(frozen=True, slots=True)
class SourceField:
    """A field that this kind of source adds to the source block. The one called `sequence`, if there is one,
    is Debezium's, and stands where Debezium has it."""

    name: str
    type: LogicalType
    optional: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """Where tables come from: constant for one run of a pipeline."""

    connector: str  # "postgresql", "mysql", …: Debezium's names
    pipeline: str
    database: str | None  # None: each table's `schema` is its database, there being no schemas beside
    fields: tuple[SourceField, ...]  # what `Transaction.source` holds, in order


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One version of a table: made when the log announces it, replaced when it changes.

    Compared by identity: whatever is derived from a table (encoders, topics, statements) is kept per object.
    """

    origin: Origin
    schema: str  # "" where the source has none
    name: str
    columns: tuple[Column, ...]
    key: tuple[int, ...]  # the columns of the key, as indexes into `columns`; empty: no key
    split: Callable[[Any], tuple[Row | None, Row | None]]  # Change.raw → the rows before and after
    key_is_newer: bool = False
    """The key may have been made after some of the rows in the log: one with NULL in it has no key."""
    topic: str | None = None  # what has been chosen for it; None: what each sink makes of the names above
    pseudo: bool = False
    """No table of the database: logical messages, the boundaries of transactions. Transforms of tables leave
    it alone."""

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name

    @property
    def database(self) -> str:
        """The database that it belongs to."""
        return self.schema if self.origin.database is None else self.origin.database

    @property
    def of_boundaries(self) -> bool:
        """Whether it is that of begins and ends: a pseudo-table without columns."""
        return self.pseudo and not self.columns


ROW_INDEXES: Final = 3
"""Of a wire message that holds several rows, each has so many indexes: of a change of the key the delete, its
tombstone and the create."""


class Verbatim(str):
    """A text of a source block in which nothing is a placeholder: somebody else has written it."""

    __slots__ = ()


OFFSET_PLACEHOLDER: Final = "{offset}"
INDEX_PLACEHOLDER: Final = "{index}"
ROW_PLACEHOLDER: Final = "{row}"


class Transaction(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One database transaction; shared by all its changes, or by those of one statement where the source
    block tells statements. Compared by identity."""

    id: str  # the database's own name for it: a transaction id, a GTID
    position: str  # its place in commit order, as text that sorts like the log: fixed width per source
    timestamp: int  # µs since the epoch, UTC: when it was committed
    source: Mapping[str, int | str | None]
    """The source block's own fields, in the order of `Origin.fields`. A text that is not `Verbatim` may hold
    `{offset}` or `{index}`: the change's own take their place; a field that is nothing but a placeholder is
    that number. `{row}` is a field of its own: the row's number in its wire message, from 0 on, by
    `ROW_INDEXES`."""
    block: str | None = None
    """Debezium's `id` in the block `transaction` of its changes, which all have an `order` then; it may hold
    `{offset}`. None: nothing is told of the transaction."""


@final
class Change(msgspec.Struct, frozen=True, gc=False):
    """One row event (or TRUNCATE of one table, or one message).

    (transaction.position, ordinal, index) names it for ever, however often it is delivered. A change of the
    key is two changes of one message: `d` with index 0 and `c` with index 2; the tombstone that formats write
    after a `d` stands at the index behind it.
    """

    op: Op
    table: Table
    transaction: Transaction
    ordinal: int  # the wire message's number in its transaction, counted before any filter
    index: int  # its number within the message
    offset: Offset
    raw: Any  # what `table.split` reads: bytes from the wire, as they came. Of an `e`: see `Counts`
    order: tuple[int, int] | None = None
    """Its number among its transaction's captured changes, and among those of its table; from 1 on. A key's
    change has two numbers. Only where `transaction.block` is."""

    @property
    def position(self) -> str:
        """`transaction:ordinal:index`, the text of the header `tailrace.position`."""
        return f"{self.transaction.position}:{self.ordinal}:{self.index}"


Counts: TypeAlias = tuple[tuple[str, int], ...]
"""How many changes of a transaction each table had, by the source's name for it, in the order of their first:
`Change.raw` of a transaction's end. That of its begin is empty."""


@final
class SchemaChange(msgspec.Struct, frozen=True, gc=False):
    """From here on the table has this version. Stands before the version's first change; never dropped."""

    table: Table
    transaction: Transaction
    ordinal: int


Event: TypeAlias = Change | SchemaChange
_table_of: Final = attrgetter("table")


class Batch:
    """Whatever was at hand, in log order. Immutable, except that what is made of it is kept with it.

    `end` is the position after the last event; `commit` says that it is the end of a transaction or an idle
    position. A batch without events moves the position alone. `more` says that the source cut here although
    it had more at hand, so that the next batch is about to come. `size` is the bytes of the raw events, which
    is what queues are bounded by. `timestamp` is when the newest transaction in it was committed (µs since
    the epoch; None in an idle batch).
    """

    __slots__ = ("_changes", "_encoded", "_shaped", "commit", "end", "events", "more", "size", "timestamp")

    def __init__(
        self,
        events: Sequence[Event],
        end: Position,
        *,
        commit: bool,
        size: int,
        timestamp: int | None = None,
        more: bool = False,
    ) -> None:
        self.events = events
        self.end = end
        self.commit = commit
        self.more = more
        self.size = size
        self.timestamp = timestamp
        self._changes: Counter[Table] | None = None
        self._encoded: dict[Format, Sequence[Record]] = {}
        self._shaped: dict[Transform, Batch] = {}

    @property
    def changes(self) -> Mapping[Table, int]:
        """How many of the events are changes of the database, by table; the boundaries of transactions are
        none. Counted once."""
        if self._changes is None:
            counted = Counter(map(_table_of, self.events))
            if SchemaChange in map(type, self.events):
                counted -= Counter(e.table for e in self.events if type(e) is SchemaChange)
            for table in [table for table in counted if table.of_boundaries]:
                del counted[table]
            self._changes = counted
        return self._changes

    @property
    def emptied(self) -> bool:
        """The source handed out events, and transforms have dropped all of them."""
        return not self.events and self.timestamp is not None

    def replaces(self, before: Batch) -> bool:
        """Whether the batch right before it need not be kept: it moves the position alone, as this one does,
        and both are idle or both emptied."""
        return not (self.events or before.events) and self.emptied is before.emptied

    def encoded(self, format: Format) -> Sequence[Record]:
        """The batch's records under a format: encoded once, shared by all sinks with that format."""
        records = self._encoded.get(format)
        if records is None:
            records = self._encoded[format] = format.encode(self.events)
        return records

    def shaped(self, transform: Transform) -> Batch:
        """The batch as it leaves a transform: made once, shared by all sinks that have this very
        transform."""
        batch = self._shaped.get(transform)
        if batch is None:
            batch = self._shaped[transform] = transform.apply(self)
        return batch

    def with_events(self, events: Sequence[Event]) -> Batch:
        """The same place in the log with other events, made of these."""
        size = self.size if events else 0
        return Batch(
            events, self.end, commit=self.commit, size=size, timestamp=self.timestamp, more=self.more
        )
