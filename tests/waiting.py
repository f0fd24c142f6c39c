"""Waiting for a condition, with a deadline: what a test does instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = 0.02  # seconds between two looks


def wait_until(condition: Callable[[], T], what: str, timeout: float = 30) -> T:
    """Call `condition` until it answers something true, and return that.

    Raises TimeoutError naming `what` after `timeout` seconds. An exception out of the condition is not
    swallowed: a condition that may fail for a while says so by itself.
    """
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(_PAUSE)
    return answer


async def eventually(condition: Callable[[], Awaitable[T]], what: str, timeout: float = 30) -> T:
    """The same for a condition that is awaited, beside a running event loop."""
    deadline = time.monotonic() + timeout
    while not (answer := await condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain for {what}")
        await asyncio.sleep(_PAUSE)
    return answer
