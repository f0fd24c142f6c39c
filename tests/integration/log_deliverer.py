"""Delivers made-up transactions to a log, as a pipeline would: `python -m tests.integration.log_deliverer`.

Arguments: PATH TRANSACTIONS UNIT [BYTES [RETENTION]]. Goes on behind the stored checkpoint, UNIT transactions
a commit, up to TRANSACTIONS in all; transaction n inserts n % 5 + 1 rows of BYTES in two tables. RETENTION is
in bytes. Prints a line per commit, and per error that passes. Exit code 3: fenced.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ByteSize

from sinks.log import LogSettings, LogSink
from tailrace.abc import SinkContext
from tailrace.checkpoint import Checkpoint, Owner
from tailrace.errors import Fenced, Retry
from tailrace.events import Batch, Table
from tailrace.testing.events import Delivered, PlainFormat, Stream, checkpoint, delivered, table

TABLES = (table("orders"), table("audit", keyed=False))


def transactions(count: int, size: int = 20) -> Sequence[Batch]:
    """The first `count` transactions; `size` is the length of a row's text."""
    stream = Stream()
    return [
        stream.batch(
            *(("c", TABLES[row % 2], number * 10 + row, "x" * size) for row in range(number % 5 + 1))
        )
        for number in range(count)
    ]


def expected(table: Table, count: int, size: int = 20) -> Sequence[Delivered]:
    """What the table's topic must hold when they all are delivered."""
    return delivered(*transactions(count, size))[table.name]


def sink(path: Path, retention_bytes: int | None = None) -> LogSink:
    """The sink that they are delivered to; the topics are called as the tables."""
    settings = LogSettings(
        path=path,
        topic="{table}",
        retention_bytes=None if retention_bytes is None else ByteSize(retention_bytes),
    )
    return LogSink(settings, SinkContext("deliverer", "log", PlainFormat(), path.parent))


def _done(stored: Checkpoint | None) -> int:
    return 0 if stored is None or stored.position is None else int(stored.position["transaction"])


async def deliver(
    path: Path, count: int, unit: int, size: int = 20, retention_bytes: int | None = None
) -> None:
    """Deliver what the log does not hold yet."""
    owner = Owner.this_process()
    batches = transactions(count, size)
    log = sink(path, retention_bytes)
    opened = False
    sequence = 0
    done = 0
    while done < count:
        try:
            if not opened:
                stored = await log.open()
                done = _done(stored)
                sequence = (stored.sequence if stored else 0) + 1
                await log.commit(checkpoint(sequence, {"transaction": done}, owner))
                opened = True
            for batch in batches[done : done + unit]:
                await log.write(log.prepare(batch))
            end = min(done + unit, count)
            await log.commit(checkpoint(sequence + 1, {"transaction": end}, owner))
            done, sequence = end, sequence + 1
            print(f"committed {done}", flush=True)
        except Retry as error:
            print(f"{type(error).__name__} {error.code.id} {error}", flush=True)
            await log.abort()
            opened = False
            await asyncio.sleep(0.05)
    await log.close()


if __name__ == "__main__":
    log_path, *numbers = sys.argv[1:]
    try:
        asyncio.run(deliver(Path(log_path), *map(int, numbers)))
    except Fenced as fenced:
        print(f"Fenced {fenced}", flush=True)
        sys.exit(3)
