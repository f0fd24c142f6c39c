"""What of a batch stands before an event that cannot be shaped or converted, or that the target refuses."""

from __future__ import annotations

from collections.abc import Callable

from tailrace.abc import Divides, Source
from tailrace.errors import Malformed, Rejected
from tailrace.events import Batch, Change


def before_fault(source: Source, batch: Batch, prepare: Callable[[Batch], object]) -> Batch | None:
    """The longest part of the batch, from its beginning, that can be prepared; None if there is none, or the
    source cannot tell its position. `prepare` raises Malformed or Rejected for the batch as a whole."""
    if not isinstance(source, Divides):
        return None
    changes = [event for event in batch.events if isinstance(event, Change)]
    found: Batch | None = None
    good, bad = 0, len(changes)  # so many changes can be prepared, and so many cannot
    while bad - good > 1:
        middle = (good + bad) // 2
        part = source.before(batch, changes[middle])
        if part is None:  # the change belongs to a message that all before it belong to, or has no position
            good = middle
            continue
        try:
            prepare(part)
        except (Malformed, Rejected):
            bad = middle
        else:
            good, found = middle, part
    return found
