"""Log positions and checkpoints as people read them."""

from __future__ import annotations

from tailrace.checkpoint import Checkpoint
from tailrace.events import Position


def show_position(position: Position | None) -> str:
    """`0/16B3748`, or with more than one part `lsn 0/16B3748, ordinal 7, end 0/16B3000`."""
    if position is None:
        return "none"
    place = {name: value for name, value in position.items() if name != "proof"}
    if len(place) == 1:
        return str(next(iter(place.values())))
    return ", ".join(f"{name} {value}" for name, value in place.items())


def show_checkpoint(checkpoint: Checkpoint | None) -> str:
    """Where a sink stands: nothing stored, a first start that began, or a position."""
    if checkpoint is None or checkpoint.is_empty:
        return "nothing delivered yet"
    if checkpoint.is_new:
        return "a first start began here; no position yet"
    return show_position(checkpoint.position)
