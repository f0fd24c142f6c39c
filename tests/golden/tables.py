"""A table of the corpus, and what is done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """`definition`: what stands between the parentheses; `altered`: statements behind the CREATE; `since`:
    the first major version that knows it."""

    name: str
    definition: str
    statements: Sequence[str]
    altered: Sequence[str] = ()
    since: int = 14

    def create(self) -> str:
        """The statements that make it."""
        return "; ".join((f'CREATE TABLE "{self.name}" ({self.definition})', *self.altered))
