"""Functions that read row images, generated for the columns that images have, for speed. See `rows`.

Most images of a table have the same columns NULL, or one of a few sets of them. For such a set a function is
made that reads in a straight line: runs of fields of known length through `struct`, texts as slices behind
their lengths. For rarer sets there is one that asks about each column.

Rows are tuples: of one that holds no container the garbage collector lets go at first sight.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from typing import Any, Final, TypeAlias

from connectors.mysql.columns.images import patched
from connectors.mysql.columns.layouts import LENGTHS, Layout
from tailrace.events import ABSENT, UNCHANGED, Row
from tailrace.tally import Tally

_Image: TypeAlias = Callable[[bytes, int, Any], tuple[Row, int]]
"""(data, where the fields begin, the old row) → the row, where it ends."""

_MOST_FUNCTIONS: Final = 256  # of one set of columns
_SEEN_OFTEN: Final = 32  # images, after which a set of NULLs gets a function
_NAMES: Final = {"ABSENT": ABSENT, "UNCHANGED": UNCHANGED, "patched": patched}


class Images(dict[bytes, _Image]):
    """The functions for images of some columns, by the bitmaps before their fields; made when needed.

    `lacking`: the source of what each column is where images do not have it. KeyError for bitmaps that are
    cut off.
    """

    def __init__(self, layouts: Sequence[Layout], present: Sequence[int], lacking: Sequence[str]) -> None:
        self._layouts = layouts
        self._present = present
        self._lacking = lacking
        self._json = [i for i, layout in enumerate(layouts) if layout.is_json]
        self._columns = (1 << len(present)) - 1  # the bits that stand for some
        self._seen = Tally[bytes](_SEEN_OFTEN)
        self.size = (len(present) + 7) // 8  # of the bitmap of NULLs
        self.diffed_size = (len(self._json) + 7) // 8  # of the bitmap of JSON columns before it, if there is

    def __missing__(self, bitmaps: bytes) -> _Image:
        split = len(bitmaps) - self.size
        if split not in (0, self.diffed_size):
            raise KeyError
        diffs = int.from_bytes(bitmaps[:split], "little")
        nulls = int.from_bytes(bitmaps[split:], "little")
        if not diffs and nulls & self._columns and not self._is_often(bitmaps):
            return self._branching
        function = _straight(
            self._layouts,
            self._lacking,
            fields=[i for n, i in enumerate(self._present) if not nulls >> n & 1],
            nulls={i for n, i in enumerate(self._present) if nulls >> n & 1},
            diffed={i for n, i in enumerate(self._json) if diffs >> n & 1},
        )
        if len(self) < _MOST_FUNCTIONS:
            self[bitmaps] = function
        return function

    def _is_often(self, bitmaps: bytes) -> bool:
        return len(self) < _MOST_FUNCTIONS and self._seen.comes_often(bitmaps)

    @cached_property
    def _branching(self) -> _Image:
        return _branching(self._layouts, self._lacking, self._present)


def _straight(
    layouts: Sequence[Layout],
    lacking: Sequence[str],
    *,
    fields: Iterable[int],
    nulls: Collection[int],
    diffed: Collection[int],
) -> _Image:
    """The function for images with these fields in their order."""
    names: dict[str, Any] = dict(_NAMES)
    row = ["None" if i in nulls else source for i, source in enumerate(lacking)]
    lines: list[str] = []
    run: list[tuple[str, str]] = []  # the name and format of what is read next

    def flush() -> int:
        """Reads the run; the bytes that it takes."""
        if not run:
            return 0
        reader = struct.Struct("<" + "".join(format for _, format in run))
        read = f"read{len(lines)}"
        names[read] = reader.unpack_from
        if reader.format == "<B":
            lines.append(f"    {run[0][0]} = data[at]")
        else:
            lines.append(f"    {', '.join(name for name, _ in run)}, = {read}(data, at)")
        run.clear()
        return reader.size

    for i in fields:
        field = f"f{i}"
        if layouts[i].format:
            run.append((field, layouts[i].format))
            row[i] = field
        else:
            size = 4 if i in diffed else layouts[i].length
            length = f"n{i}"
            run += zip((length, f"m{i}"), LENGTHS[size], strict=False)
            start = f"at + {flush()}"
            count = f"{length} + (m{i} << 8)" if size == 3 else length
            if (most := layouts[i].most) is not None and most < 256**size - 1:
                lines.append(f"    if {length} > {most}: raise ValueError")
            lines.append(f"    {field} = data[{start} : (at := {start} + {count})]")
            row[i] = f"patched(old[{i}], {field})" if i in diffed else field
        if (null := layouts[i].null) is not None:
            names[f"null{i}"] = null
            row[i] = f"(None if null{i}({field}) else {field})"
    end = f"at + {flush()}" if run else "at"
    return _made([*lines, f"    return ({', '.join(row)},), {end}"], names)


def _branching(layouts: Sequence[Layout], lacking: Sequence[str], present: Sequence[int]) -> _Image:
    """The function for images of these columns of which any may be NULL: it asks the bitmap before the fields
    about each."""
    names: dict[str, Any] = dict(_NAMES)
    row = list(lacking)
    size = (len(present) + 7) // 8
    lines = [f"    {', '.join(f'b{n}' for n in range(size))}, = data[at - {size} : at]"]
    for n, i in enumerate(present):
        field = row[i] = f"f{i}"
        lines += [f"    if b{n >> 3} & {1 << (n & 7)}:", f"        {field} = None", "    else:"]
        if format := layouts[i].format:
            reader = struct.Struct(f"<{format}")
            names[f"read{i}"] = reader.unpack_from
            lines += [f"        {field}, = read{i}(data, at)", f"        at += {reader.size}"]
        else:
            length = layouts[i].length
            lines += [
                f"        n = int.from_bytes(data[at : at + {length}], 'little')",
                f"        {field} = data[at + {length} : (at := at + {length} + n)]",
            ]
            if (most := layouts[i].most) is not None:
                lines.append(f"        if n > {most}: raise ValueError")
        if (null := layouts[i].null) is not None:
            names[f"null{i}"] = null
            lines += [f"        if null{i}({field}):", f"            {field} = None"]
    return _made([*lines, f"    return ({', '.join(row)},), at"], names)


def _made(lines: Sequence[str], names: dict[str, Any]) -> _Image:
    source = "\n".join(["def image(data, at, old):", *lines])
    exec(compile(source, "<row image>", "exec"), names)
    image: _Image = names["image"]
    return image
