"""Rows out of I, U and D messages: functions for each table version, made for speed.

A tuple is a count of columns, then for each a tag: `n` (NULL), `u` (a TOAST value that did not change) or
`t`, a length and that many bytes of text. Fields are handed out as they are: None, UNCHANGED, bytes.

`Walker` knows every case and every fault. The generated `split` reads the messages that are most of all; it
leaves anything else to the walker, so that both always agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import Any, Final, TypeAlias

from connectors.postgres.wire import KIND, malformed
from tailrace.events import ABSENT, UNCHANGED, Row

Rows: TypeAlias = tuple[Row | None, Row | None]
Split: TypeAlias = Callable[[bytes], Rows]

INSERT, UPDATE, DELETE, TRUNCATE = b"IUDT"
NEW, OLD, KEY = b"NOK"
_NULL, _TEXT, _UNCHANGED = b"ntu"

_TUPLE: Final = KIND + 5
"""Offset of the first tuple: its kind, then its count. Before it stand the message's kind and the oid."""

_LENGTHS: Final = {b"t" + length.to_bytes(4, "big"): length for length in range(1024)}
"""A field's length by its first five bytes: a look-up is faster than any arithmetic on them."""


class Walker:
    """Reads any I, U, D or T message of a table with care. `identity`: which columns belong to the replica
    identity."""

    def __init__(self, identity: Sequence[bool]) -> None:
        self._identity = identity

    def split(self, message: bytes) -> Rows:
        """The rows before and after. Raises Malformed.

        Of a key tuple, what is NULL is ABSENT: no column of a replica identity is ever NULL. A new row takes
        what did not change from the old one, if that has it. NULL is no such value: the log left
        the column out, as for a partition without REPLICA IDENTITY FULL of a table that has it.
        """
        kind = message[KIND]
        if kind == TRUNCATE:
            return None, None
        before: list[Any] | None = None
        after: list[Any] | None = None
        offset = _TUPLE
        tag = self._byte(message, offset)
        if tag in (OLD, KEY) and kind != INSERT:
            before, offset = self._tuple(message, offset + 1, unchanged=False)
            if tag == KEY:
                before = [
                    ABSENT if v is None or not known else v
                    for v, known in zip(before, self._identity, strict=True)
                ]
            tag = self._byte(message, offset) if kind == UPDATE else 0
        if kind != DELETE:
            if tag != NEW:
                raise malformed(message, f"tuple of kind {tag:#x} where the new row should be")
            after, offset = self._tuple(message, offset + 1, unchanged=kind == UPDATE)
            if before is not None and UNCHANGED in after:
                after = [
                    old if new is UNCHANGED and old is not ABSENT and old is not None else new
                    for old, new in zip(before, after, strict=True)
                ]
        elif before is None:
            raise malformed(message, f"tuple of kind {tag:#x} where the old row should be")
        if offset != len(message):
            raise malformed(message, f"{len(message) - offset} bytes too many")
        return before, after

    def _tuple(self, message: bytes, offset: int, *, unchanged: bool) -> tuple[list[Any], int]:
        """The fields of the tuple whose count stands at `offset`, and where it ends."""
        count = int.from_bytes(self._bytes(message, offset, 2), "big")
        if count != len(self._identity):
            raise malformed(message, f"a row of {count} columns, the table has {len(self._identity)}")
        offset += 2
        row: list[Any] = []
        for _ in range(count):
            tag = self._byte(message, offset)
            offset += 1
            if tag == _TEXT:
                length = int.from_bytes(self._bytes(message, offset, 4), "big")
                row.append(self._bytes(message, offset + 4, length))
                offset += 4 + length
            elif tag == _NULL:
                row.append(None)
            elif tag == _UNCHANGED and unchanged:
                row.append(UNCHANGED)
            else:
                raise malformed(message, f"column {len(row) + 1} is of kind {tag:#x}")
        return row, offset

    def _byte(self, message: bytes, offset: int) -> int:
        return self._bytes(message, offset, 1)[0]

    def _bytes(self, message: bytes, offset: int, count: int) -> bytes:
        if offset + count > len(message):
            raise malformed(message, f"cut off: a row needs {count} bytes at {offset}")
        return message[offset : offset + count]


def splitter(identity: Sequence[bool], valued: Sequence[bool]) -> Split:
    """`Walker.split` for these columns, fast. `valued`: whether to expect that a column always has a value,
    neither NULL nor unchanged TOAST; where it has none all the same, it is only read more slowly."""
    walk = Walker(identity).split
    if not identity:
        return walk
    names: dict[str, Any] = {
        "walk": walk,
        "LENGTHS": _LENGTHS,
        "BytesIO": BytesIO,
        "ABSENT": ABSENT,
        "UNCHANGED": UNCHANGED,
    }
    exec("\n".join(_source(identity, valued)), names)
    split: Split = names["split"]
    return split


