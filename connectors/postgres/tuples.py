"""Rows out of I, U and D messages: functions for each table version, made for speed.

A tuple is a count of columns, then for each a tag: `n` (NULL), `u` (a TOAST value that did not change) or
`t`, a length and that many bytes of text. Fields are handed out as they are: None, UNCHANGED, bytes.

`Walker` knows every case and every fault. What `splitter` makes reads the messages that are most of all; it
leaves anything else to the walker, so that both always agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any, Final, TypeAlias

from msgspec import DecodeError
from msgspec.msgpack import Decoder

from connectors.postgres.wire import KIND, malformed
from tailrace.events import ABSENT, UNCHANGED, Missing, Row

Rows: TypeAlias = tuple[Row | None, Row | None]
Split: TypeAlias = Callable[[bytes], Rows]

INSERT, UPDATE, DELETE, TRUNCATE = b"IUDT"
NEW, OLD, KEY = b"NOK"
_NULL, _TEXT, _UNCHANGED = b"ntu"

_TUPLE: Final = KIND + 5
"""Offset of the first tuple: its kind, then its count. Before it stand the message's kind and the oid."""

_FIELDS: Final = _TUPLE + 3
"""Offset of the first tuple's fields."""

_SHORT: Final = b"t\0\0"
"""A tag and half a length: a text of less than 64 KiB begins. Nothing else looks so: no text holds a zero.

MessagePack writes an array as a count of 16 bits, and binary data as a tag and a length of 32 bits, all
big-endian: with other tags a tuple is one, and a decoder in C reads it. There `n` and `u` are numbers, of one
byte too (https://github.com/msgpack/msgpack/blob/master/spec.md).
"""
_BINARY: Final = b"\xc6\0\0"
_ARRAY: Final = b"\xdc"
_texts: Final = Decoder(list[bytes]).decode
_texts_and_tags: Final = Decoder(list[bytes | int]).decode

# What stands for fields that are no text, by their tag.
_IN_WHOLE: Final = {_NULL: None}
_IN_UPDATED: Final = {_NULL: None, _UNCHANGED: UNCHANGED}
_IN_KEY: Final = {_NULL: ABSENT}

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
        what did not change from the old one, see `_completed`.
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
            # The server makes an insert of an update that brings a row into a row filter.
            after, offset = self._tuple(message, offset + 1, unchanged=True)
            if before is not None:
                after = _completed(after, before)
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


def splitter(identity: Sequence[bool]) -> Split:
    """`Walker.split` for these columns, fast: it reads what MessagePack makes of a tuple, see `_SHORT`."""
    walk = Walker(identity).split
    columns = len(identity)
    count = columns.to_bytes(2, "big")
    new, old, key = (bytes([kind]) + count for kind in (NEW, OLD, KEY))
    array = _ARRAY + count
    outside = [i for i, known in enumerate(identity) if not known]

    def read(fields: bytes, others: Mapping[Any, Missing | None]) -> list[Any]:
        short = fields.count(_SHORT)
        packed = array + fields.replace(_SHORT, _BINARY)
        if short == columns:
            return _texts(packed)
        row = _texts_and_tags(packed)
        texts = [field for field in row if field.__class__ is bytes]
        if len(texts) != short or len(b"".join(texts)) + 4 * short + columns != len(fields):
            raise KeyError  # not what it seems to be
        return [field if field.__class__ is bytes else others[field] for field in row]

    def split(message: bytes) -> Rows:
        kind = message[KIND]
        head = message[_TUPLE:_FIELDS]
        try:
            if kind == INSERT and head == new:
                return None, read(message[_FIELDS:], _IN_WHOLE)
            if kind == UPDATE and head == new:
                return None, read(message[_FIELDS:], _IN_UPDATED)
            if kind == UPDATE and head == old:
                # Where the old row ends is only seen; if it was a field that looked like it, both are wrong.
                first, _, second = message[_FIELDS:].partition(new)
                before = read(first, _IN_WHOLE)
                return before, _completed(read(second, _IN_UPDATED), before)
            if kind == DELETE and head == old:
                return read(message[_FIELDS:], _IN_WHOLE), None
            if kind == DELETE and head == key:
                before = read(message[_FIELDS:], _IN_KEY)
                if [i for i, field in enumerate(before) if field is ABSENT] == outside:
                    return before, None
        except (KeyError, DecodeError):  # a long field, or a fault
            pass
        return walk(message)

    return split


def _completed(after: list[Any], before: Row) -> list[Any]:
    """A new row with what did not change taken from the old one, if that has it. NULL is no such value: it
    stands where the log left a column out, as for a partition without REPLICA IDENTITY FULL of a table that
    has it."""
    if UNCHANGED not in after:
        return after
    return [
        old if new is UNCHANGED and old is not ABSENT and old is not None else new
        for old, new in zip(before, after, strict=True)
    ]


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
