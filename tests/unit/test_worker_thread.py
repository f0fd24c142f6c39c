"""The thread of blocking calls ends when it is told to."""

from __future__ import annotations

import threading

from tailrace.worker_thread import WorkerThread


async def test_it_ends_behind_a_call_that_nobody_has_awaited_yet() -> None:
    goes_on = threading.Event()
    thread = WorkerThread("ended")
    calling = thread.call(lambda: (goes_on.wait(5), threading.current_thread()))
    thread.end()
    goes_on.set()
    _, worker = await calling
    worker.join(5)
    assert not worker.is_alive()
