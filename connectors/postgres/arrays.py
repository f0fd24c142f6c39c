"""PostgreSQL's text of an array → a list, nested for each dimension
(https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

_BOUNDS: Final = re.compile(rb"(?:\[-?\d+:-?\d+\]){1,6}=")
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_DIMENSIONS: Final = 6  # PostgreSQL's own limit


def array(element: Callable[[bytes], Any], delimiter: bytes) -> Callable[[bytes], list[Any]]:
    """A function for the text of arrays of what `element` reads; NULL is None, bounds are dropped.

    It raises ValueError for what the server never writes, as `element` does.
    """
    item = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^"{}\\%b]+)' % re.escape(delimiter), re.DOTALL)

    def parse(text: bytes) -> list[Any]:
        if text[:1] == b"[" and (bounds := _BOUNDS.match(text)):
            text = text[bounds.end() :]
        if text == b"{}":
            return []
        inner = text[1:-1]
        if text[:1] != b"{" or text[-1:] != b"}" or any(mark in inner for mark in (b'"', b"{", b"}", b"\\")):
            items, end = nested(text, 0, 1)
            if end != len(text):
                raise ValueError(f"not an array: {text!r}")
            return items
        parts = inner.split(delimiter)
        if b"" in parts:
            raise ValueError(f"not an array: {text!r}")
        return [None if part == b"NULL" else element(part) for part in parts]

    def nested(text: bytes, position: int, depth: int) -> tuple[list[Any], int]:
        """The list that begins at the position, and where it ends."""
        if text[position : position + 1] != b"{" or depth > _DIMENSIONS:
            raise ValueError(f"not an array: {text!r}")
        items: list[Any] = []
        widths: set[int | None] = (
            set()
        )  # of the lists among the items, None for a value: an array is rectangular
        mark = delimiter
        while mark == delimiter:
            position += 1
            if found := item.match(text, position):
                quoted, plain = found.groups()
                position = found.end()
                if quoted is not None:
                    items.append(element(_ESCAPED.sub(rb"\1", quoted)))
                else:
                    items.append(None if plain == b"NULL" else element(plain))
                widths.add(None)
            else:
                inner, position = nested(text, position, depth + 1)
                items.append(inner)
                widths.add(len(inner))
            mark = text[position : position + 1]
        if mark != b"}" or len(widths) > 1:
            raise ValueError(f"not an array: {text!r}")
        return items, position + 1

    return parse
