"""Row events → rows of raw fields: functions generated for each shape of a table's images, made for speed.

An image has a bitmap of the columns that are NULL, then the fields of the others in their order. Which
columns images have stands in the event. In a partial update value options precede each new image, and a
bitmap of all JSON columns where some hold diffs in place of documents.

Images are read by functions that are made for them (`image_functions`). These do not look where the data
ends; that is seen at the event's end. What is not as it should be is read again by `images.Walker`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, TypeAlias

from connectors.mysql.binlog.messages import Flavor, Rows, TableMap
from connectors.mysql.columns.image_functions import Images
from connectors.mysql.columns.images import PARTIAL_JSON, NoDocument, Walker
from connectors.mysql.columns.layouts import layout
from connectors.mysql.columns.type_options import TypeOptions, by_column
from tailrace.errors import Malformed, code
from tailrace.events import ABSENT, UNCHANGED, Row
from tailrace.tally import Tally

UNREADABLE: Final = code(
    "TR-MY-202",
    "row event cannot be read",
    "The rows of a binary log's event do not have the form that their table map announces. Nothing behind it "
    "is delivered: a guess would be a wrong row.",
)
NO_DOCUMENT: Final = code(
    "TR-MY-203",
    "partial JSON update without its document",
    "The log holds the changes of a JSON document (binlog_row_value_options=PARTIAL_JSON), but not the "
    "document to which they apply, because the row before the update is not logged whole.",
)

Pair: TypeAlias = tuple[Row | None, Row | None]
"""The rows before and after a change."""

_FEW_SHAPES: Final = 32
"""Sets of columns of a table's events that get functions at once; of more, those that come often."""

_OFTEN_BYTES: Final = 16 * 1024
"""Of rows of one set: to make its functions takes as long as to read as much without."""

_MOST_SHAPES: Final = 256
"""Sets of which functions are kept: each statement may have its own."""

_Shape: TypeAlias = tuple[int, bytes | None, bytes | None, bool]

_READING_ERRORS: Final = (IndexError, KeyError, TypeError, ValueError, struct.error)


class RowReader:
    """Reads the row events of one table version. NotReady for a column of a type that is not known."""

    def __init__(self, table: TableMap, options: TypeOptions, *, flavor: Flavor) -> None:
        """MariaDB leaves generated columns out of updates, and no table map tells which they are: what both
        images lack may have changed there. In MySQL it has not."""
        self._unlogged = UNCHANGED if flavor == "mysql" else ABSENT
        self._name = f"{table.schema}.{table.table}"
        described = zip(table.columns, by_column(table, options), strict=True)
        self._layouts = [layout(self._name, column, chosen) for column, chosen in described]
        names = [column.name or f"number {i + 1}" for i, column in enumerate(table.columns)]
        self._walker = Walker(names, self._layouts, self._unlogged)
        self._functions: dict[_Shape, Callable[[bytes], list[Pair]]] = {}
        self._seen = Tally[_Shape](_OFTEN_BYTES)  # bytes of rows without a function

    def read(self, rows: Rows) -> list[Pair]:
        """The event's rows in order: (None, new), (old, new) or (old, None). Raises Malformed.

        A column that an old image lacks is ABSENT. One that the new image of an update lacks did not change:
        it has the old value, or, where that is not in the log either, is UNCHANGED (in MariaDB ABSENT). Of an
        insert it is ABSENT: it has its default, which is in no log.
        """
        shape = (rows.width, rows.before, rows.after, rows.partial)
        function = self._functions.get(shape)
        if function is None:
            self._check(rows)
            if len(self._functions) >= _FEW_SHAPES and not self._seen.comes_often(shape, len(rows.data)):
                return self._walk(rows)
            if len(self._functions) >= _MOST_SHAPES:
                self._functions.clear()
            function = self._functions[shape] = self._function(rows)
        try:
            return function(rows.data)
        except _READING_ERRORS:
            return self._walk(rows)

    def _function(self, rows: Rows) -> Callable[[bytes], list[Pair]]:
        width = len(self._layouts)
        if not _has_columns(rows):
            return _without_columns
        lacking = ["ABSENT"] * width
        if rows.before is None:
            return _inserts(Images(self._layouts, _present(rows.after, width), lacking))
        held = _present(rows.before, width)
        olds = Images(self._layouts, held, lacking)
        if rows.after is None:
            return _deletes(olds)
        unlogged = self._unlogged.name
        lacking = [f"old[{i}]" if i in held else unlogged for i in range(width)]
        news = Images(self._layouts, _present(rows.after, width), lacking)
        return _partial_updates(olds, news) if rows.partial else _updates(olds, news)

    def _check(self, rows: Rows) -> None:
        """Whether its columns are the table's."""
        if rows.width != len(self._layouts):
            found = f"rows of {rows.width} columns, the table has {len(self._layouts)}"
            raise self._malformed(rows, found)

    def _walk(self, rows: Rows) -> list[Pair]:
        self._check(rows)
        if rows.data and not _has_columns(rows):  # there would be no end of them
            raise self._malformed(rows, "rows without columns")
        data = rows.data
        width = len(self._layouts)
        pairs: list[Pair] = []
        at = 0
        try:
            while at < len(data):
                old: Row | None = None
                new: Row | None = None
                if rows.before is not None:
                    old, at = self._walker.old(data, at, _present(rows.before, width))
                if rows.after is not None:
                    present = _present(rows.after, width)
                    new, at = self._walker.new(data, at, present, old, partial=rows.partial)
                pairs.append((old, new))
        except NoDocument as fault:
            raise Malformed(
                NO_DOCUMENT,
                f"row {len(pairs) + 1}: {fault}",
                "Set binlog_row_image=FULL where binlog_row_value_options=PARTIAL_JSON is set, or leave the "
                "table out until this event has passed.",
                where=self._where(rows),
            ) from None
        except ValueError as fault:
            raise self._malformed(rows, f"row {len(pairs) + 1}: {fault}") from None
        if not pairs:
            raise self._malformed(rows, "no rows, or rows without columns, of which nobody knows how many")
        return pairs

    def _malformed(self, rows: Rows, found: str) -> Malformed:
        return Malformed(
            UNREADABLE,
            found,
            "Compare with what mysqlbinlog -vv shows of the event. Leave the table out to go on without it.",
            where=self._where(rows),
        )

    def _where(self, rows: Rows) -> str:
        return f"{self._name}, the event that ends at {rows.place.end}"


