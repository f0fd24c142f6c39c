"""JSON documents that are objects with keys seen before: a function made for each shape of them, for speed.

A shape is a set of keys and where they stand, of small objects of a few members; the values are read by their
types. What is not as it should be is left to `binary_json`, which knows all.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring
from typing import Any, Final, TypeAlias

from connectors.mysql.columns import binary_json

_Shape: TypeAlias = Callable[[bytes], str | None]
"""A document → its text; None where it is of another shape."""

_MEMBERS: Final = 5  # offset of the first member: behind type, count and size
_KEY, _VALUE = 4, 3  # bytes of what stands there of each
_MOST_SHAPES: Final = 512
_ERRORS: Final = (IndexError, KeyError, ValueError, struct.error)
_unpack_head: Final = struct.Struct("<BHH").unpack_from

_layouts: dict[bytes, tuple[int, dict[bytes, _Shape]]] = {}
"""By places and lengths of keys: where the keys end, and by the keys the function."""


def reader() -> Callable[[bytes], str]:
    """`text` for one column, most of whose documents are of the shape of the one before."""
    usual: _Shape = _unknown

    def read(document: bytes) -> str:
        nonlocal usual
        try:
            found = usual(document)
        except _ERRORS:
            found = None
        if found is not None:
            return found
        usual = _shape(document) or usual
        return text(document)

    return read


def text(document: bytes) -> str:
    """The document as the server prints it. Raises ValueError for what the server never writes."""
    try:
        if (shape := _shape(document)) and (found := shape(document)) is not None:
            return found
    except _ERRORS:
        pass
    read = binary_json.text(document)  # raises for what is no document
    _learn(document)
    return read


def _unknown(document: bytes) -> None:
    return None


def _shape(document: bytes) -> _Shape | None:
    """The function for documents of its keys, if there is one."""
    if len(document) < _MEMBERS or document[0] != 0:
        return None
    _, count, _ = _unpack_head(document)
    values_at = _MEMBERS + _KEY * count
    end, functions = _layouts.get(document[_MEMBERS:values_at], _NO_LAYOUT)
    return functions.get(document[values_at + _VALUE * count : end])


_NO_LAYOUT: Final[tuple[int, dict[bytes, _Shape]]] = (0, {})


def _learn(document: bytes) -> None:
    """Make the function for documents with the keys of this one, which is valid."""
    if len(document) < _MEMBERS or document[0] != 0:
        return
    _, count, _ = _unpack_head(document)
    if not 0 < count <= binary_json.MOST_MEMBERS:
        return
    values_at = _MEMBERS + _KEY * count
    entries = document[_MEMBERS:values_at]
    places = list(struct.iter_unpack("<HH", entries))
    first = end = values_at + _VALUE * count
    for offset, size in places:
        if 1 + offset != end:
            return  # not one behind the other
        end += size
    if len(_layouts) >= _MOST_SHAPES:
        _layouts.clear()
    _, functions = _layouts.setdefault(entries, (end, {}))
    if len(functions) >= _MOST_SHAPES:
        functions.clear()
    names = [document[1 + offset : 1 + offset + size].decode() for offset, size in places]
    types = document[values_at:first:_VALUE]
    keys = document[first:end]
    functions[keys] = _generate(document[:3], entries, keys, names, types)


def _generate(head: bytes, entries: bytes, keys: bytes, names: Sequence[str], types: bytes) -> _Shape:
    """The function for documents that begin with this type and count, and have these places of keys and these
    keys. `types`: of the members of the first one; those that are numbers there are read without a call."""
    form = ", ".join([encode_basestring(name).replace("%", "%%") + ": %s" for name in names])
    format = f"<3sH{len(entries)}s{'BH' * len(names)}{len(keys)}s"
    used: dict[str, Any] = {
        "ENTRIES": entries,
        "FORM": f"{{{form}}}",
        "HEAD": head,
        "KEYS": keys,
        "int32": struct.Struct("<i").unpack_from,
        "read": _READERS,
        "string": _string,
        "unpack": struct.Struct(format).unpack_from,
    }
    members = ", ".join([f"t{i}, v{i}" for i in range(len(names))])
    values = ", ".join([_value(i, type) for i, type in enumerate(types)])
    source = (
        "def text(document):\n"
        f"    head, size, entries, {members}, keys = unpack(document)\n"
        "    if entries != ENTRIES or keys != KEYS or head != HEAD or size != len(document) - 1:\n"
        "        return None\n"
        f"    return FORM % ({values},)\n"
    )
    exec(compile(source, "<JSON document>", "exec"), used)
    function: _Shape = used["text"]
    return function


_INTEGERS: Final = frozenset({5, 6, 7, 8, 9, 10})


def _value(i: int, type: int) -> str:
    """The source of a member's text; whatever its type was once, it is looked at each time."""
    read = f"read[t{i}](document, v{i})"
    if type in _INTEGERS:  # which change their type with their value: one of 16 bits stands in its entry
        small = f"v{i} if t{i} == 5 and v{i} < 0x8000"
        return f"(int32(document, 1 + v{i})[0] if t{i} == 7 else {small} else {read})"
    if type == 12:
        return f"(string(document, v{i}) if t{i} == 12 else {read})"
    return read


_Read: TypeAlias = Callable[[bytes, int], str]
"""(document, what stands in its entry: the value, or where it is behind the type) → its text."""


def _number(format: str) -> _Read:
    unpack = struct.Struct(format).unpack_from
    return lambda document, at: str(unpack(document, 1 + at)[0])


def _string(document: bytes, at: int) -> str:
    size = document[1 + at]
    end = 2 + at + size
    if size < 128 and end <= len(document):
        return encode_basestring(document[2 + at : end].decode())
    return _any(12)(document, at)


def _any(type: int) -> _Read:
    return lambda document, at: binary_json.value_text(document, type, 1 + at)


_READERS: Final[dict[int, _Read]] = {
    **{type: _any(type) for type in (0, 1, 2, 3, 11, 15)},
    4: lambda document, value: ("null", "true", "false")[value],
    5: lambda document, value: str(value - 0x1_0000 if value & 0x8000 else value),
    6: lambda document, value: str(value),
    7: _number("<i"),
    8: _number("<I"),
    9: _number("<q"),
    10: _number("<Q"),
    12: _string,
}
"""By the type of a value."""
