"""Whether what a target tells of each key is a chain: created once, each change on the row that the one
before left, deleted once; and whether all keys together are what the database holds.

For traffic that never uses a key twice and changes each row's version with each update: an event that is
lost, doubled or out of order breaks its key's chain, or leaves another row than the database has. A row that
came and went unseen is missing in the counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

from tests.truth.comparison import Delivered


class Chains:
    """Of one target. `counts`: events by topic and operation."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._rows: dict[tuple[str, str], Any] = {}  # by topic and key
        self._last: dict[Hashable, tuple[str, int, int]] = {}
        self._deleted: set[tuple[str, str]] = set()

    def take(self, delivered: Iterable[Delivered]) -> None:
        """In order within each sequence. AssertionError for what does not fit."""
        for found in delivered:
            transaction, ordinal, index = found.position.split(":")
            place = (transaction, int(ordinal), int(index))
            assert place > self._last.get(found.sequence, ("", 0, 0)), f"out of order: {found}"
            self._last[found.sequence] = place
            name = found.topic, json.dumps(found.key)
            if found.value is None:
                assert name in self._deleted, f"a tombstone without its delete: {found}"
                self._deleted.discard(name)
                continue
            op, before, after = (found.value[part] for part in ("op", "before", "after"))
            self.counts[found.topic, op] += 1
            held = self._rows.pop(name, None)
            assert before == held, f"the row before was {held}: {found}"
            if op == "d":
                assert held is not None, f"nothing is there to be deleted: {found}"
                self._deleted.add(name)
            else:
                assert (op == "c") == (held is None), f"created twice, or never: {found}"
                self._rows[name] = after

    def rows(self, topic: str) -> list[Any]:
        """The rows that are there now."""
        return [row for (of, _), row in self._rows.items() if of == topic]
