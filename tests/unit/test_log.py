"""The embedded log: what is appended is read back, and kept for as long as it was told to."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.checkpoint import Checkpoint
from tailrace.clients import sqlite as sqlite_client
from tailrace.clients.sqlite import SqliteFile, refuse_unwritable
from tailrace.clients.sqlite_faults import (
    DAMAGED,
    FOREIGN,
    FULL,
    LOCKED,
    MOVED,
    NOT_WRITABLE,
    OTHER_VERSION,
)
from tailrace.errors import Code, Fenced, Gap, Retry, Stop
from tailrace.log import Entry, Reader, Retention, Writer, retention
from tailrace.log import writer as writer_module
from tailrace.log.clock import Clock as RetentionClock
from tailrace.log.layout import LOG
from tailrace.log.reader import BEYOND_END, EXPIRED, NO_LOG, UNKNOWN_TOPIC
from tailrace.log.rows import Rows
from tailrace.testing.events import checkpoint

SINK = "orders/log"
KEEP = Retention()
HOUR = 3_600_000_000


def point(sequence: int = 1) -> Checkpoint:
    return checkpoint(sequence, {"lsn": f"0/{sequence}"})


def event(
    number: int, *, key: bytes | None = b"k", value: bytes | None = b"v", timestamp: int | None = None
) -> Rows:
    """One event's columns, of transaction `number`."""
    return [None, number if timestamp is None else timestamp, f"{number:08}", 0, 0, key, value]


def events(*numbers: int, size: int = 1) -> Rows:
    return [field for number in numbers for field in event(number, value=b"v" * size)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def closing() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


class Clock:
    """µs since the epoch, moved by hand; `set` is by how much somebody has set it."""

    now = 1_700_000_000_000_000
    set = 0

    def retention(self) -> RetentionClock:
        return RetentionClock(lambda: self.now + self.set, lambda: self.now)


def open_writer(
    path: Path,
    closing: contextlib.ExitStack,
    *,
    sink: str = SINK,
    keep: Retention = KEEP,
    clock: Clock | None = None,
) -> Writer:
    writer = Writer(path, sink, keep, (clock or Clock()).retention())
    closing.callback(writer.close)
    return writer


def open_reader(path: Path, closing: contextlib.ExitStack) -> Reader:
    reader = Reader(path)
    closing.callback(reader.close)
    return reader


def read_all(reader: Reader, topic: str, key: bytes | None = None) -> list[Entry]:
    entries: list[Entry] = []
    offset = None
    while True:
        page = reader.read(topic, offset, key=key, limit=7)
        entries += page.entries
        if page.end:
            return entries
        offset = page.next


def test_offsets_are_dense_per_topic_and_begin_at_0(path: Path, closing: contextlib.ExitStack) -> None:
    writer = open_writer(path, closing)
    writer.append({"a": events(1, 2), "b": events(1)}, point(1))
    writer.append({}, point(2))
    writer.append({"b": events(3, 4, 5)}, point(3))
    writer.append({"a": events(*range(6, 306))}, point(4))
    reader = open_reader(path, closing)
    a, b = read_all(reader, "a"), read_all(reader, "b")
    assert [entry.offset for entry in a] == list(range(302))
    assert [entry.position for entry in a] == [f"{n:08}" for n in (1, 2, *range(6, 306))]
    assert [entry.offset for entry in b] == [0, 1, 2, 3]
    assert [(topic.name, topic.first, topic.next, topic.bytes) for topic in reader.topics()] == [
        ("a", 0, 302, 604),
        ("b", 0, 4, 8),
    ]


def test_an_event_comes_back_as_it_was(path: Path, closing: contextlib.ExitStack) -> None:
    value = bytes(range(256)) * 100
    open_writer(path, closing).append(
        {
            "a": [
                *(None, 17, "0/AB", 3, 2, b'{"id":"\xc3\xa4"}', value),
                *(None, 18, "0/AC", 0, 1, b"k", None),
                *(None, 18, "0/AC", 1, 0, None, b""),
            ]
        },
        point(),
    )
    first, tombstone, keyless = read_all(open_reader(path, closing), "a")
    assert first == Entry(0, 17, "0/AB", 3, 2, b'{"id":"\xc3\xa4"}', value)
    assert first.identity == "0/AB:3:2"
    assert tombstone == Entry(1, 18, "0/AC", 0, 1, b"k", None)
    assert keyless == Entry(2, 18, "0/AC", 1, 0, None, b"")


def test_topics_that_differ_in_case_alone(path: Path, closing: contextlib.ExitStack) -> None:
    open_writer(path, closing).append(
        {"Orders": events(1), "orders": events(2, 3), 'a"; b': events(4)}, point()
    )
    reader = open_reader(path, closing)
    assert [len(read_all(reader, name)) for name in ("Orders", "orders", 'a"; b')] == [1, 2, 1]


def test_a_failed_append_leaves_nothing(path: Path, closing: contextlib.ExitStack) -> None:
    old = open_writer(path, closing)
    old.append({"a": events(1)}, point(1))
    new = open_writer(path, closing)
    assert new.checkpoint == point(1)
    with pytest.raises(Fenced, match=r"orders/log was claimed again \(epoch 2 after 1\)"):
        old.append({"a": events(2), "new topic": events(2)}, point(2))
    with pytest.raises(sqlite3.IntegrityError):
        new.append({"new topic": events(3), "a": [None, None, "0", 0, 0, b"", b""]}, point(2))
    new.append({"a": events(4)}, point(2))
    reader = open_reader(path, closing)
    assert [topic.name for topic in reader.topics()] == ["a"]
    assert [(entry.offset, entry.position) for entry in read_all(reader, "a")] == [
        (0, "00000001"),
        (1, "00000004"),
    ]


def test_sinks_share_a_file_and_a_topic(path: Path, closing: contextlib.ExitStack) -> None:
    one, two = open_writer(path, closing), open_writer(path, closing, sink="invoices/log")
    for number in range(0, 20, 2):
        one.append({"a": events(number)}, point(number))
        two.append({"a": events(number + 1), "b": events(number)}, point(number + 1))
    reader = open_reader(path, closing)
    assert [(e.offset, e.position) for e in read_all(reader, "a")] == [(n, f"{n:08}") for n in range(20)]
    assert len(read_all(reader, "b")) == 10


def test_a_held_lock_is_told_with_its_owner(
    path: Path, closing: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_client, "_PATIENCE", 0.05)
    open_writer(path, closing).append({}, point())
    holder = sqlite3.connect(path, isolation_level=None)
    closing.callback(holder.close)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Retry, match="orders/log by process 4711 on host-ä") as refused:
        Writer(path, SINK, KEEP)
    assert refused.value.code is LOCKED
    holder.execute("ROLLBACK")
    assert open_writer(path, closing).checkpoint == point()


