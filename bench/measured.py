"""A pipeline that drains its backlog and prints what that cost: the process that `bench` measures.

    python -m bench.measured FILE

prints one JSON object: seconds and CPU seconds from the open stream to the last durable commit, the rows, and
the peak of resident memory of the whole process in KiB.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time

from tailrace.cli.loading import loading
from tailrace.engine.status import State
from tailrace.pipeline import Pipeline


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _loaded(path: str) -> Pipeline:
    """As the command `run` loads it."""
    with loading():
        return Pipeline.load(path)


async def _drain(pipeline: Pipeline) -> dict[str, float]:
    running = asyncio.create_task(pipeline.run_async(until_current=True))
    while pipeline.status.state is not State.STREAMING and not running.done():  # noqa: ASYNC110 - a plain state
        await asyncio.sleep(0.001)
    began, cpu = time.perf_counter(), _cpu()
    await running
    return {
        "seconds": time.perf_counter() - began,
        "cpu": _cpu() - cpu,
        "rows": sum(sink.events for sink in pipeline.status.sinks.values()),
        "commits": sum(sink.commits for sink in pipeline.status.sinks.values()),
        "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


if __name__ == "__main__":
    json.dump(asyncio.run(_drain(_loaded(sys.argv[1]))), sys.stdout)
