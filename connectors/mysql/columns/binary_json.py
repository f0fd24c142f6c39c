"""MySQL's binary form of a JSON document → the text that the server prints for it.

A document is a type and a value. The value of an object or array has a count, its size, then for each member
where its key is and the type and place of its value; small numbers and literals stand in that place
themselves. Offsets count from the beginning of the object or array and have 16 bits in the small form, 32 in
the large one. Members are stored, and stay, in the order of their names' lengths, then of their bytes.

Everything raises ValueError for what the server never writes. Among it are values that share their bytes: a
few of them can stand for endless ones.
"""

from __future__ import annotations

import math
import struct
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, Final, TypeAlias

from connectors.mysql import codes
from connectors.mysql.columns import decimals, packed

Node: TypeAlias = "str | list[Node] | dict[str, Node]"
"""A scalar's JSON text, an array, an object."""

_DEEPEST: Final = 100  # levels that the server allows

_LITERALS: Final = {0: "null", 1: "true", 2: "false"}
_INLINED: Final = {False: frozenset({4, 5, 6}), True: frozenset({4, 5, 6, 7, 8})}  # by whether it is large
_NUMBERS: Final = {
    5: struct.Struct("<h"),
    6: struct.Struct("<H"),
    7: struct.Struct("<i"),
    8: struct.Struct("<I"),
    9: struct.Struct("<q"),
    10: struct.Struct("<Q"),
}
_DOUBLE: Final = struct.Struct("<d")
_HEADERS: Final = {False: struct.Struct("<HH"), True: struct.Struct("<II")}
_KEYS: Final = {False: struct.Struct("<HH"), True: struct.Struct("<IH")}
_VALUES: Final = {False: struct.Struct("<BH"), True: struct.Struct("<BI")}

_TEMPORAL: Final = {
    codes.DATE: packed.date_text,
    codes.OLD_TIME: packed.time_text,
    codes.OLD_DATETIME: packed.datetime_text,
    codes.OLD_TIMESTAMP: packed.datetime_text,
}
_BASE64_LINE: Final = 76  # characters, then the server breaks the line


def text(document: bytes) -> str:
    """The document as the server prints it."""
    node: str = _TEXT.document(document)
    return node


def tree(document: bytes) -> Node:
    """The document for changing parts of it."""
    node: Node = _TREE.document(document)
    return node


def tree_text(node: Node, depth: int = 0) -> str:
    """A changed document as the server prints it. `depth`: levels around it."""
    if isinstance(node, str):
        return node
    if depth >= _DEEPEST:
        raise ValueError(f"a JSON document of more than {_DEEPEST} levels")
    if isinstance(node, list):
        return _array_text([tree_text(item, depth + 1) for item in node])
    return _object_text([(key, tree_text(value, depth + 1)) for key, value in node.items()])


def value_text(document: bytes, type: int, at: int) -> str:
    """A value of that type in a document's outermost object or array, by where it begins."""
    text: str = _TEXT.value(document, type, at, len(document), 1, [len(document)])
    return text


def double_text(value: float) -> str:
    """The server's digits: the fewest that tell the number, an exponent below 1e-15 and from 1e15 on."""
    if not math.isfinite(value):
        raise ValueError(f"the JSON number {value}")
    text = repr(value)
    mantissa, letter, exponent = text.partition("e")
    if not letter:
        if abs(value) < 1e15 or not text.endswith(".0"):
            return text
        sign = "-" if value < 0 else ""
        digits = text.lstrip("-").removesuffix(".0")
        return f"{sign}{_scientific(digits.rstrip('0'), len(digits) - 1)}"
    power = int(exponent)
    sign = "-" if value < 0 else ""
    digits = mantissa.lstrip("-").replace(".", "")
    if -15 <= power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    return f"{sign}{_scientific(digits, power)}"


def _scientific(digits: str, power: int) -> str:
    point = "." if len(digits) > 1 else ""
    return f"{digits[0]}{point}{digits[1:]}e{power}"


