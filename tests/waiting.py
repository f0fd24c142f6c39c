"""Waiting for a condition, with a deadline: what a test does instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def _pause(waited: float) -> float:
    """Seconds until the next look. A look may cost a connection or a process: whoever has waited for long
    looks less often, and learns of it a twentieth later at most."""
    return min(0.02 + waited / 20, 0.1)


def wait_until(condition: Callable[[], T], what: str, timeout: float = 30) -> T:
    """Call `condition` until it answers something true, and return that.

    Raises TimeoutError naming `what` after `timeout` seconds. An exception out of the condition is not
    swallowed: a condition that may fail for a while says so by itself.
    """
    began = time.monotonic()
    while not (answer := condition()):
        if (waited := time.monotonic() - began) > timeout:
            raise TimeoutError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(_pause(waited))
    return answer


async def eventually(condition: Callable[[], Awaitable[T]], what: str, timeout: float = 30) -> T:
    """The same for a condition that is awaited, beside a running event loop."""
    began = time.monotonic()
    while not (answer := await condition()):
        if (waited := time.monotonic() - began) > timeout:
            raise TimeoutError(f"waited {timeout:g} s in vain for {what}")
        await asyncio.sleep(_pause(waited))
    return answer
