"""Row images → raw fields, with care: knows every case and every fault. See `rows` for what is fast."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from connectors.mysql.columns.json_diffs import Patched
from connectors.mysql.columns.layouts import Layout
from tailrace.events import ABSENT, UNCHANGED, Missing, Row

PARTIAL_JSON: Final = 1
"""The value option that says that a bitmap of JSON columns follows."""


class NoDocument(ValueError):
    """Diffs of a JSON document that the old row does not hold."""


class Walker:
    """Reads images of one table version. Everything raises ValueError that says what was found."""

    def __init__(self, names: Sequence[str], layouts: Sequence[Layout], unlogged: Missing) -> None:
        """`unlogged`: what a column of a new row is that both images of an update lack."""
        self._names = names
        self._unlogged = unlogged
        self._layouts = layouts
        self._json = [i for i, layout in enumerate(layouts) if layout.is_json]

    def old(self, data: bytes, at: int, present: Sequence[int]) -> tuple[Row, int]:
        """The row before that begins at `at`, and where it ends."""
        return self._image(data, at, present, [ABSENT] * len(self._names), None)

    def new(
        self, data: bytes, at: int, present: Sequence[int], old: Sequence[Any] | None, *, partial: bool
    ) -> tuple[Row, int]:
        """The new row. What its image lacks is the old row's, since it did not change; of an insert nothing
        is known but that the column has its default, which is in no log."""
        diffed: set[int] = set()
        if partial:
            diffed, at = self._diffed(data, at)
        if old is None:
            row: list[Any] = [ABSENT] * len(self._names)
        else:
            row = [self._unlogged if field is ABSENT else field for field in old]
        return self._image(data, at, present, row, old, diffed)

    def _diffed(self, data: bytes, at: int) -> tuple[set[int], int]:
        """The columns that hold diffs, and where the image's own bitmap begins."""
        options = self._take(data, at, 1, "its value options")[0]
        at += 1
        if options & ~PARTIAL_JSON:
            raise ValueError(f"the unknown value options {options:#x}")
        if not options:
            return set(), at
        size = (len(self._json) + 7) // 8
        bits = int.from_bytes(self._take(data, at, size, "its bitmap of JSON columns"), "little")
        return {column for n, column in enumerate(self._json) if bits >> n & 1}, at + size

    def _image(
        self,
        data: bytes,
        at: int,
        present: Sequence[int],
        row: list[Any],
        old: Sequence[Any] | None,
        diffed: set[int] = frozenset(),  # type: ignore[assignment]  # never changed
    ) -> tuple[Row, int]:
        size = (len(present) + 7) // 8
        nulls = int.from_bytes(self._take(data, at, size, "its bitmap of NULLs"), "little")
        at += size
        for n, i in enumerate(present):
            layout = self._layouts[i]
            name = f"column {self._names[i]}"
            if nulls >> n & 1:
                row[i] = None
                continue
            if i in diffed:
                size = int.from_bytes(self._take(data, at, 4, f"the length of {name}"), "little")
                row[i] = patched(old[i] if old else ABSENT, self._take(data, at + 4, size, name))
                at += 4 + size
                continue
            if layout.format:
                reader = struct.Struct(f"<{layout.format}")
                row[i] = reader.unpack(self._take(data, at, reader.size, name))[0]
                at += reader.size
            else:
                prefix = self._take(data, at, layout.length, f"the length of {name}")
                size = int.from_bytes(prefix, "little")
                if layout.most is not None and size > layout.most:
                    raise ValueError(f"{name} has {size} bytes, and {layout.most} at most")
                row[i] = self._take(data, at + layout.length, size, name)
                at += layout.length + size
            if layout.null is not None and layout.null(row[i]):
                row[i] = None
        return tuple(row), at

    def _take(self, data: bytes, at: int, count: int, what: str) -> bytes:
        if at + count > len(data):
            raise ValueError(f"cut off: {what} needs {count} bytes, {max(0, len(data) - at)} are left")
        return data[at : at + count]


def patched(old: Any, diffs: bytes) -> Any:
    """What a JSON column has that holds diffs, given what the old row has."""
    if not diffs:
        return UNCHANGED if old is ABSENT else old
    if isinstance(old, Missing):
        raise NoDocument("changes of a JSON document which is not in the log")
    if old is None:
        raise ValueError("changes of a JSON document which is NULL")
    return Patched(old, diffs)