def length(data: bytes, at: int) -> tuple[int, int]:
    """A length of 7 bits a byte, the low ones first, and where it ends."""
    value = 0
    for shift in range(0, 35, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a length of more than five bytes")


def _array_text(items: list[str]) -> str:
    return f"[{', '.join(items)}]"


def _object_text(members: list[tuple[str, str]]) -> str:
    return f"{{{', '.join([f'{encode_basestring(key)}: {value}' for key, value in members])}}}"


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads documents; what becomes of arrays and objects is up to these two."""

    array: Callable[[list[Any]], Any]
    object: Callable[[list[tuple[str, Any]]], Any]

    def document(self, document: bytes) -> Any:
        if not document:  # what ALTER TABLE fills a new column with, and the server reads as null
            return "null"
        try:
            return self.value(document, document[0], 1, len(document), 0, [len(document)])
        except (IndexError, struct.error) as error:
            raise ValueError(f"a JSON document that is cut off: {error}") from None

    def value(self, data: bytes, type: int, at: int, end: int, depth: int, unread: list[int]) -> Any:
        """The value of that type which begins at `at`; nothing of it lies behind `end`. `unread`: how many
        bytes there are that belong to no value before it."""
        if type == 12:
            return encode_basestring(_bytes(data, at, end, unread).decode())
        if number := _NUMBERS.get(type):
            return str(number.unpack_from(data, at)[0])
        if type < 4:
            return self._container(data, at, end, depth + 1, unread, large=bool(type & 1), is_object=type < 2)
        if type == 4:
            return _literal(data[at])
        if type == 11:
            return double_text(_DOUBLE.unpack_from(data, at)[0])
        if type == 15:
            return _opaque(data[at], _bytes(data, at + 1, end, unread))
        raise ValueError(f"a JSON value of the unknown type {type}")

    def _container(
        self,
        data: bytes,
        start: int,
        end: int,
        depth: int,
        unread: list[int],
        *,
        large: bool,
        is_object: bool,
    ) -> Any:
        if depth > _DEEPEST:
            raise ValueError(f"a JSON document of more than {_DEEPEST} levels")
        count, size = _HEADERS[large].unpack_from(data, start)
        if start + size > end:
            raise ValueError(f"a JSON object or array of {size} bytes, of which {end - start} are there")
        end = start + size
        at = start + _HEADERS[large].size
        entry = _KEYS[large].size
        values_at = at + count * entry if is_object else at
        if values_at + count * _VALUES[large].size > end:
            raise ValueError(f"a JSON object or array of {count} members in {size} bytes")
        _take(unread, values_at + count * _VALUES[large].size - start)
        values = []
        for place in range(values_at, values_at + count * _VALUES[large].size, _VALUES[large].size):
            type, offset = _VALUES[large].unpack_from(data, place)
            if type not in _INLINED[large]:
                values.append(self.value(data, type, start + offset, end, depth, unread))
            elif type == 4:
                values.append(_literal(data[place + 1]))
            else:
                values.append(str(_NUMBERS[type].unpack_from(data, place + 1)[0]))
        if not is_object:
            return self.array(values)
        keys = []
        for place in range(at, values_at, entry):
            offset, size = _KEYS[large].unpack_from(data, place)
            if start + offset + size > end:
                raise ValueError("a JSON key behind its object's end")
            _take(unread, size)
            keys.append(data[start + offset : start + offset + size].decode())
        return self.object(list(zip(keys, values, strict=True)))


def _literal(value: int) -> str:
    if value not in _LITERALS:
        raise ValueError(f"the unknown JSON literal {value}")
    return _LITERALS[value]


def _bytes(data: bytes, at: int, end: int, unread: list[int]) -> bytes:
    """Those behind their length at `at`."""
    size, at = length(data, at)
    if at + size > end:
        raise ValueError(f"a JSON text of {size} bytes, of which {end - at} are there")
    _take(unread, size)
    return data[at : at + size]


def _take(unread: list[int], count: int) -> None:
    unread[0] -= count
    if unread[0] < 0:
        raise ValueError("JSON values that share their bytes")


def _opaque(type: int, data: bytes) -> str:
    """A value of one of the database's own types."""
    if type == codes.DECIMAL:
        return f"{decimals.reader(data[0], data[1])(data[2:]):f}"
    if temporal := _TEMPORAL.get(type):
        return f'"{temporal(data)}"'
    if type == codes.VAR_STRING:
        return encode_basestring(data.decode())
    coded = b64encode(data).decode()
    lines = [coded[at : at + _BASE64_LINE] for at in range(0, len(coded), _BASE64_LINE)]
    return encode_basestring(f"base64:type{type}:" + "\n".join(lines))


_TEXT: Final = _Reader(_array_text, _object_text)
_TREE: Final = _Reader(list, dict)
