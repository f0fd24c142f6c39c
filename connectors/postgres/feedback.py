"""What the server is told of a stream's progress, whether or not anybody reads at the moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from connectors.postgres.channel import Channel
from tailrace.errors import TailraceError
from tailrace.failpoints import failpoint

_GATHER_SECONDS: Final = 0.02  # acknowledgements that come within it go out as one

_before = failpoint("postgres.feedback.before")
_after = failpoint("postgres.feedback.after")


class Feedback:
    """Sends status updates on a timer of its own, and soon after each acknowledgement.

    `flushed` is what frees the server's log: only ends of commits and idle positions that are durable in
    every sink. `received` tells what has arrived.
    """

    def __init__(self, channel: Channel, interval: float, received: Callable[[], int], flushed: int) -> None:
        self.flushed = flushed  # 0: nothing to say yet
        self._channel = channel
        self._interval = interval
        self._received = received
        self._sent = 0
        self._loop = asyncio.get_running_loop()
        # Timers, not a task: there is nothing to await, and so nothing that a cancellation could miss.
        self._timer = self._loop.call_later(_GATHER_SECONDS if flushed else interval, self._tick)

    def acknowledge(self, lsn: int) -> None:
        """Everything before `lsn` is durable."""
        if lsn > self.flushed:
            if self.flushed <= self._sent:  # else the timer runs already
                self._schedule(_GATHER_SECONDS)
            self.flushed = lsn

    def send(self, *, ask: bool = False) -> None:
        """Tell now; `ask` for a keepalive in return. Raises what `Channel.send_status` raises."""
        news = self.flushed > self._sent
        if news:
            _before()
        self._channel.send_status(self._received(), self.flushed, reply=ask)
        self._sent = self.flushed
        self._schedule(self._interval)
        if news:
            _after()

    def close(self) -> None:
        """Stop the timer; a last acknowledgement goes out if the connection allows."""
        if self.flushed > self._sent:
            self._try()
        self._timer.cancel()

    def _schedule(self, delay: float) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_later(delay, self._tick)

    def _tick(self) -> None:
        self._schedule(self._interval)
        self._try()

    def _try(self) -> None:
        # The reader meets the same error, and has somebody to tell.
        with contextlib.suppress(TailraceError):
            self.send()
