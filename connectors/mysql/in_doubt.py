"""XA transactions that are in doubt: prepared, and neither committed nor rolled back in what was read.

A log holds the rows of an XA transaction where it is prepared; whether they count it tells later, in a
transaction of its own. Until then a position keeps which ones these are, and where their rows stand: by that
they are read again after a restart. Of one without rows of captured tables nothing is read again, as long as
the same ones are captured: its name is kept, and a mark of these. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias, final

import msgspec

_STEPS: Final = 1024

_XID: Final = r"X'[0-9a-f]*',X'[0-9a-f]*',[0-9]+"
_AT: Final = r"at ([^:\s/]+\.[0-9]{1,10}):([0-9]{1,12}) since ([0-9]{1,10})"
_PREPARED: Final = re.compile(rf"({_XID})(?: of ([0-9a-f]{{8}})| (?:(\S+) )??(?:after (\S+) )?{_AT})?")


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """An XA transaction that is prepared. `file` and what is beside it are those of the log that it was read
    from last."""

    xid: str  # as XA statements name it: X'676c',X'62',1
    gtid: str = ""  # of the transaction that prepares it; empty: without GTIDs
    before: str = ""  # MariaDB: the one before that in its domain; empty: it is the first
    file: str = ""  # in which it stands; empty: it has no rows of captured tables
    begin: int = 0  # offset of its GTID event
    since: int = 0  # when it was prepared, in seconds since the epoch
    captured: str = ""  # where it has no rows: `Tables.mark` as they were read

    @property
    def has_rows(self) -> bool:
        """Whether rows of captured tables wait for its end."""
        return bool(self.file)

    def is_known(self, captured: str) -> bool:
        """Whether it has rows, or had none of the tables that are captured now."""
        return self.has_rows or self.captured == captured

    def __str__(self) -> str:
        if not self.has_rows:
            return f"{self.xid} of {self.captured}" if self.captured else self.xid
        gtid = f" {self.gtid}" if self.gtid else ""
        before = f" after {self.before}" if self.before else ""
        return f"{self.xid}{gtid}{before} at {self.file}:{self.begin} since {self.since}"

    @classmethod
    def parse(cls, text: str) -> Prepared:
        """Read what `str` made. Raises ValueError for anything else."""
        matched = _PREPARED.fullmatch(text)
        if matched is None:
            raise ValueError(f"not an XA transaction that is prepared: {text[:80]!r}")
        xid, captured, gtid, before, file, begin, since = matched.groups("")
        return cls(xid, gtid, before, file, int(begin or 0), int(since or 0), captured)


_Entry: TypeAlias = tuple[int, Prepared]  # how many were prepared before it, in the order of which they stand


@final
class InDoubt:
    """Those of a position, in the order in which they were prepared. Immutable.

    The next one, with one more or one less, takes over the dictionary and leaves its predecessor what is to
    be undone: there may be thousands, and each transaction has its own of these, few of which are looked
    into. At most `_STEPS` hang together so, or as many as are in doubt: what is kept long holds little.
    """

    __slots__ = ("_entries", "_later", "_left", "_next", "_text", "_undo", "_with_rows")

    def __init__(self, by_xid: Mapping[str, Prepared] | None = None) -> None:
        """In the order of the mapping."""
        found = by_xid or {}
        self._entries: dict[str, _Entry] | None = dict(zip(found, enumerate(found.values()), strict=True))
        self._next = len(found)  # the number of one more
        self._left = 0  # how many may still take over the dictionary
        self._later: InDoubt | None = None  # the one that has
        self._undo: tuple[str, _Entry | None] = ("", None)  # what that one has there, and what this one had
        self._text: str | None = None  # made where it is wanted: most positions are not stored
        self._with_rows: tuple[Prepared, ...] | None = None

    @classmethod
    def parse(cls, text: str) -> InDoubt:
        """Read what `str` made. Raises ValueError for anything else."""
        found = [Prepared.parse(part) for part in text.split("; ")] if text else []
        by_xid = {one.xid: one for one in found}
        if len(by_xid) < len(found):
            raise ValueError(f"an XA transaction is prepared twice: {text[:80]!r}")
        return cls(by_xid)

    def __str__(self) -> str:
        if self._text is None:
            self._text = "; ".join(map(str, self))
        return self._text

    def __repr__(self) -> str:
        return f"InDoubt.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InDoubt) and {*self} == {*other}

    def __hash__(self) -> int:
        return hash(frozenset(self))

    def __bool__(self) -> bool:
        return bool(self._all())

    def __iter__(self) -> Iterator[Prepared]:
        return iter([one for _, one in self._all().values()])

    @property
    def with_rows(self) -> tuple[Prepared, ...]:
        """Those whose rows are read again."""
        if self._with_rows is None:
            self._with_rows = tuple([one for one in self if one.has_rows])
        return self._with_rows

    def get(self, xid: str) -> Prepared | None:
        """The one of this name."""
        found = self._all().get(xid)
        return found[1] if found is not None else None

    def add(self, one: Prepared) -> InDoubt:
        """With one more, behind the others."""
        return self._with(one.xid, (self._next, one))

    def found(self, one: Prepared) -> InDoubt:
        """With another place of one that is among them, as another server's log has it."""
        number, _ = self._all()[one.xid]
        return self._with(one.xid, (number, one))

    def joined(self, others: Iterable[Prepared], captured: str) -> InDoubt:
        """With others, as far as none of their name is among them that is known while these tables are
        captured."""
        known = {one.xid: one for one in self if one.is_known(captured)}
        return InDoubt({one.xid: one for one in self} | {one.xid: one for one in others} | known)

    def without(self, xid: str) -> InDoubt:
        """Behind the end of one."""
        return self._with(xid, None) if xid in self._all() else self

    def _with(self, xid: str, entry: _Entry | None) -> InDoubt:
        mine, made = self._all(), InDoubt()
        made._next = self._next + 1
        if self._left:
            made._entries, made._left = mine, self._left - 1
            self._entries, self._later, self._undo = None, made, (xid, mine.get(xid))
        else:
            made._entries = mine = {**mine}
            made._left = max(_STEPS, len(mine))
        if entry is None or mine.get(xid, entry)[0] != entry[0]:
            mine.pop(xid, None)
        if entry is not None:
            mine[xid] = entry
        return made

    def _all(self) -> dict[str, _Entry]:
        """By XID, in their order."""
        if self._entries is not None:
            return self._entries
        steps, at = list[tuple[str, _Entry | None]](), self
        while at._entries is None:
            assert at._later is not None
            steps.append(at._undo)
            at = at._later
        found = {**at._entries}
        for xid, entry in reversed(steps):
            found.pop(xid, None)
            if entry is not None:
                found[xid] = entry
        self._entries = dict(sorted(found.items(), key=lambda item: item[1][0]))
        self._later, self._left = None, 0
        return self._entries


NONE: Final = InDoubt()
