"""Reads a damaged log as a pipeline does, and says what became of it; a fault is an AssertionError.

A log ends in one of our errors, or it is read; rows that come are right ones. Which rows are right:

- of a log whose checksums are as they were, those alone that the server wrote;
- else those that are of their columns' types, and that the generated functions and the careful walker read
  alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Any, Final

from connectors.mysql.assembly.assembler import Assembler
from connectors.mysql.assembly.tables import Tables, Version
from connectors.mysql.binlog.fragments import Fragments
from connectors.mysql.binlog.framing import Framing
from connectors.mysql.binlog.messages import Flavor, Message, Rows, TableMap
from connectors.mysql.binlog.protocol import Decoder
from connectors.mysql.columns import types
from connectors.mysql.columns.rows import Pair, RowReader
from connectors.mysql.columns.type_options import TypeOptions
from connectors.mysql.source import origin
from tailrace.errors import TailraceError
from tailrace.events import Batch, Change, Column, Missing, Row
from tailrace.patterns import Pattern, TableFilter
from tests.fuzz.corpus import Window, windows
from tests.fuzz.damage import Damaged
from tests.fuzz.values import fits

_OPTIONS: Final = TypeOptions()
_KEPT: Final = 100  # readers of tables as damaged events describe them
_FILTER: Final = TableFilter([Pattern.parse("*.*")], [])


class Judge:
    """Of many inputs, one after the other. What was found out of undamaged tables is kept."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """How many inputs ended with which error, or were read; rows and values that were right."""

        self._readers: dict[tuple[Flavor, bytes], _Reader | None] = {}
        self._tables = {
            window: Tables(origin(window.flavor, "fuzz"), _FILTER, _OPTIONS) for window in windows()
        }
        self._versions: dict[Window, dict[tuple[str, str], Version | None]] = {}
        self._written: dict[str, set[str]] = {}
        self._begun: dict[Window, tuple[Decoder, Sequence[Sequence[Message]]]] = {}
        for window in windows():
            self._learn(window)
        self.counts.clear()
        self._undamaged = dict(self._readers)

    def judge(self, damaged: Damaged) -> None:
        """Read it and look at what comes. Raises AssertionError for a fault, or whatever the code under test
        should not have raised."""
        window = damaged.window
        tables = self._tables[window]
        tables._versions = self._versions[window].copy()
        if len(self._readers) > len(self._undamaged) + _KEPT:
            self._readers = self._undamaged.copy()
        written = None if damaged.sealed else self._written[window.file]
        reading = _Reading(self, window, tables, written)
        try:
            reading.read(damaged.pieces, damaged.stream)
        except TailraceError as error:
            if not (error.found and error.remedy):
                raise AssertionError("an error that does not say what was found, or what to do") from error
            self.counts[error.code.id] += 1
        else:
            assert not damaged.strict, "an event was read in spite of its checksum"
            self.counts["read"] += 1
        finally:
            reading.close()

    def begun(self, window: Window) -> tuple[Decoder, Sequence[Sequence[Message]]]:
        """A decoder that has read what every connection begins with, and what that said."""
        if window not in self._begun:
            decoder = Decoder(window.flavor)
            self._begun[window] = decoder, [tuple(decoder.feed(event)) for event in window.events[:2]]
        decoder, messages = self._begun[window]
        decoder = copy(decoder)
        decoder._fragments = Fragments()
        return decoder, messages

    def reader(self, flavor: Flavor, table: TableMap) -> _Reader | None:
        """What reads the rows of a table; None where it is refused."""
        key = flavor, table.raw
        if key not in self._readers:
            try:
                self._readers[key] = _Reader(table, flavor, self.counts)
            except TailraceError:
                self._readers[key] = None
        return self._readers[key]

    def _learn(self, window: Window) -> None:
        """Read what the server wrote."""
        written = self._written.setdefault(window.file, set())
        reading = _Reading(self, window, self._tables[window], None, written)
        try:
            reading.read((), window.events)
        except TailraceError:  # a table without a key, or of which the log tells too little
            pass
        finally:
            reading.close()
        self._versions[window] = self._tables[window]._versions.copy()


class _Reader:
    """Reads the rows of a table twice, as products do and with care, and looks at each value."""

    def __init__(self, table: TableMap, flavor: Flavor, counts: Counter[str]) -> None:
        self._reader = RowReader(table, _OPTIONS, flavor=flavor)
        self._counts = counts
        self._columns: Sequence[Column] | None = None
        try:
            self._columns = types.columns(table, _OPTIONS)
        except TailraceError:  # the log tells too little
            self._columns = None

    def read(self, rows: Rows) -> list[Pair]:
        """The rows of an event; none, where it is refused."""
        fast = _outcome(self._reader.read, rows)
        if rows.width == len(self._reader._layouts):
            slow = _outcome(self._reader._walk, rows)
            assert fast == slow or repr(fast) == repr(slow), f"read as {fast!r}, and with care as {slow!r}"
        return [] if isinstance(fast, str) else fast

    def look(self, row: Row) -> None:
        """Whether each of its values is one of the column's type, or refused."""
        if self._columns is None:
            return
        for column, field in zip(self._columns, row, strict=True):
            if field is None or isinstance(field, Missing):
                continue
            try:
                value = column.value(field)
            except ValueError:
                self._counts["values refused"] += 1
                continue
            assert fits(column.type, value), f"{column.name} {column.type.native}: {value!r} of {field!r}"
            self._counts["values"] += 1


