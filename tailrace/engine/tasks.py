"""How a task ended."""

from __future__ import annotations

import asyncio
from typing import Any


def failure_of(task: asyncio.Task[Any]) -> BaseException | None:
    """What a finished task failed of; None if it returned, or was cancelled because somebody asked for it.

    A call that ends as cancelled although nobody cancelled it (a library gave up a future of its own) is a
    defect. Taken for a cancellation it would pass in silence: its part missing, and everybody waiting for it.
    """
    if not task.cancelled():
        return task.exception()
    return None if task.cancelling() else RuntimeError("a call was cancelled from inside, by nobody's wish")
