"""The sink `log` among several processes: readers beside it, kills, takeovers, held locks, full disks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from sinks.log import LogSink
from tailrace.checkpoint import Checkpoint
from tailrace.clients import sqlite as sqlite_client
from tailrace.clients.sqlite_faults import FULL, IO_ERROR, LOCKED
from tailrace.errors import Retry
from tailrace.failpoints import declared_failpoints
from tailrace.log import Entry, Reader
from tailrace.testing.events import checkpoint
from tests.integration.log_deliverer import TABLES, deliver, expected, sink, transactions
from tests.waiting import wait_until

Started = subprocess.Popen[str]
Start = Callable[..., Started]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes of the test's own: (module and arguments, failpoints="", preexec=None)."""
    with contextlib.ExitStack() as running:

        def start(
            *words: str | Path | int, failpoints: str = "", preexec: Callable[[], None] | None = None
        ) -> Started:
            process = subprocess.Popen(
                [sys.executable, "-m", *map(str, words)],
                env={**os.environ, "TAILRACE_FAILPOINTS": failpoints},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                preexec_fn=preexec,
            )
            running.callback(_end, process)
            return process

        yield start


def _end(process: Started) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate()


DELIVERER = "tests.integration.log_deliverer"


def everything(reader: Reader, topic: str) -> Sequence[Entry]:
    page = reader.read(topic)
    entries = [*page.entries]
    while not page.end:
        page = reader.read(topic, page.next)
        entries += page.entries
    return entries


def assert_complete(path: Path, count: int, size: int = 20, *, whole: bool = True) -> None:
    """The log holds these transactions once and in order; not `whole`: what retention has left of them."""
    with contextlib.closing(Reader(path)) as reader:
        topics = {topic.name: topic for topic in reader.topics()}
        assert topics.keys() == {table.name for table in TABLES}
        for table in TABLES:
            entries = everything(reader, table.name)
            first, wanted = topics[table.name].first, expected(table, count, size)
            assert [entry.offset for entry in entries] == list(range(first, len(wanted)))
            assert [(entry.key, entry.value) for entry in entries] == wanted[first:]
            assert (first == 0) == whole


def is_stopped(process: Started) -> bool:
    return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED


