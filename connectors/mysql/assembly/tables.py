"""The tables of one pipeline as table maps tell them: their versions, and how the rows of each are read."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, TypeAlias
from zlib import crc32

from connectors.mysql.binlog.messages import Flavor, Rows, TableMap
from connectors.mysql.columns import types
from connectors.mysql.columns.rows import RowReader
from connectors.mysql.columns.type_options import TypeOptions
from connectors.mysql.config import Keyless
from connectors.mysql.folding import lowered
from connectors.mysql.server import kept
from tailrace.errors import NotReady, code
from tailrace.events import Origin, Row, Table, differ
from tailrace.logs import Logger
from tailrace.ordering import Boundaries
from tailrace.patterns import TableFilter
from tailrace.topics import TopicTemplate
from tailrace.types import Kind

KEYLESS: Final = code(
    "TR-MY-320",
    "a table without a primary key",
    "Rows of a captured table have nothing by which they are told apart: neither a primary key nor a unique "
    "index of columns that are NOT NULL.",
)
ROW_IMAGE: Final = code(
    "TR-MY-321",
    "rows are not logged whole",
    "A session, or the server, has binlog_row_image set to MINIMAL or NOBLOB: of inserted rows the log lacks "
    "the columns, or the blobs and texts, that have their default.",
)

SYSTEM: Final = ("mysql", "sys", "information_schema", "performance_schema")
"""Databases of the server itself."""

_SEQUENCE: Final = (
    "next_not_cached_value", "minimum_value", "maximum_value", "start_value", "increment", "cache_size",
    "cycle_option", "cycle_count",
)  # fmt: skip

_log: Final = Logger(__name__)

_MOST: Final = 10_000  # tables that are remembered: that one was dropped nobody is told

Pair: TypeAlias = tuple[Row | None, Row | None]


def keyless(table: str) -> NotReady:
    """The error of a table without a primary key."""
    return NotReady(
        KEYLESS,
        f"{table} has no primary key",
        f"ALTER TABLE {table} ADD PRIMARY KEY …, or leave it out: exclude: [{table}]. To have its changes "
        "without a key, keyless: all; if its inserts are enough, keyless: inserts_only (under source:).",
        where=table,
    )


class Version:
    """One version of a table, and what the rows that a log holds of it need beside it."""

    def __init__(
        self,
        table: Table,
        raw: bytes | None,
        read: Callable[[Rows], list[Pair]] | None,
        *,
        inserts_only: bool = False,
        partial: bool = False,
    ) -> None:
        """`partial`: inserted rows may lack columns."""
        self.table: Final = table
        self.delivers: Final = "c" if inserts_only else "cud"  # operations of row events
        self.raw: Final = raw  # of its table map; None: the log has not told it
        self.changes_key: Final = _key_comparison(table)
        self.announced: tuple[int, int] | None = None
        """(number, ordinal) where its schema change stands."""
        self._read = read
        self._partial = partial
        self._flavor = _flavor(table.origin)
        self._whole = -(-len(table.columns) // 8) * b"\xff"
        if rest := len(table.columns) % 8:
            self._whole = self._whole[:-1] + bytes(((1 << rest) - 1,))

    def read(self, rows: Rows) -> list[Pair]:
        """The rows before and after each change of an event. Raises Malformed and NotReady."""
        assert self._read is not None  # rows come behind their table map
        if rows.op == "c" and rows.after != self._whole and not self._partial:
            raise NotReady(
                ROW_IMAGE,
                f"inserted rows of {self.table} lack columns",
                f"{kept(self._flavor, 'binlog_row_image', 'FULL')} Let no session change it. What the log "
                "lacks is nowhere else: bring the targets up to date by other means, then begin anew behind "
                "it: tailrace offsets reset FILE, and run it again. Or have such rows delivered without "
                "these columns: row_images: partial (under source:).",
                where=str(self.table),
            )
        return self._read(rows)


class Tables:
    """Lives as long as the source, across connections: a table that did not change keeps its version."""

    def __init__(
        self,
        origin: Origin,
        filter: TableFilter,
        options: TypeOptions,
        *,
        keyless: Keyless = "refuse",
        partial: bool = False,
        transaction_topic: TopicTemplate | None = None,
    ) -> None:
        """`partial`: inserted rows may lack columns. `transaction_topic`: where begins and ends of
        transactions go; None: they are not told."""
        self.filter = filter
        self.folded = False
        """Whether the server keeps the names of tables in lower case."""
        named = [*(one.text for one in filter.include), *(f"-{one.text}" for one in filter.exclude), keyless]
        self.mark: Final = f"{crc32(' '.join(named).encode()):08x}"
        """Of the settings that say which rows are delivered: others have another."""
        self.boundaries = None if transaction_topic is None else Boundaries(origin, transaction_topic)
        self._keyless = keyless
        self._partial = partial
        self._origin = origin
        self._flavor = _flavor(origin)
        self._options = options
        self._versions: dict[tuple[str, str], Version | None] = {}  # the newest of each; None: not captured

    def captured(self, schema: str, table: str) -> bool:
        """Whether the pipeline wants this table. Those of the server itself are never meant."""
        return schema not in SYSTEM and self.filter.captured(schema, table)

    def as_stored(self, schema: str, name: str) -> tuple[str, str]:
        """The names of a table as the server stores them, of those that a statement has."""
        return (lowered(schema), lowered(name)) if self.folded else (schema, name)

    def version(self, map: TableMap) -> Version | None:
        """The version that a table map describes; None where the table is not captured. NotReady for a table
        that cannot be delivered."""
        name = map.schema, map.table
        known = self._versions.get(name)
        if known is None:
            if name in self._versions:
                return None
            if not self.captured(*name):
                self._remember(name, None)
                return None
        elif known.raw == map.raw:
            return known
        if _is_sequence(map):  # not kept: a table may have the name later
            return None
        columns = types.columns(map, self._options)
        if not map.key and self._keyless == "refuse":
            raise keyless(f"{map.schema}.{map.table}")
        table = Table(self._origin, map.schema, map.table, columns, map.key or (), _split)
        reader = RowReader(map, self._options, flavor=self._flavor)
        inserts_only = not map.key and self._keyless == "inserts_only"
        if inserts_only:  # it may have had a key until now
            _log.warning("updates and deletes of a table without a key are left out", table=str(table))
        version = Version(table, map.raw, reader.read, inserts_only=inserts_only, partial=self._partial)
        self._remember(name, version)
        return version

    def truncated(self, schema: str, name: str) -> Version | None:
        """The version of a table that was emptied, as far as the log has told it; None where the table is not
        captured. One of which no row has come yet has no columns."""
        schema, name = self.as_stored(schema, name)
        if not self.captured(schema, name):
            return None
        known = self._versions.get((schema, name))
        if known is None:
            table = Table(self._origin, schema, name, (), (), _split)
            known = Version(table, None, None)
            self._remember((schema, name), known)
        return known

    def _remember(self, name: tuple[str, str], version: Version | None) -> None:
        """The oldest is forgotten: if it comes again, a version is made and told once more."""
        if name not in self._versions and len(self._versions) >= _MOST:
            del self._versions[next(iter(self._versions))]
        self._versions[name] = version


def _flavor(origin: Origin) -> Flavor:
    return "mariadb" if origin.connector == "mariadb" else "mysql"


def _is_sequence(map: TableMap) -> bool:
    """MariaDB keeps a sequence as a table of one row, which stands in the log as such."""
    return not map.key and tuple([column.name for column in map.columns]) == _SEQUENCE


def _split(raw: Any) -> Pair:
    """Changes keep both rows as they were read."""
    pair: Pair = raw
    return pair


_FLOATS: Final = (Kind.FLOAT32, Kind.FLOAT64)


def _key_comparison(table: Table) -> Callable[[Pair], bool]:
    """Whether an update changes the key."""
    key = table.key
    if any(table.columns[i].type.kind in _FLOATS for i in key):
        return lambda pair: any(differ(pair[0][i], pair[1][i]) for i in key)  # type: ignore[index] # as below
    if len(key) == 1:
        (only,) = key
        return lambda pair: bool(pair[0][only] != pair[1][only])  # type: ignore[index] # both rows are there
    pick: Callable[[Any], Any] = operator.itemgetter(*key) if key else lambda row: None

    def changes(pair: Pair) -> bool:
        before, after = pair
        return bool(pick(before) != pick(after))

    return changes
