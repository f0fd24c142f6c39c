"""Several clients at once, each in a thread."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from typing import Self

import psycopg

from tests.traffic.client import Client


class Traffic:
    """Clients that work from `__enter__` to `__exit__`, at most `rate` transactions a second each.

    `large` is the number of rows of a large transaction. `survives`: a server that goes away is connected to
    again; without it that is an error, as is anything else that a client meets: `__exit__` raises it. With
    `transactions` set each client ends by itself after so many: `wait` for that.
    """

    def __init__(
        self,
        url: str,
        seed: int,
        *,
        clients: int = 4,
        rate: float = 1000,
        large: int = 3000,
        transactions: int | None = None,
        survives: bool = False,
    ) -> None:
        self._clients = [Client(url, f"{seed}/{number}", large) for number in range(clients)]
        self._interval = 1 / rate
        self._transactions = transactions
        self._survives = survives
        self._stopping = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(client,), name=f"client {number}", daemon=True)
            for number, client in enumerate(self._clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End after the transactions that run."""
        self._stopping.set()
        self.wait()

    def wait(self) -> None:
        """Return when every client has ended."""
        for thread in self._threads:
            thread.join(120)
            if thread.is_alive():
                raise TimeoutError(f"{thread.name} does not end")
        if self._failures:
            raise self._failures[0]

    @property
    def counts(self) -> Counter[str]:
        """What came of the transactions so far, of all clients."""
        return sum((client.counts for client in self._clients), Counter[str]())

    def _run(self, client: Client) -> None:
        left = self._transactions
        due = time.monotonic()

        def stop() -> bool:
            nonlocal left, due
            if left is not None:
                left -= 1
            due = max(due + self._interval, time.monotonic() - 1)
            self._stopping.wait(due - time.monotonic())
            return self._stopping.is_set() or (left is not None and left < 0)

        while True:
            try:
                with contextlib.closing(client.connect()) as connection:
                    client.run(connection, stop)
                return
            except psycopg.OperationalError as error:
                if not self._survives:
                    self._failures.append(error)
                    return
                if self._stopping.wait(0.05):
                    return
            except BaseException as error:  # told by `wait`
                self._failures.append(error)
                return