def test_disk_full_passes_when_there_is_room_again(path: Path, closing: contextlib.ExitStack) -> None:
    writer = open_writer(path, closing)
    writer.append({"a": events(1)}, point(1))
    connection = writer._file.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(Retry) as refused:
        writer.append({"a": events(*range(2, 1000), size=1000)}, point(2))
    assert refused.value.code is FULL
    writer.append({"a": events(2)}, point(2))
    writer.close()
    writer = open_writer(path, closing)
    assert writer.checkpoint == point(2)
    writer.append({"a": events(*range(3, 1000), size=1000)}, point(3))
    assert len(read_all(open_reader(path, closing), "a")) == 999


@pytest.mark.parametrize("keep", ["the file", "the WAL"])
def test_a_file_that_was_taken_away_stops_the_writer(
    path: Path, closing: contextlib.ExitStack, keep: str
) -> None:
    writer = open_writer(path, closing)
    writer.append({"a": events(1)}, point(1))
    reader = open_reader(path, closing)
    gone = path.with_name("events.db-wal") if keep == "the file" else path
    moved = gone.rename(gone.with_name("elsewhere"))
    for use in (lambda: writer.append({"a": events(2)}, point(2)), lambda: reader.wait(10)):
        with pytest.raises(Stop) as refused:
            use()
        assert refused.value.code is MOVED
    moved.rename(gone)
    writer.append({"a": events(2)}, point(2))
    assert len(read_all(reader, "a")) == 2


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_followed(tmp_path: Path, path: Path, closing: contextlib.ExitStack, exists: bool) -> None:
    """Also one whose file, with its folder, is still to be made."""
    disk = tmp_path / "disk" / "sub" / "other.db"
    path.symlink_to(disk)
    if exists:
        open_writer(disk, closing).close()
    refuse_unwritable(path)
    writer = open_writer(path, closing)
    writer.append({"a": events(1)}, point(1))
    reader = open_reader(path, closing)
    assert not reader.wait(0)
    writer.append({"a": events(2)}, point(2))
    assert reader.wait(10)
    assert len(read_all(reader, "a")) == 2
    assert sorted(found.name for found in disk.parent.iterdir()) == [
        "other.db",
        "other.db-shm",
        "other.db-wal",
    ]
    assert path.is_symlink()
    path.unlink()
    path.symlink_to(tmp_path / "somewhere else.db")
    for use in (lambda: writer.append({"a": events(3)}, point(3)), lambda: reader.wait(10)):
        with pytest.raises(Stop) as refused:
            use()
        assert refused.value.code is MOVED


