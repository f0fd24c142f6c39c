"""Batches through transforms, made by hand and read back through the formats' careful twins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailrace import plugins
from tailrace.abc import TableTransform, Transform
from tailrace.engine.shaping import Shaping, Step
from tailrace.events import Batch, Change, Event
from tailrace.patterns import Pattern


def transform(type: str, tables: Sequence[str] | None = None, **settings: Any) -> Step:
    """A step as a pipeline's file declares it."""
    plugin = plugins.load("transforms", type)
    made: Transform | TableTransform = plugin(plugin.Settings.model_validate(settings))
    patterns = None if tables is None else tuple(Pattern.parse(one) for one in tables)
    return Step(made, patterns)


def shape(events: Sequence[Event], *steps: Step) -> Sequence[Event]:
    """What comes out of the steps for one batch."""
    batch = Batch(events, {"line": 7}, commit=True, size=100, timestamp=5, more=True)
    shaped = Shaping(steps).apply(batch)
    assert (shaped.end, shaped.commit, shaped.timestamp, shaped.more) == ({"line": 7}, True, 5, True)
    return shaped.events


def changes(events: Sequence[Event]) -> list[Change]:
    """The changes alone."""
    return [event for event in events if isinstance(event, Change)]


def rows(event: Event) -> tuple[Any, Any]:
    """The rows before and after of a change, as its table reads them now."""
    assert isinstance(event, Change)
    return event.table.split(event.raw)


def names(event: Event) -> list[str]:
    """The columns of the event's table."""
    return [column.name for column in event.table.columns]
