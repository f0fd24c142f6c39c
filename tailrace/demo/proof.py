"""The proof: what the log holds against what was committed, and against what the database holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from operator import attrgetter
from typing import Any, TypeAlias

from tailrace.demo.events import LoggedEvent, Place
from tailrace.hooks import DemoTable, RowChange

Rows: TypeAlias = Mapping[tuple[Any, ...], Mapping[str, Any]]
"""A table's rows by key."""


@dataclass(frozen=True, slots=True)
class TableProof:
    """One table, both ways."""

    changes: int  # committed in the database
    events: int  # in the log, without tombstones
    rows: int  # in the database
    folded: int  # in the log, folded by key
    differences: Sequence[str]  # between these rows, in words


@dataclass(frozen=True, slots=True)
class Proof:
    """What is wrong, in words; each list is empty where nothing is."""

    tables: Mapping[str, TableProof]
    lost: Sequence[str]  # committed, and not in the log; or a delete without its tombstone
    surplus: Sequence[str]  # in the log twice, or never committed
    misplaced: Sequence[str]  # not in the order of the commits

    @property
    def holds(self) -> bool:
        return not (self.lost or self.surplus or self.misplaced or self.differences)

    @property
    def changes(self) -> int:
        return sum(table.changes for table in self.tables.values())

    @property
    def events(self) -> int:
        return sum(table.events for table in self.tables.values())

    @property
    def differences(self) -> Sequence[str]:
        return [f"{name} {text}" for name, table in self.tables.items() for text in table.differences]


def prove(
    tables: Mapping[str, DemoTable],
    committed: Sequence[RowChange],
    events: Sequence[LoggedEvent],
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Proof:
    """Compare.

    `committed` in the order of the commits; `events` as the log has them, those of each table in its order;
    `rows` as the database has them now.
    """
    seen: set[Place] = set()
    last: dict[str, Place] = {}
    surplus: list[str] = []
    misplaced: list[str] = []
    for event in events:
        before = last.get(event.table)
        if event.place in seen:
            surplus.append(f"{_name(event)}: a second time")
        elif before is not None and event.place < before:
            misplaced.append(f"{_name(event)}: behind {_show_place(before)}")
        else:
            last[event.table] = event.place
        seen.add(event.place)
    once = sorted({event.place: event for event in events}.values(), key=attrgetter("place"))
    delivered = [event.change for event in once if event.op is not None]
    lost = [_name(change) for change in (Counter(committed) - Counter(delivered)).elements()]
    never = [_name(change) for change in (Counter(delivered) - Counter(committed)).elements()]
    surplus += [f"{change}: never committed" for change in never]
    if not lost and not never:
        misplaced += [
            f"{_name(change)}: where {_name(expected)} was committed"
            for change, expected in zip(delivered, committed, strict=True)
            if change != expected
        ]
    tombstones = {event.place for event in once if event.op is None}
    deletes = {_behind(event.place): event for event in once if event.op == "d"}
    lost += [f"the tombstone of {_name(deletes[place])}" for place in deletes.keys() - tombstones]
    surplus += [f"a tombstone at {_show_place(place)}" for place in tombstones - deletes.keys()]
    return Proof(
        {name: _prove_table(name, table, committed, events, rows[name]) for name, table in tables.items()},
        lost,
        surplus,
        misplaced,
    )


def _prove_table(
    name: str,
    table: DemoTable,
    committed: Sequence[RowChange],
    events: Sequence[LoggedEvent],
    rows: Sequence[Mapping[str, Any]],
) -> TableProof:
    own = [event for event in events if event.table == name]
    folded = fold(own)
    return TableProof(
        changes=sum(change.table == name for change in committed),
        events=sum(event.op is not None for event in own),
        rows=len(rows),
        folded=len(folded),
        differences=compare({tuple(row[column] for column in table.key): row for row in rows}, folded),
    )


def fold(events: Sequence[LoggedEvent]) -> Rows:
    """What a reader of one table's events, in their order, holds in the end."""
    rows: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for event in events:
        match event.op:
            case "c" | "u" | "r" if event.row is not None:
                rows[event.key] = event.row
            case "d" | None:
                rows.pop(event.key, None)
            case "t":
                rows.clear()
            case _:
                raise ValueError(f"cannot fold {_name(event)}")
    return rows


def compare(database: Rows, folded: Rows) -> list[str]:
    """Each difference between two states of a table, in words."""
    differences = [f"{_show_key(key)}: not in the log's rows" for key in database.keys() - folded.keys()]
    differences += [f"{_show_key(key)}: not in the database" for key in folded.keys() - database.keys()]
    for key in database.keys() & folded.keys():
        columns = zip_longest(database[key].items(), folded[key].items(), fillvalue=("no column", None))
        differences += [
            f"{_show_key(key)}: {here} {ours!r} in the database, {there} {theirs!r} in the log"
            for (here, ours), (there, theirs) in columns
            if (here, ours) != (there, theirs)
        ]
    return sorted(differences)


def _behind(place: Place) -> Place:
    transaction, ordinal, index = place
    return transaction, ordinal, index + 1


def _name(event: LoggedEvent | RowChange) -> str:
    place = f" at {_show_place(event.place)}" if isinstance(event, LoggedEvent) else ""
    return f"{event.op or 'tombstone'} {event.table} {_show_key(event.key)}{place}"


def _show_place(place: Place) -> str:
    return ":".join(map(str, place))


def _show_key(key: tuple[Any, ...]) -> str:
    return "/".join(map(str, key))
