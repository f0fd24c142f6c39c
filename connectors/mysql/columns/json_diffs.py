"""Partial updates of JSON documents: what `binlog_row_value_options=PARTIAL_JSON` logs in place of one.

A diff is an operation (0 replace, 1 insert, 2 remove), a path, and a document unless something is removed;
paths and documents stand behind their lengths. Diffs apply one after another, to the document before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from connectors.mysql.columns.binary_json import Node, tree, tree_text


class Patched(NamedTuple):
    """A raw field: a document in binary form, and the diffs that make the new one of it."""

    document: bytes
    diffs: bytes


_Leg: TypeAlias = str | int
"""A member's name, or an array's index; from the end: -1 is the last."""

_REPLACE, _INSERT, _REMOVE = range(3)

_LEG: Final = re.compile(
    r"""
    \.("(?:[^"\\]|\\.)*") | \.([^."\[]+)      # ."quoted name", .name
    | \[\s*(\d+)\s*\] | \[\s*last\s*(?:-\s*(\d+)\s*)?\]
    """,
    re.VERBOSE | re.DOTALL,
)


def text(patched: Patched) -> str:
    """The new document as the server prints it. Raises ValueError for diffs that do not fit the document."""
    document = tree(patched.document)
    for operation, path, value in _diffs(patched.diffs):
        _apply(document, operation, path, value)
    return tree_text(document)


def _diffs(data: bytes) -> Iterator[tuple[int, list[_Leg], Node]]:
    """Operation, path and value; of what is removed there is none, and "" stands for it."""
    at = 0
    while at < len(data):
        operation = data[at]
        if operation > _REMOVE:
            raise ValueError(f"a JSON diff of the unknown operation {operation}")
        path, at = _string(data, at + 1)
        value: Node = ""
        if operation != _REMOVE:
            document, at = _string(data, at)
            value = tree(document)
        yield operation, _legs(path.decode()), value


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """The bytes behind a length of 1, 3, 4 or 9 bytes at `at`, and where they end."""
    if at >= len(data):
        raise ValueError("a JSON diff that is cut off")
    first = data[at]
    at += 1
    if first < 251:
        size = first
    elif wide := {252: 2, 253: 3, 254: 8}.get(first):
        size = int.from_bytes(data[at : at + wide], "little")
        at += wide
    else:
        raise ValueError(f"a JSON diff with a length that begins with {first}")
    if at + size > len(data):
        raise ValueError(f"a JSON diff that is cut off: {size} bytes needed, {len(data) - at} there")
    return data[at : at + size], at + size


def _legs(path: str) -> list[_Leg]:
    if not path.startswith("$") or len(path) == 1:
        raise ValueError(f"a JSON diff for the path {path!r}")
    legs: list[_Leg] = []
    at = 1
    while at < len(path):
        found = _LEG.match(path, at)
        if not found:
            raise ValueError(f"a JSON diff for the path {path!r}")
        quoted, name, index, from_end = found.groups()
        if quoted is not None:
            name = json.loads(quoted)
            name.encode()  # no half of a character
            legs.append(name)
        elif name is not None:
            legs.append(name)
        else:
            legs.append(int(index) if index is not None else -1 - int(from_end or 0))
        at = found.end()
    return legs


def _apply(document: Node, operation: int, path: list[_Leg], value: Node) -> None:
    parent = document
    for leg in path[:-1]:
        parent = _child(parent, leg)
    last = path[-1]
    if operation == _INSERT:
        _insert(parent, last, value)
        return
    _child(parent, last)  # it must be there
    members: Any = parent
    if operation == _REMOVE:
        del members[last]
    else:
        members[last] = value


def _child(node: Node, leg: _Leg) -> Node:
    if isinstance(node, dict) and isinstance(leg, str) and leg in node:
        return node[leg]
    if isinstance(node, list) and isinstance(leg, int) and -len(node) <= leg < len(node):
        return node[leg]
    raise ValueError(f"a JSON diff for {leg!r}, which the document does not have")


def _insert(parent: Node, leg: _Leg, value: Node) -> None:
    if isinstance(parent, list) and isinstance(leg, int):
        # Behind the end it is appended; from the end, an index counts what is there.
        parent.insert(leg if leg >= 0 else max(0, len(parent) + leg), value)
    elif isinstance(parent, dict) and isinstance(leg, str) and leg not in parent:
        parent[leg] = value
        members = sorted(parent.items(), key=lambda member: _order(member[0]))
        parent.clear()
        parent.update(members)
    else:
        raise ValueError(f"a JSON diff that inserts {leg!r} where the document has no place for it")


def _order(name: str) -> tuple[int, bytes]:
    """How the server sorts an object's members."""
    key = name.encode()
    return len(key), key