def make_foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (id)")
    connection.close()


def make_newer(path: Path) -> None:
    Writer(path, SINK, KEEP).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()


def make_damaged(path: Path) -> None:
    with contextlib.closing(Writer(path, SINK, KEEP)) as writer:
        writer.append({"a": events(1)}, point())
    content = bytearray(path.read_bytes())
    content[16384 * 2 :] = b"\xff" * (len(content) - 16384 * 2)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (make_foreign, FOREIGN),
        (make_newer, OTHER_VERSION),
        (lambda path: path.write_text("name: orders\n" * 500), FOREIGN),
        (make_damaged, DAMAGED),
        (lambda path: path.mkdir(), NOT_WRITABLE),
    ],
    ids=["another database", "a newer layout", "a text", "damaged", "a folder"],
)
def test_a_file_of_another_kind_is_refused_and_left_alone(path: Path, make, code: Code) -> None:  # type: ignore[no-untyped-def]  # the makers only share that they take a path
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(Stop) as refused:
        Writer(path, SINK, KEEP)
    assert refused.value.code is code
    assert str(path) in str(refused.value)
    with pytest.raises(Stop) as refused:
        Reader(path).topics()
    assert refused.value.code is code
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Stop) as refused:
        Writer(tmp_path / "file" / "sub" / "events.db", SINK, KEEP)
    assert refused.value.code is NOT_WRITABLE


def refusals(path: Path) -> Iterator[Code]:
    """What whoever would use the path is told."""
    for use in (lambda: Writer(path, SINK, KEEP), lambda: Reader(path), lambda: refuse_unwritable(path)):
        with pytest.raises(Stop) as refused:
            use()
        assert str(path) in str(refused.value)
        yield refused.value.code


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    for path in (tmp_path / ("x" * 300), tmp_path / ("x" * 300) / "events.db"):
        assert set(refusals(path)) == {NOT_WRITABLE}


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder whose permissions bind this process, root or not, and may be changed by the test."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # pytest's own lie in one that root alone may enter
        if user == 0:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        yield Path(folder)
        os.seteuid(user)
        os.chmod(folder, 0o700)


def test_a_folder_that_may_not_be_entered(closed_folder: Path) -> None:
    closed_folder.chmod(0)
    for path in (closed_folder / "events.db", closed_folder / "sub" / "events.db"):
        assert set(refusals(path)) == {NOT_WRITABLE}


def test_a_folder_that_may_not_be_read(closed_folder: Path) -> None:
    """It cannot be synced, so that a new file in it would not be durable."""
    closed_folder.chmod(0o300)
    with pytest.raises(Stop, match="Permission denied") as refused:
        Writer(closed_folder / "events.db", SINK, KEEP)
    assert refused.value.code is NOT_WRITABLE


def test_folders_are_made(tmp_path: Path, closing: contextlib.ExitStack) -> None:
    open_writer(tmp_path / "a" / "b" / "events.db", closing)
    assert (tmp_path / "a" / "b" / "events.db").exists()


@pytest.mark.parametrize("left", ["an empty file", "WAL mode and no layout"])
def test_a_file_whose_making_was_cut_off_is_made_again(
    path: Path, closing: contextlib.ExitStack, left: str
) -> None:
    path.touch()
    if left == "WAL mode and no layout":
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA page_size = 16384")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
    with pytest.raises(Stop) as refused:
        Reader(path)
    assert refused.value.code is NO_LOG
    open_writer(path, closing).append({"a": events(1)}, point())
    assert len(read_all(open_reader(path, closing), "a")) == 1


def test_several_may_make_the_file_at_once(path: Path) -> None:
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def make(number: int) -> None:
        barrier.wait()
        try:
            with contextlib.closing(Writer(path, f"orders/log{number}", KEEP)) as writer:
                writer.append({"a": events(number)}, point())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with contextlib.closing(Reader(path)) as reader:
        assert len(read_all(reader, "a")) == 4