def test_readers_follow_while_it_is_written(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "events.db"
    assert start(DELIVERER, path, 1, 1).wait(30) == 0
    count = 400
    table = TABLES[0]
    wanted = expected(table, count)
    followers = [
        start("tailrace", "log", "read", table.name, "--log", path, "--follow", "--json", "-n", len(wanted))
        for _ in range(2)
    ]
    writer = start(DELIVERER, path, count, 3)
    for follower in followers:
        output, _ = follower.communicate(timeout=60)
        assert follower.returncode == 0
        lines = [json.loads(line) for line in output.splitlines()]
        assert [line["offset"] for line in lines] == list(range(len(wanted)))
        assert [str(line["key"]).encode() for line in lines] == [key for key, _ in wanted]
    assert writer.wait(30) == 0
    assert_complete(path, count)


@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("point", [name for name in declared_failpoints() if name.startswith("log.")])
def test_a_kill_at_a_failpoint_loses_and_doubles_nothing(
    tmp_path: Path, start: Start, point: str, nth: int
) -> None:
    path = tmp_path / "events.db"
    shape: tuple[int, ...] = (60, 7, 20)
    if point.startswith("log.open."):  # reached once by a process
        for _ in range(nth - 1):
            assert start(DELIVERER, path, 1, 1).wait(30) == 0
        nth = 1
    if point.startswith("log.retention."):
        shape = (100, 7, 50_000, 1_000_000)
    killed = start(DELIVERER, path, *shape, failpoints=f"{point}=kill@{nth}")
    assert killed.wait(30) == -signal.SIGKILL
    again = start(DELIVERER, path, *shape)
    assert again.wait(30) == 0
    assert_complete(path, *shape[::2][:2], whole=len(shape) < 4)


def test_kills_at_random_instants(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "events.db"
    chance = random.Random(1)
    for _ in range(12):
        process = start(DELIVERER, path, 3000, 10, 2000)
        assert process.stdout is not None
        for _ in range(chance.randint(1, 15)):
            process.stdout.readline()
        time.sleep(chance.random() * 0.005)
        process.kill()
        process.wait()
    assert start(DELIVERER, path, 3000, 50, 2000).wait(60) == 0
    assert_complete(path, 3000, 2000)


async def test_a_process_held_inside_its_commit(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newcomer waits and names it; once continued, its commit counts, and it is fenced at its next."""
    monkeypatch.setattr(sqlite_client, "_PATIENCE", 0.2)
    path = tmp_path / "events.db"
    held = start(DELIVERER, path, 3000, 10, failpoints="log.commit.locked=stop@3")
    await asyncio.to_thread(wait_until, lambda: is_stopped(held), "the process to stop inside its commit")
    newcomer = sink(path)
    with pytest.raises(Retry, match=f"deliverer/log by process {held.pid} on ") as refused:
        await newcomer.open()
    assert refused.value.code is LOCKED
    stored = await newcomer.peek()
    assert stored is not None
    assert stored.position == {"transaction": 10}
    with contextlib.closing(Reader(path)) as reader:
        assert reader.end("orders") == len(expected(TABLES[0], 10))
    os.kill(held.pid, signal.SIGCONT)
    assert held.stdout is not None
    assert [held.stdout.readline() for _ in range(2)] == ["committed 10\n", "committed 20\n"]
    stored = await opened(newcomer)
    assert stored is not None
    await newcomer.commit(checkpoint(stored.sequence + 1, stored.position or {}))
    assert await asyncio.to_thread(held.wait, 30) == 3
    await newcomer.close()
    await deliver(path, 3000, 100)
    assert_complete(path, 3000)


async def opened(log: LogSink) -> Checkpoint | None:
    """Open it as soon as the lock is free for it."""
    while True:
        try:
            return await log.open()
        except Retry as error:
            if error.code is not LOCKED:
                raise
            await log.abort()


async def test_a_process_held_before_its_commit_is_fenced(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "events.db"
    held = start(DELIVERER, path, 60, 10, failpoints="log.commit.before=stop@3")
    wait_until(lambda: is_stopped(held), "the process to stop before its commit")
    await deliver(path, 60, 10)
    held.send_signal(signal.SIGCONT)
    output, _ = held.communicate(timeout=30)
    assert held.returncode == 3
    assert "Fenced" in output
    assert "TR-SINK-001" in output
    assert_complete(path, 60)


async def test_the_loop_goes_on_while_a_commit_waits(tmp_path: Path) -> None:
    """And a commit whose caller was cancelled is over before the sink is opened again."""
    path = tmp_path / "events.db"
    log = sink(path)
    await log.open()
    for batch in transactions(2):
        await log.write(log.prepare(batch))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        committing = asyncio.create_task(log.commit(checkpoint(1, {"transaction": 2})))
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert not committing.done()
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
        aborting = asyncio.create_task(log.abort())
        await asyncio.sleep(0.02)
        assert not aborting.done()
        holder.execute("ROLLBACK")
        await aborting
    assert await log.open() == checkpoint(1, {"transaction": 2})
    await log.close()
    assert_complete(path, 2)


def limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, resource.RLIM_INFINITY))


def test_a_file_that_may_not_grow(tmp_path: Path, start: Start) -> None:
    """A limit or a quota is an I/O error to SQLite: told, waited out, nothing lost."""
    path = tmp_path / "events.db"
    limited = start(DELIVERER, path, 100, 10, 5000, preexec=limit_file_size)
    assert limited.stdout is not None
    lines: list[str] = []
    while not any(IO_ERROR.id in line for line in lines):
        lines.append(limited.stdout.readline())
        assert lines[-1], lines
    assert lines[-1].startswith("UnknownOutcome "), "the commit itself failed"
    assert any(line.startswith("committed") for line in lines)
    resource.prlimit(limited.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    output, _ = limited.communicate(timeout=30)
    assert limited.returncode == 0
    assert "committed 100" in output
    assert_complete(path, 100, 5000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small file system; the unit tests fill a file instead")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_waited_out(small_disk: Path, start: Start) -> None:
    path = small_disk / "events.db"
    (small_disk / "ballast").write_bytes(b"x" * 1_200_000)
    waiting = start(DELIVERER, path, 30, 3, 5000)
    assert waiting.stdout is not None
    lines: list[str] = []
    while not any(FULL.id in line for line in lines):
        lines.append(waiting.stdout.readline())
        assert lines[-1], lines
    (small_disk / "ballast").unlink()
    output, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 0
    assert "committed 30" in output
    assert_complete(path, 30, 5000)
