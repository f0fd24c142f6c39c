"""What a process loads before it does anything, loaded without a look for garbage in it."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """What is imported or made in the block stays to the end. To look through all of it for garbage, again
    and again as it grows, takes a tenth of a start, and later more than what comes and goes does."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