def test_a_new_file_is_durable_as_an_entry_of_its_folder(
    path: Path, closing: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        real(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("the descriptor's path is read from /proc")
    monkeypatch.setattr(os, "fsync", fsync)
    open_writer(path.parent / "new" / path.name, closing)
    assert synced == [path.parent, path.parent / "new"]


def test_commits_are_synced(path: Path, closing: contextlib.ExitStack) -> None:
    connection = open_writer(path, closing)._file.connection
    settings = (
        "synchronous",
        "journal_mode",
        "fullfsync",
        "checkpoint_fullfsync",
        "auto_vacuum",
        "page_size",
    )
    found = [connection.execute(f"PRAGMA {setting}").fetchone()[0] for setting in settings]
    assert found == [2, "wal", 1, 1, 2, 16384]


def test_reading_out_of_range(path: Path, closing: contextlib.ExitStack) -> None:
    with pytest.raises(Stop) as refused:
        Reader(path)
    assert refused.value.code is NO_LOG
    assert not path.exists()
    open_writer(path, closing).append({"a": events(1, 2)}, point())
    reader = open_reader(path, closing)
    assert reader.read("a", 2).entries == []
    assert reader.read("a", 2).end
    for offset in (3, 99):
        with pytest.raises(Stop, match="the next event will be 2") as refused:
            reader.read("a", offset)
        assert refused.value.code is BEYOND_END
    with pytest.raises(Stop, match="'b'") as refused:
        reader.read("b")
    assert refused.value.code is UNKNOWN_TOPIC
    assert refused.value.remedy == "There are: a."


def test_pages_are_bounded_in_bytes(
    path: Path, closing: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tailrace.log.reader._PAGE_BYTES", 10_000)
    open_writer(path, closing).append({"a": events(*range(100), size=1000)}, point())
    page = open_reader(path, closing).read("a")
    assert (len(page.entries), page.next, page.end) == (11, 11, False)


def test_by_key(path: Path, closing: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.log.reader._SCAN", 10)
    rows = [field for n in range(100) for field in event(n, key=b"%d" % (n % 30) if n % 30 else None)]
    open_writer(path, closing).append({"a": rows}, point())
    reader = open_reader(path, closing)
    assert [entry.offset for entry in read_all(reader, "a", key=b"17")] == [17, 47, 77]
    assert read_all(reader, "a", key=b"99") == []
    assert [entry.offset for entry in reader.read("a", 40, key=b"17", limit=1).entries] == [47]


def test_waiting_ends_with_a_commit(path: Path, closing: contextlib.ExitStack) -> None:
    writer = open_writer(path, closing)
    reader = open_reader(path, closing)
    assert not reader.wait(0)
    writer.append({"a": events(1)}, point())
    assert reader.wait(10)
    assert not reader.wait(0)
    later = threading.Timer(0.1, lambda: Writer(path, "other/log", KEEP).close())
    later.start()
    assert reader.wait(10)
    later.join()


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=6), min_size=1, max_size=8),
    st.integers(0, 21),
    st.integers(1, 8),
)
def test_times_are_found(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[int]], wanted: int, segment: int
) -> None:
    """Also where timestamps do not grow: the first event that fits, whatever follows it."""
    path = tmp_path_factory.mktemp("log") / "events.db"
    stored = [timestamp for commit in commits for timestamp in commit]
    with pytest.MonkeyPatch.context() as patch, contextlib.closing(Writer(path, SINK, KEEP)) as writer:
        patch.setattr(writer_module, "SEGMENT_BYTES", segment)
        for commit in commits:
            rows = [field for timestamp in commit for field in event(1, timestamp=timestamp)]
            writer.append({"a": rows}, point())
    with contextlib.closing(Reader(path)) as reader:
        at_time = [offset for offset, timestamp in enumerate(stored) if timestamp >= wanted]
        assert reader.at_time("a", wanted) == min(at_time, default=len(stored))


