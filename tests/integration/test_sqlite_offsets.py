"""The offset store `sqlite` across kills: a save has happened or not, and a claim is never undone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from offsets.sqlite import SqliteOffsetSettings, SqliteOffsetStore
from tailrace.failpoints import declared_failpoints
from tailrace.testing.events import checkpoint

PROGRAM = """
import asyncio, sys
from pathlib import Path
from offsets.sqlite import SqliteOffsetSettings, SqliteOffsetStore
from tailrace.testing.events import checkpoint

async def main():
    store = SqliteOffsetStore(SqliteOffsetSettings(), Path(sys.argv[1]))
    epoch, stored = await store.claim("orders/stdout")
    for sequence in range(stored.sequence + 1 if stored else 1, 11):
        await store.save("orders/stdout", epoch, checkpoint(sequence, {"lsn": f"0/{sequence}"}))
        print(sequence, flush=True)
    await store.close()

asyncio.run(main())
"""


def save(base: Path, failpoints: str) -> tuple[int, list[int]]:
    """Save up to sequence 10 in another process: how it ended, and what it was told to be durable."""
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(base)],
        env={**os.environ, "TAILRACE_FAILPOINTS": failpoints},
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    return process.returncode, [int(line) for line in process.stdout.splitlines()]


POINTS = [name for name in declared_failpoints() if name.startswith(("offsets.claim.", "offsets.save."))]


@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_at_a_failpoint(tmp_path: Path, point: str) -> None:
    nth = 1 if point.startswith("offsets.claim.") else 4
    ended, saved = save(tmp_path, f"{point}=kill@{nth}")
    assert ended == -signal.SIGKILL
    store = SqliteOffsetStore(SqliteOffsetSettings(), tmp_path)
    stored = await store.peek("orders/stdout")
    last = saved[-1] if saved else 0
    assert (stored.sequence if stored else 0) == (last + 1 if point == "offsets.save.after" else last)
    epoch, _ = await store.claim("orders/stdout")
    assert epoch == 2
    await store.close()
    assert save(tmp_path, "")[0] == 0
    assert await store.peek("orders/stdout") == checkpoint(10, {"lsn": "0/10"})
    await store.close()
