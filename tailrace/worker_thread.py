"""Blocking calls beside the event loop: one thread that does them one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class WorkerThread:
    """Begins with the first call. A call whose caller was cancelled still ends before the next begins, so
    what it works on belongs to one call at a time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._executor: ThreadPoolExecutor | None = None

    def call(self, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        """The function's result or exception, after all earlier calls. It is called whether or not that is
        awaited, so that `end` may follow at once."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        return asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def end(self) -> None:
        """Let the thread end after the calls made so far; a later call begins another. Legal repeatedly."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None


def call_alone(name: str, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
    """The function's result or exception, called in a thread of its own that ends behind it. Shielded by
    whoever may be cancelled, it goes on to its end."""
    thread = WorkerThread(name)
    calling = thread.call(function, *arguments)
    thread.end()
    return calling
