"""JSON documents that are objects with keys seen before: a function made for each set of keys, for speed.

Only small objects of a few members, and of their keys the layout: the values are read by their types. What is
not as it should be is left to `binary_json`, which knows all.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring
from typing import Any, Final, TypeAlias

from connectors.mysql.columns import binary_json

_Text: TypeAlias = Callable[[bytes], str]

_MEMBERS: Final = 5  # offset of the first member: behind type, count and size
_KEY, _VALUE = 4, 3  # bytes of what stands there of each
_MOST_SHAPES: Final = 512
_ERRORS: Final = (IndexError, KeyError, ValueError, struct.error)
_unpack_head: Final = struct.Struct("<BHH").unpack_from

_layouts: dict[bytes, tuple[int, dict[bytes, _Text]]] = {}
"""By places and lengths of keys: where the keys end, and by the keys the function."""


def text(document: bytes) -> str:
    """The document as the server prints it. Raises ValueError for what the server never writes."""
    try:
        type, count, size = _unpack_head(document)
        if type == 0 and size == len(document) - 1:
            values_at = _MEMBERS + _KEY * count
            end, functions = _layouts[document[_MEMBERS:values_at]]
            return functions[document[values_at + _VALUE * count : end]](document)
    except _ERRORS:
        pass
    read = binary_json.text(document)  # raises for what is no document
    _learn(document)
    return read


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
    keys = [document[1 + offset : 1 + offset + size].decode() for offset, size in places]
    functions[document[first:end]] = _generate(keys, values_at)


def _generate(keys: Sequence[str], values_at: int) -> _Text:
    form = ", ".join([encode_basestring(key).replace("%", "%%") + ": %s" for key in keys])
    names: dict[str, Any] = {
        "form": f"{{{form}}}",
        "read": _READERS,
        "unpack": struct.Struct("<" + "BH" * len(keys)).unpack_from,
    }
    head = ", ".join([f"t{i}, v{i}" for i in range(len(keys))])
    values = ", ".join([f"read[t{i}](document, v{i})" for i in range(len(keys))])
    source = (
        f"def text(document):\n    {head} = unpack(document, {values_at})\n    return form % ({values},)\n"
    )
    exec(compile(source, "<JSON document>", "exec"), names)
    function: _Text = names["text"]
    return function


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
