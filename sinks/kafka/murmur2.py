"""The hash by which Kafka's Java client chooses a key's partition, for many keys at once.

Partition = toPositive(murmur2(key)) % partitions, as in `BuiltInPartitioner.partitionForKey`. MurmurHash2 is
Austin Appleby's, 32 bits, with the seed of Kafka's `Utils.murmur2`.

Python's integers have no width, so that one integer can hold a lane for each of a thousand keys, and one
multiplication multiplies them all: a 32-bit value times the 31-bit constant fits into a 64-bit lane. Keys of
equal length are hashed so together, at a seventh of what hashing them one by one costs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_32_BITS: Final = 0xFFFFFFFF
_31_BITS: Final = 0x7FFFFFFF

_TOGETHER: Final = 512  # keys in one integer: it stays in the processor's first cache
_FEW: Final = 4  # so few are hashed one by one
_SHARED: Final = 16  # bytes; from here on it pays to hash what keys begin with only once
_LONG: Final = 96  # bytes; lanes so wide cost more than hashing one by one


def positive_hash(key: bytes) -> int:
    """toPositive(murmur2(key))."""
    return _hash(key, _SEED ^ len(key))


def positive_hashes(keys: Sequence[bytes]) -> list[int]:
    """`positive_hash` of each key, in their order."""
    if len(set(map(len, keys))) == 1:
        return _equal_length(keys)
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for place, length in enumerate(map(len, keys)):
        by_length[length].append(place)
    hashes = [0] * len(keys)
    for places in by_length.values():
        for place, value in zip(places, _equal_length([keys[place] for place in places]), strict=True):
            hashes[place] = value
    return hashes


def _equal_length(keys: Sequence[bytes]) -> list[int]:
    length = len(keys[0])
    start = _SEED ^ length
    if length > _SHARED and len(keys) > _FEW:
        # JSON keys begin alike: the column's name, a schema. Whole words of that are hashed once.
        words = _equal_words(min(keys), max(keys))
        start = _mix(keys[0], words, start)
        keys = [key[words * 4 :] for key in keys]
        length -= words * 4
    if len(keys) <= _FEW or length > _LONG:
        return [_hash(key, start) for key in keys]
    if length == 0:
        return [_hash(b"", start)] * len(keys)
    hashes: list[int] = []
    for first in range(0, len(keys), _TOGETHER):
        hashes += _side_by_side(keys[first : first + _TOGETHER], length, start)
    return hashes


def _equal_words(first: bytes, last: bytes) -> int:
    """How many whole words two keys of equal length have in common from their beginning on."""
    differing = int.from_bytes(first, "little") ^ int.from_bytes(last, "little")
    return ((differing & -differing).bit_length() - 1) // 32 if differing else len(first) // 4


def _mix(key: bytes, words: int, h: int) -> int:
    rest = int.from_bytes(key, "little")
    for _ in range(words):
        k = (rest & _32_BITS) * _M & _32_BITS
        h = (h * _M ^ (k ^ k >> 24) * _M) & _32_BITS
        rest >>= 32
    return h


def _hash(key: bytes, h: int) -> int:
    words, tail = divmod(len(key), 4)
    h = _mix(key, words, h)
    if tail:
        h = (h ^ int.from_bytes(key[-tail:], "little")) * _M & _32_BITS
    h = (h ^ h >> 13) * _M & _32_BITS
    return (h ^ h >> 15) & _31_BITS


@lru_cache(maxsize=16)
def _masks(lanes: int, width: int) -> tuple[int, int, int]:
    """In each lane of `width` bytes: one, 32 bits set, 31 bits set."""
    ones = int.from_bytes((b"\1" + bytes(width - 1)) * lanes, "little")
    return ones, ones * _32_BITS, ones * _31_BITS


def _side_by_side(keys: Sequence[bytes], length: int, start: int) -> list[int]:
    """The same steps as `_hash`, on all keys in one integer. Each key's lane is 8, 16, 24 … bytes wide."""
    width = (length + 7) // 8 * 8
    padding = bytes(width - length)
    words, tail = divmod(length, 4)
    ones, low, positive = _masks(len(keys), width)
    lanes = int.from_bytes(padding.join(keys) + padding, "little")
    h = ones * start
    for word in range(words):
        k = (lanes >> 32 * word & low) * _M & low
        h = (h * _M ^ ((k ^ k >> 24) & low) * _M) & low
    if tail:
        h = (h ^ lanes >> 32 * words & low) * _M & low
    h = ((h ^ h >> 13) & low) * _M & low
    h = (h ^ h >> 15) & positive
    return memoryview(h.to_bytes(len(keys) * width, "little")).cast("I")[:: width // 4].tolist()
