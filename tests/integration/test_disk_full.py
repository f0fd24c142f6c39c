"""A disk that is full: waited out, and told with the file and the room left; nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.commandline import Pipeline, refused
from tests.integration.room import Room
from tests.pipelines import PipelineProcess
from tests.servers import Postgres
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs tmpfs or prlimit")

_ROW_BYTES = 10_000


@pytest.fixture
def make_room(tmp_path: Path) -> Iterator[Callable[[int], Room]]:
    """Makes a room of so many kilobytes."""
    with contextlib.ExitStack() as rooms:
        yield lambda kilobytes: rooms.enter_context(contextlib.closing(Room(tmp_path / "room", kilobytes)))


def _mounted(room: Room) -> Room:
    if not room.mounted:
        assert os.environ.get("CI") != "true", "CI may mount"
        pytest.skip("needs a small file system, which only root may mount")
    return room


def _trouble(process: PipelineProcess, what: str) -> str:
    """The line that tells it."""
    wait_until(lambda: f"{what} retrying" in process.stderr, "the trouble")
    return next(line for line in process.stderr.splitlines() if f"{what} retrying" in line)


def _tells(line: str, room: Room, path: Path) -> bool:
    assert f"code={room.code}" in line
    assert f"at={path}" in line
    assert "it goes on" in line
    assert not room.mounted or "bytes free on its file system" in line
    return True


def test_under_open_transactions(pipeline: Pipeline) -> None:
    """What commits beside one that does not fit is delivered up to there, the rest once there is room."""
    pipeline.sql(f"ALTER DATABASE {pipeline.database} SET logical_decoding_work_mem = '64kB'")
    pipeline.source["streaming"] = "on"
    (pipeline.folder / "data").mkdir()
    room = Room(pipeline.folder / "data" / "streamed", 400)
    with contextlib.closing(room), room.inside(), pipeline.running() as process:
        with pipeline.server.connect(pipeline.database) as client:
            client.execute("BEGIN")
            client.execute("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1001, 1200) n")
            pipeline.insert(1)
            wait_until(lambda: pipeline.ids() == [1], "what commits beside it")
            client.execute("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1201, 2000) n")
            pipeline.insert(2)
            line = _trouble(process, "source")
            assert "code=TR-PG-308" in line
            assert f"at={room.folder / pipeline.name}" in line
            assert "bytes free there" in line
            client.execute("COMMIT")
        room.widen(process)
        wait_until(lambda: pipeline.ids() == [1, 2, *range(1001, 2001)], "all rows")
        pipeline.stop(process)


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_under_the_log(pipeline: Pipeline, make_room: Callable[[int], Room], end: str) -> None:
    """Whether it is stopped or killed meanwhile, and started again while the disk is still full."""
    room = make_room(400)
    log = room.folder.relative_to(pipeline.folder) / "log.db"
    pipeline.sinks[0]["path"] = str(log)
    with room.inside(), pipeline.running() as process:
        pipeline.insert(1)
        wait_until(lambda: pipeline.ids(log) == [1], "the first row")
        pipeline.sql("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(2, 1000) n")
        assert _tells(_trouble(process, "sink"), room, pipeline.folder / log)
        pipeline.insert(1001)
        if end == "stopped":
            pipeline.stop(process)
        else:
            process.kill()
    ids = pipeline.ids(log)
    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) < 1000
    with contextlib.ExitStack() as running:
        with room.inside():
            process = running.enter_context(pipeline.running(until=f"code={room.code}"))
        pipeline.insert(1002)
        room.widen(process)
        wait_until(lambda: pipeline.ids(log) == list(range(1, 1003)), "all rows")
        pipeline.stop(process)


def test_when_the_wal_is_copied_into_the_log(pipeline: Pipeline, make_room: Callable[[int], Room]) -> None:
    """There is room for the events, and then none for SQLite to move them from one file to the other."""
    room = _mounted(make_room(24 * 1024))
    log = room.folder.relative_to(pipeline.folder) / "log.db"
    pipeline.sinks[0]["path"] = str(log)
    with pipeline.running() as process:
        for first in range(1, 3001, 300):  # so that the copy is tried between two commits
            pipeline.sql(
                f"INSERT INTO t SELECT n, repeat('x', {_ROW_BYTES}) "
                f"FROM generate_series({first}, {first + 299}) n"
            )
        assert _tells(_trouble(process, "sink"), room, pipeline.folder / log)
        assert (room.folder / "log.db-wal").stat().st_size > 16 * 1024 * 1024
        room.widen(process)
        wait_until(lambda: pipeline.ids(log) == list(range(1, 3001)), "all rows")
        pipeline.stop(process)
    with contextlib.closing(sqlite3.connect(room.folder / "log.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_under_the_offset_store(pipeline: Pipeline, make_room: Callable[[int], Room]) -> None:
    room = make_room(100)
    store = room.folder.relative_to(pipeline.folder) / "offsets.db"
    pipeline.sinks = [{"type": "stdout"}]
    pipeline.offsets["path"] = str(store)
    with contextlib.ExitStack() as running:
        with room.inside():
            process = running.enter_context(pipeline.running())
        inserted = 0
        while "sink retrying" not in process.stderr:
            inserted += 1
            assert inserted < 1000, "room for so many checkpoints"
            pipeline.insert(inserted)
        assert _tells(_trouble(process, "sink"), room, pipeline.folder / store)
        pipeline.insert(inserted + 1)
        room.widen(process)

        def delivered() -> list[int]:
            lines = (pipeline.folder / "output").read_text().splitlines()
            return [json.loads(line)["key"]["id"] for line in lines]

        expected = list(range(1, inserted + 2))
        wait_until(lambda: list(dict.fromkeys(delivered())) == expected, "all rows")
        pipeline.stop(process)
    repeated = delivered()
    again = next(at for at, id in enumerate(repeated) if id in repeated[:at])
    assert again > 1, "what was stored before the disk was full does not come again"


def test_at_the_first_start(pipeline: Pipeline, make_room: Callable[[int], Room]) -> None:
    """Nothing is made on the server before the log has room; the folder of the log cannot be made either."""
    room = _mounted(make_room(400))
    log = room.folder.relative_to(pipeline.folder) / "below" / "log.db"
    pipeline.sinks[0]["path"] = str(log)
    room.fill()
    with pipeline.running(until="pipeline retrying") as process:
        assert _tells(_trouble(process, "pipeline"), room, pipeline.folder / log)
        assert pipeline.sql("SELECT FROM pg_publication") == []
        room.empty()
        wait_until(lambda: "pipeline streaming" in process.stderr, "the start")
        pipeline.insert(1)
        wait_until(lambda: pipeline.ids(log) == [1], "the row")
        pipeline.stop(process)


def test_under_everything(
    postgres18: Postgres, make_database: Callable[[Postgres], str], make_room: Callable[[int], Room]
) -> None:
    """File, lock, log and standard error lie on the full disk. It starts, waits, and goes on."""
    room = _mounted(make_room(600))
    pipeline = Pipeline(room.folder, postgres18, make_database(postgres18))
    with pipeline.running() as process:
        pipeline.insert(1)
        pipeline.wait_for(1)
        room.fill()
        pipeline.insert(2)
        process.kill()
    lock = pipeline.folder / "data" / f"{pipeline.name}.lock"
    lock.unlink()
    room.fill()
    command = [sys.executable, "-m", "tailrace", "run", str(pipeline.file)]
    output, errors = room.folder / "output", room.folder / "more errors"
    with PipelineProcess(command, output=output, errors=errors, failpoints="") as process:
        wait_until(lambda: _held(lock), "the start")
        assert "another process" in refused("TR-ENG-001", "run", pipeline.file).found
        assert process.running
        room.empty()
        pipeline.wait_for(1, 2)
        pipeline.stop(process)


def _held(lock: Path) -> bool:
    return lock.exists() and str(lock.stat().st_ino) in {line.split()[5].split(":")[2] for line in _locks()}


def _locks() -> list[str]:
    return [line for line in Path("/proc/locks").read_text().splitlines() if "FLOCK" in line]


def test_under_standard_error(pipeline: Pipeline) -> None:
    """Of a log that nobody can write nothing depends."""
    command = [sys.executable, "-m", "tailrace", "run", str(pipeline.write())]
    full = Path("/dev/full")
    with PipelineProcess(command, output=pipeline.folder / "output", errors=full, failpoints="") as process:
        active = "SELECT FROM pg_replication_slots WHERE database = current_database() AND active"
        wait_until(lambda: pipeline.sql(active), "the stream")
        pipeline.insert(1)
        pipeline.wait_for(1)
        process.signal(signal.SIGTERM)
        wait_until(lambda: not process.running, "its end")
        assert process.wait(1) == 0
