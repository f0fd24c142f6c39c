"""XA transactions that are in doubt: prepared, and neither committed nor rolled back in what was read.

A log holds the rows of an XA transaction where it is prepared; whether they count it tells later, in a
transaction of its own. Until then a position keeps which ones these are, and where their rows stand: by that
they are read again after a restart. Of one without rows of captured tables nothing is read again; that it was
prepared behind the pipeline's begin is known by its name alone. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, final

import msgspec

_XID: Final = r"X'[0-9a-f]*',X'[0-9a-f]*',[0-9]+"
_AT: Final = r"at ([^:\s/]+\.[0-9]{1,10}):([0-9]{1,12}) since ([0-9]{1,10})"
_PREPARED: Final = re.compile(rf"({_XID})(?: (?:(\S+) )??(?:after (\S+) )?{_AT})?")


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """An XA transaction that is prepared. `file` and what is beside it are those of the log that it was read
    from last."""

    xid: str  # as XA statements name it: X'676c',X'62',1
    gtid: str = ""  # of the transaction that prepares it; empty: without GTIDs
    before: str = ""  # MariaDB: the one before that in its domain; empty: it is the first
    file: str = ""  # in which it stands; empty: it has no rows of captured tables
    begin: int = 0  # offset of its GTID event
    since: int = 0  # when it was prepared, in seconds since the epoch

    @property
    def has_rows(self) -> bool:
        """Whether rows of captured tables wait for its end."""
        return bool(self.file)

    def __str__(self) -> str:
        if not self.has_rows:
            return self.xid
        gtid = f" {self.gtid}" if self.gtid else ""
        before = f" after {self.before}" if self.before else ""
        return f"{self.xid}{gtid}{before} at {self.file}:{self.begin} since {self.since}"

    @classmethod
    def parse(cls, text: str) -> Prepared:
        """Read what `str` made. Raises ValueError for anything else."""
        matched = _PREPARED.fullmatch(text)
        if matched is None:
            raise ValueError(f"not an XA transaction that is prepared: {text[:80]!r}")
        xid, gtid, before, file, begin, since = matched.groups("")
        return cls(xid, gtid, before, file, int(begin or 0), int(since or 0))


@final
class InDoubt:
    """Those of a position, in the order in which they were prepared. Immutable."""

    __slots__ = ("_by_xid", "_text", "with_rows")

    with_rows: tuple[Prepared, ...]
    """Those whose rows are read again."""

    def __init__(self, by_xid: Mapping[str, Prepared] | None = None) -> None:
        self._by_xid: Mapping[str, Prepared] = by_xid or {}
        self._text: str | None = None  # made where it is wanted: most positions are not stored
        self.with_rows = tuple([one for one in self._by_xid.values() if one.has_rows])

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
            self._text = "; ".join(map(str, self._by_xid.values()))
        return self._text

    def __repr__(self) -> str:
        return f"InDoubt.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InDoubt) and self._by_xid == other._by_xid

    def __hash__(self) -> int:
        return hash(str(self))

    def __bool__(self) -> bool:
        return bool(self._by_xid)

    def __iter__(self) -> Iterator[Prepared]:
        return iter(self._by_xid.values())

    def get(self, xid: str) -> Prepared | None:
        """The one of this name."""
        return self._by_xid.get(xid)

    def add(self, one: Prepared) -> InDoubt:
        """With one more, behind the others."""
        return InDoubt({**self.without(one.xid)._by_xid, one.xid: one})

    def found(self, one: Prepared) -> InDoubt:
        """With another place of one that is among them, as another server's log has it."""
        return InDoubt({**self._by_xid, one.xid: one})

    def joined(self, others: Iterable[Prepared]) -> InDoubt:
        """With others, as far as none of their name is among them."""
        return InDoubt({**{one.xid: one for one in others}, **self._by_xid})

    def without(self, xid: str) -> InDoubt:
        """Behind the end of one."""
        if xid not in self._by_xid:
            return self
        return InDoubt({name: one for name, one in self._by_xid.items() if name != xid})


NONE: Final = InDoubt()