def _source(identity: Sequence[bool], valued: Sequence[bool]) -> Iterator[str]:
    """The lines of `split`: inserts, updates and deletes with the usual tuples, else the walker."""
    count = len(identity)
    new, old, key = (bytes([kind]) + count.to_bytes(2, "big") for kind in (NEW, OLD, KEY))
    first = _TUPLE + 3
    before, after = (f"[{', '.join(f'{row}{i}' for i in range(count))}]" for row in ("old", "new"))
    known = ", ".join(f"old{i}" if known else "ABSENT" for i, known in enumerate(identity))
    yield "def split(message, lengths=LENGTHS):"
    yield f"    kind = message[{KIND}]"
    yield f"    head = message[{_TUPLE}:{first}]"
    yield "    stream = BytesIO(message)"
    yield "    read = stream.read"
    yield f"    stream.seek({first})"
    yield "    try:"
    yield f"        if kind == {INSERT} and head == {new!r}:"
    yield from _read("new", valued, last=True, unchanged=None)
    yield f"            return None, {after}"
    yield f"        if kind == {UPDATE} and head == {new!r}:"
    yield from _read("new", valued, last=True, unchanged="UNCHANGED")
    yield f"            return None, {after}"
    yield f"        if kind == {UPDATE} and head == {old!r}:"
    yield from _read("old", valued, last=False, unchanged=None)
    yield f"            if read(3) != {new!r}: return walk(message)"
    yield from _read("new", valued, last=True, unchanged="UNCHANGED if old{0} is None else old{0}")
    yield f"            return {before}, {after}"
    yield f"        if kind == {DELETE} and head == {old!r}:"
    yield from _read("old", valued, last=True, unchanged=None)
    yield f"            return {before}, None"
    yield f"        if kind == {DELETE} and head == {key!r}:"
    yield from _read_key(identity)
    yield f"            return [{known}], None"
    yield "    except KeyError:  # a long field, one without a value that was expected, or a fault"
    yield "        pass"
    yield "    return walk(message)"


def _read(row: str, valued: Sequence[bool], *, last: bool, unchanged: str | None) -> Iterator[str]:
    """Lines that read a tuple's columns into `{row}{i}`; `last`: the message ends behind them; `unchanged`:
    what an unchanged column becomes."""
    final = len(valued) - 1 if last else -1
    for i, has_value in enumerate(valued):
        name = f"{row}{i}"
        if has_value and i != final:
            yield f"            {name} = read(lengths[read(5)])"
            continue
        yield "            head = read(5)"
        yield "            if head in lengths:"
        if i == final:
            yield f"                {name} = read()"
            yield f"                if len({name}) != lengths[head]: return walk(message)"
        else:
            yield f"                {name} = read(lengths[head])"
        for tag, value in (("n", "None"), ("u", unchanged)):
            if value:
                yield f"            elif head{'' if i == final else '[:1]'} == b'{tag}':"
                yield f"                {name} = {value.format(i)}"
                if i != final:
                    yield "                stream.seek(1 - len(head), 1)"
        yield "            else: return walk(message)"


def _read_key(identity: Sequence[bool]) -> Iterator[str]:
    """Lines that read a key tuple, which is NULL outside the identity, up to the message's end."""
    nulls = 0
    for i, known in enumerate(identity):
        nulls += not known
        if known:
            if nulls:
                yield f"            if read({nulls}) != {b'n' * nulls!r}: return walk(message)"
            nulls = 0
            yield "            head = read(5)"
            yield f"            old{i} = read(lengths[head])"
            yield f"            if len(old{i}) != lengths[head]: return walk(message)"
    yield f"            if read() != {b'n' * nulls!r}: return walk(message)"


def key_comparison(split: Split, columns: int, key: Sequence[int]) -> Callable[[bytes], bool]:
    """A function that tells of an update with an old row whether it changes the key. Raises Malformed."""

    def compare(update: bytes) -> bool:
        before, after = split(update)
        assert before is not None
        assert after is not None
        return any(before[i] != after[i] and after[i] is not UNCHANGED for i in key)

    if not key:
        return lambda update: False
    if sorted(key) != list(range(len(key))) or columns > 255:
        return compare
    count = len(key)
    new = b"N" + columns.to_bytes(2, "big")

    def compare_leading(update: bytes) -> bool:
        # The key leads the row: where it did not change, the new row begins with the same bytes as the old.
        # These are found nowhere else: their second byte is zero, and no field, being text, holds a zero.
        stream = BytesIO(update)
        read = stream.read
        stream.seek(_TUPLE + 3)
        try:
            for _ in range(count):
                read(_LENGTHS[read(5)])
        except KeyError:
            return compare(update)
        end = stream.tell()
        return update.find(new + update[_TUPLE + 3 : end], end) < 0 and compare(update)

    return compare_leading
