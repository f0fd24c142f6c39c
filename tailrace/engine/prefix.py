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
    good, bad = 0, len(changes)  # what stands before the one can be prepared, before the other it cannot
    while bad - good > 1:
        place = middle = (good + bad) // 2
        part = None
        # A change that belongs to the message of the one before it has no place in front of it.
        while place < bad and (part := source.before(batch, changes[place])) is None:
            place += 1
        if part is None:
            bad = middle
            continue
        try:
            prepare(part)
        except (Malformed, Rejected):
            bad = middle
        else:
            good, found = place, part
    return found
