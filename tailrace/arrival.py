"""Waiting for a socket that a stream is read from."""

from __future__ import annotations

import asyncio


class Arrival:
    """Of one socket, in the event loop that makes this. One waits at a time; closing ends its wait. The
    descriptor may be somebody else's once its owner has closed it: close this first."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self, timeout: float) -> None:
        """Return when something may have arrived, after `timeout` seconds, or when woken."""
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_later(max(timeout, 0), _wake, waiter)
        self._loop.add_reader(self._descriptor, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            if self._waiter is waiter:  # else it was closed
                self._loop.remove_reader(self._descriptor)
                self._waiter = None

    def wake(self) -> None:
        """End the wait."""
        if self._waiter is not None:
            _wake(self._waiter)

    def close(self) -> None:
        """End the wait, and leave the descriptor alone."""
        if self._waiter is not None:
            self._loop.remove_reader(self._descriptor)
            _wake(self._waiter)
            self._waiter = None


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
