"""A table of the corpus, and what is done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """`definition`: what stands between the parentheses; `only`: the releases that have it, all if empty."""

    name: str
    definition: str
    statements: Sequence[str]
    only: Sequence[str] = field(default=())

    def create(self) -> str:
        """The statement that makes it."""
        return f"CREATE TABLE `{self.name}` ({self.definition})"
