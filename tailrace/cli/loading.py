"""What a process loads before it does anything, and how its garbage is looked for from then on."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Final

_NEW_CONTAINERS: Final = 50_000
"""So many more than were let go of, before these are looked through for cycles; with Python's 700 that is at
every two hundredth transaction. What flows through a pipeline holds no cycle, and looking for one takes a
twentieth of a backlog's time. Commits leave none; a connection that is given up leaves some hundred
containers, without what was to be sent over it."""


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """What is imported or made in the block stays to the end. To look through all of it for garbage, again
    and again as it grows, takes a tenth of a start, and later more than what comes and goes does."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(_NEW_CONTAINERS, *gc.get_threshold()[1:])
        gc.enable()
