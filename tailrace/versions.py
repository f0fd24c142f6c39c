"""What is made of table versions, kept for as long as the version is the newest of its table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from tailrace.events import Table

Made = TypeVar("Made")


class PerVersion(Generic[Made]):
    """Made once per table version, and dropped when another version of the table comes.

    One that comes again is made again: what was made of it stays right. `find` is for a loop over events: it
    returns None where `make` has to be called.
    """

    def __init__(self, make: Callable[[Table], Made]) -> None:
        self._make = make
        self._made: dict[Table, Made] = {}
        self._versions: dict[tuple[str, str, str, str], Table] = {}
        self.find = self._made.get

    def __iter__(self) -> Iterator[Table]:
        """The versions of which something is kept."""
        return iter(self._made)

    def make(self, table: Table) -> Made:
        """Make it for a version that is met for the first time, or once more."""
        made = self._made[table] = self._make(table)
        name = (table.origin.pipeline, table.database, table.schema, table.name)
        older = self._versions.get(name)
        self._versions[name] = table
        if older is not None and older is not table:
            self._made.pop(older, None)
        return made
