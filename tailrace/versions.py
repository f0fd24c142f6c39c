"""What is made of table versions, kept for as long as the version is the newest of its table and in use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from tailrace.events import Table

Made = TypeVar("Made")

ROUND: Final = 3600.0  # seconds


class PerVersion(Generic[Made]):
    """Made once per table version, and dropped when another version of the table comes, or when no change has
    come for a round or two: of a table that was dropped nobody is told.

    One that comes again is made again: what was made of it stays right. `find` is for a loop over events: it
    returns None where `make` has to be called.
    """

    def __init__(self, make: Callable[[Table], Made]) -> None:
        self._make = make
        self._made: dict[Table, Made] = {}  # what was looked for in this round; always this object
        self._before: dict[Table, Made] = {}  # and what was in the round before, and not since
        self._versions: dict[tuple[str, str, str, str], Table] = {}
        self._round_ends = time.monotonic() + ROUND
        self.find = self._made.get

    def __iter__(self) -> Iterator[Table]:
        """The versions of which something is kept."""
        yield from self._made
        yield from self._before

    def make(self, table: Table) -> Made:
        """Make it for a version that is met for the first time, or once more; the same as before for one that
        is met for the first time in a round."""
        if time.monotonic() > self._round_ends:
            self._end_round()
        known = self._before.pop(table, None)
        made = self._made[table] = self._make(table) if known is None else known
        name = (table.origin.pipeline, table.database, table.schema, table.name)
        older = self._versions.get(name)
        self._versions[name] = table
        if older is not None and older is not table:
            self._made.pop(older, None)
            self._before.pop(older, None)
        return made

    def _end_round(self) -> None:
        """A look at every table, so that none is needed at an event. What only grows when something is made
        is only looked at then."""
        self._before = self._made.copy()
        self._made.clear()
        self._versions = {name: table for name, table in self._versions.items() if table in self._before}
        self._round_ends = time.monotonic() + ROUND
