"""A client that keeps the demo's database busy."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Final

from tailrace.hooks import Demo, RowChange

_PAUSE: Final = (0.02, 0.25)  # seconds between two transactions, at random: slow enough to be watched


class Traffic:
    """Trades in a thread of its own between `start` and `stop`, and notes what was committed."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo
        self._committed: list[RowChange] = []
        self._stopping = threading.Event()
        self._moved = threading.Condition()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="demo traffic", daemon=True)

    @property
    def committed(self) -> Sequence[RowChange]:
        """The row changes so far, in the order of their commits. Grows until `stop`."""
        return self._committed

    def start(self) -> None:
        self._thread.start()

    def wait_for_commit(self) -> None:
        """Return as soon as one more transaction is committed. Raises what ended the thread."""
        with self._moved:
            before = len(self._committed)
            self._moved.wait_for(lambda: len(self._committed) > before or self._error is not None)
        self.check()

    def check(self) -> None:
        """Raise the error that has ended the thread, if one has."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Return when the transaction that runs is over. Legal in any state, also repeatedly."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(random.uniform(*_PAUSE)):
                changes = self._demo.trade()
                with self._moved:
                    self._committed += changes
                    self._moved.notify_all()
        except Exception as error:
            with self._moved:
                self._error = error
                self._moved.notify_all()
