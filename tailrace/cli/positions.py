"""Checkpoints as people read them."""

from __future__ import annotations

from tailrace.checkpoint import Checkpoint, show_position


def show_checkpoint(checkpoint: Checkpoint | None) -> str:
    """Where a sink stands: nothing stored, a first start that began, or a position."""
    if checkpoint is None or checkpoint.is_empty:
        return "nothing delivered yet"
    if checkpoint.is_new:
        return "a first start began here; no position yet"
    return show_position(checkpoint.position)
