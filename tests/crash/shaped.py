"""Transforms of a pipeline under traffic, and what they make of the events that happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from tests.truth.events import Event

TRANSFORMS: Final[Sequence[dict[str, Any]]] = [
    {"type": "columns", "tables": ["public.orders"], "mask": {"note": 3}, "exclude": ["document"]},
    {
        "type": "filter",
        "tables": ["public.items"],
        "where": "op == 'd' or row.stock is not None and row.stock % 2 == 0",
    },
    {"type": "skip", "tables": ["public.ledger"], "operations": ["u"]},
]
"""Of all sinks."""

OF_ONE_SINK: Final[Sequence[dict[str, Any]]] = [
    {"type": "tables", "exclude": ["public.Mixed Case"]},
    {"type": "route", "tables": ["public.orders"], "topic": "second.{pipeline}.sales"},
    {"type": "filter", "tables": ["public.orders"], "where": "op != 'c' or after.paid is True"},
]
"""Behind those, of one sink alone."""


def events(happened: Sequence[Event], *, one_sink: bool) -> list[Event]:
    """The events that a sink must hold, at the places that they had before; `one_sink`: the one with
    transforms of its own. No delete is dropped, hence no tombstone is."""
    return [
        _shaped(event, one_sink=one_sink)
        for event in happened
        if event.value is None or _passes(event, one_sink=one_sink)
        if not (one_sink and event.topic == "public.Mixed_Case")
    ]


def _passes(event: Event, *, one_sink: bool) -> bool:
    op, after = event.value["op"], event.value.get("after")
    if event.topic == "public.items" and after is not None:
        return after["stock"] is not None and after["stock"] % 2 == 0
    if event.topic == "public.ledger":
        return bool(op != "u")
    if one_sink and event.topic == "public.orders" and op == "c":
        return bool(after["paid"])
    return True


def _shaped(event: Event, *, one_sink: bool) -> Event:
    if event.topic != "public.orders":
        return event
    topic = "sales" if one_sink else event.topic
    if event.value is None:
        return replace(event, topic=topic)
    value = dict(event.value)
    for name in ("before", "after"):
        if value[name] is not None:
            row = {column: field for column, field in value[name].items() if column != "document"}
            # An old row holds its key alone: what the log does not know stays away.
            value[name] = row if name == "before" else {**row, "note": "***"}
    return replace(event, topic=topic, value=value)
