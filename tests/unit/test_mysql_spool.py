"""A transaction's row events, kept until its end is known."""

from __future__ import annotations

import tracemalloc

import pytest

from connectors.mysql.assembly.spool import Entry, Spool
from connectors.mysql.binlog.messages import Place, Rows


def entry(ordinal: int, size: int = 100) -> Entry:
    rows = Rows(Place(0, 1, 1, 0), "u", 7, b"\x01", b"\x01", 1, bytes([ordinal % 256]) * size, False, True)
    return 0, ordinal, ordinal * 10, rows, ""


@pytest.mark.parametrize("memory", [0, 1250, 50_000])
def test_entries_come_back_in_order(memory: int) -> None:
    spool = Spool(memory)
    entries = [entry(ordinal) for ordinal in range(1, 9)]
    for one in entries:
        spool.append(one)
    assert list(spool) == entries
    spool.clear()
    assert not spool
    spool.append(entries[3])
    assert list(spool) == [entries[3]]
    spool.clear()


def test_statements_are_kept_and_count() -> None:
    spool = Spool(1000)
    entries: list[Entry] = [(*entry(ordinal)[:4], str(ordinal) * 900) for ordinal in range(1, 4)]
    for one in entries:
        spool.append(one)
    assert spool.mark()[0] == 1
    assert list(spool) == entries
    spool.clear()


@pytest.mark.parametrize("memory", [0, 1250, 50_000])
@pytest.mark.parametrize("marked", [0, 1, 2, 5])
def test_what_stands_behind_a_mark_is_forgotten(memory: int, marked: int) -> None:
    spool = Spool(memory)
    entries = [entry(ordinal) for ordinal in range(1, 9)]
    for one in entries[:marked]:
        spool.append(one)
    mark = spool.mark()
    for one in entries[marked:7]:
        spool.append(one)
    spool.truncate(mark)
    assert bool(spool) is (marked > 0)
    spool.append(entries[7])
    assert list(spool) == [*entries[:marked], entries[7]]
    spool.clear()


def test_small_rows_take_no_more_memory_than_it_may_have() -> None:
    """What Python needs for an event is more than most rows have."""
    spool = Spool(1_000_000)
    tracemalloc.start()
    try:
        for ordinal in range(10_000):
            spool.append(entry(ordinal, 20))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 1_500_000
    assert len(list(spool)) == 10_000
    spool.clear()


def test_memory_that_others_have_is_not_taken() -> None:
    """Else each of many transactions would keep its first event there, of whatever size."""
    alone, beside = Spool(150), Spool(0)
    for spool in (alone, beside):
        for ordinal in (1, 2):
            spool.append(entry(ordinal, 1000))
    assert (alone.memory > 1000, beside.memory) == (True, 0)
    assert list(alone) == list(beside)
    alone.clear()
    beside.clear()
    assert alone.memory == 0


def test_a_little_is_kept_in_memory_in_any_case() -> None:
    """No large event, and no file for small ones."""
    spool = Spool(0, 1250)
    for ordinal in (1, 2, 3):
        spool.append(entry(ordinal))
        assert spool.memory == min(1000, ordinal * 500)
    assert len(list(spool)) == 3
    spool.clear()
    spool.append(entry(4, 1000))
    assert spool.memory == 0
    spool.clear()