def test_old_events_go_and_offsets_stay(path: Path, closing: contextlib.ExitStack) -> None:
    clock = Clock()
    writer = open_writer(path, closing, keep=Retention(hours=10), clock=clock)
    for number in range(30):
        writer.append(
            {"a": events(number), "b": events(number)} if number < 5 else {"a": events(number)}, point()
        )
        clock.now += HOUR
    reader = open_reader(path, closing)
    a, b = reader.topics()
    assert (a.first, a.next, a.bytes) == (20, 30, 20)
    assert (b.first, b.next, b.bytes, b.timestamp) == (5, 5, 0, None), "a topic that nothing is appended to"
    assert [(entry.offset, entry.position) for entry in read_all(reader, "a")] == [
        (n, f"{n:08}") for n in range(20, 30)
    ]
    assert read_all(reader, "b") == []
    with pytest.raises(Gap, match="offset 19 was asked for, the oldest is 20") as refused:
        reader.read("a", 19)
    assert refused.value.code is EXPIRED
    writer.append({"b": events(30)}, point())
    assert [entry.offset for entry in read_all(reader, "b")] == [5]
    assert reader.at_time("b", 0) == 5


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_is_set_expires_nothing(path: Path, closing: contextlib.ExitStack, hours: int) -> None:
    """Back or forth, and right again: what is younger than the retention stays, what is older still goes."""
    clock = Clock()
    writer = open_writer(path, closing, keep=Retention(hours=2), clock=clock)
    reader = open_reader(path, closing)
    for number in range(40):
        clock.set = hours * HOUR if 10 <= number < 20 else 0
        writer.append({"a": events(number)}, point())
        kept = [entry.offset for entry in read_all(reader, "a")]
        assert set(kept) >= {n for n in range(number + 1) if number - n < 4}, "half an hour apart"
        clock.now += HOUR // 2
    assert kept[0] > 30


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_start_while_the_clock_is_wrong(path: Path, closing: contextlib.ExitStack, hours: int) -> None:
    """What is appended meanwhile is not too old when the clock is right again."""
    clock = Clock()
    clock.set = hours * HOUR
    open_writer(path, closing, keep=Retention(hours=2), clock=clock).append({"a": events(0)}, point())
    clock.set = 0
    writer = open_writer(path, closing, keep=Retention(hours=2), clock=clock)
    for number in range(1, 4):
        writer.append({"a": events(number)}, point())
        clock.now += HOUR // 2
    clock.set = -abs(hours) * HOUR
    second = open_writer(path, closing, keep=Retention(hours=2), clock=clock)
    second.append({"a": events(4)}, point())
    clock.set = 0
    third = open_writer(path, closing, keep=Retention(hours=2), clock=clock)
    third.append({"a": events(5)}, point())
    kept = [entry.offset for entry in read_all(open_reader(path, closing), "a")]
    assert set(kept) >= {1, 2, 3, 4, 5}


def test_a_clock_that_was_wrong_at_the_start_is_believed_after_a_day(
    path: Path, closing: contextlib.ExitStack
) -> None:
    clock = Clock()
    clock.set = -10_000 * HOUR
    writer = open_writer(path, closing, keep=Retention(hours=2), clock=clock)
    clock.set = 0
    for number in range(40):
        writer.append({"a": events(number)}, point())
        clock.now += HOUR
        (topic,) = open_reader(path, closing).topics()
        assert topic.next - topic.first == (number + 1 if number < 24 else 2)


def test_within_an_hour_a_segment_grows(path: Path, closing: contextlib.ExitStack) -> None:
    clock = Clock()
    writer = open_writer(path, closing, keep=Retention(hours=1), clock=clock)
    held = []
    for number in range(100):
        writer.append({"a": events(number)}, point())
        (topic,) = open_reader(path, closing).topics()
        held.append(topic.next - topic.first)
        clock.now += HOUR // 10
    assert (min(held[20:]), max(held)) == (10, 19)


def test_the_newest_bytes_stay(
    path: Path, closing: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "SEGMENT_BYTES", 1000)
    writer = open_writer(path, closing, keep=Retention(bytes=10_000))
    for number in range(300):
        writer.append({"a": events(number, size=99), "b": events(number, size=9)}, point())
    reader = open_reader(path, closing)
    a, b = reader.topics()
    assert 10_000 <= a.bytes <= 11_000
    assert a.next == 300
    assert len(read_all(reader, "a")) == a.bytes / 100
    assert (b.first, b.bytes) == (0, 3000)


def test_a_commit_removes_a_bounded_amount(
    path: Path, closing: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "SEGMENT_BYTES", 1000)
    monkeypatch.setattr(retention, "_LEAST_WORK", 3000)
    writer = open_writer(path, closing)
    for number in range(100):
        writer.append({"a": events(number, size=999)}, point())
    writer.close()
    writer = open_writer(path, closing, keep=Retention(bytes=1))
    reader = open_reader(path, closing)
    for left in (97, 94, 91):
        writer.append({"a": events(0)}, point())
        (topic,) = reader.topics()
        assert topic.first == 100 - left


