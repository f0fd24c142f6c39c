"""The sink `stdout` on real pipes, files and devices: a child process writes, the test reads, or does not."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.waiting import wait_until

# What a child does, with the standard output that the test gives it; it answers on stderr.
PROGRAM = """
import asyncio, sys
from pathlib import Path
from sinks.stdout import StdoutSettings, StdoutSink
from tailrace.abc import SinkContext
from tailrace.errors import TailraceError
from tailrace.testing.events import PlainFormat, Stream, checkpoint, table

def answer(*words):
    print(*words, file=sys.stderr, flush=True)

sink = StdoutSink(StdoutSettings(), SinkContext("orders", "stdout", PlainFormat(), Path()))
stream = Stream()
orders = table("orders")

def payload(count, text="text"):
    return sink.prepare(stream.inserts(orders, range(count), text))

async def main():
{body}

try:
    asyncio.run(main())
except TailraceError as error:
    answer(type(error).__name__, error.code.id)
"""

Child = subprocess.Popen[str]
Run = Callable[..., Child]


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts a child with the body of `main`: (body, stdout=PIPE)."""
    with contextlib.ExitStack() as running:

        def start(body: str, stdout: int | IO[bytes] = subprocess.PIPE) -> Child:
            lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
            child = subprocess.Popen(
                [sys.executable, "-c", PROGRAM.format(body=lines)],
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
            )
            running.callback(child.communicate)
            running.callback(child.kill)
            return child

        yield start


DELIVER = """
await sink.open()
await sink.write(payload(3))
await sink.commit(checkpoint(1, stream.end))
answer("committed")
"""


def test_lines(run: Run) -> None:
    output, answers = run(DELIVER.replace("payload(3)", "payload(1)")).communicate(timeout=30)
    assert answers == "committed\n"
    assert output == (
        '{"topic":"acceptance.public.orders","position":"0000000000000001:0:0","key":0,"value":c 0 text}\n'
    )


def test_a_reader_that_left_is_told_in_words(run: Run) -> None:
    child = run(DELIVER.replace("payload(3)", "payload(5000)"))  # more than a pipe holds
    assert child.stdout is not None
    child.stdout.close()
    child.stdout = None
    _, answers = child.communicate(timeout=30)
    assert answers == "Stop TR-SINK-010\n"


def test_a_closed_output_is_told_before_anything_is_written(run: Run) -> None:
    command = [sys.executable, "-c", PROGRAM.format(body="    await sink.open()")]
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True, check=True, timeout=30
    )
    assert closed.stderr == "Stop TR-SINK-010\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_waited_out(run: Run) -> None:
    with open("/dev/full", "wb") as full:
        _, answers = run(DELIVER, full).communicate(timeout=30)
    assert answers == "Retry TR-SINK-011\n"


def test_a_file_gets_everything_and_is_synced(run: Run, tmp_path: Path) -> None:
    body = """
import os, stat
synced = []
real = os.fsync
os.fsync = lambda descriptor: (synced.append(descriptor), real(descriptor))
await sink.open()
for sequence in range(5):
    await sink.write(payload(2000, "x" * 2000))
    await sink.commit(checkpoint(sequence, stream.end))
answer(synced)
"""
    with open(tmp_path / "lines", "wb") as file:
        _, answers = run(body, file).communicate(timeout=30)
    assert answers == "[1, 1, 1, 1, 1]\n"
    lines = (tmp_path / "lines").read_text().splitlines()
    assert len(lines) == 10_000
    assert all(line.endswith("x" * 2000 + "}") for line in lines)


CUT = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (150, resource.RLIM_INFINITY))
"""


@pytest.mark.parametrize("readable", [True, False])
def test_a_line_that_an_earlier_process_has_cut_is_ended(run: Run, tmp_path: Path, readable: bool) -> None:
    lines = tmp_path / "lines"
    with lines.open("ab") as file:
        _, answers = run(CUT + DELIVER, file).communicate(timeout=30)
    assert answers == "Stop TR-SINK-012\n"
    cut = lines.read_bytes()
    assert cut.count(b"\n") == 1
    assert not cut.endswith(b"\n")
    stranger = ""
    if not readable:  # a file that its user may only append to; root becomes a user who may not even that
        lines.chmod(0o200)
        stranger = "import os\nif os.geteuid() == 0: os.seteuid(65534)\n"
    with lines.open("ab") as file:
        _, answers = run(stranger + DELIVER, file).communicate(timeout=30)
    assert answers == "committed\n"
    lines.chmod(0o600)
    written = lines.read_bytes()
    whole = written[: written.index(b"\n") + 1]
    assert written.startswith(cut + b"\n" + whole)
    assert [line.count(b'"key"') for line in written.splitlines()] == [1, cut.count(b'"key"') - 1, 1, 1, 1]


def test_whole_lines_are_followed_at_once(run: Run, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    for _ in range(2):
        with lines.open("ab") as file:
            assert run(DELIVER, file).communicate(timeout=30)[1] == "committed\n"
    written = lines.read_text().splitlines()
    assert written[:3] == written[3:]
    assert all(written)


BLOCKED = """
await sink.open()
writing = asyncio.create_task(sink.write(payload(5000, "x" * 100)))
turns = 0
while not writing.done() and turns < 30:
    await asyncio.sleep(0.01)
    turns += 1
answer("turns", turns)
writing.cancel()
await asyncio.wait_for(sink.abort(), 5)
answer("aborted")
"""


def test_a_reader_that_stands_still_blocks_neither_loop_nor_abort(run: Run) -> None:
    """And the line that the abort has cut is finished before it comes again."""
    child = run(
        BLOCKED
        + """
await sink.open()
await sink.write(payload(5000, "y" * 100))
await sink.commit(checkpoint(1, stream.end))
answer("committed")
"""
    )
    assert child.stderr is not None
    assert [child.stderr.readline() for _ in range(2)] == ["turns 30\n", "aborted\n"]
    output, answers = child.communicate(timeout=30)
    assert answers == "committed\n"
    lines = output.splitlines()
    kinds = [
        "x" if line.endswith("x" * 100 + "}") else "y" if line.endswith("y" * 100 + "}") else line
        for line in lines
    ]
    assert set(kinds) == {"x", "y"}
    assert kinds == sorted(kinds)
    assert kinds.count("y") == 5000
    assert kinds.count("x") < 5000


def test_the_process_can_leave_while_nobody_reads(run: Run) -> None:
    child = run(BLOCKED + "await sink.close()")
    wait_until(lambda: child.poll() is not None, "the child to leave")
    assert child.returncode == 0
