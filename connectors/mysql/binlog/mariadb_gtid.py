"""MariaDB's GTID positions: which transactions. Immutable; no I/O.

MariaDB names a transaction by domain, server and number, `0-1-7`. Within a domain transactions have one
order, so the last one of each domain says what was executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, final

_GTID: Final = re.compile(r"([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,20})")
_GREATEST: Final = (1 << 64) - 1


@final
class GtidPosition:
    """The last transaction of each of MariaDB's domains. Positions that grow by the next transaction of the
    same server in one domain share what they grew from, as sets do."""

    __slots__ = ("_base", "_last", "_newest", "_whole", "number")

    number: int
    """The numbers of all domains together."""

    def __init__(self, domains: Mapping[int, tuple[int, int]] | None = None) -> None:
        """By domain: (server id, number)."""
        self._base: Mapping[int, tuple[int, int]] = domains or {}
        self._whole: Mapping[int, tuple[int, int]] | None = self._base  # None: not made yet
        self._newest = ""  # `domain-server` that goes on up to `_last`
        self._last = _GREATEST
        self.number = sum([number for _, number in self._base.values()])

    @property
    def _domains(self) -> Mapping[int, tuple[int, int]]:
        whole = self._whole
        if whole is None:
            domain, _, server = self._newest.partition("-")
            whole = self._whole = {**self._base, int(domain): (int(server), self._last)}
        return whole

    @classmethod
    def parse(cls, text: str) -> GtidPosition:
        """Read `0-1-7,2-3-9`, as @@gtid_binlog_pos has it. Raises ValueError for anything else, and for a
        domain that stands there twice."""
        domains: dict[int, tuple[int, int]] = {}
        for part in text.split(",") if text.strip() else ():
            domain, server, number = split_mariadb(part.strip())
            if domain in domains:
                raise ValueError(f"the domain {domain} stands twice in {text[:120]!r}")
            domains[domain] = (server, number)
        return cls(domains)

    def __str__(self) -> str:
        """In the order of the domains: what @slave_connect_state takes."""
        domains = sorted(self._domains.items())
        return ",".join(f"{domain}-{server}-{number}" for domain, (server, number) in domains)

    def __repr__(self) -> str:
        return f"GtidPosition.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GtidPosition) and self._domains == other._domains

    def __hash__(self) -> int:
        return hash(frozenset(self._domains.items()))

    def __bool__(self) -> bool:
        return bool(self._domains)

    def __contains__(self, gtid: str) -> bool:
        """Whether one transaction is not behind it: its domain has come to that number. Raises ValueError
        where that is no GTID."""
        domain, _, number = split_mariadb(gtid)
        return domain in self._domains and number <= self._domains[domain][1]

    def domains(self) -> Iterator[tuple[int, int, int]]:
        """(domain, server id, number), in order."""
        return ((domain, server, number) for domain, (server, number) in sorted(self._domains.items()))

    def last(self, gtid: str) -> str:
        """The last transaction of the domain of this one; empty where it has none. Raises ValueError if that
        is no GTID."""
        domain, _, _ = split_mariadb(gtid)
        found = self._domains.get(domain)
        return f"{domain}-{found[0]}-{found[1]}" if found is not None else ""

    def back_to(self, before: str, gtid: str) -> GtidPosition:
        """Where the domain of a transaction stood before it: at `before`, or nowhere if that is empty. Raises
        ValueError if one of them is no GTID."""
        domain, _, _ = split_mariadb(gtid)
        if before:
            return self.add(before)
        return GtidPosition({name: last for name, last in self._domains.items() if name != domain})

    def covers(self, other: GtidPosition) -> bool:
        """Whether every domain of the other has come as far here, or further. Where a domain has come to the
        same number by another server, neither covers the other."""
        mine = self._domains
        return all(
            domain in mine and (mine[domain][1] > last[1] or mine[domain] == last)
            for domain, last in other._domains.items()
        )

    def add(self, gtid: str) -> GtidPosition:
        """Behind one more transaction, which is the last of its domain then. Raises ValueError if that is no
        GTID."""
        domain, server, number = split_mariadb(gtid)
        return GtidPosition({**self._domains, domain: (server, number)})

    def beyond(self, gtid: str) -> GtidPosition | None:
        """Behind a transaction to which its domain had not come; None where it had. Raises ValueError if that
        is no GTID."""
        last = self._last + 1
        if gtid == f"{self._newest}-{last}" and last <= _GREATEST:
            grown = GtidPosition.__new__(GtidPosition)
            grown._base, grown._whole = self._base, None
            grown._newest, grown._last = self._newest, last
            grown.number = self.number + 1
            return grown
        domain, server, number = split_mariadb(gtid)
        domains = self._domains
        if domain in domains and number <= domains[domain][1]:
            return None
        grown = GtidPosition({**domains, domain: (server, number)})
        grown._newest, grown._last = f"{domain}-{server}", number
        return grown

    def missing(self, other: GtidPosition) -> str:
        """What of the other this has not come to, for an error message: `0-1-8 to 0-1-12`."""
        mine = self._domains
        gaps = []
        for domain, server, number in other.domains():
            here = mine.get(domain)
            if here is None or here[1] < number:
                first = f"{domain}-{server}-{here[1] + 1 if here else 1}"
                gaps.append(f"{first} to {domain}-{server}-{number}")
            elif here[1] == number and here[0] != server:
                gaps.append(f"{domain}-{server}-{number}")
        return ", ".join(gaps) or "none"


def split_mariadb(gtid: str) -> tuple[int, int, int]:
    """A GTID of MariaDB as its domain, server id and number. Raises ValueError for anything else."""
    matched = _GTID.fullmatch(gtid)
    if not matched:
        raise ValueError(f"not a GTID of MariaDB: {gtid[:120]!r}")
    domain, server, number = (int(part) for part in matched.groups())
    if domain >> 32 or server >> 32 or number > _GREATEST:
        raise ValueError(f"not a GTID of MariaDB: {gtid[:120]!r}")
    return domain, server, number
