"""MySQL's GTID sets: which transactions. Immutable; no I/O.

MySQL names a transaction by the server that first committed it and a number, `uuid:7`, or with a tag,
`uuid:tag:7`. What a server has executed is a set of these, with holes where numbers were never used or have
not arrived yet: a set is never folded to its maximum.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, final

from connectors.mysql.binlog import intervals
from connectors.mysql.binlog.intervals import Intervals

_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TAG: Final = r"[a-z_][a-z0-9_]{0,31}"
_SOURCE: Final = re.compile(rf"{_UUID}(?::{_TAG})?")
_IS_UUID: Final = re.compile(_UUID)
_IS_TAG: Final = re.compile(_TAG)
_INTERVAL: Final = re.compile(r"([0-9]{1,19})(?:\s*-\s*([0-9]{1,19}))?")
_UUID_LENGTH: Final = 36

GREATEST: Final = (1 << 63) - 2
"""The greatest number of a transaction: the server keeps the number behind it too, with a sign in 64 bits."""

_FORMAT: Final = 1 << 56 | 1  # in the count of sources: they have tags; the count stands in between
_uint64: Final = struct.Struct("<Q")
_interval: Final = struct.Struct("<qq")


@final
class GtidSet:
    """A set of MySQL's GTIDs. Text and binary form are the server's own.

    A source is `uuid` or `uuid:tag`; each has transaction numbers from 1 on. Adding the next transaction of
    the source that was added to last, as a log does nearly always, copies nothing: such sets share what they
    grew from, and each knows how far its newest interval goes.
    """

    __slots__ = ("_base", "_last", "_source", "_whole", "count")

    count: int
    """How many transactions."""

    def __init__(self, sources: Mapping[str, Intervals] | None = None, count: int | None = None) -> None:
        """Of intervals as `intervals.normalized` makes them, none empty; `parse` takes text."""
        self._base: Mapping[str, Intervals] = sources or {}
        self._whole: Mapping[str, Intervals] | None = self._base  # None: not made yet
        self._source = ""  # whose last interval goes on up to `_last`
        self._last = GREATEST
        self.count = sum(map(intervals.count, self._base.values())) if count is None else count

    @property
    def _sources(self) -> Mapping[str, Intervals]:
        whole = self._whole
        if whole is None:
            found = self._base[self._source]
            whole = {**self._base, self._source: (*found[:-1], (found[-1][0], self._last))}
            self._whole = whole
        return whole

    @classmethod
    def parse(cls, text: str) -> GtidSet:
        """Read `uuid:1-5:7,uuid:tag:1-3`, in either case, with blanks and line breaks between the parts and
        nothing between commas, as the server does. Raises ValueError for anything else."""
        sources: dict[str, list[tuple[int, int]]] = {}
        for part in text.lower().split(","):
            if not part.strip():
                continue
            uuid, *rest = (word.strip() for word in part.split(":"))
            if not _IS_UUID.fullmatch(uuid):
                raise ValueError(f"a GTID set begins with a server's UUID: {part[:80]!r}")
            source = uuid
            for word in rest:
                if matched := _INTERVAL.fullmatch(word):
                    first = int(matched[1])
                    last = int(matched[2] or first)
                    if not 0 < first <= GREATEST or last > GREATEST:
                        raise ValueError(f"no transaction has the number {word!r}")
                    if first <= last:  # an empty interval is one of nothing, not a fault
                        sources.setdefault(source, []).append((first, last))
                elif _IS_TAG.fullmatch(word):
                    source = f"{uuid}:{word}"
                else:
                    raise ValueError(f"neither a tag nor an interval of transactions: {word[:80]!r}")
        return cls({source: intervals.normalized(found) for source, found in sources.items()})

    def __str__(self) -> str:
        """As the server writes it, in one line: sources in order, a UUID once, before its tags."""
        parts: list[str] = []
        before = ""
        for source, found in sorted(self._sources.items()):
            uuid, _, tag = source.partition(":")
            name = f":{tag}" if uuid == before else ("," if parts else "") + source
            numbers = (f":{first}" if first == last else f":{first}-{last}" for first, last in found)
            parts.append(name + "".join(numbers))
            before = uuid
        return "".join(parts)

    def __repr__(self) -> str:
        return f"GtidSet.parse({str(self)!r})"

    def brief(self, ranges: int = 5) -> str:
        """For an error message: the first ranges, and how many transactions there are in all."""
        found = ((source, pair) for source, pairs in sorted(self._sources.items()) for pair in pairs)
        shown: dict[str, list[tuple[int, int]]] = {}
        for _ in range(ranges):
            if pair := next(found, None):
                shown.setdefault(pair[0], []).append(pair[1])
        part = GtidSet({source: tuple(pairs) for source, pairs in shown.items()})
        more = f" and {self.count - part.count} more" if self.count > part.count else ""
        return f"{part}{more}" if self else "none"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GtidSet) and self._sources == other._sources

    def __hash__(self) -> int:
        return hash(frozenset(self._sources.items()))

    def __bool__(self) -> bool:
        return self.count > 0

    def __contains__(self, gtid: str) -> bool:
        """Whether it holds one transaction. Raises ValueError where that is no GTID."""
        source, number = split(gtid)
        return intervals.contains(self._sources.get(source, ()), number)

    def covers(self, other: GtidSet) -> bool:
        """Whether it holds every transaction of the other."""
        mine = self._sources
        return all(not intervals.without(found, mine.get(name, ())) for name, found in other._sources.items())

    def add(self, gtid: str) -> GtidSet:
        """With one more transaction; itself where it holds that already. Raises ValueError if that is no
        GTID."""
        grown = self.beyond(gtid)
        return self if grown is None else grown

    def beyond(self, gtid: str) -> GtidSet | None:
        """With a transaction that it does not hold; None where it does. Raises ValueError if that is no
        GTID."""
        last = self._last + 1
        if gtid == f"{self._source}:{last}" and last <= GREATEST:
            grown = GtidSet.__new__(GtidSet)
            grown._base, grown._whole = self._base, None
            grown._source, grown._last = self._source, last
            grown.count = self.count + 1
            return grown
        source, number = split(gtid)
        sources = self._sources
        found = sources.get(source, ())
        if intervals.contains(found, number):
            return None
        found = intervals.with_number(found, number)
        grown = GtidSet({**sources, source: found}, self.count + 1)
        grown._source, grown._last = source, found[-1][1]  # which is about to grow
        return grown

    def __or__(self, other: GtidSet) -> GtidSet:
        """What either holds."""
        sources = dict(self._sources)
        for source, found in other._sources.items():
            sources[source] = intervals.normalized((*sources.get(source, ()), *found))
        return GtidSet(sources)

    def __sub__(self, other: GtidSet) -> GtidSet:
        """What this holds and the other does not."""
        sources = {}
        for source, found in self._sources.items():
            if left := intervals.without(found, other._sources.get(source, ())):
                sources[source] = left
        return GtidSet(sources)

    def __and__(self, other: GtidSet) -> GtidSet:
        """What both hold."""
        return self - (self - other)

    def sources(self) -> Iterator[tuple[str, Intervals]]:
        """Each `uuid` or `uuid:tag` with its intervals, in order."""
        yield from sorted(self._sources.items())

    def encode(self) -> bytes:
        """What COM_BINLOG_DUMP_GTID takes and PREVIOUS_GTIDS holds. With tags only where it has some: servers
        before 8.3 know no other form."""
        tagged = any(len(source) > _UUID_LENGTH for source in self._sources)
        size = len(self._sources)
        parts = [_uint64.pack(_FORMAT | size << 8 if tagged else size)]
        for source, found in sorted(self._sources.items()):
            uuid, _, tag = source.partition(":")
            parts.append(bytes.fromhex(uuid.replace("-", "")))
            if tagged:
                parts.append(bytes((len(tag) << 1,)) + tag.encode())
            parts.append(_uint64.pack(len(found)))
            parts += (_interval.pack(first, last + 1) for first, last in found)
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> GtidSet:
        """The inverse of `encode`. Raises ValueError for anything else."""
        try:
            return cls(dict(_sources(data)))
        except struct.error:
            raise ValueError(f"a GTID set that is cut off: {data[:48].hex(' ')}") from None


def _sources(data: bytes) -> Iterator[tuple[str, Intervals]]:
    (head,) = _uint64.unpack_from(data)
    tagged = bool(head >> 56)
    if tagged and head & 0xFF00_0000_0000_00FF != _FORMAT:
        raise ValueError(f"a GTID set in an unknown form: {head:#x}")
    offset = _uint64.size
    before = ""
    for _ in range(head >> 8 & 0xFFFF_FFFF_FFFF if tagged else head):
        source = format_uuid(data[offset : offset + 16])
        offset += 16
        if tagged:
            length = data[offset] if offset < len(data) else 0
            tag = data[offset + 1 : offset + 1 + (length >> 1)].decode("ascii", "replace")
            if length & 1 or len(tag) != length >> 1 or (tag and not _IS_TAG.fullmatch(tag)):
                raise ValueError(f"a GTID set with a wrong tag: {tag!r}")
            offset += 1 + len(tag)
            source += ":" * bool(tag) + tag
        (size,) = _uint64.unpack_from(data, offset)
        offset += _uint64.size
        found: list[tuple[int, int]] = []
        for _ in range(size):
            first, end = _interval.unpack_from(data, offset)
            offset += _interval.size
            if not (found[-1][1] + 1 if found else 0) < first < end:
                raise ValueError(f"a GTID set with a wrong interval: {first} to {end}")
            found.append((first, end - 1))
        if not found or source <= before:
            raise ValueError(f"a GTID set with a source out of its order, or of nothing: {source}")
        yield source, tuple(found)
        before = source
    if offset != len(data):
        raise ValueError(f"{len(data) - offset} bytes behind a GTID set")


def split(gtid: str) -> tuple[str, int]:
    """A GTID of MySQL as its source and number. Raises ValueError for anything else."""
    source, _, digits = gtid.rpartition(":")
    if _is_source(source) and digits.isdecimal() and digits.isascii():
        number = int(digits)
        if 0 < number <= GREATEST:
            return source, number
    raise ValueError(f"not a GTID: {gtid[:120]!r}")


@lru_cache(maxsize=256)
def _is_source(text: str) -> bool:
    return _SOURCE.fullmatch(text) is not None


def format_uuid(raw: bytes) -> str:
    """16 bytes as a UUID's text. Raises ValueError for another length."""
    if len(raw) != 16:
        raise ValueError(f"a UUID that is cut off: {raw.hex()}")
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