def _present(bitmap: bytes | None, width: int) -> list[int]:
    bits = int.from_bytes(bitmap or b"", "little")
    return [i for i in range(width) if bits >> i & 1]


def _has_columns(rows: Rows) -> bool:
    return any(rows.before or b"") or any(rows.after or b"")


def _without_columns(data: bytes) -> list[Pair]:
    raise ValueError("nobody knows how many rows")


def _inserts(news: Images) -> Callable[[bytes], list[Pair]]:
    size = news.size

    def read(data: bytes) -> list[Pair]:
        at, end = 0, len(data)
        pairs: list[Pair] = []
        while at < end:
            new, at = news[data[at : at + size]](data, at + size, None)
            pairs.append((None, new))
        return _whole(pairs, at, end)

    return read


def _deletes(olds: Images) -> Callable[[bytes], list[Pair]]:
    size = olds.size

    def read(data: bytes) -> list[Pair]:
        at, end = 0, len(data)
        pairs: list[Pair] = []
        while at < end:
            old, at = olds[data[at : at + size]](data, at + size, None)
            pairs.append((old, None))
        return _whole(pairs, at, end)

    return read


def _updates(olds: Images, news: Images) -> Callable[[bytes], list[Pair]]:
    old_size, new_size = olds.size, news.size

    def read(data: bytes) -> list[Pair]:
        at, end = 0, len(data)
        pairs: list[Pair] = []
        while at < end:
            old, at = olds[data[at : at + old_size]](data, at + old_size, None)
            new, at = news[data[at : at + new_size]](data, at + new_size, old)
            pairs.append((old, new))
        return _whole(pairs, at, end)

    return read


def _partial_updates(olds: Images, news: Images) -> Callable[[bytes], list[Pair]]:
    old_size = olds.size
    new_sizes = {0: news.size, PARTIAL_JSON: news.diffed_size + news.size}

    def read(data: bytes) -> list[Pair]:
        at, end = 0, len(data)
        pairs: list[Pair] = []
        while at < end:
            old, at = olds[data[at : at + old_size]](data, at + old_size, None)
            new_size = new_sizes[data[at]]
            at += 1
            new, at = news[data[at : at + new_size]](data, at + new_size, old)
            pairs.append((old, new))
        return _whole(pairs, at, end)

    return read


def _whole(pairs: list[Pair], at: int, end: int) -> list[Pair]:
    if at != end or not pairs:
        raise ValueError("not whole")
    return pairs
