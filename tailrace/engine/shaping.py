"""Transforms at work: a chain of them as one, each table version looked at once.

Transforms that derive a table from a table are gone through in one pass, whatever their number: what becomes
of a table version is kept with it, so that a change costs a look at the table that it belongs to and, where
no transform asks for more, a new change with the same raw form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeAlias

from tailrace.abc import Derived, TableTransform, Transform
from tailrace.errors import Stop, code
from tailrace.events import Batch, Change, Event, SchemaChange, Table
from tailrace.patterns import Pattern
from tailrace.versions import PerVersion

ONE_NAME = code(
    "TR-SHAPE-001",
    "two tables would have one name",
    "The transforms give a table the name of another one. Their rows may have equal keys: mixed, one would "
    "pass for the other.",
)

_MOST_NAMES: Final = 100_000  # of tables that come and go without an end: then the oldest is forgotten


@dataclass(frozen=True, slots=True)
class Step:
    """A transform, and the tables that it is for, by the names that they have where it stands."""

    transform: Transform | TableTransform
    tables: tuple[Pattern, ...] | None = None  # None: all, and logical messages too

    def concerns(self, table: Table) -> bool:
        """Whether the transform is for this table."""
        return self.tables is None or any(one.matches(table.schema, table.name) for one in self.tables)


class Shaping:
    """See `tailrace.abc.Transform`. The steps, in their order."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._passes: list[Transform] = []
        for by_table, group in groupby(steps, lambda step: hasattr(step.transform, "derive")):
            if by_table:
                self._passes.append(_TablePass(list(group)))
            else:
                self._passes += [_of_batches(step) for step in group]

    def apply(self, batch: Batch) -> Batch:
        """See `tailrace.abc.Transform`."""
        for one in self._passes:
            batch = one.apply(batch)
        return batch


def _of_batches(step: Step) -> Transform:
    assert not hasattr(step.transform, "derive")
    transform: Transform = step.transform
    return transform if step.tables is None else _Runs(transform, step.concerns)


class _Runs:
    """A transform of batches that is for some tables: it sees their runs alone, each as a batch."""

    def __init__(self, transform: Transform, concerns: Callable[[Table], bool]) -> None:
        self._transform = transform
        self._concerns = concerns

    def apply(self, batch: Batch) -> Batch:
        events: list[Event] = []
        touched = False
        for concerned, run in groupby(batch.events, self._is_concerned):
            if concerned:
                touched = True
                events += self._transform.apply(batch.with_events(list(run))).events
            else:
                events += run
        return batch.with_events(events) if touched else batch

    def _is_concerned(self, event: Event) -> bool:
        return not _is_no_row(event) and self._concerns(event.table)


Each: TypeAlias = Callable[[Change], Sequence[Change]]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What becomes of a table version."""

    table: Table | None
    each: tuple[Each, ...] = ()


class _TablePass:
    """Transforms that derive tables, side by side."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._shapes = PerVersion(self._shape)
        self._named: dict[tuple[str, str], str] = {}  # derived name → the table that has it

    def apply(self, batch: Batch) -> Batch:
        events: list[Event] = []
        append = events.append
        table: Table | None = None
        shape = _NOTHING
        changed = False
        for event in batch.events:
            if event.table is not table:
                table = event.table
                shape = self._shapes.find(table) or self._first(event)
                changed |= shape.table is not table or bool(shape.each)
            if shape.table is table and not shape.each:
                append(event)
            elif shape.table is None:
                pass
            elif type(event) is SchemaChange:
                append(SchemaChange(shape.table, event.transaction, event.ordinal))
            elif not shape.each:
                append(_belonging(event, shape.table))
            else:
                made: Sequence[Change] = (event,)
                for each in shape.each:
                    made = [one for change in made for one in each(change)]
                events += [_belonging(change, shape.table) for change in made]
        return batch.with_events(events) if changed else batch

    def _first(self, event: Event) -> _Shape:
        """The shape of a version that is met for the first time. What is no row goes on as it is."""
        if _is_no_row(event):
            return _Shape(event.table)
        return self._shapes.make(event.table)

    def _shape(self, table: Table) -> _Shape:
        derived = table
        each: list[Each] = []
        for step in self._steps:
            if step.concerns(derived):
                found: Derived = step.transform.derive(derived)  # type: ignore[union-attr]  # these have it
                if found.table is None:
                    return _NOTHING
                derived = found.table
                if found.each is not None:
                    each.append(found.each)
        self._refuse_one_name(table, derived)
        return _Shape(derived, tuple(each))

    def _refuse_one_name(self, table: Table, derived: Table) -> None:
        name = derived.schema, derived.name
        if name not in self._named and len(self._named) >= _MOST_NAMES:
            del self._named[next(iter(self._named))]
        other = self._named.setdefault(name, str(table))
        if other != str(table):
            raise Stop(
                ONE_NAME,
                f"{table} and {other} would both be {derived}",
                "Rename one of them to something else. To have two tables share a topic, leave their names "
                "and route both to it. If the one was renamed to the other in the database, just start "
                "again.",
                where=str(table),
            )


_NOTHING: Final = _Shape(None)


def _is_no_row(event: Event) -> bool:
    return event.table.pseudo or (type(event) is Change and event.op == "m")


def _belonging(change: Change, table: Table) -> Change:
    if change.table is table:
        return change
    return Change(
        change.op,
        table,
        change.transaction,
        change.ordinal,
        change.index,
        change.offset,
        change.raw,
        change.order,
    )
