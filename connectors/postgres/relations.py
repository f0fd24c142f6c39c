"""Relations: what a relation message and the catalogue together say of a table, and the table's versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from connectors.postgres.tuples import Rows, key_comparison, splitter
from connectors.postgres.types import TypeDetails, column, is_known
from connectors.postgres.wire import KIND, Reader, malformed
from tailrace.events import Column, Origin, Table
from tailrace.ordering import Boundaries
from tailrace.topics import TopicTemplate
from tailrace.types import Kind, LogicalType

FULL: Final = "f"
NOTHING: Final = "n"
_MOST: Final = 10_000  # relations that are remembered: of one that was dropped nobody is told
_IDENTITIES: Final = ("d", NOTHING, FULL, "i")  # pg_class.relreplident: default, nothing, full, index


@dataclass(frozen=True, slots=True)
class RelationDetails:
    """What the catalogue says of a relation and the relation message does not.

    The catalogue may be newer than the message: columns that the message does not name are ignored, and for a
    relation that is gone everything is empty.
    """

    not_null: frozenset[str] = frozenset()  # names of the columns that are NOT NULL
    primary_key: tuple[str, ...] = ()  # column names, in the order of the key
    types: Mapping[int, TypeDetails] = field(default_factory=dict)  # by oid


@dataclass(frozen=True, slots=True)
class Undescribed:
    """A relation that the decoder cannot go on without knowing more of."""

    oid: int
    schema: str
    name: str
    types: tuple[int, ...]
    """Oids to look up in pg_type, together with the element type of each that is an array; one that no longer
    exists is left out of `RelationDetails.types`."""


@dataclass(frozen=True, slots=True)
class _Attribute:
    """A column as a relation message tells it."""

    name: str
    identity: bool  # belongs to the replica identity; under FULL all do
    type: int
    typmod: int


class Relation:
    """A relation message (R)."""

    def __init__(self, message: bytes) -> None:
        """Raises Malformed."""
        reader = Reader(message)
        self.payload: Final = message[KIND:]
        self.oid: Final = reader.uint32()
        self.schema: Final = reader.string() or "pg_catalog"
        self.name: Final = reader.string()
        self.identity: Final = chr(reader.byte())
        self.attributes: Final = tuple(self._attribute(reader) for _ in range(reader.uint16()))
        reader.finish()
        if self.identity not in _IDENTITIES:
            raise malformed(message, f"unknown replica identity {self.identity!r}")

    @staticmethod
    def _attribute(reader: Reader) -> _Attribute:
        flags, name, type, typmod = reader.byte(), reader.string(), reader.uint32(), reader.int32()
        if flags > 1:
            raise malformed(reader.message, f"unknown column flags {flags:#x}")
        return _Attribute(name, flags == 1, type, typmod)

    def undescribed(self) -> Undescribed:
        """What must be asked of the catalogue."""
        unknown = {attribute.type: None for attribute in self.attributes if not is_known(attribute.type)}
        return Undescribed(self.oid, self.schema, self.name, tuple(unknown))

    def key(self, primary_key: Sequence[str]) -> tuple[int, ...]:
        """The columns of the key, out of what the catalogue says now.

        The log tells changes of the replica identity alone, so a key must lie within it. The default identity
        is the primary key of then; the catalogue only gives the order of its columns.
        """
        indexes = {attribute.name: i for i, attribute in enumerate(self.attributes)}
        primary = tuple(indexes[name] for name in primary_key) if indexes.keys() >= {*primary_key} else ()
        identity = tuple(i for i, attribute in enumerate(self.attributes) if attribute.identity)
        if self.identity in (FULL, NOTHING):
            return primary
        within = {*primary} == {*identity} if self.identity == "d" else {*primary} <= {*identity}
        return primary if primary and within else identity


@dataclass(slots=True)
class Version:
    """One version of a table, and what the decoder needs beside it."""

    table: Table
    changes_key: Callable[[bytes], bool]  # an update with an old row → whether it changes the key
    announced: tuple[int, int] | None = None  # (LSN, ordinal) where its schema change stands


class Relations:
    """The tables of one pipeline by relation oid; lives as long as the source, across connections.

    `captured(schema, table)` tells whether the pipeline wants a table. `messages` is the pseudo-table of
    logical messages: its rows are their prefix and content. `boundaries` is that of the begins and ends of
    transactions, which go to `transaction_topic`; None: they are not told.
    """

    def __init__(
        self,
        origin: Origin,
        captured: Callable[[str, str], bool],
        *,
        transaction_topic: TopicTemplate | None = None,
    ) -> None:
        self.origin = origin
        self.captured = captured
        self.messages = Version(_messages(origin), lambda update: False)
        self.boundaries = None if transaction_topic is None else Boundaries(origin, transaction_topic)
        self._known: dict[int, tuple[bytes, RelationDetails, Version]] = {}

    def version(self, relation: Relation, details: RelationDetails) -> Version:
        """The table as described: the known version where nothing changed, else a new one. Raises NotReady
        for a column of an unsupported type."""
        known = self._known.get(relation.oid)
        if known and known[:2] == (relation.payload, details):
            return known[2]
        identity = [attribute.identity for attribute in relation.attributes]
        columns = tuple(
            column(
                f"{relation.schema}.{relation.name}",
                attribute.name,
                attribute.type,
                attribute.typmod,
                optional=attribute.name not in details.not_null,
                types=details.types,
            )
            for attribute in relation.attributes
        )
        key = relation.key(details.primary_key)
        split = splitter(identity)
        table = Table(
            self.origin,
            relation.schema,
            relation.name,
            columns,
            key,
            split,
            # What such an identity announces does not tell which key there was at the time of the change.
            key_is_newer=relation.identity in (FULL, NOTHING) and bool(key),
        )
        version = Version(table, key_comparison(split, len(columns), key))
        if len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        self._known[relation.oid] = relation.payload, details, version
        return version


def _messages(origin: Origin) -> Table:
    prefix = Column("prefix", LogicalType(Kind.STRING, "text"), False, bytes.decode, text=True)
    content = Column("content", LogicalType(Kind.BYTES, "bytea"), False, bytes, text=False)
    return Table(origin, "", "message", (prefix, content), (0,), split_message, pseudo=True)


def split_message(message: bytes) -> Rows:
    """The row of a logical message: prefix and content."""
    prefix, content = read_message(message)[2:]
    return None, (prefix, content)


def read_message(message: bytes) -> tuple[bool, int, bytes, bytes]:
    """A logical message (M): whether it is transactional, its LSN, prefix and content."""
    reader = Reader(message)
    flags, lsn, prefix = reader.byte(), reader.uint64(), reader.string()
    content = reader.take(reader.uint32())
    reader.finish()
    if flags > 1:
        raise malformed(message, f"unknown message flags {flags:#x}")
    return flags == 1, lsn, prefix.encode(), content


def read_truncate(message: bytes) -> list[int]:
    """The relations of a TRUNCATE (T), by oid. Raises Malformed."""
    reader = Reader(message)
    count, options = reader.uint32(), reader.byte()
    oids = [reader.uint32() for _ in range(count)]
    reader.finish()
    if options > 3 or not oids:
        raise malformed(message, f"a TRUNCATE of {count} relations with options {options:#x}")
    return oids