def _outcome(read: Any, rows: Rows) -> list[Pair] | str:
    try:
        found: list[Pair] = read(rows)
    except TailraceError as error:
        return str(error)
    return found


class _Reading:
    """One connection's log, from the first event on."""

    def __init__(
        self,
        judge: Judge,
        window: Window,
        tables: Tables,
        written: set[str] | None,
        learned: set[str] | None = None,
    ) -> None:
        """`written`: the only rows that may come; None: any. `learned`: where rows are noted."""
        self._judge = judge
        self._flavor = window.flavor
        self._written = written
        self._learned = learned
        self._window = window
        self._decoder = Decoder(window.flavor)
        self._known: dict[int, Sequence[Message]] = {}
        self._assembler = Assembler(self._decode, tables, window.resume(), "server")
        self._maps: dict[int, TableMap] = {}

    def read(self, pieces: Iterable[bytes], stream: Sequence[bytes]) -> None:
        """Events, and before these what comes over a connection. Raises what is raised."""
        begin = self._window.events[:2]
        if all(event is known for event, known in zip(stream, begin, strict=False)) and len(stream) > 1:
            # Begun as every time: to decode that anew would take most of the time.
            self._decoder, messages = self._judge.begun(self._window)
            self._known = {id(event): found for event, found in zip(begin, messages, strict=True)}
        framing = Framing()
        for piece in pieces:
            self._feed(framing.feed(piece))
        self._feed(stream)
        if (rest := self._assembler.cut()) is not None:
            self._look(rest)

    def close(self) -> None:
        self._assembler.close()

    def _feed(self, events: Iterable[bytes]) -> None:
        for batch in self._assembler.feed(events):
            self._look(batch)

    def _decode(self, event: bytes) -> Iterator[Message]:
        """Also the rows of tables that no pipeline takes in."""
        for message in self._known.pop(id(event), None) or self._decoder.feed(event):
            if isinstance(message, TableMap):
                self._maps[message.id] = message
            elif isinstance(message, Rows) and (table := self._maps.get(message.table_id)) is not None:
                reader = self._judge.reader(self._flavor, table)
                for pair in reader.read(message) if reader else ():
                    self._row(pair)
                    for row in pair:
                        if row is not None and reader is not None:
                            reader.look(row)
            yield message

    def _row(self, pair: Pair) -> None:
        self._judge.counts["rows"] += 1
        if self._learned is not None:
            self._learned.add(repr(pair))
        assert self._written is None or repr(pair) in self._written, f"a row that nobody wrote: {pair!r}"

    def _look(self, batch: Batch) -> None:
        for event in batch.events:
            if isinstance(event, Change):
                self._judge.counts["changes"] += 1
                assert event.op in "cudt"