def test_new_settings_hold_for_topics_that_exist(path: Path, closing: contextlib.ExitStack) -> None:
    open_writer(path, closing, sink="other/log").append({"b": events(1)}, point())
    open_writer(path, closing, keep=Retention(hours=1)).append({"a": events(1)}, point())
    open_writer(path, closing, keep=Retention(bytes=5))
    reader = open_reader(path, closing)
    assert [topic.retention for topic in reader.topics()] == [Retention(bytes=5), Retention()]


def test_a_reader_keeps_its_view_while_events_are_removed(path: Path, closing: contextlib.ExitStack) -> None:
    clock = Clock()
    writer = open_writer(path, closing, keep=Retention(hours=1), clock=clock)
    writer.append({"a": events(*range(50))}, point())
    reader = open_reader(path, closing)
    with reader._file.reading() as connection:
        assert connection.execute("SELECT count(*) FROM events_1").fetchone() == (50,)
        clock.now += 2 * HOUR
        writer.append({"a": events(50)}, point())
        assert connection.execute("SELECT count(*) FROM events_1").fetchone() == (50,)
    (topic,) = reader.topics()
    assert (topic.first, topic.next) == (50, 51)


def test_a_log_of_constant_size_does_not_grow(path: Path, closing: contextlib.ExitStack) -> None:
    writer = open_writer(path, closing, keep=Retention(bytes=1_000_000))
    sizes = []
    for number in range(60):
        writer.append({"a": events(*range(number * 100, number * 100 + 100), size=1000)}, point())
        sizes.append(writer._file.connection.execute("PRAGMA page_count").fetchone()[0] * 16384)
    assert max(sizes) < 4_000_000
    assert max(sizes[30:]) <= max(sizes[:30]) * 1.05


def test_freed_space_is_given_back_in_pieces(
    path: Path, closing: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_SLACK_BYTES", 100_000)
    monkeypatch.setattr(retention, "_PAGES_PER_COMMIT", 32)
    clock = Clock()
    writer = open_writer(path, closing, keep=Retention(hours=1), clock=clock)
    for number in range(5):
        writer.append({"a": events(*range(number * 1000, number * 1000 + 1000), size=1000)}, point())

    def pages() -> int:
        return int(writer._file.connection.execute("PRAGMA page_count").fetchone()[0])

    full = pages()
    clock.now += 2 * HOUR
    sizes = []
    for _ in range(20):
        writer.append({}, point())
        sizes.append(pages())
        clock.now += HOUR
    assert all(before - after <= 32 for before, after in zip([full, *sizes], sizes, strict=False))
    assert sizes[-1] * 16384 < 300_000
    writer.append({"a": events(5000)}, point())
    assert writer._file.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert [entry.offset for entry in read_all(open_reader(path, closing), "a")] == [5000]


def test_the_wal_stays_bounded(
    path: Path, closing: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beside readers that overlap; one that stands still delays it until it goes on."""
    monkeypatch.setattr(sqlite_client, "_WAL_BYTES", 200_000)
    writer = open_writer(path, closing)
    wal = path.with_name("events.db-wal")
    writer.append({"a": events(0)}, point())
    over = threading.Event()

    def read() -> None:
        with contextlib.closing(Reader(path)) as reader:
            while not over.is_set():
                reader.topics()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    sizes = []
    for number in range(40):
        writer.append({"a": events(number, size=20_000)}, point())
        sizes.append(wal.stat().st_size)
    over.set()
    for thread in readers:
        thread.join()
    assert max(sizes) < 500_000
    reader = open_reader(path, closing)
    monkeypatch.setattr(sqlite_client, "_WAL_PATIENCE", 0.01)
    with reader._file.reading() as standing:
        standing.execute("SELECT * FROM topic").fetchall()
        for number in range(40):
            writer.append({"a": events(number, size=20_000)}, point())
        assert wal.stat().st_size > 800_000
    for number in range(20):
        writer.append({"a": events(number, size=20_000)}, point())
    assert wal.stat().st_size < 500_000
    assert len(read_all(reader, "a")) == 101


def test_the_kind_is_compared_before_anything_is_written(path: Path, closing: contextlib.ExitStack) -> None:
    open_writer(path, closing).append({"a": events(1)}, point())
    other = dataclasses.replace(LOG, application_id=1, title="offset store")
    for use in (SqliteFile.open, SqliteFile.read):
        with pytest.raises(Stop, match="expected the offset store") as refused:
            use(path, other)
        assert refused.value.code is FOREIGN
